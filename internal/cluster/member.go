// Package cluster answers: which members are there, how are they reached, and are they well?
//
// Each KubeFedCluster has a keeper of its own: a goroutine that probes the member, decides what the probe means for the status,
// and tells the Watcher. A member that hangs therefore delays nobody. What decides is pure (Connect, judge, older, Pinned) and
// apart from what touches (look, the keeper's writes).
package cluster

import (
	"maps"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// Member is what the control plane knows of one member cluster at a moment. Values are immutable; a change is a new value.
type Member struct {
	// Name of the KubeFedCluster.
	Name string
	// ID is the UID of the member's kube-system namespace, pinned; "" if it was never seen. Where a namespaced control plane may not
	// read that, it is "namespace:" and the UID of the KubeFed namespace in the member.
	ID types.UID
	// Labels of the KubeFedCluster; not to be written to.
	Labels map[string]string
	// Revision is the resource version of the KubeFedCluster when the member was told; a new one alone is not told.
	Revision string
	// Generation of the KubeFedCluster.
	Generation int64
	// Host is true where the member is the host itself.
	Host bool
	// Elsewhere is true where another shard has the member. It may be Ready for reading all the same.
	Elsewhere bool
	// Ready is true where the member may be written to: reachable, healthy, and its identity was verified by this process.
	Ready bool
	// Reason and Message say why the member is ready or not: a word for programs, a text without times for people.
	Reason, Message string
	// Config says how the member is reached, nil if that cannot be told. The pointer changes only with the endpoint, the CA, the
	// proxy, the TLS checks or the credential. It sends nothing until the member's identity was verified, and nothing
	// over a connection that leads to another cluster: requests fail with ErrNotVerified then.
	Config *rest.Config
}

// same tells whether two values say the same.
func (m Member) same(o Member) bool {
	return m.Name == o.Name && m.ID == o.ID && m.Generation == o.Generation && m.Host == o.Host && m.Elsewhere == o.Elsewhere && m.Ready == o.Ready &&
		m.Reason == o.Reason && m.Message == o.Message && m.Config == o.Config && maps.Equal(m.Labels, o.Labels)
}

// Watcher is told of every change. Calls for one cluster come one at a time and in order; calls for different clusters may overlap.
// A call that blocks holds up only its own cluster's probes. When the control plane stops, nobody is told.
type Watcher interface {
	// ClusterChanged tells of a member that joined or changed.
	ClusterChanged(Member)
	// ClusterGone tells that the KubeFedCluster was deleted.
	ClusterGone(name string)
}

// Reasons of a Member, beyond those of Fault and ConfigError.
const (
	ReasonReady            = "ClusterReady"
	ReasonNotHealthy       = "ClusterNotReady"
	ReasonProbing          = "Probing"
	ReasonElsewhere        = "Elsewhere"
	ReasonRecovering       = "Recovering"
	ReasonNotPinned        = "IdentityNotPinned"
	ReasonIdentityMismatch = "IdentityMismatch"
	ReasonDuplicate        = "DuplicateCluster"
)
