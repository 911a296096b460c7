package takeover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/version"
)

// survey is a federation as it is at this moment: read once, decided on as the manager decides.
type survey struct {
	config  *fedv1.KubeFedConfig
	types   []fedv1.FederatedTypeConfig
	members []*member
	objects []object
	// untold are the types whose objects or copies could not be read, with why.
	untold []string
}

// member is a member cluster as reached from here.
type member struct {
	cluster fedv1.KubeFedCluster
	id      types.UID
	host    bool
	// eternal says that its token never ends, as KubeFed's.
	eternal bool
	clients *apply.Clients
	err     error // why it cannot be reached
	// copies by type, then by namespace and name, as they are in the member.
	copies map[string]map[types.NamespacedName]*unstructured.Unstructured
	views  map[string]error // of the types that could not be listed
}

// object is one federated object with what the manager would plan.
type object struct {
	intent.Key
	typ   intent.Type
	world plan.World
	plan  plan.Plan
}

const (
	memberTimeout = 10 * time.Second
	pageSize      = 500
)

// look reads the settings, the types and the members, without the objects.
func (f *Federation) look(ctx context.Context) (*survey, error) {
	s := &survey{}
	var err error
	if s.config, err = f.settings(ctx); err != nil {
		return nil, err
	}
	var enabled fedv1.FederatedTypeConfigList
	if err := f.client.List(ctx, &enabled, client.InNamespace(f.namespace)); err != nil {
		return nil, f.api("list FederatedTypeConfigs in "+f.namespace, err)
	}
	s.types = enabled.Items
	var clusters fedv1.KubeFedClusterList
	if err := f.client.List(ctx, &clusters, client.InNamespace(f.namespace)); err != nil {
		return nil, f.api("list KubeFedClusters in "+f.namespace, err)
	}
	hostID, err := f.host.ID(ctx)
	if err != nil {
		return nil, err
	}
	var all sync.WaitGroup
	for _, c := range clusters.Items {
		m := &member{cluster: c, copies: map[string]map[types.NamespacedName]*unstructured.Unstructured{}, views: map[string]error{}}
		s.members = append(s.members, m)
		all.Go(func() {
			m.err = f.reach(ctx, m)
			m.host = m.err == nil && string(m.id) == hostID
		})
	}
	all.Wait()
	return s, nil
}

// reach connects to a member with the credential that the federation has, and asks it which cluster it is.
func (f *Federation) reach(ctx context.Context, m *member) error {
	var secret corev1.Secret
	name := m.cluster.Spec.SecretRef.Name
	if err := f.client.Get(ctx, f.key(name), &secret); err != nil {
		return fmt.Errorf("read Secret %s: %w", name, err)
	}
	m.eternal = secret.Annotations[fedv1.CredentialExpiresAnnotation] == ""
	config, err := cluster.Connect(&m.cluster, &secret, cluster.ConnectOptions{UserAgent: "kubefedctl/" + version.Current().Version, QPS: -1})
	if err != nil {
		return err
	}
	config.Timeout = memberTimeout
	if m.clients, err = apply.NewClients(config); err != nil {
		return err
	}
	ns, err := m.clients.Metadata.Resource(corev1.SchemeGroupVersion.WithResource("namespaces")).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return errors.New(apply.Words(err))
	}
	m.id = ns.UID
	return nil
}

// read adds the federated objects and their copies, and plans.
func (f *Federation) read(ctx context.Context, s *survey) error {
	namespaced := s.config.Spec.Scope == fedv1.ScopeNamespaced
	where := ""
	if namespaced {
		where = f.namespace
	}
	settings, err := f.planSettings(ctx, s)
	if err != nil {
		return err
	}
	intents := map[string][]*intent.Intent{}
	for i := range s.types {
		t := intent.TypeOf(&s.types[i])
		if namespaced && !t.Target.Namespaced {
			continue
		}
		list, err := f.list(ctx, t, where)
		if err != nil {
			s.untold = append(s.untold, fmt.Sprintf("%s: %s", t.Name, apply.Words(err)))
			continue
		}
		intents[t.Name] = list
		for _, m := range s.members {
			m.list(ctx, t, where)
		}
	}
	namespaces := map[string]*intent.Intent{}
	for _, i := range intents[fedv1.NamespacesTypeName] {
		if i.Name == i.Namespace {
			namespaces[i.Name] = i
		}
	}
	for i := range s.types {
		t := intent.TypeOf(&s.types[i])
		for _, in := range intents[t.Name] {
			w := plan.World{
				Key: intent.Key{Type: t.Name, Namespace: in.Namespace, Name: in.Name}, Type: t, Intent: in,
				MembersKnown: true, Settings: settings, Now: time.Now(),
			}
			if t.Target.Namespaced && !namespaced {
				w.Namespace = plan.NamespaceWorld{Applies: true, Known: true, Intent: namespaces[in.Namespace]}
			}
			for _, m := range s.members {
				w.Members = append(w.Members, m.world(t, w))
			}
			s.objects = append(s.objects, object{w.Key, t, w, plan.Make(w)})
		}
	}
	return nil
}

// planSettings are those that the manager decides by.
func (f *Federation) planSettings(ctx context.Context, s *survey) (plan.Settings, error) {
	var home corev1.Namespace
	if err := f.client.Get(ctx, client.ObjectKey{Name: f.namespace}, &home); err != nil {
		return plan.Settings{}, f.api("read Namespace "+f.namespace, err)
	}
	sync := s.config.Spec.SyncController
	return plan.Settings{
		ControlPlane:     string(home.UID),
		SystemNamespaces: []string{"kube-system", "kube-public", "default", f.namespace},
		Adopt:            sync == nil || sync.AdoptResources == nil || *sync.AdoptResources == fedv1.Enabled,
	}, nil
}

func (f *Federation) list(ctx context.Context, t intent.Type, namespace string) ([]*intent.Intent, error) {
	var out []*intent.Intent
	o := metav1.ListOptions{Limit: pageSize}
	for {
		list, err := f.dynamic.Resource(t.Federated.GroupVersionResource).Namespace(namespace).List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			out = append(out, intent.Parse(&list.Items[i]))
		}
		if o.Continue = list.GetContinue(); o.Continue == "" {
			return out, nil
		}
	}
}

// list reads the member's copies of a type. What cannot be read is not known, as it is for the manager.
func (m *member) list(ctx context.Context, t intent.Type, namespace string) {
	if m.err != nil {
		return
	}
	found := map[types.NamespacedName]*unstructured.Unstructured{}
	o := metav1.ListOptions{Limit: pageSize, LabelSelector: fedv1.ManagedLabel + "=true"}
	if !t.Target.Namespaced {
		namespace = ""
	}
	for {
		list, err := m.clients.Dynamic.Resource(t.Target.GroupVersionResource).Namespace(namespace).List(ctx, o)
		if err != nil {
			m.views[t.Name] = err
			return
		}
		for i := range list.Items {
			c := &list.Items[i]
			found[types.NamespacedName{Namespace: c.GetNamespace(), Name: c.GetName()}] = c
		}
		if o.Continue = list.GetContinue(); o.Continue == "" {
			m.copies[t.Name] = found
			return
		}
	}
}

// copy is what the member holds of an object; nil if nothing.
func (m *member) copy(t intent.Type, key intent.Key) *unstructured.Unstructured {
	namespace, name := t.TargetName(key)
	return m.copies[t.Name][types.NamespacedName{Namespace: namespace, Name: name}]
}

// world is the member as the manager would see it, for one object.
func (m *member) world(t intent.Type, w plan.World) plan.Member {
	out := plan.Member{Name: m.cluster.Name, Labels: m.cluster.Labels, Host: m.host, Revision: m.cluster.ResourceVersion, Ready: m.err == nil, View: plan.ViewSynced}
	switch err := m.views[t.Name]; {
	case apierrors.IsNotFound(err):
		out.View, out.ViewMessage = plan.ViewMissing, "the cluster does not serve this type"
	case apierrors.IsForbidden(err):
		out.View, out.ViewMessage = plan.ViewForbidden, apply.Words(err)
	case err != nil:
		out.View, out.ViewMessage = plan.ViewFailed, apply.Words(err)
	}
	if c := m.copy(t, w.Key); c != nil {
		out.Copy = plan.CopyOf(c)
	}
	if c, ok := w.Intent.Status.Cluster(m.cluster.Name); ok && c.UID != "" {
		out.Record = &plan.Record{UID: c.UID, Version: c.Version}
	}
	return out
}

// member returns one by name.
func (s *survey) member(name string) *member {
	n := slices.IndexFunc(s.members, func(m *member) bool { return m.cluster.Name == name })
	return s.members[n]
}
