// Package install answers: how does a cluster get what it needs to be the host of a federation? It writes the objects of package
// config with server-side apply, so that running it again changes only what is stale.
package install

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/fail"
)

// FieldManager owns the fields that an installation sets.
const FieldManager = "kubefedctl"

// Result says what happened to an object.
type Result string

// What can happen to an object.
const (
	Created    Result = "created"
	Configured Result = "configured"
	Unchanged  Result = "unchanged"
	Removed    Result = "deleted"
	// Skipped are objects of a kind that this version of Kubernetes does not have; what they do is done later, by the manager.
	Skipped Result = "skipped: the host does not serve its kind"
)

// Installer writes objects into one cluster.
type Installer struct {
	Client client.Client
	At     fail.Place
	DryRun dryrun.Mode
	// Told is called after each object.
	Told func(*unstructured.Unstructured, Result)
	// Decides says whether the caller means the actions of an existing policy binding; nil, or false, and they stay as the
	// administrator has set them.
	Decides func(*unstructured.Unstructured) bool
}

// Install writes the objects in their order. Before the first object of a kind that it defined itself, it waits until the server
// serves that kind.
func (i Installer) Install(ctx context.Context, objects []*unstructured.Unstructured) error {
	var defined []string
	created := map[string]bool{}
	for _, o := range objects {
		if isOwn(o) && len(defined) > 0 && i.DryRun == dryrun.None {
			if err := i.established(ctx, defined); err != nil {
				return err
			}
			defined = nil
		}
		result, err := i.write(ctx, o)
		if err != nil {
			return fail.API(i.At, "apply "+Name(o), err)
		}
		i.Told(o, result)
		created[Name(o)] = result == Created
		if o.GetKind() == "CustomResourceDefinition" {
			defined = append(defined, o.GetName())
		}
	}
	if i.DryRun != dryrun.None {
		return nil
	}
	if last := objects[len(objects)-1]; last.GetKind() == bindingKind && created[Name(last)] {
		if err := i.refused(ctx, objects); err != nil {
			return err
		}
	}
	return i.admitted(ctx, objects, created[finalizerBinding])
}

// Remove deletes those of the objects that are there.
func (i Installer) Remove(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		live := o.DeepCopy()
		err := i.Client.Get(ctx, client.ObjectKeyFromObject(o), live)
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
			continue
		}
		if err == nil {
			err = client.IgnoreNotFound(i.DryRun.Writer(i.Client).Delete(ctx, live))
		}
		if err != nil {
			return fail.API(i.At, "delete "+Name(o), err)
		}
		i.Told(o, Removed)
	}
	return nil
}

// refused waits until the policies count, which takes the server about a second: the last of them refuses a FederatedNamespace that is not
// named as its namespace is. A server that does not refuse it is not waited for any longer; it is let be, as the policy's actions may be
// somebody's choice.
func (i Installer) refused(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, probe := range federated(objects) {
		if probe.GetKind() != "FederatedNamespace" {
			continue
		}
		err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
			return apierrors.IsInvalid(i.Client.Create(ctx, probe.DeepCopy(), client.DryRunAll)), nil
		})
		if err != nil && ctx.Err() != nil {
			return fail.API(i.At, "wait for the admission policies", ctx.Err())
		}
	}
	return nil
}

// admitted waits until the server admits objects of the federated types, and settings. Where a MutatingAdmissionPolicy matches them, the
// server answers 503 for the first seconds of a type, until it has learnt its schema; a user's first command should not meet that. While
// a new policy does not count yet, what is admitted says nothing: it comes back without the finalizer.
func (i Installer) admitted(ctx context.Context, objects []*unstructured.Unstructured, held bool) error {
	probes := federated(objects)
	for _, o := range objects {
		if o.GetKind() == "KubeFedConfig" {
			probes = append(probes, o)
		}
	}
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		for len(probes) > 0 {
			probe := probes[0].DeepCopy()
			err := i.Client.Create(ctx, probe, client.DryRunAll)
			if apierrors.IsServiceUnavailable(err) || err == nil && held && len(probe.GetFinalizers()) == 0 {
				return false, nil
			}
			probes = probes[1:] // admitted, or refused for a reason that does not pass with time
		}
		return true, nil
	})
	if err == nil {
		return nil
	}
	return fail.InstallStuck.New("%s is not admitted by %s after a minute", Name(probes[0]), i.At).Because(err).
		Try("kubectl --context %s describe mutatingadmissionpolicy", i.At.Context)
}

// federated makes an object of each federated type that is installed, to be created by dry run only.
func federated(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	var probes []*unstructured.Unstructured
	for _, o := range objects {
		kind, ok, _ := unstructured.NestedString(o.Object, "spec", "federatedType", "kind")
		if !ok {
			continue
		}
		group, _, _ := unstructured.NestedString(o.Object, "spec", "federatedType", "group")
		version, _, _ := unstructured.NestedString(o.Object, "spec", "federatedType", "version")
		probe := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
		probe.SetAPIVersion(group + "/" + version)
		probe.SetKind(kind)
		probe.SetName("probe")
		if scope, _, _ := unstructured.NestedString(o.Object, "spec", "federatedType", "scope"); scope == "Namespaced" {
			probe.SetNamespace(o.GetNamespace())
		}
		probes = append(probes, probe)
	}
	return probes
}

// isOwn says whether the object's kind is one of the federation's.
func isOwn(o *unstructured.Unstructured) bool {
	return strings.HasSuffix(o.GroupVersionKind().Group, ".kubefed.io")
}

func (i Installer) write(ctx context.Context, o *unstructured.Unstructured) (Result, error) {
	c := i.DryRun.Writer(i.Client)
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(o.GroupVersionKind())
	err := c.Get(ctx, client.ObjectKeyFromObject(o), live)
	absent := apierrors.IsNotFound(err) || meta.IsNoMatchError(err)
	switch {
	case err != nil && !absent:
		return "", err
	case meta.IsNoMatchError(err) && !isOwn(o):
		return Skipped, nil
	case !absent && (isOwn(o) || o.GetKind() == "Namespace"):
		return Unchanged, nil // settings, types and the namespace's labels are the user's once they exist
	case !absent && o.GetKind() == "CustomResourceDefinition":
		return i.redefine(ctx, live, o)
	}
	applied := o.DeepCopy()
	if o.GetKind() == bindingKind && !absent && (i.Decides == nil || !i.Decides(o)) {
		keepActions(applied, live)
	}
	err = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner(FieldManager), client.ForceOwnership)
	switch {
	case err != nil && i.DryRun == dryrun.Server && (apierrors.IsNotFound(err) || meta.IsNoMatchError(err)):
		return Created, nil // what it needs is not there, as nothing is written in a dry run
	case err != nil:
		return "", err
	case absent:
		return Created, nil
	case same(applied, live):
		return Unchanged, nil
	default:
		return Configured, nil
	}
}

// same says whether applying changed nothing. A generation, where the kind has one, leaves out what the cluster's own controllers write
// into the status meanwhile.
func same(applied, live *unstructured.Unstructured) bool {
	if g := live.GetGeneration(); g != 0 {
		return applied.GetGeneration() == g
	}
	return applied.GetResourceVersion() == live.GetResourceVersion()
}

const (
	bindingKind      = "ValidatingAdmissionPolicyBinding"
	finalizerBinding = "mutatingadmissionpolicybinding.admissionregistration.k8s.io/" + fedv1.FinalizerPolicy
)

// keepActions leaves to the administrator whether a policy refuses, warns or only notes.
func keepActions(applied, live *unstructured.Unstructured) {
	if actions, ok, _ := unstructured.NestedSlice(live.Object, "spec", "validationActions"); ok {
		_ = unstructured.SetNestedSlice(applied.Object, actions, "spec", "validationActions")
	}
}

// established waits until the server serves what these definitions define.
func (i Installer) established(ctx context.Context, definitions []string) error {
	waiting := ""
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		for len(definitions) > 0 {
			waiting = definitions[0]
			var crd apiextv1.CustomResourceDefinition
			if err := i.Client.Get(ctx, client.ObjectKey{Name: waiting}, &crd); err != nil {
				return false, err
			}
			if !isEstablished(&crd) {
				return false, nil
			}
			definitions = definitions[1:]
		}
		return true, nil
	})
	if err == nil {
		return nil
	}
	return fail.InstallStuck.New("CustomResourceDefinition %s is not served by %s after 30s", waiting, i.At).Because(err).
		Try("kubectl --context %s describe crd %s", i.At.Context, waiting)
}

func isEstablished(crd *apiextv1.CustomResourceDefinition) bool {
	for _, c := range crd.Status.Conditions {
		if c.Type == apiextv1.Established {
			return c.Status == apiextv1.ConditionTrue
		}
	}
	return false
}

// redefine replaces the spec of a definition. An apply would take away only what this installer has applied itself, and leave the
// rules and columns that Helm or KubeFed wrote for an older release.
func (i Installer) redefine(ctx context.Context, live, o *unstructured.Unstructured) (Result, error) {
	next := live.DeepCopy()
	next.Object["spec"] = o.DeepCopy().Object["spec"]
	annotations := next.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	maps.Copy(annotations, o.GetAnnotations())
	next.SetAnnotations(annotations)
	if err := i.DryRun.Writer(i.Client).Update(ctx, next, client.FieldOwner(FieldManager)); err != nil {
		return "", err
	}
	if i.DryRun != dryrun.Client && next.GetResourceVersion() == live.GetResourceVersion() {
		return Unchanged, nil
	}
	return Configured, nil
}

// Name is an object's name as kubectl prints it: "<kind>.<group>/<name>".
func Name(o *unstructured.Unstructured) string {
	gk := o.GroupVersionKind().GroupKind()
	kind := strings.ToLower(gk.Kind)
	if gk.Group != "" {
		kind += "." + gk.Group
	}
	return fmt.Sprintf("%s/%s", kind, o.GetName())
}
