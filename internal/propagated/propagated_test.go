package propagated_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	corev1alpha1 "github.com/hansa-io/hansa/api/core/v1alpha1"
	"github.com/hansa-io/hansa/internal/propagated"
)

// The first three were read from a running KubeFed; the others follow its form, byte by byte.
func TestHashes(t *testing.T) {
	const fewer = `{"template":{"data":{"a":"b"}}}`
	for name, c := range map[string]struct{ spec, template, overrides string }{
		"nothing":                     {`{}`, "", propagated.NoOverrides},
		"a template":                  {fewer, "18707bed5a499dd2bef3835866bd9b9d", propagated.NoOverrides},
		"overrides that are null":     {`{"overrides":null}`, "", propagated.NoOverrides},
		"an override":                 {`{"overrides":[{"clusterOverrides":[{"path":"/spec/replicas","value":5}],"clusterName":"c1"}]}`, "", md5Of(`{"overrides":[{"clusterName":"c1","clusterOverrides":[{"path":"/spec/replicas","value":5}]}]}` + "\n")},
		"an operation, a null":        {`{"overrides":[{"clusterName":"c1","clusterOverrides":[{"value":null,"path":"/a","op":"remove"}]}]}`, "", md5Of(`{"overrides":[{"clusterName":"c1","clusterOverrides":[{"op":"remove","path":"/a"}]}]}` + "\n")},
		"a cluster without overrides": {`{"overrides":[{"clusterName":"c1"}]}`, "", md5Of(`{"overrides":[{"clusterName":"c1","clusterOverrides":null}]}` + "\n")},
		"characters of HTML":          {`{"template":{"data":{"a":"<&>"}}}`, md5Of(`{"data":{"a":"\u003c\u0026\u003e"}}` + "\n"), propagated.NoOverrides},
	} {
		t.Run(name, func(t *testing.T) {
			var spec map[string]any
			if err := json.Unmarshal([]byte(c.spec), &spec); err != nil {
				t.Fatal(err)
			}
			got, err := propagated.HashesOf(spec)
			if want := (propagated.Hashes{Template: c.template, Overrides: c.overrides}); err != nil || got != want {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}
		})
	}
}

func TestNextKeepsWhatIsStillMeantAndStillSo(t *testing.T) {
	h := propagated.Hashes{Template: "t", Overrides: "o"}
	versions := func(pairs ...string) (out []corev1alpha1.ClusterObjectVersion) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, corev1alpha1.ClusterObjectVersion{ClusterName: pairs[i], Version: pairs[i+1]})
		}
		return out
	}
	status := func(h propagated.Hashes, pairs ...string) corev1alpha1.PropagatedVersionStatus {
		return corev1alpha1.PropagatedVersionStatus{TemplateVersion: h.Template, OverridesVersion: h.Overrides, ClusterVersions: versions(pairs...)}
	}
	for name, c := range map[string]struct {
		old      corev1alpha1.PropagatedVersionStatus
		selected map[string]string
		want     corev1alpha1.PropagatedVersionStatus
	}{
		"the first":                 {status(propagated.Hashes{}), map[string]string{"b": "gen:1", "a": "rv:7"}, status(h, "a", "rv:7", "b", "gen:1")},
		"one moved, one is unknown": {status(h, "a", "gen:1", "b", "gen:1"), map[string]string{"a": "gen:2", "b": ""}, status(h, "a", "gen:2", "b", "gen:1")},
		"one is not meant any more": {status(h, "a", "gen:1", "b", "gen:1"), map[string]string{"a": ""}, status(h, "a", "gen:1")},
		"the object changed":        {status(propagated.Hashes{Template: "x", Overrides: "o"}, "a", "gen:1", "b", "gen:1"), map[string]string{"a": "gen:2", "b": ""}, status(h, "a", "gen:2")},
		"nothing is meant":          {status(h, "a", "gen:1"), nil, status(h)},
	} {
		if diff := cmp.Diff(c.want, propagated.Next(c.old, h, c.selected)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestRewrites(t *testing.T) {
	h := propagated.Hashes{Template: "t", Overrides: "o"}
	record := corev1alpha1.PropagatedVersionStatus{TemplateVersion: "t", OverridesVersion: "o", ClusterVersions: []corev1alpha1.ClusterObjectVersion{
		{ClusterName: "a", Version: "gen:3"}, {ClusterName: "b", Version: "rv:70"},
	}}
	ours := map[string]string{"kubefed.io/managed": "true"}
	object := func(generation int64, rv string, labels map[string]string) metav1.Object {
		return &metav1.ObjectMeta{Generation: generation, ResourceVersion: rv, Labels: labels, Annotations: map[string]string{"kubefed.io/owner": "x"}}
	}
	for name, c := range map[string]struct {
		hashes propagated.Hashes
		member string
		copied metav1.Object
		writes bool
	}{
		"as recorded":                      {h, "a", object(3, "99", ours), false},
		"as recorded, without generations": {h, "b", object(0, "70", ours), false},
		"another generation":               {h, "a", object(4, "99", ours), true},
		"another resource version":         {h, "b", object(0, "71", ours), true},
		"a label more":                     {h, "a", object(3, "99", map[string]string{"kubefed.io/managed": "true", "team": "blue"}), true},
		"no record of the member":          {h, "c", object(3, "99", ours), true},
		"another template":                 {propagated.Hashes{Template: "x", Overrides: "o"}, "a", object(3, "99", ours), true},
	} {
		if why := propagated.Rewrites(record, c.hashes, c.member, c.copied, ours); (why != "") != c.writes {
			t.Errorf("%s: %q", name, why)
		}
	}
}

func md5Of(s string) string {
	h := md5.Sum([]byte(s))
	return hex.EncodeToString(h[:])
}
