package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hansa-io/hansa/bench/member"
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

// measure runs all tests with so many members.
func measure(ctx context.Context, members, objects int) (row, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	s, err := newStage(members)
	if s != nil {
		defer s.clear()
	}
	r := row{Members: members, Objects: objects}
	if err != nil {
		return r, err
	}
	for _, test := range []struct {
		name string
		run  func(context.Context, *row) error
	}{{"join", s.join}, {"one object", s.one}, {"all objects", s.all}, {"idle", s.idle}, {"flapping", s.flap}, {"restart", s.restart}} {
		fmt.Fprintf(os.Stderr, "%d members: %s …\n", members, test.name)
		if err := test.run(ctx, &r); err != nil {
			return r, fmt.Errorf("%s: %w", test.name, err)
		}
	}
	return r, nil
}

// until waits until something is true.
func until(ctx context.Context, f func() (bool, error)) error {
	for {
		done, err := f()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
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

// join makes the KubeFedClusters and waits until all are ready.
func (s *stage) join(ctx context.Context, r *row) error {
	if _, err := s.calm(ctx); err != nil {
		return err
	}
	routines, before, err := s.holds(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := parallel(s.count, func(n int) error { return s.register(ctx, n) }); err != nil {
		return err
	}
	writes, err := s.writes(ctx)
	if err != nil {
		return err
	}
	err = until(ctx, func() (bool, error) {
		list, err := s.host.Resource(clusters).Namespace(system).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return false, err
		}
		ready := 0
		for i := range list.Items {
			if isReady(&list.Items[i]) {
				ready++
			}
		}
		return ready == s.count, nil
	})
	if err != nil {
		return err
	}
	r.Join = time.Since(start).Seconds()
	if _, err := s.calm(ctx); err != nil {
		return err
	}
	after, err := s.writes(ctx)
	if err != nil {
		return err
	}
	now, heap, err := s.holds(ctx)
	if err != nil {
		return err
	}
	each := float64(s.count)
	r.JoinWrites = (after - writes) / each
	r.Goroutines, r.KiBMember = (now-routines)/each, (heap-before)/each
	r.Connections = float64(s.members.Connections.Load()) / each
	return nil
}

func isReady(o *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == "Ready" {
			return m["status"] == "True"
		}
	}
	return false
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

func (s *stage) create(ctx context.Context, n int) error {
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedConfigMap", "metadata": map[string]any{"name": fmt.Sprintf("o%04d", n)},
		"spec": map[string]any{
			"template":  map[string]any{"data": map[string]any{"text": strings.Repeat("x", 1024)}},
			"placement": map[string]any{"clusterSelector": map[string]any{"matchLabels": map[string]any{}}},
		},
	}}
	_, err := s.host.Resource(federated).Namespace(namespace).Create(ctx, o, metav1.CreateOptions{})
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

// told says whether the host says of so many objects that they are in all members.
func (s *stage) told(ctx context.Context, objects int) (bool, error) {
	list, err := s.host.Resource(federated).Namespace(namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return false, err
	}
	told, want := 0, fmt.Sprintf("%d/%d", s.count, s.count)
	for i := range list.Items {
		if ready, _, _ := unstructured.NestedString(list.Items[i].Object, "status", "ready"); ready == want {
			told++
		}
	}
	return told >= objects, nil
}

func (s *stage) one(ctx context.Context, r *row) error {
	start := time.Now()
	if err := s.create(ctx, 0); err != nil {
		return err
	}
	if err := until(ctx, func() (bool, error) { return s.arrived(1) }); err != nil {
		return err
	}
	r.One = time.Since(start).Seconds()
	err := until(ctx, func() (bool, error) { return s.told(ctx, 1) })
	r.OneTold = time.Since(start).Seconds()
	return err
}

// all places the rest of the objects.
func (s *stage) all(ctx context.Context, r *row) error {
	if _, err := s.calm(ctx); err != nil {
		return err
	}
	writes, err := s.writes(ctx)
	if err != nil {
		return err
	}
	_, before, err := s.holds(ctx)
	if err != nil {
		return err
	}
	cpu, _ := s.usage()
	inMembers, start := s.members.Writes.Load(), time.Now()
	rest := r.Objects - 1
	if err := parallel(rest, func(n int) error { return s.create(ctx, n+1) }); err != nil {
		return err
	}
	if err := until(ctx, func() (bool, error) { return s.arrived(r.Objects) }); err != nil {
		return err
	}
	r.All = time.Since(start).Seconds()
	if err := until(ctx, func() (bool, error) { return s.told(ctx, r.Objects) }); err != nil {
		return err
	}
	if _, err := s.calm(ctx); err != nil {
		return err
	}
	after, err := s.writes(ctx)
	if err != nil {
		return err
	}
	now, rss := s.usage()
	_, heap, err := s.holds(ctx)
	if err != nil {
		return err
	}
	copies := float64(rest * s.count)
	r.AllCPU, r.RSS, r.KiBCopy = now-cpu, rss/1024, (heap-before)/copies
	r.Writes = float64(s.members.Writes.Load()-inMembers) / copies
	r.HostWrites = (after-writes)/float64(rest) - 1 // the driver's own
	return nil
}

// span is how long idleness and flapping are looked at.
const span = 30 * time.Second

func (s *stage) idle(ctx context.Context, r *row) error {
	cpu, _ := s.usage()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(span):
	}
	now, _ := s.usage()
	r.Idle = (now - cpu) / span.Seconds()
	return nil
}

// flap lets a tenth of the members go and come.
func (s *stage) flap(ctx context.Context, r *row) error {
	writes, err := s.writes(ctx)
	if err != nil {
		return err
	}
	cpu, _ := s.usage()
	tenth, changes, start := max(s.count/10, 1), 0, time.Now()
	for away := true; time.Since(start) < 2*span; away = !away {
		for n := range tenth {
			s.members.Away(n, away)
			changes++
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Second):
		}
	}
	now, _ := s.usage()
	took := time.Since(start).Seconds()
	for n := range tenth {
		s.members.Away(n, false)
	}
	after, err := s.writes(ctx)
	if err != nil {
		return err
	}
	r.Flap, r.FlapWrites = (now-cpu)/took, (after-writes)/float64(changes)
	return until(ctx, func() (bool, error) { return s.told(ctx, r.Objects) })
}

func (s *stage) restart(ctx context.Context, r *row) error {
	if err := s.stop(); err != nil {
		return err
	}
	before, start := s.members.Writes.Load(), time.Now()
	if err := s.start(); err != nil {
		return err
	}
	select { // it reads first who leads
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(3 * time.Second):
	}
	rest, err := s.calm(ctx)
	r.Restart, r.RestartWrites = rest.Sub(start).Seconds(), float64(s.members.Writes.Load()-before)
	return err
}
