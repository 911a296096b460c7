package plan

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// merged is what the exports of all clusters come to. The rules are those of KEP-1645: the oldest export takes precedence.
type merged struct {
	// exporters are those whose export is valid, in order of precedence.
	exporters []exporter
	// spec of the import, without addresses; empty without exporters.
	spec                mcsv1.ServiceImportSpec
	labels, annotations map[string]string
	// serves are, by cluster, the names of the ports that the cluster exposes as the import has them.
	serves map[string]map[string]bool
	// conflicts by reason, each with what it is about.
	conflicts map[mcsv1.ServiceExportConditionReason][]string
	// blind says that a cluster may be an exporter, and that nobody knows.
	blind bool
}

type exporter struct {
	n       int
	cluster Cluster
	export  *mcsv1.ServiceExport
	service *corev1.Service
}

// invalid says why an export is not valid; empty if it is.
func invalid(s Source) (mcsv1.ServiceExportConditionReason, string) {
	switch {
	case s.Service == nil || s.Service.DeletionTimestamp != nil:
		return mcsv1.ServiceExportReasonNoService, "there is no Service of this name in the namespace"
	case s.Service.Spec.Type == corev1.ServiceTypeExternalName:
		return mcsv1.ServiceExportReasonInvalidServiceType, "a Service of type ExternalName has no endpoints that could be exported: export one of type ClusterIP, NodePort or LoadBalancer"
	default:
		return "", ""
	}
}

// exportersOf sorts the valid exports by their age. The clock of an API server knows seconds only: of exports of the same second, the one
// that took precedence before keeps it, so that no later one changes what is served.
func exportersOf(w World, s Settings) []exporter {
	before := ""
	if base := baseOf(w, s); base != nil {
		before = base.Annotations[fedv1.PrecedenceAnnotation]
	}
	var out []exporter
	for n, source := range w.Sources {
		if source.Export == nil || source.Export.DeletionTimestamp != nil {
			continue
		}
		if reason, _ := invalid(source); reason == "" {
			out = append(out, exporter{n: n, cluster: w.Clusters[n], export: source.Export, service: source.Service})
		}
	}
	slices.SortStableFunc(out, func(a, b exporter) int {
		return cmp.Or(
			a.export.CreationTimestamp.Compare(b.export.CreationTimestamp.Time),
			first(a.cluster.ID == before, b.cluster.ID == before), cmp.Compare(a.cluster.Name, b.cluster.Name))
	})
	return out
}

// first compares what is true before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// blind says that a cluster of which nothing is known has left a trace.
func blind(w World) bool {
	for n, s := range w.Sources {
		if !s.Seen && s.Export == nil && leavesTrace(w, w.Clusters[n]) {
			return true
		}
	}
	return !w.Known
}

func merge(w World, s Settings) merged {
	m := merged{
		exporters: exportersOf(w, s), blind: blind(w),
		serves: map[string]map[string]bool{}, conflicts: map[mcsv1.ServiceExportConditionReason][]string{},
	}
	if len(m.exporters) == 0 {
		return m
	}
	oldest := m.exporters[0]
	m.spec, m.labels, m.annotations = specOf(oldest.service), oldest.export.Spec.ExportedLabels, oldest.export.Spec.ExportedAnnotations
	if base := baseOf(w, s); m.blind && base != nil {
		// What the unknown exporter has brought in stays until it is known again.
		m.spec = *base.Spec.DeepCopy()
		m.spec.IPs = nil
	} else {
		m.spec.Ports = nil
	}
	for _, e := range m.exporters {
		m.mergePorts(e)
	}
	for _, e := range m.exporters {
		m.compare(e)
	}
	return m
}

// baseOf is the first import of ours that is there; nil if there is none.
func baseOf(w World, s Settings) *mcsv1.ServiceImport {
	for _, h := range w.Held {
		if h.Import != nil && s.owns(h.Import) {
			return h.Import
		}
	}
	return nil
}

// specOf is what a Service asks of an import, ports aside.
func specOf(s *corev1.Service) mcsv1.ServiceImportSpec {
	out := mcsv1.ServiceImportSpec{
		Type: typeOf(s), IPFamilies: s.Spec.IPFamilies,
		InternalTrafficPolicy: s.Spec.InternalTrafficPolicy, TrafficDistribution: s.Spec.TrafficDistribution,
		SessionAffinity: s.Spec.SessionAffinity, SessionAffinityConfig: s.Spec.SessionAffinityConfig,
	}
	if len(out.IPFamilies) > 2 {
		out.IPFamilies = out.IPFamilies[:2]
	}
	return out
}

func typeOf(s *corev1.Service) mcsv1.ServiceImportType {
	if s.Spec.ClusterIP == corev1.ClusterIPNone {
		return mcsv1.Headless
	}
	return mcsv1.ClusterSetIP
}

// importPort is a port as an import has it.
func importPort(p corev1.ServicePort) mcsv1.ServicePort {
	return mcsv1.ServicePort{Name: p.Name, Protocol: cmp.Or(p.Protocol, corev1.ProtocolTCP), AppProtocol: p.AppProtocol, Port: p.Port}
}

func portWords(p mcsv1.ServicePort) string {
	words := fmt.Sprintf("%d/%s", p.Port, p.Protocol)
	if p.AppProtocol != nil {
		words += " (" + *p.AppProtocol + ")"
	}
	return words
}

// mergePorts adds the ports of one exporter. That others lack some of them is no conflict: each leads to those that have it. Ports are the same by name first, then by protocol and number. One that is in the way of
// another is not served by the cluster that came later.
func (m *merged) mergePorts(e exporter) {
	serves := map[string]bool{}
	for _, declared := range e.service.Spec.Ports {
		p := importPort(declared)
		at := slices.IndexFunc(m.spec.Ports, func(o mcsv1.ServicePort) bool { return o.Name == p.Name })
		taken := slices.IndexFunc(m.spec.Ports, func(o mcsv1.ServicePort) bool { return o.Protocol == p.Protocol && o.Port == p.Port })
		switch {
		case at >= 0 && m.spec.Ports[at].Protocol == p.Protocol && m.spec.Ports[at].Port == p.Port:
			serves[p.Name] = true
		case at >= 0:
			m.portConflict(e, "port %s is %s, where an older export has %s", portName(p), portWords(p), portWords(m.spec.Ports[at]))
		case taken >= 0:
			m.portConflict(e, "port %s is %s, which is port %s of an older export", portName(p), portWords(p), portName(m.spec.Ports[taken]))
		case len(m.spec.Ports) > 0 && (p.Name == "" || m.spec.Ports[0].Name == ""):
			m.portConflict(e, "port %s cannot stand beside those of an older export: of several ports each needs a name", portName(p))
		default:
			m.spec.Ports = append(m.spec.Ports, p)
			serves[p.Name] = true
		}
	}
	m.serves[e.cluster.Name] = serves
}

func portName(p mcsv1.ServicePort) string { return cmp.Or(p.Name, "without a name") }

func (m *merged) portConflict(e exporter, format string, args ...any) {
	m.conflict(mcsv1.ServiceExportReasonPortConflict, e, fmt.Sprintf(format, args...))
}

func (m *merged) conflict(reason mcsv1.ServiceExportConditionReason, e exporter, about string) {
	m.conflicts[reason] = append(m.conflicts[reason], "in cluster "+e.cluster.Name+" "+about)
}

// compare finds where an exporter differs from what counts.
func (m *merged) compare(e exporter) {
	has := specOf(e.service)
	for _, rule := range []struct {
		reason   mcsv1.ServiceExportConditionReason
		differs  bool
		field    string
		is, rest any
	}{
		{mcsv1.ServiceExportReasonTypeConflict, has.Type != m.spec.Type, "the type", has.Type, m.spec.Type},
		{mcsv1.ServiceExportReasonSessionAffinityConflict, has.SessionAffinity != m.spec.SessionAffinity, "sessionAffinity", has.SessionAffinity, m.spec.SessionAffinity},
		{
			mcsv1.ServiceExportReasonSessionAffinityConfigConflict, !reflect.DeepEqual(has.SessionAffinityConfig, m.spec.SessionAffinityConfig),
			"sessionAffinityConfig", timeout(has), timeout(m.spec),
		},
		{
			mcsv1.ServiceExportReasonInternalTrafficPolicyConflict, !equal(has.InternalTrafficPolicy, m.spec.InternalTrafficPolicy),
			"internalTrafficPolicy", value(has.InternalTrafficPolicy), value(m.spec.InternalTrafficPolicy),
		},
		{
			mcsv1.ServiceExportReasonTrafficDistributionConflict, !equal(has.TrafficDistribution, m.spec.TrafficDistribution),
			"trafficDistribution", value(has.TrafficDistribution), value(m.spec.TrafficDistribution),
		},
		{mcsv1.ServiceExportReasonIPFamilyConflict, lacks(has.IPFamilies, m.spec.IPFamilies), "ipFamilies", has.IPFamilies, m.spec.IPFamilies},
		{mcsv1.ServiceExportReasonLabelsConflict, !maps.Equal(e.export.Spec.ExportedLabels, m.labels), "exportedLabels", words(e.export.Spec.ExportedLabels), words(m.labels)},
		{
			mcsv1.ServiceExportReasonAnnotationsConflict, !maps.Equal(e.export.Spec.ExportedAnnotations, m.annotations),
			"exportedAnnotations", words(e.export.Spec.ExportedAnnotations), words(m.annotations),
		},
	} {
		if rule.differs {
			m.conflict(rule.reason, e, fmt.Sprintf("%s is %v, where %v counts", rule.field, rule.is, rule.rest))
		}
	}
}

// lacks says that traffic of some family would not reach the exporter.
func lacks(has, wanted []corev1.IPFamily) bool {
	return len(has) > 0 && slices.ContainsFunc(wanted, func(f corev1.IPFamily) bool { return !slices.Contains(has, f) })
}

func equal[T comparable](a, b *T) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func value[T any](p *T) any {
	if p == nil {
		return "not set"
	}
	return *p
}

func timeout(s mcsv1.ServiceImportSpec) any {
	if s.SessionAffinityConfig == nil || s.SessionAffinityConfig.ClientIP == nil || s.SessionAffinityConfig.ClientIP.TimeoutSeconds == nil {
		return "not set"
	}
	return fmt.Sprintf("clientIP.timeoutSeconds=%d", *s.SessionAffinityConfig.ClientIP.TimeoutSeconds)
}

func words(in map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(in)) {
		out = append(out, k+"="+in[k])
	}
	return cmp.Or(strings.Join(out, ","), "empty")
}
