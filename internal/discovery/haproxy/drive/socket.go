package drive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Socket is the address of one of HAProxy's sockets: a path, or HOST:PORT.
type Socket string

// answerTime is how long HAProxy may take for one answer.
const answerTime = 10 * time.Second

func (s Socket) dial(ctx context.Context) (net.Conn, error) {
	network := "unix"
	if !strings.Contains(string(s), "/") && strings.Contains(string(s), ":") {
		network = "tcp"
	}
	d := net.Dialer{Timeout: answerTime}
	c, err := d.DialContext(ctx, network, string(s))
	if err != nil {
		return nil, fmt.Errorf("connect to HAProxy: %w", err)
	}
	return c, nil
}

// session is a conversation with one HAProxy process: one that was reloaded needs a new one.
type session struct {
	conn   net.Conn
	buffer []byte
}

// prompt ends each answer in a conversation.
var prompt = []byte("\n> ")

func (s Socket) open(ctx context.Context) (*session, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	out := &session{conn: c, buffer: make([]byte, 64<<10)}
	if _, err := out.do("prompt"); err != nil {
		c.Close()
		return nil, err
	}
	return out, nil
}

func (s *session) close() { s.conn.Close() }

// do sends a command and returns the answer.
func (s *session) do(command string) (string, error) {
	if err := s.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return "", fmt.Errorf("send %q to HAProxy: %w", command, err)
	}
	if _, err := io.WriteString(s.conn, command+"\n"); err != nil {
		return "", fmt.Errorf("send %q to HAProxy: %w", command, err)
	}
	var answer []byte
	for !bytes.HasSuffix(answer, prompt) {
		n, err := s.conn.Read(s.buffer)
		answer = append(answer, s.buffer[:n]...)
		if err != nil {
			return "", fmt.Errorf("read HAProxy's answer to %q: %w", command, err)
		}
	}
	return string(bytes.TrimSuffix(answer, prompt)), nil
}

// masterTime is how long the socket of the master may not be there: it is not while that starts, or reads its configuration anew.
const masterTime = 3 * time.Second

// ReloadByMaster returns what reloads HAProxy by the socket of its master process (haproxy -W -S SOCKET). That it was asked for is all that
// HAProxy 2.6 answers; later ones tell how it went.
func ReloadByMaster(s Socket) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := s.dial(ctx)
		for began := time.Now(); err != nil && ctx.Err() == nil && time.Since(began) < masterTime; c, err = s.dial(ctx) {
			time.Sleep(20 * time.Millisecond)
		}
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(answerTime)); err != nil {
			return fmt.Errorf("ask HAProxy's master to reload: %w", err)
		}
		if _, err := io.WriteString(c, "reload\n"); err != nil {
			return fmt.Errorf("ask HAProxy's master to reload: %w", err)
		}
		// The connection ends with the old master.
		if answer, _ := io.ReadAll(c); strings.HasPrefix(string(answer), "Success=0") {
			return fmt.Errorf("HAProxy did not reload: %s", strings.TrimSpace(string(answer)))
		}
		return nil
	}
}
