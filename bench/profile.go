package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hansa-io/hansa/bench/process"
)

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
	profile, err := process.Profile(ctx, f.pprof, what)
	if err != nil {
		return err
	}
	return os.WriteFile(file, profile, 0o644) //nolint:gosec // a profile is no secret
}
