package xds

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/xds/translate"
)

// placeKey is a place; all its clients share what is held for it.
type placeKey = translate.Place

// places that have clients.
type places map[placeKey]*group

// placeOf a client: its locality, and its cluster from the metadata or else the sub-zone. gRPC clients say so in their user agent.
func placeOf(n *corev3.Node) placeKey {
	cluster := n.GetMetadata().GetFields()["cluster"].GetStringValue()
	if cluster == "" {
		cluster = n.GetLocality().GetSubZone()
	}
	return placeKey{
		Region: n.GetLocality().GetRegion(), Zone: n.GetLocality().GetZone(), Cluster: cluster,
		GRPC: strings.HasPrefix(n.GetUserAgentName(), "gRPC"),
	}
}

// group holds what the clients of one place get.
type group struct {
	streams int
	// prefix of the versions of this process.
	prefix string
	caches map[string]*cachev3.LinearCache
	// sent is what is in the caches, by type and name.
	sent      map[string]map[string]sent
	translate translate.Translator
}

// sent is a resource and its digest. The same one needs no second look; another one may still say the same.
type sent struct {
	resource types.Resource
	digest   [sha256.Size]byte
}

func newGroup(p placeKey) *group {
	// The versions of another process are not ours: a client that comes back gets everything anew.
	g := &group{
		prefix: string(uuid.NewUUID())[:8] + "-",
		caches: map[string]*cachev3.LinearCache{}, sent: map[string]map[string]sent{},
		translate: translate.Translator{Place: p},
	}
	for _, t := range translate.Types {
		g.caches[t] = cachev3.NewLinearCache(t, cachev3.WithVersionPrefix(g.prefix))
		g.sent[t] = map[string]sent{}
	}
	return g
}

// apply hands out what has changed, and returns what cannot be had. What is new comes before what refers to it, and what is gone leaves
// after it. A resource that clients would refuse stays as it was.
func (g *group) apply(m balance.Model) []string {
	all, problems := g.translate.Of(m)
	kept, told := map[string]bool{}, []string(nil)
	for _, pr := range problems {
		told = append(told, pr.String())
		kept[pr.Type+" "+pr.Name] = pr.Invalid
	}
	for _, t := range translate.Types {
		changed := map[string]types.Resource{}
		for name, r := range all[t] {
			before := g.sent[t][name]
			if before.resource == r {
				continue
			}
			now := sent{r, digestOf(r)}
			g.sent[t][name] = now
			if now.digest != before.digest {
				changed[name] = r
			}
		}
		told = append(told, g.update(t, changed, nil)...)
	}
	for _, t := range slices.Backward(translate.Types) {
		var gone []string
		for name := range g.sent[t] {
			if _, there := all[t][name]; !there && !kept[t+" "+name] {
				gone = append(gone, name)
				delete(g.sent[t], name)
			}
		}
		told = append(told, g.update(t, nil, gone)...)
	}
	return told
}

func (g *group) update(typ string, changed map[string]types.Resource, gone []string) []string {
	if len(changed)+len(gone) == 0 {
		return nil
	}
	if err := g.caches[typ].UpdateResources(changed, gone); err != nil {
		return []string{fmt.Sprintf("hand out %s: %v", typ, err)}
	}
	return nil
}

func digestOf(m proto.Message) [sha256.Size]byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return [sha256.Size]byte{} // it is handed out, and the cache says what is wrong
	}
	return sha256.Sum256(b)
}

// mostPlaces bounds what clients can make a server hold: a place takes about 1 KiB for each endpoint.
const mostPlaces = 500

var errPlaces = fmt.Errorf("there are clients of %d places already: region, zone and cluster of a client must be those of clusters", mostPlaces)

// enter counts a stream of a place, which is served from then on.
func (s *Server) enter(p placeKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.places[p]
	if g == nil {
		if len(s.places) >= mostPlaces {
			return errPlaces
		}
		g = newGroup(p)
		s.places[p] = g
		g.apply(*s.model)
	}
	g.streams++
	return nil
}

// leave counts it out; a place without clients costs nothing.
func (s *Server) leave(p placeKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.places[p]
	if g.streams--; g.streams == 0 {
		delete(s.places, p)
	}
}

// cache finds the cache of a client's place.
type cache struct{ s *Server }

var errNode = errors.New("a client cannot move to another place on the same stream")

func (c *cache) of(n *corev3.Node) (*group, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	g := c.s.places[placeOf(n)]
	if g == nil {
		return nil, errNode
	}
	return g, nil
}

// CreateWatch implements cachev3.Cache. A type of resource that there is none of is never answered.
func (c *cache) CreateWatch(r *cachev3.Request, sub cachev3.Subscription, to chan cachev3.Response) (func(), error) {
	g, err := c.of(r.GetNode())
	if err != nil {
		return nil, err
	}
	l := g.caches[r.GetTypeUrl()]
	if l == nil {
		return func() {}, nil
	}
	if r.GetErrorDetail() != nil {
		// Who refuses says which version it had before. Taken for a client without state, or with that of another process, it would be
		// sent the same at once, and for ever.
		r.VersionInfo = g.prefix
	}
	return l.CreateWatch(r, sub, to)
}

// CreateDeltaWatch implements cachev3.Cache.
func (c *cache) CreateDeltaWatch(r *cachev3.DeltaRequest, sub cachev3.Subscription, to chan cachev3.DeltaResponse) (func(), error) {
	g, err := c.of(r.GetNode())
	if err != nil {
		return nil, err
	}
	l := g.caches[r.GetTypeUrl()]
	if l == nil {
		return func() {}, nil
	}
	return l.CreateDeltaWatch(r, sub, to)
}

// Fetch implements cachev3.Cache. There is no such service.
func (c *cache) Fetch(context.Context, *cachev3.Request) (cachev3.Response, error) {
	return nil, errors.ErrUnsupported
}

// sizes sums up resources by type.
func (p places) sizes() map[string]int {
	out := map[string]int{}
	for _, t := range translate.Types {
		out[t] = 0
	}
	for g := range maps.Values(p) {
		for t, names := range g.sent {
			out[t] += len(names)
		}
	}
	return out
}
