package rollup

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	fedv1alpha1 "github.com/hansa-io/hansa/api/core/v1alpha1"
	"github.com/hansa-io/hansa/internal/plan"
)

// Services is what KubeFed's older collection tells of a federated service: the status of its Service in each member that is ready, by
// name, and an empty one where there is none. It is not known while a member is being listed; a member that cannot be listed is left
// out.
func Services(w plan.World) (list []fedv1alpha1.ClusterServiceStatus, known bool) {
	list = []fedv1alpha1.ClusterServiceStatus{}
	for _, m := range w.Members {
		switch {
		case !m.Ready:
			continue
		case m.View == plan.ViewWaiting || m.View == "":
			return nil, false
		case m.View != plan.ViewSynced:
			continue
		}
		entry := fedv1alpha1.ClusterServiceStatus{ClusterName: m.Name}
		if c := m.Copy; c != nil && c.Health != nil && c.IsOurs(w.Settings.ControlPlane) && c.Owner == w.Intent.UID {
			entry.Status = serviceStatus(c.Health.Status)
		}
		list = append(list, entry)
	}
	return list, w.MembersKnown
}

// serviceStatus is what fits the type: a member may be of a release that says more.
func serviceStatus(raw []byte) (s corev1.ServiceStatus) {
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return corev1.ServiceStatus{}
	}
	return s
}

// SameServices says whether the list of an object on the host, as its API gives it, means the same as another.
func SameServices(live any, want []fedv1alpha1.ClusterServiceStatus) bool {
	raw, err := json.Marshal(live)
	var list []fedv1alpha1.ClusterServiceStatus
	return err == nil && json.Unmarshal(raw, &list) == nil && equality.Semantic.DeepEqual(list, want)
}
