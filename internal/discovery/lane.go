package discovery

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/hansa-io/hansa/internal/discovery/plan"
)

// firstRetry and lastRetry bound the wait after acts that failed; it doubles from one to the other.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// lane is the only writer of services to one member. It takes the newest acts for each service; while they run, newer ones are not kept but
// decided anew. Workers exist only while there is work.
type lane struct {
	do      func(types.NamespacedName, []plan.Act) error
	wake    func(types.NamespacedName)
	workers int

	mu      sync.Mutex
	tasks   map[types.NamespacedName]*task
	queue   []types.NamespacedName
	running int
	// clients are those of the configuration by which the member was reached last.
	clients *clients
	config  *rest.Config
}

// connect returns the clients for a configuration.
func (l *lane) connect(config *rest.Config) (*clients, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients == nil || l.config != config {
		made, err := newClients(config)
		if err != nil {
			return nil, err
		}
		l.clients, l.config = made, config
	}
	return l.clients, nil
}

// task is what a lane knows of one service.
type task struct {
	acts            []plan.Act
	queued, running bool
	attempts        int
	failed          *problem
	retry           *time.Timer // while failed acts wait
}

// problem is why acts failed.
type problem struct {
	words string
	// family says that the cluster has no addresses of the family that is asked for.
	family bool
}

func newLane(workers int, do func(types.NamespacedName, []plan.Act) error, wake func(types.NamespacedName)) *lane {
	return &lane{do: do, wake: wake, workers: workers, tasks: map[types.NamespacedName]*task{}}
}

// problem is why the last acts for a service failed; nil if they did not.
func (l *lane) problem(key types.NamespacedName) *problem {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tasks[key]; t != nil {
		return t.failed
	}
	return nil
}

// submit takes what is to be done for a service now.
func (l *lane) submit(key types.NamespacedName, acts []plan.Act) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tasks[key]
	switch {
	case len(acts) == 0:
		if t != nil && !t.running {
			t.stop()
			delete(l.tasks, key)
		}
		return
	case t == nil:
		t = &task{}
		l.tasks[key] = t
	case t.running:
		return // it wakes the service when it is done
	case t.retry != nil && same(t.acts, acts):
		return
	}
	t.stop()
	t.acts = acts
	if t.queued {
		return
	}
	t.queued = true
	l.queue = append(l.queue, key)
	if l.running < l.workers {
		l.running++
		go l.work()
	}
}

func (t *task) stop() {
	if t.retry != nil {
		t.retry.Stop()
		t.retry = nil
	}
}

// same says whether acts are about the same objects; if others are to be written, a failure of before says nothing about them.
func same(a, b []plan.Act) bool {
	if len(a) != len(b) {
		return false
	}
	for n := range a {
		if a[n].Verb != b[n].Verb || a[n].Reason != b[n].Reason || a[n].UID != b[n].UID {
			return false
		}
	}
	return true
}

// work takes services until there are none.
func (l *lane) work() {
	for {
		key, acts, ok := l.take()
		if !ok {
			return
		}
		l.done(key, l.do(key, acts))
		l.wake(key)
	}
}

func (l *lane) take() (types.NamespacedName, []plan.Act, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 {
		key := l.queue[0]
		l.queue = l.queue[1:]
		if t := l.tasks[key]; t != nil && t.queued {
			t.queued, t.running = false, true
			return key, t.acts, true
		}
	}
	l.running--
	return types.NamespacedName{}, nil, false
}

func (l *lane) done(key types.NamespacedName, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tasks[key]
	if t == nil {
		return
	}
	t.running = false
	if err == nil {
		t.attempts, t.failed = 0, nil
		return
	}
	t.failed = problemOf(err)
	wait := lastRetry
	if t.attempts < 8 {
		wait = firstRetry << t.attempts
	}
	t.attempts++
	t.retry = time.AfterFunc(wait, func() { l.due(key) })
}

// due lets acts that failed be tried again: they are decided anew.
func (l *lane) due(key types.NamespacedName) {
	l.mu.Lock()
	if t := l.tasks[key]; t != nil {
		t.retry = nil
	}
	l.mu.Unlock()
	l.wake(key)
}

// close forgets what waits.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = nil
	for _, t := range l.tasks {
		t.stop()
	}
}
