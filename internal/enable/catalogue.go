package enable

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/fail"
)

// Resource is one type at one version, as a server lists it.
type Resource struct {
	fedv1.APIResource
	Singular   string
	ShortNames []string
	Verbs      []string
	// Preferred says that this is the version of the type that the server prefers.
	Preferred bool
	// Scales says that the type has the subresource scale.
	Scales bool
}

// GVR is the resource as client-go names it.
func (r Resource) GVR() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.PluralName}
}

// GVK is the kind as client-go names it.
func (r Resource) GVK() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
}

// Namespaced says whether objects of the type live in namespaces.
func (r Resource) Namespaced() bool { return r.Scope == fedv1.ScopeNamespaced }

// Can says whether the server offers all these verbs for the type.
func (r Resource) Can(verbs ...string) bool {
	for _, v := range verbs {
		if !slices.Contains(r.Verbs, v) {
			return false
		}
	}
	return true
}

// Catalogue is what a server offers: the core group first, then by group, plural and version; preferred versions before others.
type Catalogue []Resource

// Discover asks a server what it offers. Groups whose own server is down are left out and named in the second result, sorted.
func Discover(d discovery.DiscoveryInterface) (Catalogue, []string, error) {
	groups, lists, err := d.ServerGroupsAndResources()
	var partial *discovery.ErrGroupDiscoveryFailed
	var down []string
	switch {
	case errors.As(err, &partial):
		for gv, why := range partial.Groups {
			down = append(down, gv.String()+": "+why.Error())
		}
		slices.Sort(down)
	case err != nil:
		return nil, nil, err
	}
	return newCatalogue(groups, lists), down, nil
}

func newCatalogue(groups []*metav1.APIGroup, lists []*metav1.APIResourceList) Catalogue {
	var out Catalogue
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		scales := scaling(list.APIResources)
		for _, r := range list.APIResources {
			if !strings.Contains(r.Name, "/") {
				known := resource(gv, r)
				known.Scales = scales[r.Name]
				out = append(out, known)
			}
		}
	}
	rank := versionRank(groups)
	slices.SortFunc(out, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.PluralName, b.PluralName), cmp.Compare(rank[a.GVR().GroupVersion()], rank[b.GVR().GroupVersion()]))
	})
	for i := range out {
		out[i].Preferred = i == 0 || NameOf(out[i-1].APIResource) != NameOf(out[i].APIResource)
	}
	return out
}

// scaling are the resources that have the subresource scale.
func scaling(list []metav1.APIResource) map[string]bool {
	out := map[string]bool{}
	for _, r := range list {
		if name, ok := strings.CutSuffix(r.Name, "/scale"); ok {
			out[name] = true
		}
	}
	return out
}

// versionRank orders the versions of each group: the preferred one is 0, the others follow as the server lists them.
func versionRank(groups []*metav1.APIGroup) map[schema.GroupVersion]int {
	rank := map[schema.GroupVersion]int{}
	for _, g := range groups {
		for n, v := range g.Versions {
			rank[schema.GroupVersion{Group: g.Name, Version: v.Version}] = n + 1
		}
		rank[schema.GroupVersion{Group: g.Name, Version: g.PreferredVersion.Version}] = 0
	}
	return rank
}

func resource(gv schema.GroupVersion, r metav1.APIResource) Resource {
	scope := fedv1.ScopeCluster
	if r.Namespaced {
		scope = fedv1.ScopeNamespaced
	}
	return Resource{
		APIResource: fedv1.APIResource{Group: gv.Group, Version: gv.Version, Kind: r.Kind, PluralName: r.Name, Scope: scope},
		Singular:    cmp.Or(r.SingularName, strings.ToLower(r.Kind)),
		ShortNames:  r.ShortNames,
		Verbs:       r.Verbs,
	}
}

// Named says whether a user may call the type so: plural, singular, kind or short name, each also with the group behind it.
func (r Resource) Named(name string) bool {
	name = strings.ToLower(name)
	for _, known := range append([]string{r.PluralName, r.Singular, r.Kind}, r.ShortNames...) {
		known = strings.ToLower(known)
		if name == known || r.Group != "" && name == known+"."+r.Group {
			return true
		}
	}
	return false
}

// Find looks a type up by the name that a user gave, in any case; an empty version is the preferred one. The core group wins over
// others; more than one match there is not resolved for the user.
func (c Catalogue) Find(name, version string) (Resource, error) {
	var found []Resource
	for _, r := range c {
		if r.Named(name) && (r.Version == version || version == "" && r.Preferred) {
			found = append(found, r)
		}
	}
	switch {
	case len(found) == 1, len(found) > 1 && found[0].Group == "":
		return found[0], nil
	case len(found) > 1:
		return Resource{}, fail.AmbiguousType.New("%q names more than one API type: %s", name, strings.Join(names(found), ", ")).
			Try("use one of these names, with its group")
	default:
		return Resource{}, c.notFound(name, version)
	}
}

func (c Catalogue) notFound(name, version string) error {
	if strings.Contains(name, "/") {
		return fail.CannotFederate.New("%q is a subresource: only whole API types can be federated", name)
	}
	var versions, similar []string
	for _, r := range c {
		switch {
		case r.Named(name):
			versions = append(versions, r.Version)
		case r.Preferred && near(strings.ToLower(name), r):
			similar = append(similar, NameOf(r.APIResource))
		}
	}
	if len(versions) > 0 {
		return fail.NoSuchType.New("the server does not serve version %q of %q", version, name).Try("it serves %s", strings.Join(versions, ", "))
	}
	err := fail.NoSuchType.New("the server has no API type %q", name)
	if len(similar) > 0 {
		return err.Try("did you mean %s?", strings.Join(similar[:min(len(similar), 5)], ", "))
	}
	return err.Try("see kubectl api-resources; is the CustomResourceDefinition installed in the host cluster?")
}

// near says whether a name could be a slip for this type.
func near(name string, r Resource) bool {
	for _, known := range []string{r.PluralName, r.Singular, NameOf(r.APIResource)} {
		if strings.Contains(known, name) && len(name) > 2 || edits(name, known) <= 2 {
			return true
		}
	}
	return false
}

// edits is the Levenshtein distance of two names.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func names(rs []Resource) []string {
	out := make([]string, len(rs))
	for i, r := range rs {
		out[i] = NameOf(r.APIResource)
	}
	return out
}
