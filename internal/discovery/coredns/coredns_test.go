package coredns

import (
	"context"
	"errors"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/lab"
)

var clusters = lab.Shared(lab.Options{}, "member")

const before = "# ours\n.:53 {\n\tkubernetes cluster.local {\n\t}\n}\n"

// fixture is a CoreDNS in a namespace of the test's own, whose Corefile is under a key of another name.
func fixture(t *testing.T, text string) (client.Client, types.NamespacedName) {
	t.Helper()
	l := clusters(t)
	c, err := client.New(l.Config("member"), client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the rights are the cluster's
		if err := disallow(context.Background(), c); err != nil {
			t.Error(err)
		}
	})
	name := types.NamespacedName{Namespace: lab.Namespace(t, l.Config("member"), "coredns"), Name: "rke2-coredns"}
	meta := metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}
	labels := map[string]string{"app": "dns"}
	volume := func(config string, items ...corev1.KeyToPath) corev1.Volume {
		source := &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: config}, Items: items}
		return corev1.Volume{Name: config, VolumeSource: corev1.VolumeSource{ConfigMap: source}}
	}
	d := &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](0), Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{
				{Name: "scaler", Image: "scaler:1.0.0"},
				{Name: "dns", Image: "rancher/mirrored-coredns-coredns:1.14.1", VolumeMounts: []corev1.VolumeMount{{Name: "text", MountPath: "/etc/coredns"}}},
			},
			Volumes: []corev1.Volume{volume("missing"), volume("other"), volume("text", corev1.KeyToPath{Key: "conf", Path: "Corefile"})},
		}},
	}}
	other := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: "other"}, Data: map[string]string{"zones": "x"}}
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: "text"}, Data: map[string]string{"conf": text, "hosts": "x"}}
	for _, o := range []client.Object{d, other, config} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	return c, name
}

func read(t *testing.T, c client.Client, name types.NamespacedName) *corev1.ConfigMap {
	t.Helper()
	m := &corev1.ConfigMap{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: name.Namespace, Name: "text"}, m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestThereAndBack(t *testing.T) {
	c, name := fixture(t, before)
	found, err := Find(t.Context(), c, name)
	if err != nil || found.Image != "rancher/mirrored-coredns-coredns:1.14.1" || found.Account != "default" || found.Answers() {
		t.Fatalf("%+v: %v", found, err)
	}
	added, err := found.Add("")
	if err != nil {
		t.Fatal(err)
	}
	if err := added.Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	m := read(t, c, name)
	if !strings.Contains(m.Data["conf"], "\t\tmulticluster clusterset.local\n") || m.Data["hosts"] != "x" || m.Annotations[fedv1.CorefileBeforeAnnotation] != before {
		t.Fatalf("%v\n%v", m.Data, m.Annotations)
	}
	binding := &rbacv1.ClusterRoleBinding{}
	if err := c.Get(t.Context(), client.ObjectKey{Name: RoleName}, binding); err != nil || binding.Subjects[0].Name != "default" {
		t.Fatalf("%v: %v", binding.Subjects, err)
	}
	// A second time writes no text, and mends the rights.
	if err := c.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	if found, err = Find(t.Context(), c, name); err != nil || !found.Ours() || !found.Answers() {
		t.Fatalf("%+v: %v", found, err)
	}
	if added, err = found.Add(""); err != nil || added.Before != added.After {
		t.Fatalf("%+v: %v", added, err)
	}
	if err := added.Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKey{Name: RoleName}, binding); err != nil {
		t.Fatal(err)
	}
	if again := read(t, c, name); again.ResourceVersion != m.ResourceVersion {
		t.Error("the ConfigMap was written again")
	}
	undone, err := found.Undo()
	if err != nil {
		t.Fatal(err)
	}
	if err := undone.Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	m = read(t, c, name)
	if _, ours := m.Annotations[fedv1.CorefileBeforeAnnotation]; m.Data["conf"] != before || ours {
		t.Errorf("%q\n%v", m.Data["conf"], m.Annotations)
	}
	if err := c.Get(t.Context(), client.ObjectKey{Name: RoleName}, binding); !apierrors.IsNotFound(err) {
		t.Errorf("the right is still there: %v", err)
	}
}

// Whoever writes in between wins.
func TestSomebodyElseWrites(t *testing.T) {
	c, name := fixture(t, before)
	found, err := Find(t.Context(), c, name)
	if err != nil {
		t.Fatal(err)
	}
	added, err := found.Add("")
	if err != nil {
		t.Fatal(err)
	}
	m := read(t, c, name)
	m.Data["conf"] = strings.Replace(before, "# ours", "# theirs", 1)
	if err := c.Update(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if err := added.Write(t.Context(), c); !apierrors.IsConflict(err) {
		t.Errorf("written over: %v", err)
	}
	if got := read(t, c, name).Data["conf"]; !strings.HasPrefix(got, "# theirs") || strings.Contains(got, Zone) {
		t.Errorf("%q", got)
	}
}

// What somebody else has added is theirs, and so are the rights for it.
func TestTheirs(t *testing.T) {
	c, name := fixture(t, ".:53 {\n  kubernetes cluster.local clusterset.local {\n    multicluster clusterset.local\n  }\n}\n")
	found, err := Find(t.Context(), c, name)
	if err != nil || found.Ours() || !found.Answers() {
		t.Fatalf("%+v: %v", found, err)
	}
	was := read(t, c, name)
	for _, change := range []func() (Change, error){func() (Change, error) { return found.Add("") }, found.Undo} {
		did, err := change()
		if err != nil || did.Before != did.After {
			t.Fatalf("%+v: %v", did, err)
		}
		if err := did.Write(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if is := read(t, c, name); is.ResourceVersion != was.ResourceVersion {
		t.Error("it was written")
	}
	if err := c.Get(t.Context(), client.ObjectKey{Name: RoleName}, &rbacv1.ClusterRole{}); !apierrors.IsNotFound(err) {
		t.Errorf("rights were given: %v", err)
	}
}

func TestWhatCannotBeDone(t *testing.T) {
	c, name := fixture(t, ".:53 {\n  forward . 10.0.0.1\n}\n")
	found, err := Find(t.Context(), c, name)
	if err != nil {
		t.Fatal(err)
	}
	_, noStanza := found.Add("")
	_, tooOld := found.Add("1.11.0")
	_, unknown := found.Add("latest")
	_, absent := Find(t.Context(), c, types.NamespacedName{Namespace: name.Namespace, Name: "coredns"})
	for what, want := range map[error]fail.Code{noStanza: fail.BadCorefile, tooOld: fail.OldCoreDNS, unknown: fail.OldCoreDNS, absent: fail.NoCoreDNS} {
		var got *fail.Error
		if !errors.As(what, &got) || got.Code != want || got.Hint == "" {
			t.Errorf("%v, want %s", what, want.ID)
		}
	}
}
