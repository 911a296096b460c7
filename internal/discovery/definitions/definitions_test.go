package definitions

import (
	"testing"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	mcscrd "sigs.k8s.io/mcs-api/config/crd"

	"github.com/hansa-io/hansa/internal/lab"
)

func definition(release, rev string, versions ...string) *apiextv1.CustomResourceDefinition {
	crd := &apiextv1.CustomResourceDefinition{}
	crd.Labels = map[string]string{}
	if release != "" {
		crd.Labels[mcscrd.ReleaseVersionLabel] = release
	}
	if rev != "" {
		crd.Labels[mcscrd.CustomResourceDefinitionSchemaRevisionLabel] = rev
	}
	for _, v := range versions {
		crd.Spec.Versions = append(crd.Spec.Versions, apiextv1.CustomResourceDefinitionVersion{Name: v})
	}
	return crd
}

func TestOnlyWhatIsOlderIsReplaced(t *testing.T) {
	ours := definition("v0.5.2", "1", "v1alpha1", "v1beta1")
	for _, c := range []struct {
		live *apiextv1.CustomResourceDefinition
		want bool
	}{
		{definition("", "", "v1alpha1"), true},
		{definition("nonsense", "", "v1alpha1"), true},
		{definition("v0.3.0", "7", "v1alpha1"), true},
		{definition("v0.5.2", "0", "v1alpha1", "v1beta1"), true},
		{definition("v0.5.2", "", "v1alpha1", "v1beta1"), true},
		{definition("v0.5.2", "1", "v1alpha1", "v1beta1"), false},
		{definition("v0.5.2", "2", "v1alpha1", "v1beta1"), false},
		{definition("v0.10.0", "0", "v1alpha1", "v1beta1"), false},
		{definition("v1.0.0", "0", "v1alpha1", "v1beta1"), false},
		{definition("", "", "v1alpha1", "v1"), false},
		{definition("v0.3.0", "0", "v1beta2"), false},
	} {
		if got := older(c.live, ours); got != c.want {
			t.Errorf("%v %v: older is %v", c.live.Labels, c.live.Spec.Versions, got)
		}
	}
}

func TestEnsureOnAServer(t *testing.T) {
	l := lab.Start(t, lab.Options{}, "member")
	scheme := runtime.NewScheme()
	if err := apiextv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(l.Config("member"), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	ensured := func(want Result) {
		t.Helper()
		n := 0
		told := func(name string, r Result) {
			if n++; r != want {
				t.Errorf("%s %s, want %s", name, r, want)
			}
		}
		if err := Ensure(t.Context(), c, told); err != nil || n != 2 {
			t.Fatalf("%d: %v", n, err)
		}
		if err := Served(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	ensured(Created)
	ensured(Kept)
	// As before there were labels: one version, stored.
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	relabel := func(change func(*apiextv1.CustomResourceDefinition)) {
		t.Helper()
		for _, crd := range all {
			err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { // the API server writes its status
				live := &apiextv1.CustomResourceDefinition{}
				if err := c.Get(t.Context(), client.ObjectKeyFromObject(crd), live); err != nil {
					return err
				}
				change(live)
				return c.Update(t.Context(), live)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	relabel(func(crd *apiextv1.CustomResourceDefinition) { crd.Labels = nil })
	ensured(Updated)
	relabel(func(crd *apiextv1.CustomResourceDefinition) { crd.Labels[mcscrd.ReleaseVersionLabel] = "v9.0.0" })
	ensured(Kept)
}
