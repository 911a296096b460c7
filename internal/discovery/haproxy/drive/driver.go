// Package drive answers: how does a running HAProxy come to balance as it should? It reads what runs, sends the commands that lead to what is
// wanted, and keeps the file in step. HAProxy goes on as it is while the driver is not there.
package drive

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
)

// Options of a Driver.
type Options struct {
	// Socket is HAProxy's runtime socket, of level admin.
	Socket Socket
	// File is where HAProxy reads its configuration from.
	File string
	// Files are named in it.
	Files haproxy.Files
	// Check says whether HAProxy would take a file.
	Check func(ctx context.Context, path string) error
	// Reload makes HAProxy read its file.
	Reload func(context.Context) error
	Log    logr.Logger
	// ReloadTime is how long a reload may take; 15 s if it is 0.
	ReloadTime time.Duration
	// Resync is how often HAProxy is looked at though nothing has changed; 10 s if it is 0.
	Resync time.Duration
}

// Driver brings one HAProxy to what is wanted.
type Driver struct {
	o    Options
	wake chan struct{}

	mu     sync.Mutex
	wanted *haproxy.Config
	stats  Stats

	// Only Run uses these.
	refused  refusal
	reloaded time.Time
	retry    time.Duration
	told     string // what was wrong last, which is logged once
}

// Stats are what a Driver has done, and how it stands.
type Stats struct {
	Commands, CommandErrors, Reloads, ReloadErrors, FileWrites uint64
	// Up says that HAProxy answered last time, Current that it runs what is wanted.
	Up, Current bool
	// Leaving is how many servers still have connections to end.
	Leaving int
}

// refusal is a topology that HAProxy did not take. It is tried again later: what was in its way may go.
type refusal struct {
	topology string
	until    time.Time
}

const (
	refusedFor = time.Minute
	leastRetry = 50 * time.Millisecond
	mostRetry  = 5 * time.Second
	// leastReload is the time between two reloads: each leaves an old process behind until its connections have ended.
	leastReload = time.Second
)

// New returns a Driver that does nothing until Run is called and something is wanted.
func New(o Options) *Driver {
	if o.ReloadTime == 0 {
		o.ReloadTime = 15 * time.Second
	}
	if o.Resync == 0 {
		o.Resync = 10 * time.Second
	}
	return &Driver{o: o, wake: make(chan struct{}, 1)}
}

// Set says what is wanted from now on. It does not block.
func (d *Driver) Set(c haproxy.Config) {
	d.mu.Lock()
	d.wanted = &c
	d.stats.Current = false
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Stats returns what the driver has done so far.
func (d *Driver) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

func (d *Driver) count(f func(*Stats)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.stats)
}

// Run works until the context ends.
func (d *Driver) Run(ctx context.Context) {
	for {
		timer := time.NewTimer(d.pass(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-d.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// pass looks at HAProxy once, does what is to be done, and says when to look again.
func (d *Driver) pass(ctx context.Context) time.Duration {
	d.mu.Lock()
	wanted := d.wanted
	d.mu.Unlock()
	if wanted == nil {
		up := d.runs(ctx) != ""
		d.count(func(s *Stats) { s.Up = up })
		return min(d.o.Resync, time.Second)
	}
	got, err := d.approach(ctx, *wanted)
	d.count(func(s *Stats) {
		s.Leaving = got.leaving
		s.Current = got.current && err == nil && d.wanted == wanted
	})
	switch {
	case err != nil && ctx.Err() == nil:
		if err.Error() != d.told {
			d.o.Log.Error(err, "HAProxy is not as it should be; it goes on as it is")
		}
		d.told = err.Error()
	case got.again > 0:
		return got.again
	case got.leaving == 0:
		d.retry, d.told = 0, ""
		return d.o.Resync
	}
	d.retry = min(max(2*d.retry, leastRetry), mostRetry)
	return d.retry
}

// outcome of one look.
type outcome struct {
	leaving int           // servers that wait for the end of their connections
	current bool          // what runs is as wanted, but for those
	again   time.Duration // when to look again; 0 if there is no need
}

// approach brings HAProxy nearer to what is wanted.
func (d *Driver) approach(ctx context.Context, wanted haproxy.Config) (outcome, error) {
	s, err := d.o.Socket.open(ctx)
	d.count(func(s *Stats) { s.Up = err == nil })
	if err != nil {
		return outcome{}, errors.Join(err, d.prepare(ctx, wanted))
	}
	defer s.close()
	state, servers, err := s.state()
	if err != nil {
		return outcome{}, err
	}
	leaving, err := d.send(s, haproxy.Steps(state, wanted))
	topology := wanted.Topology()
	wait := time.Until(d.reloaded.Add(leastReload))
	switch {
	case state.Topology == topology:
		d.refused = refusal{}
		return outcome{leaving: leaving, current: true}, errors.Join(err, d.write(wanted.File(d.o.Files)))
	case topology == d.refused.topology && time.Now().Before(d.refused.until):
		return outcome{leaving: leaving}, errors.Join(err, d.follow(wanted))
	case wait > 0:
		return outcome{leaving: leaving, again: wait}, errors.Join(err, d.follow(wanted))
	}
	d.reloaded = time.Now()
	// What has changed meanwhile is for the next look, which is at once.
	return outcome{again: time.Millisecond}, errors.Join(err, d.reload(ctx, wanted, servers))
}

// state reads what runs; servers is that of the servers in HAProxy's own words.
func (s *session) state() (state haproxy.State, servers string, err error) {
	var answers [3]string
	for i, command := range []string{haproxy.ShowTopology, haproxy.ShowBackends, haproxy.ShowServers} {
		if answers[i], err = s.do(command); err != nil {
			return state, "", err
		}
	}
	state, err = haproxy.Read(answers[0], answers[1], answers[2])
	return state, answers[2], err
}
