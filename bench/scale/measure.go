package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/bench/member"
	"github.com/hansa-io/hansa/bench/process"
)

const (
	namespace = "scale"
	system    = "kube-federation-system"
)

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	federated  = schema.GroupVersionResource{Group: "types.kubefed.io", Version: "v1beta1", Resource: "federatedconfigmaps"}
	clusters   = schema.GroupVersionResource{Group: "core.kubefed.io", Version: "v1beta1", Resource: "kubefedclusters"}
	secrets    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
)

// measure runs all tests of one manager with so many members.
func measure(ctx context.Context, members, objects int, profiles string) (row, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	s, err := newStage(ctx, members, profiles)
	if s != nil {
		defer s.clear()
	}
	r := row{Members: members, Objects: objects}
	if err != nil {
		return r, err
	}
	if err := s.start(); err != nil {
		return r, err
	}
	if _, err := s.calm(ctx); err != nil {
		return r, err
	}
	for _, test := range []struct {
		name string
		run  func(context.Context, *row) error
		// profiled is for how many seconds the CPU is profiled, if it is.
		profiled int
	}{
		{"join", s.join, 20},
		{"one object", s.one, 2},
		{"all objects", s.all, 30},
		{"idle", s.idle, 10},
		{"flapping", s.flap, 60},
		{"restart", s.restart, 0},
	} {
		fmt.Fprintf(os.Stderr, "%d members: %s …\n", members, test.name)
		save := func() error { return nil }
		if test.profiled > 0 {
			save = s.profile(ctx, test.name, test.profiled)
		}
		if err := test.run(ctx, &r); err != nil {
			return r, fmt.Errorf("%s: %w", test.name, err)
		}
		if err := save(); err != nil {
			return r, fmt.Errorf("%s: %w", test.name, err)
		}
	}
	return r, nil
}

// until waits until something is true, and looks every 20 ms, or less often where a look costs more.
func until(ctx context.Context, f func() (bool, error)) error {
	for {
		start := time.Now()
		done, err := f()
		if done || err != nil {
			return err
		}
		if err := pause(ctx, max(20*time.Millisecond, 10*time.Since(start))); err != nil {
			return err
		}
	}
}

// parallel calls f for 0 … n-1, some at the same time, and returns one of the errors.
func parallel(n int, f func(int) error) (failed error) {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		next = make(chan int)
	)
	for range 16 {
		wg.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return failed
}

// joinAll makes the KubeFedClusters and waits until all are ready.
func (s *stage) joinAll(ctx context.Context) error {
	if err := parallel(s.count, func(n int) error { return s.register(ctx, n) }); err != nil {
		return err
	}
	return s.readyMembers(ctx, s.count)
}

// readyMembers waits until so many members are ready.
func (s *stage) readyMembers(ctx context.Context, want int) error {
	return until(ctx, func() (bool, error) {
		ready, _, err := s.ready.count()
		return ready == want, err
	})
}

func (s *stage) join(ctx context.Context, r *row) error {
	if _, err := s.calm(ctx); err != nil {
		return err
	}
	routines, before, err := s.holds(ctx)
	if err != nil {
		return err
	}
	host, err := s.hostUse(ctx)
	if err != nil {
		return err
	}
	cpu, _ := s.usage()
	start := time.Now()
	if err := s.joinAll(ctx); err != nil {
		return err
	}
	r.Join = time.Since(start).Seconds()
	if _, err := s.calm(ctx); err != nil {
		return err
	}
	now, _ := s.usage()
	after, err := s.hostUse(ctx)
	if err != nil {
		return err
	}
	alive, heap, err := s.holds(ctx)
	if err != nil {
		return err
	}
	each := float64(s.count)
	r.JoinWrites, r.JoinCPU = after.since(host).writes/each-2, (now-cpu)/each // two are the driver's own
	r.Goroutines, r.KiBMember = (alive-routines)/each, (heap-before)/each
	r.Connections = float64(s.members.Connections.Load()) / each
	return nil
}

// register makes one member known to the host, as a KubeFed of old would have it.
func (s *stage) register(ctx context.Context, n int) error {
	name := member.Name(n)
	secret := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name},
		"stringData": map[string]any{"token": "of-" + name},
	}}
	if _, err := s.host.Resource(secrets).Namespace(system).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return err
	}
	cluster := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedCluster", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"apiEndpoint": s.members.URL(n), "caBundle": base64.StdEncoding.EncodeToString(s.members.CA()),
			"secretRef": map[string]any{"name": name},
		},
	}}
	_, err := s.host.Resource(clusters).Namespace(system).Create(ctx, cluster, metav1.CreateOptions{})
	return err
}

// text is what the objects hold: 1 KiB that says how often they were changed.
func text(change int) string { return fmt.Sprintf("%-1024d", change) }

func objectName(n int) string { return fmt.Sprintf("o%04d", n) }

func (s *stage) create(ctx context.Context, n int) error {
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedConfigMap", "metadata": map[string]any{"name": objectName(n)},
		"spec": map[string]any{
			"template":  map[string]any{"data": map[string]any{"text": text(0)}},
			"placement": map[string]any{"clusterSelector": map[string]any{"matchLabels": map[string]any{}}},
		},
	}}
	_, err := s.host.Resource(federated).Namespace(namespace).Create(ctx, o, metav1.CreateOptions{})
	return err
}

func (s *stage) change(ctx context.Context, n, change int) error {
	patch := fmt.Sprintf(`{"spec":{"template":{"data":{"text":%q}}}}`, text(change))
	_, err := s.host.Resource(federated).Namespace(namespace).Patch(ctx, objectName(n), types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// arrived says whether all members hold so many ConfigMaps.
func (s *stage) arrived(objects int) (bool, error) {
	for n := range s.count {
		if s.members.Count(n, configMaps) < objects {
			return false, nil
		}
	}
	return true, nil
}

// changed says whether all that the members hold was changed so often.
func (s *stage) changed(change int) (bool, error) {
	want := text(change)
	return s.members.All(configMaps, func(o *unstructured.Unstructured) bool {
		got, _, _ := unstructured.NestedString(o.Object, "data", "text")
		return got == want
	}), nil
}

// told says whether the host says of so many objects that they are in all members.
func (s *stage) told(ctx context.Context, objects int) (bool, error) {
	t, err := s.table(ctx)
	if err != nil {
		return false, err
	}
	column := -1
	for n, c := range t.ColumnDefinitions {
		if c.Name == "Ready" {
			column = n
		}
	}
	if column < 0 {
		return false, fmt.Errorf("kubectl get prints no column Ready: %v", t.ColumnDefinitions)
	}
	told, want := 0, fmt.Sprintf("%d/%d", s.count, s.count)
	for _, r := range t.Rows {
		if r.Cells[column] == want {
			told++
		}
	}
	return told >= objects, nil
}

func (s *stage) isTold(ctx context.Context, objects int) error {
	return until(ctx, func() (bool, error) { return s.told(ctx, objects) })
}

// current waits until the host says of all objects that they are in all members as they are now.
func (s *stage) current(ctx context.Context, objects int) error {
	return until(ctx, func() (bool, error) {
		list, err := s.host.Resource(federated).Namespace(namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return false, err
		}
		told, want := 0, fmt.Sprintf("%d/%d", s.count, s.count)
		for i := range list.Items {
			status, _, _ := unstructured.NestedMap(list.Items[i].Object, "status")
			if observed, _, _ := unstructured.NestedInt64(status, "observedGeneration"); observed == list.Items[i].GetGeneration() && status["ready"] == want {
				told++
			}
		}
		return told == objects, nil
	})
}

func (s *stage) one(ctx context.Context, r *row) error {
	cpu, _ := s.usage()
	start := time.Now()
	if err := s.create(ctx, 0); err != nil {
		return err
	}
	if err := until(ctx, func() (bool, error) { return s.arrived(1) }); err != nil {
		return err
	}
	r.One = time.Since(start).Seconds()
	if err := s.isTold(ctx, 1); err != nil {
		return err
	}
	r.OneTold = time.Since(start).Seconds()
	now, _ := s.usage()
	r.OneCPU = (now - cpu) / float64(s.count)
	return nil
}

// all places the rest of the objects.
func (s *stage) all(ctx context.Context, r *row) error {
	u, err := s.burst(ctx, r.Objects-1, func(n int) error { return s.create(ctx, n+1) },
		func() (bool, error) { return s.arrived(r.Objects) },
		func() error { return s.isTold(ctx, r.Objects) })
	if err != nil {
		return err
	}
	copies := float64((r.Objects - 1) * s.count)
	r.All, r.AllCPU, r.MembersCPU, r.KiBCopy = u.took, u.cpu/copies, u.driver/copies, u.heap/copies
	r.Writes, r.Twice = float64(u.written.Writes)/copies, u.written.Twice
	r.HostWrites, r.HostCPU = u.host.writes/float64(r.Objects-1)-1, u.host.cpu/float64(r.Objects-1) // one write is the driver's own
	_, rss := s.usage()
	r.RSS = rss / 1024
	return nil
}

// burst is what some changes have cost.
type burst struct {
	took float64
	// cpu is the managers', driver that of this process, which the members are in, too.
	cpu, driver, heap float64
	host              hostUse
	written           member.Written
}

// burst makes so many changes and waits until they have arrived and the host has been told.
func (s *stage) burst(ctx context.Context, changes int, change func(n int) error, arrived func() (bool, error), told func() error) (b burst, err error) {
	if _, err := s.calm(ctx); err != nil {
		return b, err
	}
	host, err := s.hostUse(ctx)
	if err != nil {
		return b, err
	}
	_, heap, err := s.holds(ctx)
	if err != nil {
		return b, err
	}
	s.members.Written(configMaps)
	cpu, _ := s.usage()
	driver, _ := process.Usage(os.Getpid())
	start := time.Now()
	if err := parallel(changes, change); err != nil {
		return b, err
	}
	if err := until(ctx, arrived); err != nil {
		return b, err
	}
	b.took = time.Since(start).Seconds()
	if err := told(); err != nil {
		return b, err
	}
	if _, err := s.calm(ctx); err != nil {
		return b, err
	}
	after, err := s.hostUse(ctx)
	if err != nil {
		return b, err
	}
	now, _ := s.usage()
	used, _ := process.Usage(os.Getpid())
	_, held, err := s.holds(ctx)
	b.cpu, b.driver, b.heap, b.host, b.written = now-cpu, used-driver, held-heap, after.since(host), s.members.Written(configMaps)
	return b, err
}

// span is how long idleness is looked at.
const span = 30 * time.Second

func (s *stage) idle(ctx context.Context, r *row) (err error) {
	r.Idle, err = s.rests(ctx)
	return err
}

// rests is the share of a core that the managers use while nothing happens.
func (s *stage) rests(ctx context.Context) (float64, error) {
	cpu, _ := s.usage()
	if err := pause(ctx, span); err != nil {
		return 0, err
	}
	now, _ := s.usage()
	return (now - cpu) / span.Seconds(), nil
}

// flap lets a tenth of the members go, until the host says that they are away, and come again, until it says that all is well; twice.
func (s *stage) flap(ctx context.Context, r *row) error {
	host, err := s.hostUse(ctx)
	if err != nil {
		return err
	}
	_, before, err := s.ready.count()
	if err != nil {
		return err
	}
	s.members.Written(configMaps)
	cpu, _ := s.usage()
	tenth, start := max(s.count/10, 1), time.Now()
	for range 2 {
		for _, away := range []bool{true, false} {
			for n := range tenth {
				s.members.Away(n, away)
			}
			want := s.count
			if away {
				want -= tenth
			}
			if err := s.readyMembers(ctx, want); err != nil {
				return err
			}
			if _, err := s.calm(ctx); err != nil {
				return err
			}
		}
	}
	now, _ := s.usage()
	took := time.Since(start).Seconds()
	if err := s.isTold(ctx, r.Objects); err != nil {
		return err
	}
	after, err := s.hostUse(ctx)
	if err != nil {
		return err
	}
	_, changes, err := s.ready.count()
	r.FlapChanges = changes - before
	each := float64(max(r.FlapChanges, 1))
	r.Flap, r.FlapCPU, r.FlapWrites = (now-cpu)/took, (now-cpu)/each, after.since(host).writes/each
	r.FlapCopies = s.members.Written(configMaps).Writes
	return err
}

func (s *stage) restart(ctx context.Context, r *row) error {
	if err := s.stop(); err != nil {
		return err
	}
	host, err := s.hostUse(ctx)
	if err != nil {
		return err
	}
	before, start := s.members.Writes.Load(), time.Now()
	if err := s.start(); err != nil {
		return err
	}
	if err := pause(ctx, 3*time.Second); err != nil { // it reads first who leads
		return err
	}
	rest, err := s.calm(ctx)
	if err != nil {
		return err
	}
	after, err := s.hostUse(ctx)
	r.RestartCPU, _ = s.usage()
	r.Restart, r.RestartWrites, r.RestartHostWrites = rest.Sub(start).Seconds(), float64(s.members.Writes.Load()-before), after.since(host).writes
	return err
}
