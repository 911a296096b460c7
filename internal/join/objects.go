package join

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// Access says what the federation may do in a member.
type Access string

// The kinds of access.
const (
	// AccessFull is every right there is.
	AccessFull Access = "full"
	// AccessScoped covers the types that are enabled at the time of the join.
	AccessScoped Access = "scoped"
)

// names of what a join makes in a member; they are KubeFed's, so that either tool removes what the other made.
type names struct {
	// account is the service account, and the secret that its tokens are bound to.
	account string
	// role is the (Cluster)Role and its binding.
	role string
	// health is the ClusterRole of a namespaced control plane, and its binding.
	health string
}

func namesOf(cluster, host, namespace string) names {
	account := cluster + "-" + host
	return names{
		account: account,
		role:    "kubefed-controller-manager:" + account,
		health:  "kubefed-controller-manager:" + namespace + ":healthcheck-" + account,
	}
}

// thing is an object that must be there: set makes it as it must be, leaving alone what it does not know. A roleRef cannot be
// changed: stale says that the object there must be replaced.
type thing struct {
	object client.Object
	set    func()
	stale  func() bool
	// doing is told before; done after, behind the word for what happened.
	doing, done string
}

func namespaceThing(name string) thing {
	return thing{
		object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
		set:    func() {},
		doing:  "Creating " + name + " namespace in joining cluster",
		done:   name + " namespace in joining cluster",
	}
}

func accountThing(o Options, n names, hostID string) thing {
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: n.account}}
	return thing{
		object: sa,
		set: func() {
			metav1.SetMetaDataAnnotation(&sa.ObjectMeta, "kubernetes.io/enforce-mountable-secrets", "true")
			metav1.SetMetaDataAnnotation(&sa.ObjectMeta, fedv1.HostIDAnnotation, hostID)
			sa.AutomountServiceAccountToken = ptr.To(false)
		},
		doing: "Creating service account in joining cluster: " + o.Name,
		done:  "service account: " + n.account + " in joining cluster: " + o.Name,
	}
}

// boundSecretThing is the secret that all tokens are bound to: deleting it ends them at once. It names its account's UID as well: else a
// member that is still clearing up after an account of the same name, which left a moment ago, takes the new secret with it.
func boundSecretThing(o Options, n names, account func() types.UID) (thing, *corev1.Secret) {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: n.account}}
	return thing{
		object: s,
		set: func() {
			metav1.SetMetaDataAnnotation(&s.ObjectMeta, corev1.ServiceAccountNameKey, n.account)
			if uid := account(); uid != "" {
				metav1.SetMetaDataAnnotation(&s.ObjectMeta, corev1.ServiceAccountUIDKey, string(uid))
			}
			if s.Type == "" {
				s.Type = corev1.SecretTypeServiceAccountToken
			}
		},
		doing: "Creating service account token secret in joining cluster: " + o.Name,
		done:  "service account token secret: " + n.account + " in joining cluster: " + o.Name,
	}, s
}

// roleThings are the member's roles and bindings for the service account.
func roleThings(o Options, n names, k known) []thing {
	if k.scope == fedv1.ScopeNamespaced {
		things := append(localRole(o, n, n.role, anything()), clusterRole(o, n, n.health, healthRules())...)
		return announce(things, o, n, "role and binding", "health check cluster role and binding")
	}
	if o.Access == AccessScoped {
		things := append(clusterRole(o, n, n.role, scopedRules(k)), localRole(o, n, n.role, selfTokenRules(n))...)
		return announce(things, o, n, "cluster role and binding", "role and binding")
	}
	rules := append(anything(), rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"*"}})
	return announce(clusterRole(o, n, n.role, rules), o, n, "cluster role and binding")
}

// announce gives each pair of role and binding its lines.
func announce(things []thing, o Options, n names, what ...string) []thing {
	for i, w := range what {
		line := w + " for service account: " + n.account + " in joining cluster: " + o.Name
		things[2*i].doing = "Creating " + line
		things[2*i+1].done = line
	}
	return things
}

func clusterRole(o Options, n names, name string, rules []rbacv1.PolicyRule) []thing {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
	return []thing{
		{object: role, set: func() { role.Rules = rules }},
		{
			object: binding,
			set:    func() { binding.RoleRef, binding.Subjects = ref, subjects(o, n) },
			stale:  func() bool { return binding.RoleRef != ref },
		},
	}
}

func localRole(o Options, n names, name string, rules []rbacv1.PolicyRule) []thing {
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: name}}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: name}}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}
	return []thing{
		{object: role, set: func() { role.Rules = rules }},
		{
			object: binding,
			set:    func() { binding.RoleRef, binding.Subjects = ref, subjects(o, n) },
			stale:  func() bool { return binding.RoleRef != ref },
		},
	}
}

func subjects(o Options, n names) []rbacv1.Subject {
	return []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: o.Namespace, Name: n.account}}
}

func anything() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}}
}

// healthRules let the manager probe a member, see its nodes and know which cluster it is.
func healthRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{Verbs: []string{"get"}, NonResourceURLs: []string{"/healthz", "/readyz", "/livez"}},
		{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"nodes"}},
		{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"namespaces"}, ResourceNames: []string{metav1.NamespaceSystem}},
	}
}

// scopedRules cover the enabled types, one rule for each API group, sorted, and what the feature gates need that are on.
func scopedRules(k known) []rbacv1.PolicyRule {
	byGroup := map[string][]string{"": {"namespaces"}}
	for _, t := range k.types {
		target := t.Spec.TargetType
		if !slices.Contains(byGroup[target.Group], target.PluralName) {
			byGroup[target.Group] = append(byGroup[target.Group], target.PluralName)
		}
	}
	rules := healthRules()
	for group, resources := range byGroup {
		slices.Sort(resources)
		rules = append(rules, rbacv1.PolicyRule{
			Verbs:     []string{"get", "list", "watch", "create", "patch", "delete"},
			APIGroups: []string{group},
			Resources: resources,
		})
	}
	fixed := len(healthRules())
	slices.SortFunc(rules[fixed:], func(a, b rbacv1.PolicyRule) int { return cmp.Compare(a.APIGroups[0], b.APIGroups[0]) })
	if k.on(fedv1.GateCrossClusterServiceDiscovery) {
		rules = append(rules, serviceRules()...)
	}
	if k.on(fedv1.GateFederatedIngress) {
		rules = append(rules, rbacv1.PolicyRule{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{"networking.k8s.io"}, Resources: []string{"ingresses"}})
	}
	return rules
}

// serviceRules let services of other clusters be brought in: see internal/discovery.
func serviceRules() []rbacv1.PolicyRule {
	write := []string{"get", "list", "watch", "create", "patch", "delete"}
	return []rbacv1.PolicyRule{
		{Verbs: write, APIGroups: []string{""}, Resources: []string{"services"}},
		{Verbs: write, APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}},
		{Verbs: write, APIGroups: []string{mcsv1.GroupName}, Resources: []string{"serviceimports"}},
		{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{mcsv1.GroupName}, Resources: []string{"serviceexports"}},
		{Verbs: []string{"get", "patch"}, APIGroups: []string{mcsv1.GroupName}, Resources: []string{"serviceimports/status", "serviceexports/status"}},
		{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"namespaces", "nodes"}},
		{Verbs: []string{"create"}, APIGroups: []string{"apiextensions.k8s.io"}, Resources: []string{"customresourcedefinitions"}},
		{
			Verbs: []string{"get", "update"}, APIGroups: []string{"apiextensions.k8s.io"}, Resources: []string{"customresourcedefinitions"},
			ResourceNames: []string{mcsv1.ServiceExportFullName, mcsv1.ServiceImportPluralName + "." + mcsv1.GroupName},
		},
		// An import's derived Service and EndpointSlices name it as their owner; where owners are checked, that takes this right.
		{Verbs: []string{"update"}, APIGroups: []string{mcsv1.GroupName}, Resources: []string{"serviceimports/finalizers"}},
	}
}

// selfTokenRules let the account renew its own token, and nobody else's.
func selfTokenRules(n names) []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, ResourceNames: []string{n.account}},
		{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{n.account}},
	}
}
