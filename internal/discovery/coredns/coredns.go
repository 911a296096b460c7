// Package coredns answers: how is a cluster's own DNS server made to answer for services that span clusters, and let be again? It edits the one
// ConfigMap that CoreDNS reads, and gives CoreDNS the right to read ServiceImports first: without it CoreDNS would wait for them, and fail to
// answer for the cluster itself.
package coredns

import (
	"context"
	"fmt"
	"path"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/corefile"
	"github.com/hansa-io/hansa/internal/fail"
)

// Zone of the names of services that span clusters.
const Zone = "clusterset.local"

// RoleName is that of the ClusterRole, and of its binding, that let CoreDNS read what the names are made of.
const RoleName = "hansa:clusterset-dns"

// Server is the CoreDNS of a cluster, as it was found.
type Server struct {
	// Name of its Deployment.
	Name types.NamespacedName
	// Image that it runs, Account that it reads the API with.
	Image, Account string
	// config holds the Corefile under a key.
	config *corev1.ConfigMap
	key    string
}

// ConfigName is "<namespace>/<name>" of the ConfigMap that holds the Corefile.
func (s Server) ConfigName() string { return s.config.Namespace + "/" + s.config.Name }

// Corefile as it is.
func (s Server) Corefile() string { return s.config.Data[s.key] }

// Ours says whether the zone was added by this package.
func (s Server) Ours() bool {
	_, ok := s.config.Annotations[fedv1.CorefileBeforeAnnotation]
	return ok
}

// Answers says whether the zone is there, whoever added it.
func (s Server) Answers() bool {
	added, err := corefile.Add(s.Corefile(), Zone)
	return err == nil && added == s.Corefile()
}

// Find reads CoreDNS by the name of its Deployment: what it runs, and the ConfigMap that it mounts with a Corefile in it.
func Find(ctx context.Context, c client.Reader, name types.NamespacedName) (Server, error) {
	var d appsv1.Deployment
	err := c.Get(ctx, name, &d)
	switch {
	case apierrors.IsNotFound(err):
		return Server{}, fail.NoCoreDNS.New("there is no Deployment %s", name).
			Try("name CoreDNS's own with --coredns NAMESPACE/NAME, or use --dns hansa-dns")
	case err != nil:
		return Server{}, fmt.Errorf("read Deployment %s: %w", name, err)
	}
	pod := d.Spec.Template.Spec
	s := Server{Name: name, Account: pod.ServiceAccountName}
	if s.Account == "" {
		s.Account = "default"
	}
	for _, v := range pod.Volumes {
		if v.ConfigMap == nil {
			continue
		}
		var m corev1.ConfigMap
		key := client.ObjectKey{Namespace: name.Namespace, Name: v.ConfigMap.Name}
		if err := c.Get(ctx, key, &m); client.IgnoreNotFound(err) != nil {
			return Server{}, fmt.Errorf("read ConfigMap %s: %w", key, err)
		}
		k := corefileKey(v.ConfigMap.Items)
		if _, ok := m.Data[k]; ok {
			s.config, s.key, s.Image = &m, k, image(pod, v.Name)
			return s, nil
		}
	}
	return Server{}, fail.NoCoreDNS.New("Deployment %s mounts no ConfigMap with a Corefile", name).
		Try("name CoreDNS's own with --coredns NAMESPACE/NAME, or use --dns hansa-dns")
}

// corefileKey is the key of a ConfigMap that becomes the file Corefile.
func corefileKey(items []corev1.KeyToPath) string {
	for _, i := range items {
		if path.Base(i.Path) == "Corefile" {
			return i.Key
		}
	}
	return "Corefile"
}

// image is that of the container that mounts a volume.
func image(pod corev1.PodSpec, volume string) string {
	for _, c := range pod.Containers {
		if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume }) {
			return c.Image
		}
	}
	return ""
}

// Change is what is to become of the Corefile.
type Change struct {
	Server Server
	// Before and After are equal if the text stays.
	Before, After string
	// Added says that this is a change of Add, not one of Undo.
	Added bool
}

// Add says what must change so that CoreDNS answers for the zone. The version is that of CoreDNS, where the tag of its image does not tell; empty
// trusts the tag.
func (s Server) Add(version string) (Change, error) {
	image := s.Image
	if version != "" {
		image = "coredns:" + version
	}
	switch verdict, tag := corefile.Judge(image); verdict {
	case corefile.TooOld:
		return Change{}, fail.OldCoreDNS.New("CoreDNS %s is too old: it would refuse its whole Corefile", tag).
			Try("bring it to %s or later, or use --dns hansa-dns", corefile.Oldest)
	case corefile.Unknown:
		return Change{}, fail.OldCoreDNS.New("the image %q does not tell which version of CoreDNS it holds", image).
			Try("say it with --coredns-version; it must be %s or later, as an older one would refuse its whole Corefile", corefile.Oldest)
	}
	now := s.Corefile()
	after, err := corefile.Add(now, Zone)
	if err != nil {
		return Change{}, fail.BadCorefile.New("the Corefile in ConfigMap %s cannot be changed", s.ConfigName()).Because(err).
			Try("add %q to the zones of its plug-in kubernetes, with the option \"multicluster %s\", by hand; or use --dns hansa-dns", Zone, Zone)
	}
	return Change{Server: s, Before: now, After: after, Added: true}, nil
}

// Undo says what must change so that the Corefile is as it was before Add, but for what others have edited since. What others have added is theirs.
func (s Server) Undo() (Change, error) {
	now := s.Corefile()
	if !s.Ours() {
		return Change{Server: s, Before: now, After: now}, nil
	}
	after, err := corefile.Undo(s.config.Annotations[fedv1.CorefileBeforeAnnotation], now, Zone)
	if err != nil {
		return Change{}, fail.BadCorefile.New("the Corefile in ConfigMap %s cannot be changed back", s.ConfigName()).Because(err).
			Try("take %q out of the zones of its plug-in kubernetes, and the option \"multicluster %s\", by hand", Zone, Zone)
	}
	return Change{Server: s, Before: now, After: after}, nil
}

// Write makes a change true. Add's gives the right to read first; Undo's takes it away last, as a CoreDNS that starts with the option and without
// the right would not answer. What somebody else has set up is left alone. It fails with a conflict if the ConfigMap was written since it was read.
func (c Change) Write(ctx context.Context, to client.Client) error {
	differs, ours := c.Before != c.After, c.Server.Ours()
	switch {
	case !differs && !ours:
		return nil
	case c.Added:
		if err := allow(ctx, to, c.Server); err != nil || !differs {
			return err
		}
		return c.put(ctx, to)
	default:
		if err := c.put(ctx, to); err != nil {
			return err
		}
		return disallow(ctx, to)
	}
}

// put writes the text, and keeps the former one in an annotation if the zone is added.
func (c Change) put(ctx context.Context, to client.Client) error {
	m := c.Server.config.DeepCopy()
	m.Data[c.Server.key] = c.After
	delete(m.Annotations, fedv1.CorefileBeforeAnnotation)
	if c.Added {
		if m.Annotations == nil {
			m.Annotations = map[string]string{}
		}
		m.Annotations[fedv1.CorefileBeforeAnnotation] = c.Before
	}
	if err := to.Update(ctx, m); err != nil {
		return fmt.Errorf("write ConfigMap %s: %w", c.Server.ConfigName(), err)
	}
	return nil
}

// allow lets CoreDNS read what the names are made of.
func allow(ctx context.Context, to client.Client, s Server) error {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: RoleName}}
	rules := []rbacv1.PolicyRule{
		{APIGroups: []string{"multicluster.x-k8s.io"}, Resources: []string{"serviceimports"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"list", "watch"}},
	}
	if err := ensure(ctx, to, role, func() { role.Rules = rules }); err != nil {
		return err
	}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: RoleName}}
	return ensure(ctx, to, binding, func() {
		binding.RoleRef = rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: RoleName}
		binding.Subjects = []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: s.Name.Namespace, Name: s.Account}}
	})
}

// ensure creates an object, or updates it.
func ensure(ctx context.Context, to client.Client, o client.Object, set func()) error {
	err := to.Get(ctx, client.ObjectKeyFromObject(o), o)
	set()
	switch {
	case apierrors.IsNotFound(err):
		err = to.Create(ctx, o)
	case err == nil:
		err = to.Update(ctx, o)
	}
	if err != nil {
		return fmt.Errorf("write %T %s: %w", o, o.GetName(), err)
	}
	return nil
}

// disallow takes the right of allow away.
func disallow(ctx context.Context, to client.Client) error {
	for _, o := range []client.Object{
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: RoleName}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: RoleName}},
	} {
		if err := client.IgnoreNotFound(to.Delete(ctx, o)); err != nil {
			return fmt.Errorf("delete %T %s: %w", o, RoleName, err)
		}
	}
	return nil
}
