package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// brief is a status in short: "Ready=True ClusterReady" and so on, then what else is set.
func brief(s fedv1.KubeFedClusterStatus) []string {
	var out []string
	for _, c := range s.Conditions {
		out = append(out, string(c.Type)+"="+string(c.Status)+" "+text(c.Reason))
	}
	if s.KubernetesVersion != "" {
		out = append(out, s.KubernetesVersion)
	}
	if s.ClusterID != "" {
		out = append(out, "id "+s.ClusterID)
	}
	return out
}

var (
	aGoodSight = sight{healthy: true, id: "A", version: "v1.37.2"}
	threshold  = Health{FailureThreshold: 3, SuccessThreshold: 2}
)

func failed(reason string) sight { return sight{fault: &fault{reason, "the text"}} }

// after is a status as a first probe leaves it.
func after(f findings) fedv1.KubeFedClusterStatus {
	return judge(fedv1.KubeFedClusterStatus{}, f, circumstances{health: threshold, now: metav1.Unix(100, 0)})
}

func TestJudgeFirstProbe(t *testing.T) {
	unknown := func(standing, reason string) []string {
		return []string{standing, "IdentityVerified=Unknown " + reason, "CredentialsValid=Unknown " + reason}
	}
	for name, tc := range map[string]struct {
		findings findings
		want     []string
		message  string // of the first condition
	}{
		"well": {
			findings{sight: aGoodSight},
			[]string{"Ready=True ClusterReady", "IdentityVerified=True Verified", "CredentialsValid=True TokenAccepted", "v1.37.2", "id A"},
			"/healthz responded with ok",
		},
		"well, as pinned": {
			findings{sight: aGoodSight, pinned: "A", eternal: true},
			[]string{"Ready=True ClusterReady", "IdentityVerified=True Verified", "CredentialsValid=True LongLivedCredential", "v1.37.2", "id A"},
			"/healthz responded with ok",
		},
		"not ok": {
			findings{sight: sight{}, pinned: "A"},
			[]string{
				"Ready=False ClusterNotReady", "Offline=False ClusterReachable", "IdentityVerified=Unknown ClusterNotReady",
				"CredentialsValid=True TokenAccepted", "id A",
			},
			"/healthz responded without ok",
		},
		"refused": {
			findings{sight: failed(ReasonConnectionRefused)},
			unknown("Offline=True ClusterNotReachable", "ConnectionRefused"), "cluster is not reachable: the text",
		},
		"timeout":  {findings{sight: failed(ReasonTimeout)}, unknown("Offline=True ClusterNotReachable", "Timeout"), ""},
		"bad cert": {findings{sight: failed(ReasonTLSFailed)}, unknown("Offline=True ClusterNotReachable", "TLSVerificationFailed"), ""},
		"401": {
			findings{sight: failed(ReasonUnauthorized)},
			[]string{"Offline=True ClusterNotReachable", "IdentityVerified=Unknown Unauthorized", "CredentialsValid=False Unauthorized"},
			"",
		},
		"403": {
			findings{sight: failed(ReasonForbidden)},
			[]string{"Offline=True ClusterNotReachable", "IdentityVerified=Unknown Forbidden", "CredentialsValid=False Forbidden"},
			"",
		},
		"malformed": {
			findings{config: malformed(ReasonCAInvalid, "bad CA"), pinned: "A"},
			append(unknown("ConfigMalformed=True ClusterConfigMalformed", "CABundleInvalid"), "id A"), "cluster's configuration may be malformed: bad CA",
		},
		"no secret": {
			findings{config: malformed(ReasonSecretNotFound, "no secret")},
			[]string{"ConfigMalformed=True ClusterConfigMalformed", "IdentityVerified=Unknown SecretNotFound", "CredentialsValid=False SecretNotFound"},
			"",
		},
		"other endpoint": {
			findings{config: malformed(ReasonEndpointMismatch, "other")},
			unknown("ConfigMalformed=True EndpointMismatch", "EndpointMismatch"), "",
		},
		"another cluster": {
			findings{sight: aGoodSight, pinned: "B"},
			[]string{
				"Ready=False IdentityMismatch", "Offline=False ClusterReachable", "IdentityVerified=False IdentityMismatch",
				"CredentialsValid=True TokenAccepted", "id B",
			},
			`the endpoint is another cluster than the one that joined: its kube-system namespace has UID "A", not "B"`,
		},
		"twice": {
			findings{sight: aGoodSight, older: "m0"},
			[]string{
				"Ready=False DuplicateCluster", "Offline=False ClusterReachable", "IdentityVerified=False DuplicateCluster",
				"CredentialsValid=True TokenAccepted",
			},
			`the same cluster has already joined as "m0"`,
		},
		"hides its identity": {
			findings{sight: sight{healthy: true, idFault: &fault{ReasonForbidden, "403 Forbidden"}}},
			[]string{
				"Ready=False IdentityUnknown", "Offline=False ClusterReachable", "IdentityVerified=Unknown Forbidden",
				"CredentialsValid=True TokenAccepted",
			},
			"",
		},
		"token ends": {
			findings{sight: aGoodSight, overdue: "forbidden"},
			[]string{"Ready=True ClusterReady", "IdentityVerified=True Verified", "CredentialsValid=Unknown RotationFailed", "v1.37.2", "id A"},
			"",
		},
		"insecure": {
			findings{sight: aGoodSight, disabled: "*"},
			[]string{
				"Ready=True ClusterReady", "IdentityVerified=True Verified", "CredentialsValid=True TokenAccepted",
				"InsecureTLS=True ValidationDisabled", "v1.37.2", "id A",
			},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := after(tc.findings)
			if diff := cmp.Diff(tc.want, brief(got)); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			if tc.message != "" && text(got.Conditions[0].Message) != tc.message {
				t.Errorf("message = %q, want %q", text(got.Conditions[0].Message), tc.message)
			}
		})
	}
}

func TestJudgeThresholds(t *testing.T) {
	ready, offline := findings{sight: aGoodSight, pinned: "A"}, findings{sight: failed(ReasonTimeout), pinned: "A"}
	for name, tc := range map[string]struct {
		old, now findings
		streak   streak
		moved    bool
		want     string
	}{
		"one failure":           {ready, offline, streak{bad: 1}, false, "Ready=True ClusterReady"},
		"two failures":          {ready, offline, streak{bad: 2}, false, "Ready=True ClusterReady"},
		"three failures":        {ready, offline, streak{bad: 3}, false, "Offline=True ClusterNotReachable"},
		"one success":           {offline, ready, streak{good: 1}, false, "Offline=True ClusterNotReachable"},
		"two successes":         {offline, ready, streak{good: 2}, false, "Ready=True ClusterReady"},
		"another address":       {ready, offline, streak{bad: 1}, true, "Offline=True ClusterNotReachable"},
		"good, another address": {offline, ready, streak{good: 1}, true, "Ready=True ClusterReady"},
		"another cluster":       {ready, findings{sight: aGoodSight, pinned: "B"}, streak{bad: 1}, false, "Ready=False IdentityMismatch"},
		"no configuration":      {ready, findings{config: malformed("X", "y")}, streak{bad: 1}, false, "ConfigMalformed=True ClusterConfigMalformed"},
		"another kind of bad":   {offline, findings{pinned: "A"}, streak{bad: 1}, false, "Ready=False ClusterNotReady"},
		"another cause of the same": {
			offline,
			findings{sight: failed(ReasonConnectionRefused)},
			streak{bad: 1},
			false,
			"Offline=True ClusterNotReachable",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := judge(after(tc.old), tc.now, circumstances{streak: tc.streak, health: threshold, moved: tc.moved, now: metav1.Unix(200, 0)})
			if brief(got)[0] != tc.want {
				t.Errorf("status = %v, want %s first", brief(got), tc.want)
			}
		})
	}
}

// A refused credential shows at once, while the member still counts as ready; and the version stays until it does not.
func TestJudgeRefusalShowsEarly(t *testing.T) {
	got := judge(after(findings{sight: aGoodSight}), findings{sight: failed(ReasonUnauthorized), pinned: "A"},
		circumstances{streak: streak{bad: 1}, health: threshold})
	want := []string{"Ready=True ClusterReady", "IdentityVerified=True Verified", "CredentialsValid=False Unauthorized", "v1.37.2", "id A"}
	if diff := cmp.Diff(want, brief(got)); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

// Judging the same again changes nothing, not even times: nothing is to be written.
func TestJudgeIsStable(t *testing.T) {
	for name, f := range map[string]findings{
		"well": {sight: aGoodSight}, "offline": {sight: failed(ReasonTimeout)}, "malformed": {config: malformed("X", "y")},
		"foreign": {sight: aGoodSight, pinned: "B"}, "unhealthy": {}, "insecure": {sight: aGoodSight, disabled: "*"},
	} {
		t.Run(name, func(t *testing.T) {
			first := after(f)
			f.pinned = types.UID(first.ClusterID)
			later := circumstances{streak: streak{good: 5}, health: threshold, now: metav1.Unix(900, 0)}
			if diff := cmp.Diff(first, judge(first, f, later)); diff != "" {
				t.Errorf("second status (-first +second):\n%s", diff)
			}
		})
	}
}

func TestJudgeTimes(t *testing.T) {
	first := after(findings{sight: failed(ReasonTimeout)})
	next := judge(first, findings{sight: failed(ReasonConnectionRefused)}, circumstances{health: threshold, now: metav1.Unix(200, 0)})
	next.Conditions[0].Reason = nil // a reader's status may lack it
	last := judge(next, findings{sight: aGoodSight}, circumstances{streak: streak{good: 2}, health: threshold, now: metav1.Unix(300, 0)})
	for _, tc := range []struct {
		what          string
		c             fedv1.ClusterCondition
		probed, since int64
	}{
		{"first", first.Conditions[0], 100, 100},
		{"another reason of the same status", next.Conditions[1], 200, 100},
		{"unchanged since", first.Conditions[0], 100, 100},
		{"another condition", last.Conditions[0], 300, 300},
	} {
		if tc.c.LastProbeTime.Unix() != tc.probed || tc.c.LastTransitionTime.Unix() != tc.since {
			t.Errorf("%s: probed %d, since %d", tc.what, tc.c.LastProbeTime.Unix(), tc.c.LastTransitionTime.Unix())
		}
	}
}

func TestJudgeTopology(t *testing.T) {
	old := after(findings{sight: aGoodSight})
	region := "by-hand"
	old.Zones, old.Region = []string{"z9"}, &region
	c := circumstances{streak: streak{good: 9}, health: threshold}
	for name, tc := range map[string]struct {
		seen   *topology
		zones  string
		region string
	}{
		"not seen":      {nil, "z9", "by-hand"},
		"nodes of none": {&topology{}, "z9", "by-hand"},
		"seen":          {&topology{zones: []string{"a", "b"}, region: "r"}, "a,b", "r"},
	} {
		t.Run(name, func(t *testing.T) {
			s := aGoodSight
			s.topology = tc.seen
			got := judge(old, findings{sight: s, pinned: "A"}, c)
			if strings.Join(got.Zones, ",") != tc.zones || text(got.Region) != tc.region {
				t.Errorf("zones %v, region %s", got.Zones, text(got.Region))
			}
		})
	}
}

func TestTopologyOf(t *testing.T) {
	node := func(kv ...string) metav1.PartialObjectMetadata {
		n := metav1.PartialObjectMetadata{}
		n.Labels = map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			n.Labels[kv[i]] = kv[i+1]
		}
		return n
	}
	got := topologyOf([]metav1.PartialObjectMetadata{
		node(),
		node("topology.kubernetes.io/zone", "b", "topology.kubernetes.io/region", "r1"),
		node("failure-domain.beta.kubernetes.io/zone", "a", "failure-domain.beta.kubernetes.io/region", "r2"),
		node("topology.kubernetes.io/zone", "b", "failure-domain.beta.kubernetes.io/zone", "old"),
	})
	want := topology{zones: []string{"a", "b"}, region: "r1"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(topology{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEvents(t *testing.T) {
	none, well := fedv1.KubeFedClusterStatus{}, after(findings{sight: aGoodSight})
	offline, broken := after(findings{sight: failed(ReasonTimeout)}), after(findings{config: malformed("X", "%s", "100%s")})
	foreign := after(findings{sight: aGoodSight, pinned: "B"})
	overdue := after(findings{sight: aGoodSight, overdue: "no"})
	for name, tc := range map[string]struct {
		old, now fedv1.KubeFedClusterStatus
		want     string
	}{
		"first contact":        {none, well, ""},
		"stays":                {well, well, ""},
		"goes":                 {well, offline, "Warning RetrievingClusterHealthFailed"},
		"is still away":        {offline, offline, ""},
		"comes back":           {offline, well, "Normal ClusterRecovered"},
		"malformed":            {none, broken, "Warning MalformedClusterConfig"},
		"is another":           {well, foreign, "Warning IdentityMismatch"},
		"token ends":           {well, overdue, "Warning RotationFailed"},
		"token ends, told":     {overdue, overdue, ""},
		"other cause, offline": {offline, after(findings{sight: sight{fault: &fault{"Other", "other"}}}), "Warning RetrievingClusterHealthFailed"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, e := range eventsOf(tc.old, tc.now) {
				got = append(got, e.kind+" "+e.reason)
			}
			if strings.Join(got, "; ") != tc.want {
				t.Errorf("events = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestStreak(t *testing.T) {
	var s streak
	for _, good := range []bool{true, true, false, false, false, true} {
		s = s.next(good)
	}
	if s != (streak{good: 1}) {
		t.Errorf("streak = %+v", s)
	}
}
