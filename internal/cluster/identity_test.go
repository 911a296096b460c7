package cluster

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

func TestPinned(t *testing.T) {
	const a = fedv1.CredentialClusterIDAnnotation
	full := aCluster(func(c *fedv1.KubeFedCluster) {
		c.Annotations, c.Status.ClusterID = map[string]string{a: "cluster"}, "status"
	})
	seen := aCluster(func(c *fedv1.KubeFedCluster) { c.Status.ClusterID = "status" })
	for name, tc := range map[string]struct {
		got, want types.UID
	}{
		"never seen":           {Pinned(aCluster(), aSecret("t")), ""},
		"first seen":           {Pinned(seen, aSecret("t")), "status"},
		"no secret":            {Pinned(seen, nil), "status"},
		"joined":               {Pinned(full, aSecret("t")), "cluster"},
		"joined, secret's say": {Pinned(full, aSecret("t", a, "secret")), "secret"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %q, want %q", name, tc.got, tc.want)
		}
	}
}

func TestOlder(t *testing.T) {
	is := func(name string, id types.UID, second int64) claim { return claim{name, id, metav1.Unix(second, 0)} }
	all := []claim{is("a", "X", 5), is("b", "X", 3), is("c", "X", 3), is("d", "Y", 1), is("e", "", 0), is("f", "", 1)}
	want := map[string]string{"a": "b", "b": "", "c": "b", "d": "", "e": "", "f": ""}
	for _, c := range all {
		for range 3 { // the order of the others is nothing to go by
			if got := older(c, slices.Values(all)); got != want[c.name] {
				t.Errorf("older than %s: %q, want %q", c.name, got, want[c.name])
			}
			slices.Reverse(all)
		}
	}
}

func TestClaims(t *testing.T) {
	var c claims
	for _, step := range []struct {
		what     string
		claim    claim
		drop     bool
		older    string
		affected []string
	}{
		{"the first", claim{"b", "X", metav1.Unix(2, 0)}, false, "", nil},
		{"the same again", claim{"b", "X", metav1.Unix(2, 0)}, false, "", nil},
		{"an older one, not seen yet", claim{"a", "", metav1.Unix(1, 0)}, false, "", nil},
		{"and is the same cluster", claim{"a", "X", metav1.Unix(1, 0)}, false, "", []string{"b"}},
		{"so the first is a duplicate", claim{"b", "X", metav1.Unix(2, 0)}, false, "a", nil},
		{"until the older is gone", claim{name: "a"}, true, "", []string{"b"}},
		{"and it is alone", claim{"b", "X", metav1.Unix(2, 0)}, false, "", nil},
	} {
		var first string
		var affected []string
		if step.drop {
			affected = c.drop(step.claim.name)
		} else {
			first, affected = c.make(step.claim)
		}
		if first != step.older || !slices.Equal(affected, step.affected) {
			t.Errorf("%s: older %q, affected %v", step.what, first, affected)
		}
	}
}
