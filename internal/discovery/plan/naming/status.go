package naming

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dnsv1 "github.com/hansa-io/hansa/api/multiclusterdns/v1alpha1"
)

// Conditions of a record.
const (
	Ready   = "Ready"
	Stalled = "Stalled"
)

// WriteFailed is the reason of a record whose DNSEndpoint could not be written.
const WriteFailed = "WriteFailed"

// Status is what to tell of a record: exactly one of the two, for its kind.
type Status struct {
	Service *dnsv1.ServiceDNSRecordStatus
	Ingress *dnsv1.IngressDNSRecordStatus
}

// StatusOf is the status that a plan leads to; failed says why it could not be carried out. It is the old one where it means the same.
func StatusOf(w World, p Plan, failed error) Status {
	if failed != nil {
		p.Findings = append([]Finding{{Reason: WriteFailed, Message: failed.Error()}}, p.Findings...)
	}
	now := metav1.NewTime(w.Now)
	if w.Service != nil {
		s := &dnsv1.ServiceDNSRecordStatus{Domain: p.Domain, ObservedGeneration: w.Service.Generation}
		for _, c := range p.Clusters {
			s.DNS = append(s.DNS, dnsv1.ClusterDNS{
				Cluster: c.Cluster, Region: c.Region, Zones: c.Zones, Reason: c.Reason, Message: c.Message,
				LoadBalancer: corev1.LoadBalancerStatus{Ingress: c.Points},
			})
		}
		s.Conditions = p.conditions(w.Service.Status.Conditions, w.Service.Generation, now)
		return Status{Service: s}
	}
	s := &dnsv1.IngressDNSRecordStatus{ObservedGeneration: w.Ingress.Generation}
	for _, c := range p.Clusters {
		s.DNS = append(s.DNS, dnsv1.ClusterIngressDNS{
			Cluster: c.Cluster, Reason: c.Reason, Message: c.Message, LoadBalancer: corev1.LoadBalancerStatus{Ingress: c.Points},
		})
	}
	s.Conditions = p.conditions(w.Ingress.Status.Conditions, w.Ingress.Generation, now)
	return Status{Ingress: s}
}

func (p Plan) conditions(old []metav1.Condition, generation int64, now metav1.Time) []metav1.Condition {
	ready := metav1.Condition{Type: Ready, Status: metav1.ConditionTrue, Reason: EndpointsWritten, Message: "the names are as the clusters say"}
	stalled := metav1.Condition{Type: Stalled, Status: metav1.ConditionFalse, Reason: EndpointsWritten}
	if len(p.Findings) > 0 {
		words := make([]string, len(p.Findings))
		for i, f := range p.Findings {
			words[i] = f.Message
		}
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, p.Findings[0].Reason, strings.Join(words, "; ")
		stalled.Reason = ready.Reason
		if p.Findings[0].Stalls {
			stalled.Status, stalled.Message = metav1.ConditionTrue, ready.Message
		}
	}
	out := slices.Clone(old)
	for _, c := range []metav1.Condition{ready, stalled} {
		c.ObservedGeneration, c.LastTransitionTime = generation, now
		meta.SetStatusCondition(&out, c)
	}
	return out
}

// Same says whether a record's status says already what is to be told.
func Same(w World, s Status) bool {
	if w.Service != nil {
		return equality.Semantic.DeepEqual(w.Service.Status, *s.Service)
	}
	return equality.Semantic.DeepEqual(w.Ingress.Status, *s.Ingress)
}

// Event is something that happened to a record.
type Event struct {
	Warning         bool
	Reason, Message string
}

// NamesChanged is the reason of an event when other records are to be published than before.
const NamesChanged = "NamesChanged"

// Events are what happened: another reason why not all is well, and names that changed.
func Events(w World, p Plan, s Status) []Event {
	var out []Event
	before, after := w.conditions(), s.conditions()
	was, is := meta.FindStatusCondition(before, Ready), meta.FindStatusCondition(after, Ready)
	if is != nil && is.Status == metav1.ConditionFalse && (was == nil || was.Status != is.Status || was.Reason != is.Reason) {
		out = append(out, Event{Warning: true, Reason: is.Reason, Message: is.Message})
	}
	if names := Changed(w.Published, p.Endpoints); !p.Hold && len(names) > 0 && (is == nil || is.Reason != WriteFailed) {
		out = append(out, Event{Reason: NamesChanged, Message: few(names)})
	}
	return out
}

func (w World) conditions() []metav1.Condition {
	if w.Service != nil {
		return w.Service.Status.Conditions
	}
	return w.Ingress.Status.Conditions
}

func (s Status) conditions() []metav1.Condition {
	if s.Service != nil {
		return s.Service.Conditions
	}
	return s.Ingress.Conditions
}

// Changed are the names whose records differ, sorted.
func Changed(before, after []dnsv1.Endpoint) []string {
	var out []string
	for _, lists := range [][2][]dnsv1.Endpoint{{before, after}, {after, before}} {
		for _, e := range lists[0] {
			if !slices.ContainsFunc(lists[1], func(o dnsv1.Endpoint) bool { return equality.Semantic.DeepEqual(e, o) }) {
				out = append(out, e.DNSName)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// few are the first of some names.
func few(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
