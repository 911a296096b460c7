package plan

import (
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
)

// tell writes what became of an export, if it says something else.
func tell(w World, s Settings, m merged, n int) *Act {
	export := w.Sources[n].Export
	if export == nil || export.DeletionTimestamp != nil || !current(w, n) || !w.Known {
		return nil
	}
	now := dated(w, export.Status.Conditions, export.Generation, exportConditions(w, s, m, n)...)
	if sameConditions(export.Status.Conditions, now) {
		return nil
	}
	out := &mcsv1.ServiceExport{ObjectMeta: metav1.ObjectMeta{Namespace: export.Namespace, Name: export.Name}}
	out.Status.Conditions = now
	return &Act{Verb: Tell, Reason: Told, UID: export.UID, Export: out}
}

func exportConditions(w World, s Settings, m merged, n int) []metav1.Condition {
	if reason, message := invalid(w.Sources[n]); reason != "" {
		return []metav1.Condition{
			condition(mcsv1.ServiceExportConditionValid, false, reason, message),
			condition(mcsv1.ServiceExportConditionReady, false, mcsv1.ServiceExportReasonPending, "the export is not valid"),
			condition(mcsv1.ServiceExportConditionConflict, false, mcsv1.ServiceExportReasonNoConflicts, "an export that is not valid takes no part"),
		}
	}
	return []metav1.Condition{
		condition(mcsv1.ServiceExportConditionValid, true, mcsv1.ServiceExportReasonValid, "the Service can be exported"),
		readiness(w, s, m, n),
		conflict(w, m, n),
	}
}

func condition(kind mcsv1.ServiceExportConditionType, is bool, reason mcsv1.ServiceExportConditionReason, message string) metav1.Condition {
	status := metav1.ConditionFalse
	if is {
		status = metav1.ConditionTrue
	}
	return metav1.Condition{Type: string(kind), Status: status, Reason: string(reason), Message: message}
}

// readiness says whether the service has come into all clusters that are to have it.
func readiness(w World, s Settings, m merged, n int) metav1.Condition {
	if problems := append(ownProblems(m, n), problems(w, s)...); len(problems) > 0 {
		return condition(mcsv1.ServiceExportConditionReady, false, mcsv1.ServiceExportReasonFailed, limited(problems))
	}
	return condition(mcsv1.ServiceExportConditionReady, true, mcsv1.ServiceExportReasonExported, "every cluster that is there and has the namespace imports the service")
}

// ownProblems are why others do not come to this cluster's endpoints.
func ownProblems(m merged, n int) []string {
	for _, e := range m.exporters {
		if e.n != n || e.cluster.Reach == Flat {
			continue
		}
		if _, _, problem := front(m, e, e.cluster.Reach); problem != "" {
			return []string{problem}
		}
	}
	return nil
}

// problems are why clusters do not import the service.
func problems(w World, s Settings) []string {
	var out []string
	add := func(c Cluster, text string) { out = append(out, "cluster "+c.Name+": "+text) }
	for n, c := range w.Clusters {
		held := w.Held[n]
		switch {
		case c.Presence != Present:
		case c.Trouble != "":
			add(c, c.Trouble)
		case w.Sources[n].Seen && !w.Sources[n].Namespace:
		case held.Import != nil && !s.owns(held.Import):
			add(c, "there is a ServiceImport of this name that is not this federation's: it is left alone, and the service is not imported there until it is removed")
		case held.Derived != nil && !s.owns(held.Derived):
			add(c, foreignDerived(held))
		case held.Problem != "":
			add(c, held.Problem)
		}
	}
	return out
}

// conflict is told of all exports of the service alike. While an exporter is unknown, what was told before stays.
func conflict(w World, m merged, n int) metav1.Condition {
	if m.blind {
		for _, old := range w.Sources[n].Export.Status.Conditions {
			if old.Type == string(mcsv1.ServiceExportConditionConflict) {
				return metav1.Condition{Type: old.Type, Status: old.Status, Reason: old.Reason, Message: old.Message}
			}
		}
	}
	if len(m.conflicts) == 0 {
		return condition(mcsv1.ServiceExportConditionConflict, false, mcsv1.ServiceExportReasonNoConflicts, "all exports of the service agree")
	}
	var reasons, about []string
	for _, reason := range slices.Sorted(maps.Keys(m.conflicts)) {
		reasons = append(reasons, string(reason))
		about = append(about, m.conflicts[reason]...)
	}
	return condition(mcsv1.ServiceExportConditionConflict, true, mcsv1.ServiceExportConditionReason(strings.Join(reasons, ",")), limited(about))
}

// maxWords bounds what a condition lists.
const maxWords = 10

// limited joins texts, of which there may be as many as there are clusters.
func limited(texts []string) string {
	if len(texts) > maxWords {
		return strings.Join(texts[:maxWords], "; ") + "; and more"
	}
	return strings.Join(texts, "; ")
}
