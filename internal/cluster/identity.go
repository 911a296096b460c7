package cluster

import (
	"iter"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// Pinned returns the ID that a member has to have, "" if any will do. What was written down at join is an intent and goes before what
// was seen first; the secret's word, which fewer people can change, goes before the KubeFedCluster's. The secret may be nil.
func Pinned(cluster *fedv1.KubeFedCluster, secret *corev1.Secret) types.UID {
	if secret != nil && secret.Annotations[fedv1.CredentialClusterIDAnnotation] != "" {
		return types.UID(secret.Annotations[fedv1.CredentialClusterIDAnnotation])
	}
	if id := cluster.Annotations[fedv1.CredentialClusterIDAnnotation]; id != "" {
		return types.UID(id)
	}
	return types.UID(cluster.Status.ClusterID)
}

// claim is a KubeFedCluster's claim to be a cluster.
type claim struct {
	name    string
	id      types.UID
	created metav1.Time
}

// before tells whose claim is the older. KubeFedClusters of the same second are told apart by name.
func (c claim) before(o claim) bool {
	if !c.created.Equal(&o.created) {
		return c.created.Before(&o.created)
	}
	return c.name < o.name
}

// older returns the name of the oldest other claim to the same ID that is older than this one, "" if there is none.
func older(c claim, others iter.Seq[claim]) string {
	first := c
	for o := range others {
		if o.id == c.id && c.id != "" && o.before(first) {
			first = o
		}
	}
	if first.name == c.name {
		return ""
	}
	return first.name
}

// claims are those of all KubeFedClusters.
type claims struct {
	mu     sync.Mutex
	byName map[string]claim
}

// make records a claim. It returns the older KubeFedCluster with the same ID, and whose standing the change may change.
func (c *claims) make(mine claim) (first string, affected []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, had := c.byName[mine.name]
	if c.byName == nil {
		c.byName = map[string]claim{}
	}
	c.byName[mine.name] = mine
	if !had || was.id != mine.id || !was.created.Equal(&mine.created) {
		affected = c.with(mine.name, was.id, mine.id)
	}
	return older(mine, maps.Values(c.byName)), affected
}

// known tells whether any claim was made.
func (c *claims) known() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byName != nil
}

// drop forgets the claim of a KubeFedCluster that is gone, and returns whose standing that may change.
func (c *claims) drop(name string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.byName[name]
	delete(c.byName, name)
	return c.with(name, was.id)
}

// with returns the names of the others that claim one of some IDs.
func (c *claims) with(except string, ids ...types.UID) []string {
	var out []string
	for name, o := range c.byName {
		if name != except && o.id != "" && slices.Contains(ids, o.id) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
