package plan

import "k8s.io/apimachinery/pkg/util/resourceversion"

// RecoveryMessage is what the user reads where the host has gone back in time.
const RecoveryMessage = "the cluster has seen a newer state of the host than the host has now, as after a restore: " +
	"see kubefedctl resume --help"

// Ahead is a member that has seen more than the host knows.
type Ahead struct {
	Member string
	// Revision of the host that the copy in the member was applied from.
	Revision string
}

// AheadOf lists, sorted by name, the members whose copy was applied from a newer state than the host tells now. In a host that has only
// ever gone forward there are none: every version of an object is newer than all that were written before it.
func AheadOf(w World) []Ahead {
	var out []Ahead
	for _, m := range sorted(w.Members) {
		if w.behind(m) {
			out = append(out, Ahead{Member: m.Name, Revision: m.Copy.Revision})
		}
	}
	return out
}

// behind says whether the host knows less than a copy of ours has seen. What cannot be compared is not.
func (w World) behind(m Member) bool {
	c := m.Copy
	if c == nil || c.Revision == "" || c.ControlPlane != w.Settings.ControlPlane {
		return false
	}
	known := w.Newest
	if w.Intent != nil && w.Intent.UID == c.Owner {
		known = w.revision(m)
	}
	accepted := w.Settings.Accepted != "" && !Newer(c.Revision, w.Settings.Accepted)
	return known != "" && Newer(c.Revision, known) && !accepted
}

// revision is the newest version of what a member's copy is made from; empty if there is none.
func (w World) revision(m Member) string {
	newest := w.Intent.ResourceVersion
	if w.Namespace.Intent != nil && Newer(w.Namespace.Intent.ResourceVersion, newest) {
		newest = w.Namespace.Intent.ResourceVersion
	}
	if Newer(m.Revision, newest) {
		newest = m.Revision
	}
	return newest
}

// Newer says whether a resource version is newer than another. Nothing is newer than what cannot be compared, and no version is older
// than any.
func Newer(a, b string) bool {
	if a == "" || b == "" {
		return a != ""
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}
