package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// freeAddress is one on loopback that nobody listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// profile records the manager's CPU until the function that it returns is called, which also saves what was allocated until then. It
// costs a few per cent: rates are not to be compared with those of a run without it.
func (f *federation) profile(ctx context.Context, o options, r result) (save func() error) {
	if o.profiles == "" {
		return func() error { return nil }
	}
	name := filepath.Join(o.profiles, strings.ReplaceAll(r.Kind+"-"+r.Test, " ", "-"))
	const seconds = 10 // pprof has no way to end one early
	done := make(chan error, 1)
	go func() { done <- f.fetch(ctx, fmt.Sprintf("profile?seconds=%d", seconds), name+".cpu") }()
	return func() error {
		if err := <-done; err != nil {
			return err
		}
		return f.fetch(ctx, "allocs", name+".allocs")
	}
}

func (f *federation) fetch(ctx context.Context, what, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.pprof+"/debug/pprof/"+what, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, resp.Body)
	return err
}
