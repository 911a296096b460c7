package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// importFor is the import that a cluster is to hold.
func importFor(w World, s Settings, m merged, n int) *mcsv1.ServiceImport {
	out := &mcsv1.ServiceImport{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Service.Namespace, Name: w.Service.Name,
			Labels: with(m.labels, fedv1.ControlPlaneLabel, s.ControlPlane),
		},
		Spec: *m.spec.DeepCopy(),
	}
	if out.Spec.Ports == nil {
		out.Spec.Ports = []mcsv1.ServicePort{} // the field is required
	}
	if derived := w.Held[n].Derived; m.spec.Type == mcsv1.ClusterSetIP && derived != nil && s.owns(derived) {
		out.Spec.IPs = slices.DeleteFunc(slices.Clone(derived.Spec.ClusterIPs), func(ip string) bool { return ip == corev1.ClusterIPNone })
		out.Spec.IPFamilies = slices.DeleteFunc(slices.Clone(m.spec.IPFamilies), func(f corev1.IPFamily) bool { return !slices.Contains(derived.Spec.IPFamilies, f) })
	}
	out.Annotations = with(m.annotations, fedv1.PrecedenceAnnotation, precedence(w, s, m))
	out.Annotations[fedv1.AppliedAnnotation] = digestOf(out.Labels, out.Annotations, out.Spec)
	return out
}

// precedence is the ID of the cluster whose export counts; while an older one may be there that is not known, it stays what it was.
func precedence(w World, s Settings, m merged) string {
	if base := baseOf(w, s); m.blind && base != nil {
		return base.Annotations[fedv1.PrecedenceAnnotation]
	}
	return m.exporters[0].cluster.ID
}

func with(in map[string]string, key, value string) map[string]string {
	out := maps.Clone(in)
	if out == nil {
		out = map[string]string{}
	}
	out[key] = value
	return out
}

func digestOf(parts ...any) string {
	text, err := json.Marshal(parts)
	if err != nil {
		panic(err) // Kubernetes' own types always marshal
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// sameImport says that an import is as it should be. Labels and annotations of others may be there, too; those that are not wanted any
// more show in the digest of what was applied last.
func sameImport(is, want *mcsv1.ServiceImport) bool {
	return contains(is.Labels, want.Labels) && contains(is.Annotations, want.Annotations) && sameSpec(is.Spec, want.Spec)
}

func sameSpec(a, b mcsv1.ServiceImportSpec) bool {
	return digestOf(a) == digestOf(b)
}

func contains(all, some map[string]string) bool {
	for k, v := range some {
		if got, ok := all[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// derivedActs keep the Service behind an import that has an address.
func derivedActs(w World, s Settings, m merged, n int) []Act {
	is := w.Held[n].Derived
	if m.spec.Type == mcsv1.Headless {
		if is != nil && s.owns(is) && is.DeletionTimestamp == nil {
			return []Act{{Verb: Remove, Reason: NotServed, UID: is.UID, Derived: is}}
		}
		return nil
	}
	if is != nil && (!s.owns(is) || is.DeletionTimestamp != nil) {
		return nil
	}
	want := derivedFor(w, s, m, n)
	switch {
	case len(want.Spec.Ports) == 0: // a Service needs one
		return nil
	case is == nil:
		return []Act{{Verb: Apply, Reason: Exported, Derived: want}}
	case !sameDerived(is, want):
		return []Act{{Verb: Apply, Reason: Changed, UID: is.UID, Derived: want}}
	default:
		return nil
	}
}

func derivedFor(w World, s Settings, m merged, n int) *corev1.Service {
	out := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Service.Namespace, Name: DerivedName(w.Service),
			Labels:          map[string]string{fedv1.ControlPlaneLabel: s.ControlPlane, mcsv1.LabelServiceName: w.Service.Name},
			OwnerReferences: ownedBy(w.Held[n].Import),
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, SessionAffinity: m.spec.SessionAffinity, SessionAffinityConfig: m.spec.SessionAffinityConfig,
			InternalTrafficPolicy: m.spec.InternalTrafficPolicy, TrafficDistribution: m.spec.TrafficDistribution,
		},
	}
	for _, p := range m.spec.Ports {
		out.Spec.Ports = append(out.Spec.Ports, corev1.ServicePort{Name: p.Name, Protocol: p.Protocol, AppProtocol: p.AppProtocol, Port: p.Port})
	}
	if len(m.spec.IPFamilies) > 0 {
		policy := corev1.IPFamilyPolicySingleStack
		if len(m.spec.IPFamilies) > 1 {
			policy = corev1.IPFamilyPolicyPreferDualStack
		}
		out.Spec.IPFamilyPolicy, out.Spec.IPFamilies = &policy, m.spec.IPFamilies[:1]
	}
	out.Annotations = map[string]string{fedv1.AppliedAnnotation: digestOf(out.Labels, out.OwnerReferences, out.Spec)}
	return out
}

// ownedBy makes an object go with the import.
func ownedBy(i *mcsv1.ServiceImport) []metav1.OwnerReference {
	if i == nil {
		return nil
	}
	return []metav1.OwnerReference{{APIVersion: mcsv1.GroupVersion.String(), Kind: mcsv1.ServiceImportKindName, Name: i.Name, UID: i.UID}}
}

// sameDerived says that the Service is as it was applied, in what counts.
func sameDerived(is, want *corev1.Service) bool {
	return contains(is.Labels, want.Labels) && contains(is.Annotations, want.Annotations) && is.Spec.Type == want.Spec.Type && len(is.Spec.Selector) == 0 &&
		is.Spec.SessionAffinity == want.Spec.SessionAffinity && equal(is.Spec.TrafficDistribution, want.Spec.TrafficDistribution) &&
		slices.EqualFunc(is.Spec.Ports, want.Spec.Ports, func(a, b corev1.ServicePort) bool {
			return a.Name == b.Name && a.Protocol == b.Protocol && a.Port == b.Port && equal(a.AppProtocol, b.AppProtocol)
		})
}

// importStatus says which clusters serve the import.
func importStatus(w World, s Settings, m merged, n int) mcsv1.ServiceImportStatus {
	held := w.Held[n]
	out := mcsv1.ServiceImportStatus{EndpointSliceObjects: mcsv1.EndpointSliceObjectsPresent}
	for _, id := range servers(w, m, n) {
		out.Clusters = append(out.Clusters, mcsv1.ClusterStatus{Cluster: id})
	}
	c := metav1.Condition{Type: string(mcsv1.ServiceImportConditionReady), Status: metav1.ConditionTrue, Reason: string(mcsv1.ServiceImportReasonReady), Message: "the service can be reached"}
	switch {
	case m.spec.Type == mcsv1.ClusterSetIP && held.Derived != nil && !s.owns(held.Derived):
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, string(mcsv1.ServiceImportReasonPending), foreignDerived(held)
	case m.spec.Type == mcsv1.ClusterSetIP && held.Problem != "" && held.Derived == nil:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, string(mcsv1.ServiceImportReasonPending), held.Problem
		if held.FamilyProblem {
			c.Reason = string(mcsv1.ServiceImportReasonIPFamilyNotSupported)
		}
	case m.spec.Type == mcsv1.ClusterSetIP && len(held.Import.Spec.IPs) == 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, string(mcsv1.ServiceImportReasonPending), "the cluster has given no address yet"
	}
	out.Conditions = dated(w, held.Import.Status.Conditions, held.Import.Generation, c)
	return out
}

func foreignDerived(held Held) string {
	return "there is a Service " + held.Derived.Name + " that is not this federation's: it is left alone, and the import has no address until it is removed"
}

// servers are the IDs of the clusters that export the service, and of those that are not known but served it before; sorted.
func servers(w World, m merged, n int) []string {
	var out []string
	for _, e := range m.exporters {
		out = append(out, e.cluster.ID)
	}
	for _, slice := range w.Held[n].Slices {
		if at := slices.IndexFunc(w.Clusters, func(c Cluster) bool { return c.ID == slice.Cluster }); at >= 0 && !w.Sources[at].Seen {
			out = append(out, slice.Cluster)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// dated gives conditions their times: that of before where the status has not changed.
func dated(w World, before []metav1.Condition, generation int64, now ...metav1.Condition) []metav1.Condition {
	for n := range now {
		now[n].ObservedGeneration, now[n].LastTransitionTime = generation, metav1.NewTime(w.Now.UTC().Truncate(1e9))
		for _, old := range before {
			if old.Type == now[n].Type && old.Status == now[n].Status {
				now[n].LastTransitionTime = old.LastTransitionTime
			}
		}
	}
	slices.SortFunc(now, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	return now
}

func sameImportStatus(a, b mcsv1.ServiceImportStatus) bool {
	return a.EndpointSliceObjects == b.EndpointSliceObjects && slices.Equal(a.Clusters, b.Clusters) && sameConditions(a.Conditions, b.Conditions)
}

// sameConditions says that those we tell are there as we tell them; those of others do not count.
func sameConditions(is, want []metav1.Condition) bool {
	return !slices.ContainsFunc(want, func(c metav1.Condition) bool {
		at := slices.IndexFunc(is, func(o metav1.Condition) bool { return o.Type == c.Type })
		if at < 0 {
			return true
		}
		o := is[at]
		o.LastTransitionTime = c.LastTransitionTime
		return !reflect.DeepEqual(o, c)
	})
}
