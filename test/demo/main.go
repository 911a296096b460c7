// Command demo plays the walkthrough on two real clusters: it types what a user types, shows what that did, and fails loudly if an
// effect is not there. KEEP=1 leaves everything running.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := play(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\n✖ the demo failed:", err)
		os.Exit(1)
	}
}

func play(ctx context.Context) (err error) {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(root, "bin", "hansa-lab")); err != nil {
		return errors.New("bin/hansa-lab is not there: run this by make demo, from the top of the repository")
	}
	s, err := newStage(root)
	if err != nil {
		return err
	}
	defer func() {
		if os.Getenv("KEEP") == "1" && err == nil {
			s.leave()
			return
		}
		err = errors.Join(err, s.clear())
	}()
	s.lookAround()
	if err := os.WriteFile(filepath.Join(s.dir, "address.yaml"), []byte(s.addressPool()), 0o600); err != nil {
		return err
	}
	for n, scene := range append(walkthrough, s.oneService()...) {
		fmt.Printf("\n── %d. %s\n", n+1, scene.title)
		for _, line := range scene.lines {
			if err := s.typed(ctx, line); err != nil {
				return fmt.Errorf("%s: %w\n%s", scene.title, err, s.tail())
			}
		}
		if err := s.expect(ctx, scene.effects); err != nil {
			return fmt.Errorf("%s: %w", scene.title, err)
		}
		if scene.act != nil {
			if err := scene.act(ctx); err != nil {
				return fmt.Errorf("%s: %w", scene.title, err)
			}
		}
		if !scene.shows {
			continue
		}
		if err := s.table(ctx); err != nil {
			return err
		}
	}
	fmt.Println("\n✔ every step had its effect")
	return nil
}
