package xds_test

import (
	"fmt"
	"math"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/discovery/balance"
)

// TestMoves plays what happens to a service of two clusters under load, with the client of gRPC itself.
func TestMoves(t *testing.T) {
	a, b := newMember(t, "a", "eu", "127.0.31", 3), newMember(t, "b", "us", "127.0.32", 3)
	p := newPlane(t, modelOf(a, b), nil)
	l := newLoad(t, dial(t, service+":80", bootstrap(t, p.at, plain, nodeIn("a", "eu"))), 4)

	t.Log("its own cluster answers a client, and no other does")
	l.after(t, 2000)
	if counts, errs := l.seen(); counts["b"] != 0 || len(errs) != 0 {
		t.Errorf("%v, %d errors %s", counts, len(errs), firstOf(errs))
	}

	t.Log("a cluster is drained")
	a.drain = true
	since := l.mark()
	p.server.Set(modelOf(a, b))
	l.only(t, "b")
	l.moved(t, "drained", since, "a", "b")
	l.noErrors(t)

	t.Log("and comes back")
	a.drain = false
	since = l.mark()
	p.server.Set(modelOf(a, b))
	l.only(t, "a")
	l.moved(t, "back", since, "b", "a")
	l.noErrors(t)

	t.Log("a weight of 0 makes a cluster a standby")
	a.weight = 0
	l.mark()
	p.server.Set(modelOf(a, b))
	l.only(t, "b")
	l.noErrors(t)
	a.weight = 100
	p.server.Set(modelOf(a, b))
	l.only(t, "a")

	t.Log("the servers of a cluster are killed, and nobody tells")
	since = l.mark()
	a.kill()
	l.only(t, "b")
	l.moved(t, "killed", since, "a", "b")
	l.noErrors(t) // what was under way is tried again

	t.Log("they are back, and nobody tells")
	a.revive()
	since = l.mark()
	l.only(t, "a")
	l.moved(t, "revived", since, "b", "a")
	l.noErrors(t)

	t.Log("the control plane goes away, and another comes with news")
	l.mark()
	p.stop()
	l.after(t, 1000)
	a.drain = true
	p.start(modelOf(a, b), nil)
	l.only(t, "b")
	l.noErrors(t)
}

// TestShares compares the shares of two clusters that are equally near with what is asked for.
func TestShares(t *testing.T) {
	a, b := newMember(t, "a", "eu", "127.0.31", 2), newMember(t, "b", "us", "127.0.32", 1)
	p := newPlane(t, modelOf(a, b), nil)
	l := newLoad(t, dial(t, service, bootstrap(t, p.at, plain, map[string]any{"id": "nowhere"})), 4)
	for _, c := range []struct {
		a, b int
		want float64 // of a, which has two endpoints
	}{{100, 100, 2. / 3}, {100, 300, 2. / 5}, {900, 100, 18. / 19}} {
		a.weight, b.weight = c.a, c.b
		p.server.Set(modelOf(a, b))
		share := 0.
		eventually(t, "the shares to be as asked", func() bool {
			l.mark()
			l.after(t, 3000)
			counts, _ := l.seen()
			share = float64(counts["a"]) / float64(counts["a"]+counts["b"])
			return math.Abs(share-c.want) < 0.04
		})
		t.Logf("weights %d to %d with 2 endpoints to 1: share %.3f, asked for %.3f", c.a, c.b, share, c.want)
		l.noErrors(t)
	}
}

// BenchmarkPush is a change of one endpoint among 20,000 of 1,000 services, until a client that asks for one service has it.
func BenchmarkPush(b *testing.B) {
	m := large(1000, 20)
	p := newPlane(b, m, nil)
	ctx, c := connect(b, p.at, insecure.NewCredentials())
	s, err := c.StreamAggregatedResources(ctx)
	if err != nil {
		b.Fatal(err)
	}
	ask := &discoveryv3.DiscoveryRequest{Node: &corev3.Node{Id: "c", UserAgentName: "gRPC Go"}, TypeUrl: resource.EndpointType, ResourceNames: []string{"s0.prod.svc.clusterset.local:80"}}
	got := exchange(b, s, ask)
	b.StopTimer()
	b.ResetTimer()
	for i := range b.N {
		send(b, s, &discoveryv3.DiscoveryRequest{TypeUrl: ask.TypeUrl, ResourceNames: ask.ResourceNames, VersionInfo: got.GetVersionInfo(), ResponseNonce: got.GetNonce()})
		next := large(1000, 20)
		next.Services[0].Localities[0].Weight = 1 + i%2
		b.StartTimer()
		p.server.Set(next)
		if got, err = s.Recv(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
	}
}

func large(services, endpoints int) balance.Model {
	var m balance.Model
	for i := range services {
		s := balance.Service{NamespacedName: types.NamespacedName{Namespace: "prod", Name: fmt.Sprint("s", i)}, Port: 80}
		for c := range 2 {
			l := balance.Locality{Cluster: fmt.Sprint("c", c), Weight: 100}
			for e := range endpoints / 2 {
				l.Endpoints = append(l.Endpoints, balance.Endpoint{Address: fmt.Sprintf("10.%d.%d.%d", c, i%250, e), Port: int32(1000 + i), Ready: true})
			}
			s.Localities = append(s.Localities, l)
		}
		m.Services = append(m.Services, s)
	}
	return m
}
