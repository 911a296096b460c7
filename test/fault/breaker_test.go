package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// The budget by default, and a number of objects that exceeds it.
const (
	budget = 50
	many   = 60
)

// TestAMassDeletion [F57]: when labels are wiped from clusters, placements that go by them exclude every cluster at once. The budget
// stops that; what is asked for otherwise goes on. Someone approves, and it goes on; someone puts the label back, and nothing more goes.
func TestAMassDeletion(t *testing.T) {
	f := federate(t)
	for n := range many {
		f.creates("ConfigMap", fmt.Sprintf("o%02d", n), fields{"template": fields{"data": fields{"value": "old"}}, "placement": placedWhere("shop", "open")})
	}
	f.creates("Service", "web", fields{"template": service()["template"], "placement": placedWhere("shop", "open")})
	f.createsMap("named", "old", "m1", "m2")
	f.countIs(soon, f.m1, many+1)
	f.countIs(soon, f.m2, many+1)

	f.labels(f.m1, "shop", nil)
	f.labels(f.m2, "shop", nil)
	left := map[string]map[string]types.UID{"m1": f.countIs(patiently, f.m1, many-budget+1), "m2": f.countIs(patiently, f.m2, many-budget+1)}
	f.lacks(soon, f.m1, "Service", "web") // another type has a budget of its own
	for m, names := range left {
		for name := range names {
			if name != "named" {
				f.says(soon, "ConfigMap", name, m, "DeletionPaused")
			}
		}
	}
	f.setsValue("named", "new")
	f.holds(soon, f.m1, "named", "new")
	f.createsMap("created", "new", "m1", "m2")
	f.holds(soon, f.m2, "created", "new")
	f.removes("ConfigMap", "named") // one that is deleted by its name was meant
	f.lacks(soon, f.m1, "ConfigMap", "named")
	f.restart() // a manager that starts does not begin to count anew
	f.setsValue("created", "again")
	f.holds(soon, f.m1, "created", "again")
	rests(f, 2*time.Second)
	f.countIs(soon, f.m1, many-budget+1)
	f.countIs(soon, f.m2, many-budget+1)

	t.Run("is approved", func(t *testing.T) {
		f.annotates(f.m1, fedv1.ApproveDeletionsAnnotation, "configmaps")
		f.countIs(patiently, f.m1, 1)
	})
	t.Run("is undone", func(t *testing.T) {
		now := f.countIs(soon, f.m2, -1)
		f.labels(f.m2, "shop", "open")
		after := f.countIs(patiently, f.m2, many+1)
		for name, uid := range now {
			if after[name] != uid {
				t.Errorf("%s was made anew", name)
			}
		}
	})
}

// countIs waits until a member holds so many of the story's ConfigMaps, and returns them; -1 is any number.
func (f *federation) countIs(within time.Duration, m *member, want int) map[string]types.UID {
	f.Helper()
	var held map[string]types.UID
	f.eventually(within, fmt.Sprintf("%d ConfigMaps in %s", want, m.name), func(ctx context.Context) error {
		var list corev1.ConfigMapList
		if err := m.List(ctx, &list, client.InNamespace(f.namespace), client.MatchingLabels{fedv1.ManagedLabel: "true"}); err != nil {
			return err
		}
		held = map[string]types.UID{}
		for _, cm := range list.Items {
			held[cm.Name] = cm.UID
		}
		if want >= 0 && len(held) != want {
			return fmt.Errorf("there are %d", len(held))
		}
		return nil
	})
	return held
}

func (f *federation) labels(m *member, key string, value any) { f.marks(m, "labels", key, value) }
func (f *federation) annotates(m *member, key string, value any) {
	f.marks(m, "annotations", key, value)
}

func (f *federation) marks(m *member, what, key string, value any) {
	f.Helper()
	body, err := json.Marshal(fields{"metadata": fields{what: fields{key: value}}})
	f.must(err)
	k := &fedv1.KubeFedCluster{}
	k.Namespace, k.Name = fedv1.DefaultNamespace, m.name
	f.must(f.Patch(f.Context(), k, client.RawPatch(types.MergePatchType, body)))
}
