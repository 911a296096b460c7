// Package records answers: how do ServiceDNSRecords and IngressDNSRecords become DNSEndpoints? It gathers what the members hold, lets package
// naming decide, writes the DNSEndpoint if it differs, in KubeFed's group and, where the host serves it, in ExternalDNS's, and says in the
// record's status what each cluster gives and why.
package records

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/hansa-io/hansa/internal/observe"
)

// place is a type in a namespace of the host, or in all.
type place struct {
	host      dynamic.Interface
	resource  schema.GroupVersionResource
	namespace string
}

func (p place) in() dynamic.ResourceInterface {
	if p.namespace == "" {
		return p.host.Resource(p.resource)
	}
	return p.host.Resource(p.resource).Namespace(p.namespace)
}

// follow keeps a store up to date until the context ends, and empties it then: what is not watched is not known.
func follow[T any](ctx context.Context, p place, s *observe.Store[T]) {
	from := p.in()
	s.Run(ctx, p.resource.String(), &unstructured.Unstructured{}, observe.Lister{
		List:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return from.List(ctx, o) },
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return from.Watch(ctx, o) },
	})
	s.Forget()
}

// read makes a typed object of what the dynamic client gives.
func read[T any](o metav1.Object) (*T, error) {
	out := new(T)
	u := o.(*unstructured.Unstructured) //nolint:forcetypeassert // the dynamic client gives nothing else
	return out, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, out)
}

// transient says that an object has changed or gone in the meantime, which will be told.
func transient(err error) bool { return apierrors.IsConflict(err) || apierrors.IsNotFound(err) }
