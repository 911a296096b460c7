package schedule

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// Fleet is what the scheduler may ask of the members.
type Fleet interface {
	// Copy is a target in a member as last seen; nil if it is not there. known says that this could be told.
	Copy(member string, t intent.Type, key intent.Key) (c *plan.Copy, known bool)
	// Client reads in a member; it is an error while the member is not ready.
	Client(member string) (dynamic.Interface, error)
}

const (
	// deadline bounds a look into one member.
	deadline = 10 * time.Second
	// retry is the wait after a look that failed.
	retry = 10 * time.Second
	// page is how many pods are listed at a time.
	page = 500
)

var pods = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// members remembers what was last seen of each target in each member. It looks again when the target's resource version has moved, or
// when something was to be expected. Nobody waits for a look: it wakes the preference when it is done.
type members struct {
	ctx   context.Context
	fleet Fleet
	wake  func(types.NamespacedName)
	now   func() time.Time

	mu    sync.Mutex
	views map[types.NamespacedName]map[string]*view
}

// view is one target in one member.
type view struct {
	seen *seen
	err  error
	// asked and got are the resource versions that the last look was made for, and found.
	asked, got string
	// next is when to look again although the version has not moved; zero is never.
	next    time.Time
	looking bool
}

func newMembers(ctx context.Context, fleet Fleet, wake func(types.NamespacedName), now func() time.Time) *members {
	return &members{ctx: ctx, fleet: fleet, wake: wake, now: now, views: map[types.NamespacedName]map[string]*view{}}
}

// glimpse is what is known of a target in a member.
type glimpse struct {
	// seen is nil if nothing is known, or nothing is there.
	seen *seen
	err  error
	// first says that the first look is under way: in a moment more will be known.
	first bool
}

// look returns what is known of a target in a member, and begins another look if it is time.
func (m *members) look(key types.NamespacedName, t intent.Type, member string) glimpse {
	c, known := m.fleet.Copy(member, t, intent.Key{Type: t.Name, Namespace: key.Namespace, Name: key.Name})
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.views[key][member]
	switch {
	case c == nil && known:
		delete(m.views[key], member)
		return glimpse{}
	case v == nil && c == nil:
		return glimpse{}
	case v == nil:
		v = &view{}
		if m.views[key] == nil {
			m.views[key] = map[string]*view{}
		}
		m.views[key][member] = v
	}
	if c != nil && !v.looking && v.stale(c.ResourceVersion, m.now()) {
		v.looking, v.asked = true, c.ResourceVersion
		go m.refresh(key, t, member, v)
	}
	return glimpse{seen: v.seen, err: v.err, first: v.looking && v.seen == nil && v.err == nil}
}

func (v *view) stale(version string, now time.Time) bool {
	return version != v.asked && version != v.got || !v.next.IsZero() && !now.Before(v.next)
}

// next is when a target is to be looked at again for its own sake.
func (m *members) next(key types.NamespacedName) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	var next time.Time
	for _, v := range m.views[key] {
		if !v.looking {
			next = earlier(next, v.next)
		}
	}
	return next
}

// forget drops all that is known of a target.
func (m *members) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.views, key)
}

// keep drops what is known of a target in members that are gone.
func (m *members) keep(key types.NamespacedName, stays func(string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.views[key] {
		if !stays(name) {
			delete(m.views[key], name)
		}
	}
}

func (m *members) refresh(key types.NamespacedName, t intent.Type, member string, v *view) {
	ctx, cancel := context.WithTimeout(m.ctx, deadline)
	defer cancel()
	s, version, err := m.read(ctx, key, t, member)
	now := m.now()
	m.mu.Lock()
	v.looking, v.err, v.next = false, err, time.Time{}
	switch {
	case err != nil:
		v.next = now.Add(retry) // what was seen before is the best that is known
	case s == nil:
		v.seen, v.got = nil, ""
	default:
		v.seen, v.got, v.next = s, version, s.due
		if s.unschedulable > 0 {
			v.next = earlier(v.next, now.Add(glance))
		}
	}
	m.mu.Unlock()
	m.wake(key)
}

// read looks at a target, and at its pods only if not all are ready.
func (m *members) read(ctx context.Context, key types.NamespacedName, t intent.Type, member string) (*seen, string, error) {
	client, err := m.fleet.Client(member)
	if err != nil {
		return nil, "", err
	}
	now := m.now()
	obj, err := client.Resource(t.Target.GroupVersionResource).Namespace(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s cannot be read there: %w", t.Target.Kind, err)
	}
	s := scaleOf(obj)
	s.at = now
	if s.ready == s.desired {
		return s, obj.GetResourceVersion(), nil
	}
	selector, err := podSelector(obj)
	if err != nil {
		return nil, "", err
	}
	o := metav1.ListOptions{LabelSelector: selector, Limit: page}
	for {
		list, err := client.Resource(pods).Namespace(key.Namespace).List(ctx, o)
		if err != nil {
			return nil, "", fmt.Errorf("pods cannot be listed there: %w", err)
		}
		for i := range list.Items {
			s.count(&list.Items[i], now)
		}
		if o.Continue = list.GetContinue(); o.Continue == "" {
			return s, obj.GetResourceVersion(), nil
		}
	}
}

func scaleOf(obj *unstructured.Unstructured) *seen {
	desired, ok, _ := unstructured.NestedInt64(obj.Object, "spec", "replicas")
	if !ok {
		desired = 1
	}
	ready, _, _ := unstructured.NestedInt64(obj.Object, "status", "readyReplicas")
	return &seen{desired: desired, ready: ready}
}

func podSelector(obj *unstructured.Unstructured) (string, error) {
	m, ok, _ := unstructured.NestedMap(obj.Object, "spec", "selector")
	if !ok {
		return "", fmt.Errorf("%s there has no spec.selector", obj.GetKind())
	}
	var ls metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m, &ls); err != nil {
		return "", fmt.Errorf("read spec.selector: %w", err)
	}
	s, err := metav1.LabelSelectorAsSelector(&ls)
	if err != nil {
		return "", fmt.Errorf("read spec.selector: %w", err)
	}
	return s.String(), nil
}

// count adds a pod that is not ready: one that is stuck, or one that will be.
func (s *seen) count(obj *unstructured.Unstructured, now time.Time) {
	var pod corev1.Pod
	if obj.GetDeletionTimestamp() != nil || runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &pod) != nil {
		return
	}
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return
	}
	ready := podCondition(&pod, corev1.PodReady)
	if pod.Status.Phase == corev1.PodRunning && ready.Status == corev1.ConditionTrue {
		return
	}
	scheduled := podCondition(&pod, corev1.PodScheduled)
	homeless := scheduled.Status == corev1.ConditionFalse && scheduled.Reason == corev1.PodReasonUnschedulable
	since := latest(pod.CreationTimestamp, ready.LastTransitionTime)
	if homeless {
		since = latest(scheduled.LastTransitionTime)
	}
	switch due := since.Add(patience); {
	case now.Before(due):
		s.due = earlier(s.due, due)
	case homeless:
		s.stuck++
		s.unschedulable++
	default:
		s.stuck++
	}
}

func podCondition(pod *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}

func latest(times ...metav1.Time) time.Time {
	var out time.Time
	for _, t := range times {
		if t.After(out) {
			out = t.Time
		}
	}
	return out
}
