package drive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
)

// send sends commands, all of them: one that is refused is no reason not to try the others.
func (d *Driver) send(s *session, commands []string) (leaving int, err error) {
	for _, c := range commands {
		answer, failed := s.do(c)
		d.count(func(s *Stats) { s.Commands++ })
		switch {
		case failed != nil:
			return leaving, errors.Join(err, failed)
		case haproxy.Accepted(c, answer):
		case strings.HasPrefix(c, "del server "):
			leaving++
		default:
			d.count(func(s *Stats) { s.CommandErrors++ })
			err = errors.Join(err, fmt.Errorf("HAProxy to %q: %s", c, strings.TrimSpace(answer)))
		}
	}
	return leaving, err
}

// noStates is a file of servers' states that has none, so that HAProxy does not warn of a missing one.
const noStates = "1\n"

// write keeps the file in step with what runs, so that a restart begins there.
func (d *Driver) write(content string) error {
	old, err := read(d.o.File)
	if err != nil || old == content {
		return err
	}
	if err := replace(d.o.File, content); err != nil {
		return err
	}
	d.count(func(s *Stats) { s.FileWrites++ })
	return nil
}

// keep writes the file for the topology that it has, with the endpoints that are wanted.
func (d *Driver) keep(file string, wanted haproxy.Config) error {
	return d.write(wanted.Refresh(file))
}

// follow does so with the file as it is.
func (d *Driver) follow(wanted haproxy.Config) error {
	old, err := read(d.o.File)
	if err != nil {
		return err
	}
	return d.keep(old, wanted)
}

// prepare writes the file for an HAProxy that does not run, if that would take it.
func (d *Driver) prepare(ctx context.Context, wanted haproxy.Config) error {
	content := wanted.File(d.o.Files)
	old, err := read(d.o.File)
	if err != nil || old == content {
		return err
	}
	// States from before it stopped tell nothing about now.
	if err := replace(d.o.Files.State, noStates); err != nil {
		return err
	}
	if err := d.check(ctx, content); err != nil {
		return err
	}
	return d.write(content)
}

// check lets HAProxy read a file beside the one that it uses.
func (d *Driver) check(ctx context.Context, content string) error {
	candidate := d.o.File + ".new"
	if err := replace(candidate, content); err != nil {
		return err
	}
	defer os.Remove(candidate)
	return d.o.Check(ctx, candidate)
}

// reload brings a new topology. If that fails, the file is again one that HAProxy can start with.
func (d *Driver) reload(ctx context.Context, wanted haproxy.Config, servers string) error {
	old, err := read(d.o.File)
	if err != nil {
		return err
	}
	content, topology := wanted.File(d.o.Files), wanted.Topology()
	if err := errors.Join(bindable(ctx, old, content), d.check(ctx, content)); err != nil {
		return d.refuse(topology, errors.Join(err, d.keep(old, wanted)))
	}
	if err := errors.Join(replace(d.o.Files.State, strings.TrimSpace(servers)+"\n"), replace(d.o.File, content)); err != nil {
		return err
	}
	d.o.Log.Info("reloading HAProxy", "topology", topology)
	d.count(func(s *Stats) { s.Reloads++; s.FileWrites++ })
	if err = d.o.Reload(ctx); err == nil {
		err = d.arrived(ctx, topology)
	}
	switch {
	case err == nil:
		d.refused = refusal{}
		return replace(d.o.Files.State, noStates)
	case ctx.Err() != nil:
		return err // nobody knows how it ended: the next driver will see
	}
	return d.refuse(topology, errors.Join(err, d.keep(old, wanted)))
}

func (d *Driver) refuse(topology string, err error) error {
	d.refused = refusal{topology, time.Now().Add(refusedFor)}
	d.count(func(s *Stats) { s.ReloadErrors++ })
	return err
}

// arrived waits until the new topology runs.
func (d *Driver) arrived(ctx context.Context, topology string) error {
	ctx, cancel := context.WithTimeout(ctx, d.o.ReloadTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if d.runs(ctx) == topology {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("HAProxy does not run the new configuration %v after it was told to reload; its log says why: is an address in use?", d.o.ReloadTime)
		case <-tick.C:
		}
	}
}

// runs returns the topology of what runs; empty if that does not answer.
func (d *Driver) runs(ctx context.Context) string {
	s, err := d.o.Socket.open(ctx)
	if err != nil {
		return ""
	}
	defer s.close()
	answer, err := s.do(haproxy.ShowTopology)
	if err != nil {
		return ""
	}
	state, _ := haproxy.Read(answer, "", "")
	return state.Topology
}
