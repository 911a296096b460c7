package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// echo is one place where Pods answer. Whoever connects is told which Pod it has reached: a client that speaks HTTP by
// HTTP, any other by one line, after which the connection is closed.
type echo struct {
	stop func() error

	mu     sync.Mutex
	voices []voice
	next   int
	conns  map[net.Conn]voice
}

// firstWords is how long a client may be silent until it is taken for one that waits to be spoken to.
const firstWords = 200 * time.Millisecond

// openEcho lets Pods answer at a place until stop is called.
func openEcho(p place, voices []voice) (*echo, error) {
	e := &echo{voices: voices, conns: map[net.Conn]voice{}}
	if p.protocol == "udp" {
		conn, err := net.ListenPacket(p.protocol, p.address.String())
		if err != nil {
			return nil, err
		}
		e.stop = conn.Close
		go e.serveUDP(conn)
		return e, nil
	}
	listener, err := net.Listen(p.protocol, p.address.String())
	if err != nil {
		return nil, err
	}
	spoken := &handedOn{conns: make(chan net.Conn), closed: make(chan struct{}), address: listener.Addr()}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, r.Context().Value(voiceKey{}))
		}),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, voiceKey{}, e.voiceOn(c.(*begun).Conn)) //nolint:forcetypeassert // handedOn has no others
		},
	}
	go func() { _ = server.Serve(spoken) }() // until stop
	go e.serveTCP(listener, spoken)
	e.stop = func() error {
		err := errors.Join(listener.Close(), server.Close())
		e.speak(nil)
		return err
	}
	return e, nil
}

type voiceKey struct{}

// speak makes the given Pods, and no others, those that answer. Connections to Pods that are gone are closed.
func (e *echo) speak(voices []voice) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.voices = voices
	for conn, v := range e.conns {
		if !slices.Contains(voices, v) {
			_ = conn.Close()
			delete(e.conns, conn)
		}
	}
}

// take gives a connection to the Pod whose turn it is.
func (e *echo) take(conn net.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.voices) == 0 {
		return false
	}
	e.conns[conn] = e.voices[e.next%len(e.voices)]
	e.next++
	return true
}

func (e *echo) voiceOn(conn net.Conn) voice {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.conns[conn]
}

func (e *echo) forget(conn net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, conn)
}

func (e *echo) serveTCP(listener net.Listener, spoken *handedOn) {
	defer spoken.end()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // stopped
		}
		if !e.take(conn) {
			_ = conn.Close()
			continue
		}
		go e.listenTo(conn, spoken)
	}
}

// listenTo finds out how the client speaks.
func (e *echo) listenTo(conn net.Conn, spoken *handedOn) {
	b := &begun{Conn: conn, reader: bufio.NewReader(conn), closed: func() { e.forget(conn) }}
	_ = conn.SetReadDeadline(time.Now().Add(firstWords))
	head, _ := b.reader.Peek(4) // an error means that there are fewer
	_ = conn.SetReadDeadline(time.Time{})
	if slices.ContainsFunc(httpBegins, func(begin string) bool { return bytes.Equal(head, []byte(begin)) }) && spoken.take(b) {
		return
	}
	fmt.Fprintln(conn, e.voiceOn(conn))
	_ = b.Close()
}

var httpBegins = []string{"GET ", "HEAD", "POST", "PUT ", "PATC", "DELE", "OPTI"}

func (e *echo) serveUDP(conn net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		_, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return // stopped
		}
		e.mu.Lock()
		voices := e.voices
		e.next++
		n := e.next
		e.mu.Unlock()
		if len(voices) > 0 {
			_, _ = conn.WriteTo(fmt.Appendln(nil, voices[n%len(voices)]), from)
		}
	}
}

// begun is a connection of which something has been read, but is still to be had.
type begun struct {
	net.Conn
	reader *bufio.Reader
	closed func()
}

func (b *begun) Read(p []byte) (int, error) { return b.reader.Read(p) }

// Close is part of net.Conn.
func (b *begun) Close() error {
	b.closed()
	return b.Conn.Close()
}

// handedOn is a listener whose connections somebody else has accepted.
type handedOn struct {
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
	address net.Addr
}

func (h *handedOn) take(conn net.Conn) bool {
	select {
	case h.conns <- conn:
		return true
	case <-h.closed:
		return false
	}
}

func (h *handedOn) end() { h.once.Do(func() { close(h.closed) }) }

// Accept is part of net.Listener.
func (h *handedOn) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close is part of net.Listener.
func (h *handedOn) Close() error {
	h.end()
	return nil
}

// Addr is part of net.Listener.
func (h *handedOn) Addr() net.Addr { return h.address }
