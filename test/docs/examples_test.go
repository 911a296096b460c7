package docs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/config"
	"github.com/hansa-io/hansa/internal/convert"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/install"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/lab"
	"github.com/hansa-io/hansa/internal/plan"
)

// example is an object of a yaml block.
type example struct {
	where  string
	object *unstructured.Unstructured
}

// Every yaml block is YAML; one that is no fragment holds whole objects.
func TestExamplesParse(t *testing.T) {
	if len(examples(t)) == 0 {
		t.Error("the documentation has no examples")
	}
}

func examples(t *testing.T) []example {
	t.Helper()
	var out []example
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			language, kind, _ := strings.Cut(b.info, " ")
			where := fmt.Sprintf("%s:%d", p.name, b.line)
			switch {
			case language != "yaml":
			case kind == "fragment":
				var any any
				if err := yaml.UnmarshalStrict([]byte(b.text), &any); err != nil {
					t.Errorf("%s: %v", where, err)
				}
			case kind == "":
				objects, err := convert.Decode([]byte(b.text))
				if err != nil {
					t.Errorf("%s: %v", where, err)
				}
				for _, o := range objects {
					out = append(out, example{where, o})
				}
			default:
				t.Errorf("%s: %q is no kind of yaml block: use fragment or nothing", where, kind)
			}
		}
	}
	return out
}

// The API server takes every example, with no field that it does not know. A federated one has no problems, and it takes what
// each member would get of it, too.
func TestExamplesWork(t *testing.T) {
	l := lab.Start(t, lab.Options{}, "docs")
	c := host(t, l)
	types := enabled(t, c)
	all := examples(t)
	for _, ns := range namespaces(all) {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
		o.SetName(ns)
		if err := client.IgnoreAlreadyExists(c.Create(t.Context(), o)); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range all {
		if err := try(t, c, e.object); err != nil {
			t.Errorf("%s: %v", e.where, err)
		}
		if typ, ok := types[e.object.GroupVersionKind().Kind]; ok {
			tryMembers(t, c, e, typ)
		}
	}
}

// host is a client of the lab's cluster, in which what kubefedctl init installs is.
func host(t *testing.T, l *lab.Lab) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextv1.AddToScheme, fedv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(l.Config("docs"), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := config.Objects(fedv1.DefaultNamespace, fedv1.ScopeCluster)
	if err != nil {
		t.Fatal(err)
	}
	i := install.Installer{Client: c, At: fail.Place{Context: "docs"}, Told: func(*unstructured.Unstructured, install.Result) {}}
	if err := i.Install(t.Context(), objects); err != nil {
		t.Fatal(err)
	}
	return client.WithFieldValidation(c, metav1.FieldValidationStrict)
}

// enabled are the federated types, by kind, once the API server tells of all of them.
func enabled(t *testing.T, c client.Client) map[string]intent.Type {
	t.Helper()
	var list fedv1.FederatedTypeConfigList
	if err := c.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]intent.Type{}
	for i := range list.Items {
		typ := intent.TypeOf(&list.Items[i])
		out[typ.Federated.Kind] = typ
		lab.Eventually(t, time.Minute, typ.Federated.Kind+" is discovered", func(context.Context) error {
			gvk := typ.Federated.GVK()
			_, err := c.RESTMapper().RESTMapping(gvk.GroupKind(), gvk.Version)
			return err
		})
	}
	return out
}

// namespaces are those that the examples live in, sorted.
func namespaces(all []example) []string {
	var out []string
	for _, e := range all {
		if ns := e.object.GetNamespace(); ns != "" {
			out = append(out, ns)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// try applies an object without keeping it. For some seconds after a definition was made, admission policies do not know its kind.
func try(t *testing.T, c client.Client, o *unstructured.Unstructured) (err error) {
	t.Helper()
	lab.Eventually(t, time.Minute, "admission knows "+o.GetKind(), func(ctx context.Context) error {
		err = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o.DeepCopy()), client.FieldOwner("docs"), client.ForceOwnership, client.DryRunAll)
		if apierrors.IsServiceUnavailable(err) {
			return err
		}
		return nil
	})
	return err
}

// tryMembers applies, without keeping it, what members get: one that has overrides, each, and one that has none.
func tryMembers(t *testing.T, c client.Client, e example, typ intent.Type) {
	t.Helper()
	i := intent.Parse(e.object)
	for _, p := range i.Problems {
		t.Errorf("%s: %v", e.where, p)
	}
	i.Placement = intent.Placement{ByName: true, Clusters: []string{"another"}}
	for name := range i.Overrides {
		i.Placement.Clusters = append(i.Placement.Clusters, name)
	}
	w := plan.World{Key: intent.Key{Type: typ.Name, Namespace: i.Namespace, Name: i.Name}, Type: typ, Intent: i, MembersKnown: true}
	for _, name := range i.Placement.Clusters {
		w.Members = append(w.Members, plan.Member{Name: name, Ready: true, View: plan.ViewSynced})
	}
	for _, s := range plan.Make(w).Steps {
		if s.Verdict != plan.Place {
			t.Errorf("%s: %s gets nothing: %s: %s", e.where, s.Member, s.Reason, s.Message)
		} else if err := try(t, c, s.Object); err != nil {
			t.Errorf("%s: what %s gets: %v", e.where, s.Member, err)
		}
	}
}
