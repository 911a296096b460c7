// Package apply answers: how does one verdict become true in one member? Do takes one step, makes at most one write, guards it with
// preconditions, and tells what came of it. Doing the same step twice is harmless. A copy that KubeFed wrote takes one write more, once:
// see claim.
package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/plan"
)

// Writer writes to one type of object in one member.
type Writer struct {
	// Member's name, for messages.
	Member string
	// Resource in the member.
	Resource schema.GroupVersionResource
	Kind     string
	// Whole says that an apply gives back the whole object, not its metadata only.
	Whole   bool
	clients *Clients
}

// Clients of one member, sharing its connections.
type Clients struct {
	Metadata metadata.Interface
	Dynamic  dynamic.Interface
	raw      rest.Interface
	// Foreign says whether a namespace holds anything that is neither the federation's nor there in every namespace.
	foreign func(ctx context.Context, namespace, controlPlane string) (string, error)
}

// NewClients connects to a member.
func NewClients(config *rest.Config) (*Clients, error) {
	hc, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	m, err := metadata.NewForConfigAndClient(config, hc)
	if err != nil {
		return nil, err
	}
	d, err := dynamic.NewForConfigAndClient(config, hc)
	if err != nil {
		return nil, err
	}
	raw, err := rest.UnversionedRESTClientForConfigAndClient(dynamic.ConfigFor(config), hc)
	if err != nil {
		return nil, err
	}
	c := &Clients{Metadata: m, Dynamic: d, raw: raw}
	contents, err := newContents(config, hc, m)
	if err != nil {
		return nil, err
	}
	c.foreign = contents.foreign
	return c, nil
}

// For returns the writer for a type.
func (c *Clients) For(member string, resource schema.GroupVersionResource, kind string) Writer {
	return Writer{Member: member, Resource: resource, Kind: kind, clients: c}
}

// Result is an outcome, with the object as the member gave it back, and whether it is known to be gone.
type Result struct {
	plan.Outcome
	// Object is the copy after the step, or its metadata; nil if it is gone or was not read.
	Object metav1.Object
	// Gone says that a read, or the delete itself, showed that no object of ours is left.
	Gone bool
	// Err is the error behind a Failed outcome.
	Err error
}

// Confirm asks, by reading the host itself, whether a removal is still wanted. It runs right before the removal.
type Confirm func(context.Context) error

// ErrChanged says that a removal is not wanted any more.
var ErrChanged = errors.New("the intent has changed")

// Do takes a step.
func Do(ctx context.Context, w Writer, s plan.Step, confirm Confirm) Result {
	var r Result
	switch s.Verdict {
	case plan.Place:
		r = w.place(ctx, s)
	case plan.Withdraw:
		r = w.withdraw(ctx, s, confirm)
	case plan.Release:
		r = w.release(ctx, s, confirm)
	}
	r.Member = s.Member
	if r.Err != nil {
		r.Err = fmt.Errorf("%s %s %s to %s: %w", strings.ToLower(string(s.Verdict)), w.Kind, types.NamespacedName{Namespace: s.Namespace, Name: s.Name}, s.Member, r.Err)
	}
	return r
}

// neverCurrent is a resource version that no stored object has. With it, an apply creates, and conflicts if the object is there.
const neverCurrent = "1"

func (w Writer) place(ctx context.Context, s plan.Step) Result {
	obj := s.Object.DeepCopy()
	if s.UID == "" {
		obj.SetResourceVersion(neverCurrent)
		done, err := w.apply(ctx, obj)
		switch {
		case err == nil:
			return placed(plan.DidCreate, done)
		case apierrors.IsConflict(err):
			return w.adopt(ctx, s)
		default:
			return failed("CreationFailed", err)
		}
	}
	obj.SetUID(s.UID)
	if s.Reason == plan.Claiming {
		if _, err := w.claim(ctx, s); err != nil {
			return failed("UpdateFailed", err)
		}
	}
	done, err := w.update(ctx, s, obj)
	switch {
	case err == nil:
		return placed(plan.DidUpdate, done)
	case errors.Is(err, errRetention):
		return failed("FieldRetentionFailed", err)
	default:
		return failed("UpdateFailed", err)
	}
}

var errRetention = errors.New("read what the member keeps")

// maxRaces is how often an update that rests on a read is tried again because the object changed in between.
const maxRaces = 5

// update applies an object that is there. What it keeps of the live one, it keeps of the one that it replaces and no older one.
func (w Writer) update(ctx context.Context, s plan.Step, obj *unstructured.Unstructured) (metav1.Object, error) {
	if !s.KeepReplicas {
		return w.apply(ctx, obj)
	}
	for race := 1; ; race++ {
		kept, err := w.keepReplicas(ctx, s, obj)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errRetention, err)
		}
		done, err := w.apply(ctx, kept)
		if err == nil || !apierrors.IsConflict(err) || kept == obj || race == maxRaces {
			return done, err
		}
	}
}

// adopt takes over an object that is in the place of the one to create, if the step allows it.
func (w Writer) adopt(ctx context.Context, s plan.Step) Result {
	found, err := w.resource(s).Get(ctx, s.Name, metav1.GetOptions{})
	if err != nil {
		return failed("RetrievalFailed", err)
	}
	c := plan.CopyOf(found)
	if reason, message := s.MayAdopt(c); reason != "" {
		return Result{Outcome: plan.Outcome{State: plan.Refused, Reason: reason, Message: message}}
	}
	if c.ControlPlane == "" && c.Managed == "true" {
		if found, err = w.claim(ctx, s); err != nil {
			return failed("UpdateFailed", err)
		}
	}
	obj := s.Object.DeepCopy()
	obj.SetUID(found.UID)
	obj.SetResourceVersion(found.ResourceVersion)
	if c.ControlPlane == "" && c.Managed != "true" || c.Adopted {
		annotations := obj.GetAnnotations()
		annotations[fedv1.AdoptedAnnotation] = "true"
		obj.SetAnnotations(annotations)
	}
	done, err := w.apply(ctx, obj)
	if err != nil {
		return failed("UpdateFailed", err)
	}
	return placed(plan.DidAdopt, done)
}

func placed(did plan.Did, obj metav1.Object) Result {
	return Result{Object: obj, Outcome: plan.Outcome{State: plan.Done, Did: did, Record: plan.RecordOf(plan.CopyOf(obj))}}
}

func failed(reason plan.Reason, err error) Result {
	return Result{Err: err, Outcome: plan.Outcome{State: plan.Failed, Reason: reason, Message: Words(err)}}
}

// Words is what the user reads of an error: the API server's own words where it spoke. It holds nothing that differs each time, as
// addresses, ports and time-outs in a request do: it becomes part of statuses.
func Words(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Message != "" {
		return status.Status().Message
	}
	var operation *net.OpError
	var call *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "the cluster did not answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the cluster refuses connections"
	case errors.As(err, &operation):
		return operation.Op + ": " + operation.Err.Error()
	case errors.As(err, &call):
		return call.Err.Error()
	default:
		return err.Error()
	}
}

func (w Writer) apply(ctx context.Context, obj *unstructured.Unstructured) (metav1.Object, error) {
	body, err := json.Marshal(obj.Object)
	if err != nil {
		return nil, err
	}
	r := w.Resource
	r.Version = obj.GroupVersionKind().Version
	options := metav1.PatchOptions{FieldManager: fedv1.FieldManager, Force: ptr.To(true)}
	if w.Whole {
		return w.clients.Dynamic.Resource(r).Namespace(obj.GetNamespace()).Patch(ctx, obj.GetName(), types.ApplyPatchType, body, options)
	}
	return w.clients.Metadata.Resource(r).Namespace(obj.GetNamespace()).Patch(ctx, obj.GetName(), types.ApplyPatchType, body, options)
}

// keepReplicas names spec.replicas as the member has it: leaving out a field that we own would reset it.
func (w Writer) keepReplicas(ctx context.Context, s plan.Step, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if _, named, _ := unstructured.NestedFieldNoCopy(obj.Object, "spec", "replicas"); named {
		return obj, nil // an override says so
	}
	live, err := w.clients.Dynamic.Resource(w.Resource).Namespace(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	replicas, found, err := unstructured.NestedInt64(live.Object, "spec", "replicas")
	if err != nil || !found {
		return obj, err
	}
	kept := obj.DeepCopy()
	kept.SetResourceVersion(live.GetResourceVersion())
	return kept, unstructured.SetNestedField(kept.Object, replicas, "spec", "replicas")
}

func (w Writer) resource(s plan.Step) metadata.ResourceInterface {
	return w.clients.Metadata.Resource(w.Resource).Namespace(s.Namespace)
}

// withdraw removes the copy if it is, at this moment, the one that was meant: seen in the member, marked as the federated object's,
// wanted gone by the host, unchanged until the delete itself.
func (w Writer) withdraw(ctx context.Context, s plan.Step, confirm Confirm) Result {
	live, err := w.resource(s).Get(ctx, s.Name, metav1.GetOptions{})
	switch {
	case Absent(err, s.Name):
		return Result{Gone: true, Outcome: plan.Outcome{State: plan.Done, Did: plan.DidNothing}}
	case err != nil:
		return failed("DeletionFailed", err)
	}
	c := plan.CopyOf(live)
	switch {
	case !w.ours(s, c):
		// Someone else's object now has the place; ours is gone.
		return Result{Gone: true, Outcome: plan.Outcome{State: plan.Done, Did: plan.DidNothing}}
	case s.Confirm, s.UID != c.UID:
		return Result{Object: live, Err: ErrChanged, Outcome: plan.Outcome{State: plan.Failed, Reason: "DeletionFailed", Message: "the object is still there"}}
	case c.Deleting:
		return Result{Object: live, Outcome: plan.Outcome{State: plan.Done, Did: plan.DidDelete}}
	}
	if err := confirm(ctx); err != nil {
		return failed("DeletionFailed", err)
	}
	if s.Exclusive {
		found, err := w.clients.foreign(ctx, s.Name, s.ControlPlane)
		if err != nil {
			return failed("DeletionFailed", err)
		}
		if found != "" {
			r := w.unmark(ctx, s, live)
			r.Message = "the namespace stays, for it holds what is not the federation's: " + found
			return r
		}
	}
	return w.remove(ctx, s, live)
}

// ours says whether a live object carries the mark that the step was planned for. KubeFed's label alone is a mark without a name.
func (w Writer) ours(s plan.Step, c *plan.Copy) bool {
	if c.Managed == "false" {
		return false
	}
	if c.ControlPlane == "" {
		return c.Managed == "true"
	}
	return c.ControlPlane == s.ControlPlane && (s.Owner == "" || c.Owner == s.Owner)
}

// Absent says whether an error of a request for an object says that there is none of this name. A NotFound may also speak of the type:
// for a path that it does not know, an API server answers with a page, or with a Status that names nothing.
func Absent(err error, name string) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) || apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Name == name
}

func (w Writer) remove(ctx context.Context, s plan.Step, live *metav1.PartialObjectMetadata) Result {
	options := metav1.DeleteOptions{}
	if s.DeleteOptions != nil {
		options = *s.DeleteOptions.DeepCopy()
	}
	options.Preconditions = &metav1.Preconditions{UID: &live.UID, ResourceVersion: &live.ResourceVersion}
	options.APIVersion, options.Kind = "v1", "DeleteOptions"
	body, err := json.Marshal(options)
	if err != nil {
		return failed("DeletionFailed", err)
	}
	answer, err := w.clients.raw.Delete().AbsPath(w.path(s)).SetHeader("Content-Type", "application/json").SetHeader("Accept", "application/json").Body(body).Do(ctx).Raw()
	if Absent(err, s.Name) {
		return Result{Gone: true, Outcome: plan.Outcome{State: plan.Done, Did: plan.DidDelete}}
	}
	if err != nil {
		return failed("DeletionFailed", err)
	}
	// The API server answers with a Status when the object is gone, and with the object while it is terminating.
	var kind metav1.TypeMeta
	gone := json.Unmarshal(answer, &kind) == nil && kind.Kind == "Status"
	return Result{Gone: gone, Outcome: plan.Outcome{State: plan.Done, Did: plan.DidDelete}}
}

func (w Writer) path(s plan.Step) string {
	var b strings.Builder
	if w.Resource.Group == "" {
		b.WriteString("/api/" + w.Resource.Version)
	} else {
		b.WriteString("/apis/" + w.Resource.Group + "/" + w.Resource.Version)
	}
	if s.Namespace != "" {
		b.WriteString("/namespaces/" + s.Namespace)
	}
	b.WriteString("/" + w.Resource.Resource + "/" + s.Name)
	return b.String()
}

// release takes our marks off a copy and leaves it to the member.
func (w Writer) release(ctx context.Context, s plan.Step, confirm Confirm) Result {
	live, err := w.resource(s).Get(ctx, s.Name, metav1.GetOptions{})
	if Absent(err, s.Name) {
		return Result{Gone: true, Outcome: plan.Outcome{State: plan.Done}}
	}
	if err != nil {
		return failed("LabelRemovalFailed", err)
	}
	if c := plan.CopyOf(live); c.UID != s.UID || !w.ours(s, c) {
		return Result{Gone: true, Outcome: plan.Outcome{State: plan.Done}}
	}
	if err := confirm(ctx); err != nil {
		return failed("LabelRemovalFailed", err)
	}
	return w.unmark(ctx, s, live)
}

func (w Writer) unmark(ctx context.Context, s plan.Step, live *metav1.PartialObjectMetadata) Result {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": live.UID, "resourceVersion": live.ResourceVersion,
		"labels":      map[string]any{fedv1.ManagedLabel: nil},
		"annotations": map[string]any{fedv1.OwnerAnnotation: nil, fedv1.AppliedAnnotation: nil, fedv1.AdoptedAnnotation: nil, fedv1.RevisionAnnotation: nil},
	}})
	if err != nil {
		return failed("LabelRemovalFailed", err)
	}
	_, err = w.resource(s).Patch(ctx, s.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: fedv1.FieldManager})
	if err != nil && !Absent(err, s.Name) {
		return failed("LabelRemovalFailed", err)
	}
	return Result{Gone: true, Outcome: plan.Outcome{State: plan.Done, Did: plan.DidRelease}}
}

// Unreachable says whether an error speaks of the member rather than of the object.
func Unreachable(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	code := status.Status().Code
	return code >= http.StatusInternalServerError || code == http.StatusTooManyRequests
}
