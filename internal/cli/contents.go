package cli

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hansa-io/hansa/internal/convert"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/fail"
)

// inside reads what is in a namespace and makes sense in other clusters; what does not is told, with the reason.
func (w *federation) inside(ctx context.Context, namespace string) ([]item, error) {
	var out []item
	for _, r := range w.all {
		if !r.Preferred || !r.Namespaced() || !r.Can("get", "list", "create") {
			continue
		}
		if convert.Chosen(r, w.skip) {
			w.say(2, "Skipping %s: you asked for it", enable.NameOf(r.APIResource))
			continue
		}
		if why := convert.KeepType(r.APIResource); why != "" {
			w.say(2, "Skipping %s: %s", enable.NameOf(r.APIResource), why)
			continue
		}
		found, err := w.ofType(ctx, r, namespace)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

func (w *federation) ofType(ctx context.Context, r enable.Resource, namespace string) ([]item, error) {
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(r.GVK().GroupVersion().WithKind(r.Kind + "List"))
	if err := w.host.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fail.API(w.host.At(), fmt.Sprintf("list %s in %s", enable.NameOf(r.APIResource), namespace), err)
	}
	var out []item
	for n := range list.Items {
		o := &list.Items[n]
		o.SetGroupVersionKind(r.GVK())
		why := convert.KeepObject(o)
		if len(validation.IsDNS1123Subdomain(o.GetName())) > 0 {
			why = "its name cannot be the name of a federated object"
		}
		if why != "" {
			w.say(0, "Skipping %s %q: %s", r.Kind, namespace+"/"+o.GetName(), why)
			continue
		}
		out = append(out, item{resource: r, object: o})
	}
	return out, nil
}
