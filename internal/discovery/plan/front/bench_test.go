package front_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	discv1 "github.com/hansa-io/hansa/api/discovery/v1alpha1"
	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/plan/front"
)

// BenchmarkMake: a thousand FederatedServices, all with the same port.
func BenchmarkMake(b *testing.B) {
	w := front.World{Home: "kube-federation-system", Now: now}
	pool := &discv1.AddressPool{Spec: discv1.AddressPoolSpec{
		Addresses: []discv1.PoolAddress{{IP: "203.0.113.10"}}, PortRange: &discv1.PortRange{First: 30000, Last: 32767},
	}}
	w.Pools = []*discv1.AddressPool{pool}
	for n := range 1000 {
		k := types.NamespacedName{Namespace: "shop", Name: fmt.Sprintf("web-%d", n)}
		w.Federated = append(w.Federated, front.Federated{NamespacedName: k, Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}})
		w.Services = append(w.Services, balance.Service{NamespacedName: k, Port: 80})
	}
	p := front.Make(w)
	for n, f := range w.Federated {
		w.Federated[n].Told = p.Federated[f.NamespacedName]
	}
	for b.Loop() {
		front.Make(w)
	}
}
