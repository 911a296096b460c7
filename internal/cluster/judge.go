package cluster

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// findings is all that the status of a member is decided from.
type findings struct {
	config   *ConfigError // why there was nothing to look through
	sight    sight
	pinned   types.UID // who the member has to be; "" if anybody
	older    string    // the KubeFedCluster that is the same cluster and was there before
	disabled string    // TLS checks that are left out
	eternal  bool      // the credential never ends
	overdue  string    // why the credential could not be renewed, once that is alarming
}

// standing is what a member is found to be.
type standing int

const (
	standsReady      standing = iota
	standsMalformed           // there is no connection to try
	standsOffline             // it could not be asked
	standsUnhealthy           // it says it is not well
	standsUnverified          // it does not tell who it is
	standsForeign             // it is not who it should be
)

// Texts that KubeFed has, too.
const (
	textReady        = "/healthz responded with ok"
	textUnhealthy    = "/healthz responded without ok"
	textReachable    = "cluster is reachable"
	textNotReachable = "cluster is not reachable: "
	textMalformed    = "cluster's configuration may be malformed: "

	reasonReachable    = "ClusterReachable"
	reasonNotReachable = "ClusterNotReachable"
	reasonMalformed    = "ClusterConfigMalformed"
)

// verdict is what one probe says, before thresholds.
type verdict struct {
	standing        standing
	reason, message string
}

// verdict is the first rule that applies.
func (f findings) verdict() verdict {
	s := f.sight
	switch {
	case f.config != nil:
		return verdict{standsMalformed, f.config.Reason, textMalformed + f.config.Message}
	case s.fault != nil:
		return verdict{standsOffline, s.fault.reason, textNotReachable + s.fault.text}
	case !s.healthy:
		return verdict{standsUnhealthy, ReasonNotHealthy, textUnhealthy}
	case s.idFault != nil:
		return verdict{standsUnverified, s.idFault.reason, "the UID of the kube-system namespace cannot be read: " + s.idFault.text}
	case f.pinned != "" && f.pinned != s.id:
		return verdict{standsForeign, ReasonIdentityMismatch, fmt.Sprintf(
			"the endpoint is another cluster than the one that joined: its kube-system namespace has UID %q, not %q", s.id, f.pinned)}
	case f.older != "":
		return verdict{standsForeign, ReasonDuplicate, fmt.Sprintf("the same cluster has already joined as %q", f.older)}
	}
	return verdict{standsReady, ReasonReady, textReady}
}

// circumstances are what the effect of a verdict depends on besides it.
type circumstances struct {
	streak streak
	health Health
	// moved is set while the member has not been seen at its present address: what is known was known of another.
	moved bool
	now   metav1.Time
}

// judge returns a member's status after a probe. It equals the old one, times and all, unless the meaning changes.
func judge(old fedv1.KubeFedClusterStatus, f findings, c circumstances) fedv1.KubeFedClusterStatus {
	v := f.verdict()
	next := *old.DeepCopy()
	if f.pinned != "" {
		next.ClusterID = string(f.pinned)
	} else if v.standing == standsReady {
		next.ClusterID = string(f.sight.id)
	}
	found := append(f.aboutStanding(v), f.aboutIdentity(v)...)
	if !takesEffect(old, v, c) {
		found = keep(old, fedv1.ClusterReady, fedv1.ClusterOffline, fedv1.ClusterConfigMalformed, fedv1.ClusterIdentityVerified)
	} else {
		next.KubernetesVersion = ""
		if v.standing == standsReady {
			next.KubernetesVersion = cmp.Or(f.sight.version, old.KubernetesVersion)
		}
	}
	if !takesEffect(old, v, c) && !refused(v) {
		found = append(found, keep(old, fedv1.ClusterCredentialsValid)...)
	} else {
		found = append(found, f.aboutCredential(v))
	}
	next.Conditions = dated(old.Conditions, append(found, f.aboutTLS()...), c.now)
	return f.located(next)
}

// takesEffect holds a change of readiness back until the thresholds are met. What is certain at once does not wait: there is no
// configuration to try, or another cluster answers.
func takesEffect(old fedv1.KubeFedClusterStatus, v verdict, c circumstances) bool {
	ready, known := wasReady(old)
	switch {
	case !known || c.moved, v.standing == standsMalformed, v.standing == standsForeign:
		return true
	case v.standing == standsReady:
		return ready || c.streak.good >= c.health.SuccessThreshold
	}
	return !ready || c.streak.bad >= c.health.FailureThreshold
}

// refused tells whether the member itself turned the credential down, which is worth knowing before the thresholds are met.
func refused(v verdict) bool {
	switch v.standing {
	case standsOffline:
		return v.reason == ReasonUnauthorized || v.reason == ReasonForbidden
	case standsUnverified:
		return v.reason == ReasonUnauthorized
	}
	return false
}

// wasReady tells whether a status says ready, and whether it says anything.
func wasReady(s fedv1.KubeFedClusterStatus) (ready, known bool) {
	for _, c := range s.Conditions {
		switch c.Type {
		case fedv1.ClusterReady:
			return c.Status == metav1.ConditionTrue, true
		case fedv1.ClusterOffline, fedv1.ClusterConfigMalformed:
			known = true
		}
	}
	return false, known
}

// aboutStanding are KubeFed's conditions. A cluster that is offline, or of which nothing can be tried, has no condition Ready.
func (f findings) aboutStanding(v verdict) []fedv1.ClusterCondition {
	reachable := condition(fedv1.ClusterOffline, metav1.ConditionFalse, reasonReachable, textReachable)
	switch v.standing {
	case standsReady:
		return []fedv1.ClusterCondition{condition(fedv1.ClusterReady, metav1.ConditionTrue, v.reason, v.message)}
	case standsMalformed:
		reason := reasonMalformed
		if v.reason == ReasonEndpointMismatch {
			reason = v.reason
		}
		return []fedv1.ClusterCondition{condition(fedv1.ClusterConfigMalformed, metav1.ConditionTrue, reason, v.message)}
	case standsOffline:
		return []fedv1.ClusterCondition{condition(fedv1.ClusterOffline, metav1.ConditionTrue, reasonNotReachable, v.message)}
	case standsUnverified:
		return []fedv1.ClusterCondition{condition(fedv1.ClusterReady, metav1.ConditionFalse, "IdentityUnknown", v.message), reachable}
	}
	return []fedv1.ClusterCondition{condition(fedv1.ClusterReady, metav1.ConditionFalse, v.reason, v.message), reachable}
}

func (f findings) aboutIdentity(v verdict) []fedv1.ClusterCondition {
	status, reason, message := metav1.ConditionUnknown, v.reason, "the cluster could not be asked"
	switch v.standing {
	case standsReady:
		status, reason, message = metav1.ConditionTrue, "Verified", "the endpoint is the cluster that joined"
	case standsForeign:
		status, message = metav1.ConditionFalse, v.message
	case standsUnverified:
		message = v.message
	}
	return []fedv1.ClusterCondition{condition(fedv1.ClusterIdentityVerified, status, reason, message)}
}

func (f findings) aboutCredential(v verdict) fedv1.ClusterCondition {
	is := func(s metav1.ConditionStatus, reason, message string) fedv1.ClusterCondition {
		return condition(fedv1.ClusterCredentialsValid, s, reason, message)
	}
	switch {
	case f.config != nil && f.config.aboutCredential():
		return is(metav1.ConditionFalse, f.config.Reason, f.config.Message)
	case refused(v):
		return is(metav1.ConditionFalse, v.reason, v.message)
	case v.standing == standsMalformed, v.standing == standsOffline:
		return is(metav1.ConditionUnknown, v.reason, "the credential could not be tried")
	case f.overdue != "":
		return is(metav1.ConditionUnknown, "RotationFailed", "the token ends soon and could not be renewed: "+f.overdue)
	case f.eternal:
		return is(metav1.ConditionTrue, "LongLivedCredential",
			"the member accepts the token, which never ends: kubefedctl join can replace it by one that does")
	}
	return is(metav1.ConditionTrue, "TokenAccepted", "the member accepts the token")
}

func (f findings) aboutTLS() []fedv1.ClusterCondition {
	if f.disabled == "" {
		return nil
	}
	return []fedv1.ClusterCondition{condition(fedv1.ClusterInsecureTLS, metav1.ConditionTrue, "ValidationDisabled",
		"checks of the member's certificate that spec.disabledTLSValidations leaves out: "+f.disabled)}
}

// located sets zones and region if they were seen. What was not seen stays, such as what an administrator has put there.
func (f findings) located(s fedv1.KubeFedClusterStatus) fedv1.KubeFedClusterStatus {
	t := f.sight.topology
	if t == nil || f.verdict().standing != standsReady {
		return s
	}
	if len(t.zones) > 0 {
		s.Zones = t.zones
	}
	if t.region != "" {
		s.Region = &t.region
	}
	return s
}

func condition(t fedv1.ClusterConditionType, s metav1.ConditionStatus, reason, message string) fedv1.ClusterCondition {
	return fedv1.ClusterCondition{Type: t, Status: s, Reason: &reason, Message: &message}
}

// keep returns the old conditions of some types.
func keep(old fedv1.KubeFedClusterStatus, kinds ...fedv1.ClusterConditionType) []fedv1.ClusterCondition {
	var out []fedv1.ClusterCondition
	for _, k := range kinds {
		if c, ok := find(old.Conditions, k); ok {
			out = append(out, c)
		}
	}
	return out
}

func find(cs []fedv1.ClusterCondition, t fedv1.ClusterConditionType) (fedv1.ClusterCondition, bool) {
	i := slices.IndexFunc(cs, func(c fedv1.ClusterCondition) bool { return c.Type == t })
	if i < 0 {
		return fedv1.ClusterCondition{}, false
	}
	return cs[i], true
}

// dated gives conditions their times: those of the old ones as far as they say the same.
func dated(old, found []fedv1.ClusterCondition, now metav1.Time) []fedv1.ClusterCondition {
	out := make([]fedv1.ClusterCondition, 0, len(found))
	for _, c := range found {
		before, ok := find(old, c.Type)
		switch {
		case ok && sameMeaning(before, c):
			c = before
		case ok && before.Status == c.Status:
			c.LastProbeTime, c.LastTransitionTime = now, before.LastTransitionTime
		default:
			c.LastProbeTime, c.LastTransitionTime = now, &now
		}
		out = append(out, c)
	}
	return out
}

// sameMeaning compares two conditions without their times.
func sameMeaning(a, b fedv1.ClusterCondition) bool {
	return a.Type == b.Type && a.Status == b.Status && text(a.Reason) == text(b.Reason) && text(a.Message) == text(b.Message)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// sameStatus compares two statuses without their times.
func sameStatus(a, b fedv1.KubeFedClusterStatus) bool {
	return slices.EqualFunc(a.Conditions, b.Conditions, sameMeaning) && slices.Equal(a.Zones, b.Zones) && text(a.Region) == text(b.Region) &&
		a.KubernetesVersion == b.KubernetesVersion && a.ClusterID == b.ClusterID
}

// event is something that happened to a KubeFedCluster.
type event struct{ kind, reason, note string }

// eventsOf are what happened between two statuses.
func eventsOf(old, now fedv1.KubeFedClusterStatus) []event {
	var out []event
	news := func(t fedv1.ClusterConditionType, s metav1.ConditionStatus) (fedv1.ClusterCondition, bool) {
		c, ok := find(now.Conditions, t)
		before, had := find(old.Conditions, t)
		return c, ok && c.Status == s && (!had || !sameMeaning(before, c))
	}
	warn := func(reason string, c fedv1.ClusterCondition) {
		out = append(out, event{corev1.EventTypeWarning, reason, text(c.Message)})
	}
	if c, ok := news(fedv1.ClusterConfigMalformed, metav1.ConditionTrue); ok {
		warn("MalformedClusterConfig", c)
	}
	if c, ok := news(fedv1.ClusterOffline, metav1.ConditionTrue); ok {
		warn("RetrievingClusterHealthFailed", c)
	}
	if c, ok := news(fedv1.ClusterReady, metav1.ConditionFalse); ok {
		warn(text(c.Reason), c)
	}
	if c, ok := find(now.Conditions, fedv1.ClusterCredentialsValid); ok && text(c.Reason) == "RotationFailed" {
		if before, _ := find(old.Conditions, c.Type); !sameMeaning(before, c) {
			warn(text(c.Reason), c)
		}
	}
	if c, ok := news(fedv1.ClusterReady, metav1.ConditionTrue); ok {
		if _, known := wasReady(old); known {
			out = append(out, event{corev1.EventTypeNormal, "ClusterRecovered", text(c.Message)})
		}
	}
	return out
}
