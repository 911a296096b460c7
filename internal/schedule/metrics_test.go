package schedule

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	schedv1 "github.com/hansa-io/hansa/api/scheduling/v1alpha1"
)

func TestMovedCountsWhatWentFromOneClusterToAnother(t *testing.T) {
	share := func(name string, n int64, reason string) schedv1.ClusterReplicas {
		return schedv1.ClusterReplicas{Name: name, Replicas: n, Reason: reason}
	}
	cases := map[string]struct {
		before map[string]int64
		now    []schedv1.ClusterReplicas
		want   map[string]int64
	}{
		"the first division": {nil, []schedv1.ClusterReplicas{share("a", 2, "ByWeight"), share("b", 3, "ByWeight")}, map[string]int64{}},
		"fewer in all":       {map[string]int64{"a": 4, "b": 4}, []schedv1.ClusterReplicas{share("a", 2, "ByWeight"), share("b", 2, "ByWeight")}, map[string]int64{}},
		"one is away": {
			map[string]int64{"a": 4, "b": 4},
			[]schedv1.ClusterReplicas{share("a", 0, ClusterNotReady), share("b", 8, "ByWeight")},
			map[string]int64{ClusterNotReady: 4},
		},
		"fewer, and one is full": {
			map[string]int64{"a": 4, "b": 1},
			[]schedv1.ClusterReplicas{share("a", 1, "AtCapacity"), share("b", 2, "ByWeight")},
			map[string]int64{"AtCapacity": 1},
		},
		"one has left the federation": {map[string]int64{"a": 4, "b": 1}, []schedv1.ClusterReplicas{share("b", 5, "ByWeight")}, map[string]int64{}},
	}
	for name, c := range cases {
		if diff := cmp.Diff(c.want, moved(c.before, c.now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
