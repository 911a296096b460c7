package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/lab"
)

// TestTheHostDoesNotLetUsRead [F42]: what may not be read is not known, and what is not known removes nothing: at work, and for a
// manager that starts like this. It also shows that the rights that an installation grants are enough.
func TestTheHostDoesNotLetUsRead(t *testing.T) {
	for _, what := range []struct{ group, resource string }{{"types.kubefed.io", "federatednamespaces"}, {"core.kubefed.io", "kubefedclusters"}} {
		t.Run(what.resource, func(t *testing.T) {
			f := prepare(t)
			f.m1, f.m2 = f.join(linked(t, "m1", "m1")), f.join(linked(t, "m2", "m2"))
			host := clusters.Forward(t, "host")
			f.starts(f.kubeconfigOf(fedv1.DefaultNamespace, "kubefed-controller", host.URL()), "host")
			f.federatesNamespace()
			f.createsMap("named", "old", "m1", "m2")
			f.creates("ConfigMap", "selected", fields{"template": fields{"data": fields{"value": "old"}}, "placement": placedWhere("shop", "open")})
			var made []*unstructured.Unstructured
			for _, name := range []string{"named", "selected"} {
				made = append(made, f.holds(soon, f.m1, name, "old"))
				f.says(soon, "ConfigMap", name, "m1", "")
			}
			removed := []mark{record(t, "m1", within(f.namespace, removals)), record(t, "m2", within(f.namespace, removals))}
			refused := record(t, "host", func(r lab.Request) bool {
				return ofHansa(r) && r.Code == 403 && containsAny(r.Resource, what.resource)
			})

			restore := f.forbids(what.group, what.resource)
			host.Cut() // its watches end, and may not begin again
			host.Heal()
			f.eventually(soon, "a refusal", func(context.Context) error { return some(refused) })
			f.setsValue("named", "new")
			rests(f, time.Second)
			f.restart()
			again := record(t, "host", refused.match)
			f.eventually(soon, "a refusal after the restart", func(context.Context) error { return some(again) })
			rests(f, time.Second)
			for _, m := range removed {
				m.none("while " + what.resource + " cannot be read")
			}
			for _, o := range made {
				f.keeps(f.m1, o)
			}

			restore()
			f.holds(patiently, f.m1, "named", "new")
			f.holds(patiently, f.m2, "named", "new")
			for _, o := range made {
				f.keeps(f.m1, o)
			}
			for _, m := range removed {
				m.none("all the time")
			}
		})
	}
}

func some(m mark) error {
	if len(m.since()) == 0 {
		return errors.New("there is none")
	}
	return nil
}

// managersConfig is the kubeconfig of the manager: it may do what an installation lets it do, and no more.
func (f *federation) managersConfig() string {
	f.Helper()
	return f.kubeconfigOf(fedv1.DefaultNamespace, "kubefed-controller", clusters.Config("host").Host)
}

// kubeconfigOf is that of a service account of the host.
func (f *federation) kubeconfigOf(namespace, account, server string) string {
	f.Helper()
	config := clusters.Config("host")
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](3600)}}
	token, err := kubernetes.NewForConfigOrDie(config).CoreV1().ServiceAccounts(namespace).CreateToken(f.Context(), account, request, metav1.CreateOptions{})
	f.must(err)
	k := clientcmdapi.NewConfig()
	k.Clusters["host"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: config.CAData}
	k.AuthInfos["host"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	k.Contexts["host"] = &clientcmdapi.Context{Cluster: "host", AuthInfo: "host"}
	path := filepath.Join(f.TempDir(), "kubeconfig")
	f.must(clientcmd.WriteToFile(*k, path))
	f.must(os.Chmod(path, 0o600))
	return path
}

// forbids takes the right to read one resource from the manager's role. The returned function gives it back, and so does the story's end.
func (f *federation) forbids(group, resource string) (restore func()) {
	f.Helper()
	var role rbacv1.ClusterRole
	f.must(f.Get(f.Context(), client.ObjectKey{Name: "kubefed-role"}, &role))
	before := role.DeepCopy()
	var rules []rbacv1.PolicyRule
	for _, r := range role.Rules {
		if len(r.Resources) == 1 && r.Resources[0] == "*" {
			for _, g := range r.APIGroups {
				rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{g}, Verbs: r.Verbs, Resources: f.allBut(g, group, resource)})
			}
			continue
		}
		rules = append(rules, r)
	}
	role.Rules = rules
	f.must(f.Update(f.Context(), &role))
	restore = func() {
		role.Rules = before.Rules
		if err := f.Update(context.Background(), &role); err != nil {
			f.Errorf("give the rights back: %v", err)
		}
	}
	f.Cleanup(func() { // before the federation is cleared
		var now rbacv1.ClusterRole
		if f.Get(context.Background(), client.ObjectKeyFromObject(&role), &now) == nil && len(now.Rules) != len(before.Rules) {
			role = now
			restore()
		}
	})
	return restore
}

// allBut are the resources of a group, with their parts, save one.
func (f *federation) allBut(in, group, resource string) []string {
	f.Helper()
	if in != group {
		return []string{"*"}
	}
	var list unstructured.UnstructuredList
	list.SetAPIVersion("apiextensions.k8s.io/v1")
	list.SetKind("CustomResourceDefinitionList")
	f.must(f.List(f.Context(), &list))
	var out []string
	for _, crd := range list.Items {
		g, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
		plural, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "plural")
		if g == group && plural != resource {
			out = append(out, plural, plural+"/status", plural+"/finalizers")
		}
	}
	return out
}

// TestATypeLeaves [F44]: a type that is disabled or deleted leaves what it has placed where it is, keeps nobody from deleting, and finds
// it again when it is back.
func TestATypeLeaves(t *testing.T) {
	for _, c := range []struct {
		name        string
		leave, back func(*federation)
		watched     bool // its objects are still looked after
	}{
		{
			"it is disabled",
			func(f *federation) { f.propagates("configmaps", "Disabled") },
			func(f *federation) { f.propagates("configmaps", "Enabled") }, true,
		},
		{
			"it is deleted",
			func(f *federation) { f.deletesType("configmaps") },
			func(f *federation) { f.must(install("host")) }, false,
		},
		{
			"it is deleted while no manager runs",
			func(f *federation) {
				f.kill()
				f.marksTypeDeleted("configmaps")
				f.restart()
				f.typeIsGone("configmaps")
			},
			func(f *federation) { f.must(install("host")) }, false,
		},
		{
			"that of namespaces is deleted",
			func(f *federation) { f.deletesType("namespaces") },
			func(f *federation) { f.must(install("host")) }, true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := federate(t)
			t.Cleanup(func() { f.must(install("host")) }) // whatever happens, before all is cleared
			f.createsMap("kept", "old", "m1", "m2")
			f.createsMap("deleted", "old", "m1", "m2")
			made := f.holds(soon, f.m1, "kept", "old")
			f.holds(soon, f.m1, "deleted", "old")
			f.says(soon, "ConfigMap", "kept", "m1", "")
			removed := record(t, "m1", within(f.namespace, removals))

			c.leave(f)
			f.setsValue("kept", "new")
			f.removes("ConfigMap", "deleted")
			f.isGone(soon, "ConfigMap", "deleted")
			if c.watched {
				f.createsMap("late", "x", "m1")
				f.removes("ConfigMap", "late")
				f.isGone(soon, "ConfigMap", "late")
			}
			rests(f, time.Second)
			f.keeps(f.m1, made)
			f.holds(soon, f.m1, "kept", "old")
			for _, r := range removed.since() {
				if r.Name != "deleted" {
					t.Errorf("there was %s", line(r))
				}
			}

			c.back(f)
			f.holds(patiently, f.m1, "kept", "new")
			f.says(patiently, "ConfigMap", "kept", "m1", "")
			f.keeps(f.m1, made)
		})
	}
}

func (f *federation) typeConfig(name string) *fedv1.FederatedTypeConfig {
	f.Helper()
	c := &fedv1.FederatedTypeConfig{}
	f.must(f.Get(f.Context(), client.ObjectKey{Namespace: fedv1.DefaultNamespace, Name: name}, c))
	return c
}

// propagates switches a type's propagation on or off, and waits until the control plane says that it has.
func (f *federation) propagates(name string, mode fedv1.ConfigurationMode) {
	f.Helper()
	c := f.typeConfig(name)
	before := c.DeepCopy()
	c.Spec.Propagation = mode
	f.must(f.Patch(f.Context(), c, client.MergeFrom(before)))
	f.eventually(soon, "type "+name+" to be "+string(mode), func(context.Context) error {
		s := f.typeConfig(name).Status
		if running := s.PropagationController == fedv1.Running; s.ObservedGeneration != c.Generation || running != (mode == fedv1.Enabled) {
			return fmt.Errorf("its status is %+v", s)
		}
		return nil
	})
}

func (f *federation) marksTypeDeleted(name string) {
	f.Helper()
	f.must(f.Delete(f.Context(), f.typeConfig(name)))
}

func (f *federation) typeIsGone(name string) {
	f.Helper()
	f.eventually(soon, "type "+name+" to be gone", func(ctx context.Context) error {
		err := f.Get(ctx, client.ObjectKey{Namespace: fedv1.DefaultNamespace, Name: name}, &fedv1.FederatedTypeConfig{})
		if err == nil {
			err = errors.New("it is still there")
		}
		return client.IgnoreNotFound(err)
	})
}

func (f *federation) deletesType(name string) {
	f.Helper()
	f.marksTypeDeleted(name)
	f.typeIsGone(name)
}

// TestANamespaceIsNotFederatedAnyMore [F44]: deleting a FederatedNamespace takes nothing out of a namespace that stays; one that the
// federation made, and that holds nothing of others, goes as a whole.
func TestANamespaceIsNotFederatedAnyMore(t *testing.T) {
	t.Run("and is orphaned", func(t *testing.T) {
		f := federate(t)
		f.createsMap("web", "old", "m1", "m2")
		made := f.holds(soon, f.m1, "web", "old")
		home := f.exists(f.m1, "Namespace", f.namespace)
		f.edits("Namespace", f.namespace, fields{"metadata": fields{"annotations": fields{"kubefed.io/orphan": "true"}}})
		f.removes("Namespace", f.namespace)
		f.isGone(soon, "Namespace", f.namespace)
		f.setsValue("web", "new")
		f.reasons(soon, "ConfigMap", "web", "NamespaceNotFederated")
		rests(f, time.Second)
		f.keeps(f.m1, made)
		f.holds(soon, f.m1, "web", "old")

		f.federatesNamespace()
		f.holds(soon, f.m1, "web", "new")
		f.keeps(f.m1, made)
		f.keeps(f.m1, home)
		f.must(client.IgnoreNotFound(f.m1.Delete(t.Context(), home))) // it counts as adopted now, and would stay
	})
	t.Run("and holds what is not the federation's", func(t *testing.T) {
		f := federate(t)
		f.createsMap("web", "old", "m1", "m2")
		made := f.holds(soon, f.m1, "web", "old")
		home := f.exists(f.m1, "Namespace", f.namespace)
		local := made.DeepCopy()
		local.SetName("local")
		local.SetUID("")
		local.SetResourceVersion("")
		local.SetLabels(nil)
		local.SetAnnotations(nil)
		f.must(f.m1.Create(t.Context(), local))
		f.removes("Namespace", f.namespace)
		f.isGone(soon, "Namespace", f.namespace)
		f.keeps(f.m1, home)
		f.keeps(f.m1, made)
		f.reasons(soon, "ConfigMap", "web", "NamespaceNotFederated")
		f.lacks(patiently, f.m2, "Namespace", f.namespace) // there it held nothing else
		f.federatesNamespace()
		f.holds(patiently, f.m2, "web", "old")
		f.keeps(f.m1, made)
		f.must(client.IgnoreNotFound(f.m1.Delete(t.Context(), home)))
	})
}
