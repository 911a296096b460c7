package fault

import "testing"

// TestADeletionThatCannotReachAMember [F48]: a member that is away does not keep a federated object from going; what the member holds
// is on record, and leaves it when it is back. It stays if its name is taken again, by an object that means this member.
func TestADeletionThatCannotReachAMember(t *testing.T) {
	f := federate(t, "--deletion-deadline", "2s")
	names := []string{"plain", "deselected", "again", "elsewhere", "orphan"}
	for _, name := range names {
		f.createsMap(name, "old", "m1", "m2")
	}
	for _, name := range names {
		f.holds(soon, f.m1, name, "old")
		f.holds(soon, f.m2, name, "old")
	}
	again, orphan := f.holds(soon, f.m1, "again", "old"), f.holds(soon, f.m1, "orphan", "old")
	f.says(soon, "ConfigMap", "again", "m1", "")

	f.m1.link.Cut()
	f.isReady(f.m1, false)
	f.places("deselected", "m2")
	f.says(soon, "ConfigMap", "deselected", "m1", "ClusterNotReady")
	f.edits("ConfigMap", "orphan", fields{"metadata": fields{"annotations": fields{"kubefed.io/orphan": "true"}}})
	for _, name := range names {
		f.removes("ConfigMap", name)
	}
	for _, name := range names {
		f.isGone(soon, "ConfigMap", name)
	}
	f.owes(soon, len(names))
	f.createsMap("again", "new", "m1", "m2")
	f.createsMap("elsewhere", "new", "m2")
	f.restart() // the record is not in this process' memory

	f.m1.link.Heal()
	for _, name := range []string{"plain", "deselected", "elsewhere"} {
		f.lacks(patiently, f.m1, "ConfigMap", name)
	}
	f.holds(patiently, f.m1, "again", "new")
	f.keeps(f.m1, again)
	f.keeps(f.m1, orphan)
	f.owes(soon, 0)
	f.holds(soon, f.m2, "elsewhere", "new")
	if o := f.holds(soon, f.m1, "orphan", "old"); len(o.GetLabels()) > 0 || len(o.GetAnnotations()) > 0 {
		t.Errorf("the orphan still carries marks: %v %v", o.GetLabels(), o.GetAnnotations())
	}
}

// TestADeletionThatAMemberNeverAnsweredFor [F08, F48]: a copy whose creation was sent but never answered is not forgotten.
func TestADeletionThatAMemberNeverAnsweredFor(t *testing.T) {
	f := federate(t, "--deletion-deadline", "1s")
	f.createsMap("first", "x", "m1", "m2")
	f.holds(soon, f.m1, "first", "x")

	f.m1.link.Stall() // what is sent now arrives later
	f.createsMap("late", "x", "m1", "m2")
	f.holds(soon, f.m2, "late", "x")
	f.says(patiently, "ConfigMap", "late", "m1", "ClusterNotReady")
	f.places("late", "m2")
	f.removes("ConfigMap", "late")
	f.isGone(soon, "ConfigMap", "late")

	f.m1.link.Heal()
	f.isReady(f.m1, true)
	f.createsMap("last", "x", "m1", "m2")
	f.holds(patiently, f.m1, "last", "x")
	f.lacks(patiently, f.m1, "ConfigMap", "late")
	f.owes(soon, 0)
}
