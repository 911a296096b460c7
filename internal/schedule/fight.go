package schedule

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// FieldManager owns what the scheduler writes into federated objects.
const FieldManager = "hansa-scheduler"

// history remembers how often the same division had to be put back.
type history struct {
	// last is the division that was written last.
	last string
	// repairs are the times at which it was written again, the newest last.
	repairs []time.Time
}

const (
	fightWindow = 10 * time.Minute
	fightLimit  = 5
	// truce is the wait between two repairs while another manager fights back.
	truce = time.Minute
)

// wrote is the history after a write.
func (h history) wrote(division string, now time.Time) history {
	if division != h.last {
		return history{last: division}
	}
	return history{last: division, repairs: append(h.recent(now), now)}
}

func (h history) recent(now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(h.repairs), func(t time.Time) bool { return now.Sub(t) > fightWindow })
}

// fighting says that another manager keeps changing what the scheduler writes.
func (h history) fighting(now time.Time) bool { return len(h.recent(now)) >= fightLimit }

// wait is how long the next repair has to wait, and how long until the fight is over if nobody fights on.
func (h history) wait(now time.Time) (repair, over time.Duration) {
	if !h.fighting(now) {
		return 0, 0
	}
	recent := h.recent(now)
	repair = max(recent[len(recent)-1].Add(truce).Sub(now), 0)
	return repair, recent[len(recent)-fightLimit].Add(fightWindow).Sub(now)
}

// others names, sorted, the other managers that own the clusters, or replicas, of a federated object.
func others(obj *unstructured.Unstructured) []string {
	var out []string
	for _, e := range obj.GetManagedFields() {
		if e.Manager != FieldManager && e.FieldsV1 != nil && ownsDivision(e.FieldsV1.GetRawBytes()) {
			out = append(out, e.Manager)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// replicasField is an override of replicas as field owners are recorded.
const replicasField = `k:{"path":"` + replicasPath + `"}`

// ownsDivision says whether a record of field owners is about what a division writes. A list without items in it is owned as a whole.
func ownsDivision(fields []byte) bool {
	var set struct {
		Spec struct {
			Placement struct {
				Clusters json.RawMessage `json:"f:clusters"`
			} `json:"f:placement"`
			Overrides map[string]struct {
				Operations map[string]json.RawMessage `json:"f:clusterOverrides"`
			} `json:"f:overrides"`
		} `json:"f:spec"`
	}
	if json.Unmarshal(fields, &set) != nil {
		return false
	}
	whole := set.Spec.Overrides != nil && len(set.Spec.Overrides) == 0
	for _, o := range set.Spec.Overrides {
		_, replicas := o.Operations[replicasField]
		whole = whole || replicas || o.Operations != nil && len(o.Operations) == 0
	}
	return whole || len(set.Spec.Placement.Clusters) > 0
}

func fightMessage(obj *unstructured.Unstructured) string {
	who := "another manager"
	if names := others(obj); len(names) > 0 {
		who = strings.Join(names, ", ")
	}
	return who + " and " + FieldManager + " both write spec.placement and spec.overrides: leave /spec/replicas and the clusters to this " +
		"preference, or delete it"
}
