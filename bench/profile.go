package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/kubernetes"

	"github.com/hansa-io/hansa/bench/process"
)

// profile records the CPU of the manager, the host's API server and a member's until the function that it returns is called, which also
// saves what the manager has allocated until then, and what it holds. It costs a few per cent: rates are not to be compared with those of a run without it.
func (f *federation) profile(ctx context.Context, o options, r result) (save func() error) {
	if o.profiles == "" {
		return func() error { return nil }
	}
	name := filepath.Join(o.profiles, strings.ReplaceAll(r.Kind+"-"+r.Test, " ", "-"))
	const seconds = 10 // pprof has no way to end one early
	what := fmt.Sprintf("profile?seconds=%d", seconds)
	done := make(chan error, 3)
	go func() { done <- f.fetch(ctx, what, name+".cpu") }()
	for _, s := range []site{f.host, f.members[0]} {
		go func() { done <- s.fetch(ctx, what, name+"."+s.name+".cpu") }()
	}
	return func() error {
		return errors.Join(<-done, <-done, <-done, f.fetch(ctx, "allocs", name+".allocs"), f.fetch(ctx, "heap?gc=1", name+".heap"))
	}
}

// fetch reads a profile of the cluster's API server.
func (s site) fetch(ctx context.Context, what, file string) error {
	c, err := kubernetes.NewForConfig(s.config)
	if err != nil {
		return err
	}
	profile, err := c.CoreV1().RESTClient().Get().RequestURI("/debug/pprof/" + what).DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("profile %s of %s: %w", what, s.name, err)
	}
	return save(file, profile)
}

func (f *federation) fetch(ctx context.Context, what, file string) error {
	profile, err := process.Profile(ctx, f.pprof, what)
	if err != nil {
		return err
	}
	return save(file, profile)
}

func save(file string, data []byte) error {
	return os.WriteFile(file, data, 0o644) //nolint:gosec // neither profiles nor results are secrets
}
