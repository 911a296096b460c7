package cli

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hansa-io/hansa/internal/convert"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/fail"
)

// listers is how many types are listed at the same time.
const listers = 8

// inside reads what is in a namespace and makes sense in other clusters; what does not is told, with the reason. Each type is listed
// once.
func (w *federation) inside(ctx context.Context, namespace string) ([]item, error) {
	w.tellUnknown()
	types := w.wanted()
	lists := make([]unstructured.UnstructuredList, len(types))
	errs := make([]error, len(types))
	var all sync.WaitGroup
	places := make(chan struct{}, listers)
	for n, r := range types {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			lists[n].SetGroupVersionKind(r.GVK().GroupVersion().WithKind(r.Kind + "List"))
			errs[n] = w.host.Client.List(ctx, &lists[n], client.InNamespace(namespace))
		})
	}
	all.Wait()
	var out []item
	for n, r := range types {
		if err := errs[n]; err != nil {
			return nil, fail.API(w.host.At(), fmt.Sprintf("list %s in %s", enable.NameOf(r.APIResource), namespace), err)
		}
		out = append(out, w.kept(r, lists[n].Items)...)
	}
	return out, nil
}

// tellUnknown warns of types to leave out that are not there: with a slip, they would be federated.
func (w *federation) tellUnknown() {
	for _, name := range w.skip {
		known := false
		for _, r := range w.all {
			known = known || convert.Chosen(r, []string{name})
		}
		if !known && strings.TrimSpace(name) != "" {
			w.say(0, "WARNING: --skip-api-resources %s leaves nothing out: the host has no API type or group of this name", name)
		}
	}
}

// wanted are the types whose objects can be federated from a namespace.
func (w *federation) wanted() []enable.Resource {
	var out []enable.Resource
	for _, r := range w.all {
		if !r.Preferred || !r.Namespaced() || !r.Can("get", "list", "watch", "create") {
			continue
		}
		why := convert.KeepType(r.APIResource)
		if convert.Chosen(r, w.skip) {
			why = "you asked for it"
		}
		if why != "" {
			w.say(2, "Skipping %s: %s", enable.NameOf(r.APIResource), why)
			continue
		}
		out = append(out, r)
	}
	return out
}

// kept are the objects of a type that make sense in other clusters.
func (w *federation) kept(r enable.Resource, objects []unstructured.Unstructured) []item {
	var out []item
	for n := range objects {
		o := &objects[n]
		o.SetGroupVersionKind(r.GVK())
		why := convert.KeepObject(o)
		if len(validation.IsDNS1123Subdomain(o.GetName())) > 0 {
			why = "its name cannot be the name of a federated object"
		}
		if why != "" {
			w.say(0, "Skipping %s %q: %s", r.Kind, o.GetNamespace()+"/"+o.GetName(), why)
			continue
		}
		out = append(out, item{resource: r, object: o})
	}
	return out
}
