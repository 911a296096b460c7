package federate

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hansa-io/hansa/internal/glossary"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/meter"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/rollup"
)

// Measure says what is measured.
type Measure struct {
	// Set is where the metrics are registered; nil is nowhere.
	Set *meter.Set
	// Clusters are the present members: what statuses tell of others is not counted.
	Clusters func() []string
	// EachObject exports the conditions of every federated object.
	EachObject bool
}

// metrics are those of deciding.
type metrics struct {
	reconcile prometheus.Observer
	panics    prometheus.Counter
}

func (m Measure) begin(r *Reconciler) metrics {
	looked := []meter.Metric{meter.Objects, meter.Statuses, meter.Paused, meter.Owed}
	if m.EachObject {
		looked = append(looked, meter.ObjectCondition)
	}
	m.Set.Looked(func(emit meter.Emit) { m.look(r, emit) }, looked...)
	return metrics{
		reconcile: m.Set.Histogram(meter.ReconcileTime).WithLabelValues(),
		panics:    m.Set.Counter(meter.Panics).WithLabelValues("objects"),
	}
}

func (m metrics) took(start time.Time) { m.reconcile.Observe(time.Since(start).Seconds()) }

// since is when what a world asks for was seen: a change of the federated object that has not been answered yet when it was watched,
// anything else now, at the decision.
func since(w plan.World) time.Time {
	if i := w.Intent; i != nil && !i.Seen.IsZero() && i.Generation != i.Status.ObservedGeneration {
		return i.Seen
	}
	return w.Now
}

// look counts what the host holds, as last seen.
func (m Measure) look(r *Reconciler, emit meter.Emit) {
	clusters := m.Clusters()
	for _, k := range r.kinds.all() {
		c := count{members: make(map[string]*tally, len(clusters))}
		for _, name := range clusters {
			c.members[name] = &tally{troubled: map[string]int{}}
		}
		for _, i := range k.store.Values() {
			c.add(i)
			if m.EachObject {
				conditions(k.Name, i, emit)
			}
		}
		c.tell(k.Name, clusters, emit)
	}
	owed := r.debts.count()
	paused := r.ledger.paused()
	for _, name := range clusters {
		emit(meter.Owed, float64(owed[name]), name)
		for _, k := range r.kinds.all() {
			emit(meter.Paused, float64(paused[account{name, k.Name}]), k.Name, name)
		}
	}
}

// count is what the objects of one type say.
type count struct {
	ready   [3]int // by answer
	members map[string]*tally
}

// tally is what they say of one member.
type tally struct {
	inSync   int
	troubled map[string]int // by status
}

// answers are the values of the label ready, as of a condition.
var answers = [3]string{"true", "false", "unknown"}

func (c *count) add(i *intent.Intent) {
	switch ready, _ := i.Status.Condition(rollup.Ready); ready.Status {
	case "True":
		c.ready[0]++
	case "False":
		c.ready[1]++
	default:
		c.ready[2]++
	}
	for n := range i.Status.Clusters {
		told := &i.Status.Clusters[n]
		switch m := c.members[told.Name]; {
		case m == nil:
		case told.Status == "":
			m.inSync++
		case glossary.IsStatus(told.Status):
			m.troubled[told.Status]++
		default:
			m.troubled["Other"]++ // whoever may write statuses can invent words: those do not become labels
		}
	}
}

func (c *count) tell(typeName string, clusters []string, emit meter.Emit) {
	for n, answer := range answers {
		emit(meter.Objects, float64(c.ready[n]), typeName, answer)
	}
	for _, name := range clusters {
		emit(meter.Statuses, float64(c.members[name].inSync), typeName, name, string(plan.InSync))
		for status, n := range c.members[name].troubled {
			emit(meter.Statuses, float64(n), typeName, name, status)
		}
	}
}

// conditions exports what one object says of itself.
func conditions(typeName string, i *intent.Intent, emit meter.Emit) {
	for _, kind := range []string{rollup.Propagation, rollup.Ready, rollup.Reconciling, rollup.Stalled} {
		c, ok := i.Status.Condition(kind)
		if answer := strings.ToLower(c.Status); ok && slices.Contains(answers[:], answer) {
			emit(meter.ObjectCondition, 1, i.Namespace, i.Name, typeName, kind, answer)
		}
	}
}

// count says how many removals are owed, by member.
func (d *Debts) count() map[string]int {
	out := map[string]int{}
	for _, v := range d.store.Values() {
		for name := range v.Members {
			out[name]++
		}
	}
	return out
}

// paused says how many removals are held back.
func (l *Ledger) paused() map[account]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[account]int, len(l.accounts))
	for at, a := range l.accounts {
		out[at] = len(a.paused)
	}
	return out
}
