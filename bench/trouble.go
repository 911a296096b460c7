package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"time"

	"github.com/hansa-io/hansa/internal/lab"
)

// victim is one more member, which gets into trouble.
const victim = "victim"

// trouble measures how fast objects come to the members that are well while another is not: all updates, until the well ones have them.
func (f *federation) trouble(ctx context.Context, k kind, o options) ([]result, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	link, err := f.joinVictim(ctx)
	if err != nil {
		return nil, err
	}
	watches, stop, err := f.watches(ctx, k)
	if err != nil {
		return nil, err
	}
	defer stop()
	run := &tests{federation: f, k: k, o: o, watches: watches}
	if _, err := run.writes(create, third)(ctx); err != nil {
		return nil, err
	}
	var rows []result
	for n, t := range []struct {
		name        string
		begin, undo func() error
	}{
		{"healthy", nothing, nothing},
		{"slow", link.slow(2 * time.Second), link.slow(0)},
		{"hung", f.toVictim("pause"), f.toVictim("resume")},
		{"dead", f.toVictim("kill"), f.toVictim("start")},
	} {
		fmt.Fprintf(os.Stderr, "%s: a member is %s …\n", k.name, t.name)
		r := result{Kind: k.name, Test: t.name, Way: hansa, Objects: o.n}
		if err := t.begin(); err != nil {
			return nil, err
		}
		if r.Seconds, err = run.update(ctx, fmt.Sprintf("r%dI=", n)); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		if err := t.undo(); err != nil {
			return nil, err
		}
		if err := f.told(ctx, k, o.n); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func nothing() error { return nil }

// update changes all objects on the host and waits for those members that are well.
func (t *tests) update(ctx context.Context, revision string) (float64, error) {
	start := time.Now()
	err := each(t.o.n, t.o.workers, func(n int) error {
		return update(ctx, t.host, federated(t.k.resource), t.k.federated(n, revision))
	})
	if err != nil {
		return 0, err
	}
	err = arrived(ctx, t.watches, t.o.n, revision)
	return time.Since(start).Seconds(), err
}

// toVictim does something of the lab's to it.
func (f *federation) toVictim(verb string) func() error {
	return func() error {
		out, err := exec.Command("bin/hansa-lab", verb, "--dir", f.lab.Dir(), victim).CombinedOutput()
		if err != nil {
			return fmt.Errorf("hansa-lab %s %s: %w\n%s", verb, victim, err, out)
		}
		return nil
	}
}

type slowLink struct{ *lab.Link }

func (l slowLink) slow(by time.Duration) func() error {
	return func() error {
		l.Delay(by)
		return nil
	}
}

// joinVictim brings up one more member, reached by a link that can be slowed.
func (f *federation) joinVictim(ctx context.Context) (slowLink, error) {
	out, err := exec.Command("bin/hansa-lab", "up", "--dir", f.lab.Dir(), "--clusters", victim).CombinedOutput()
	if err != nil {
		return slowLink{}, fmt.Errorf("start one more member: %w\n%s", err, out)
	}
	u, err := url.Parse(f.lab.Config(victim).Host)
	if err != nil {
		return slowLink{}, err
	}
	link, err := lab.NewLink(u.Host)
	if err != nil {
		return slowLink{}, err
	}
	return slowLink{link}, f.joinBy(ctx, link)
}

// joinBy joins the victim by a kubeconfig that leads through the link: a token is sent to no other endpoint than it was made for.
func (f *federation) joinBy(ctx context.Context, link *lab.Link) error {
	text, err := os.ReadFile(f.lab.Kubeconfig())
	if err != nil {
		return err
	}
	file := f.lab.Kubeconfig() + ".victim"
	if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte(f.lab.Config(victim).Host), []byte(link.URL())), 0o600); err != nil {
		return err
	}
	if err := f.run("kubefedctl", "join", victim, "--kubeconfig", file, "--cluster-context", victim, "--host-cluster-context", "host"); err != nil {
		return err
	}
	return f.joined(ctx, len(f.members)+1)
}
