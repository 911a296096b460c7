package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// The supervisor takes orders as HTTP over a unix socket in the lab's folder. The answer's text is for the user; a
// status other than 200 makes it an error.

type upRequest struct {
	Clusters []string
	Nodes    int    // fake ones
	Programs string // of a real node; none: no real node
	Answer   answering
	DNS      string // program of a DNS server for Pods that answer in a network; none: no DNS server
	Audit    bool
	Timeout  time.Duration
}

type downRequest struct{ Clusters []string }

type actRequest struct {
	Verb, Cluster, Component string
	Timeout                  time.Duration
}

// socketPath reaches the control socket by way of the open folder, because a socket's path may have 107 bytes only,
// and a lab's folder may be anywhere.
func (f folder) socketPath() (path string, done func() error, err error) {
	dir, err := os.Open(string(f))
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/control.sock", dir.Fd()), dir.Close, nil
}

// serve takes orders until ctx ends.
func (s *supervisor) serve(ctx context.Context) error {
	path, done, err := s.dir.socketPath()
	if err != nil {
		return err
	}
	defer done()
	_ = os.Remove(path) // of a supervisor that was killed; the lock says there is no other
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen for orders: %w", err)
	}
	server := &http.Server{Handler: s.orders(), BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("take orders: %w", err)
	}
	return nil
}

func (s *supervisor) orders() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ping", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/up", order(s.up))
	mux.HandleFunc("/down", order(func(_ context.Context, r downRequest) (string, error) { return "", s.down(r.Clusters) }))
	mux.HandleFunc("/act", order(func(ctx context.Context, r actRequest) (string, error) { return "", s.act(ctx, r) }))
	return mux
}

func order[R any](do func(context.Context, R) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var request R
		err := json.NewDecoder(r.Body).Decode(&request)
		text := ""
		if err == nil {
			text, err = do(r.Context(), request)
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			text = err.Error()
		}
		_, _ = io.WriteString(w, text)
	}
}

// errNoSupervisor means that nobody takes orders for the lab.
var errNoSupervisor = errors.New("no supervisor")

// send gives the supervisor an order and returns its answer.
func (f folder) send(ctx context.Context, path string, request any) (string, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://lab"+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	transport := &http.Transport{DialContext: f.dial}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("read the supervisor's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(strings.TrimSpace(string(text)))
	}
	return string(text), nil
}

func (f folder) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	path, done, err := f.socketPath()
	if err != nil {
		return nil, fmt.Errorf("%w for the lab in %s: %w", errNoSupervisor, f, err)
	}
	defer done()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w for the lab in %s (is it up?): %w", errNoSupervisor, f, errors.Unwrap(err))
	}
	return conn, nil
}
