package takeover

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// tries is how many dry runs are under way at the same time.
const tries = 16

// aboutObjects lets the members try, and keep nothing, what the manager would apply, and says what would change beside our marks.
func (f *Federation) aboutObjects(ctx context.Context, s *survey) (Finding, error) {
	out := Finding{Area: "copies", Level: Fine}
	var mu sync.Mutex
	var all sync.WaitGroup
	place := make(chan struct{}, tries)
	copies, same, created := 0, 0, 0
	for _, o := range s.objects {
		for _, step := range o.plan.Steps {
			if step.Verdict != plan.Place {
				continue
			}
			if step.Needed && step.UID == "" {
				created++
				out.Details = append(out.Details, fmt.Sprintf("%s is not in %s, and will be created", o.Key, step.Member))
				continue
			}
			copies++
			if !step.Needed {
				same++
				continue
			}
			place <- struct{}{}
			all.Go(func() {
				defer func() { <-place }()
				change := s.try(ctx, o, step)
				mu.Lock()
				defer mu.Unlock()
				if change == "" {
					same++
				} else {
					out.Details = append(out.Details, change)
				}
			})
		}
	}
	all.Wait()
	slices.Sort(out.Details)
	out.Text = fmt.Sprintf("%d of %d copies of %d objects are as they should be; nothing but marks will change in them", same, copies, len(s.objects))
	if len(out.Details) > 0 {
		out.Level = Note
	}
	return out, nil
}

// try has a member apply one object without keeping it, and says what would change; "" if nothing but our marks.
func (s *survey) try(ctx context.Context, o object, step plan.Step) string {
	m := s.member(step.Member)
	before := m.copy(o.typ, o.Key)
	body, err := json.Marshal(step.Object)
	if err != nil {
		return fmt.Sprintf("%s in %s: %v", o.Key, step.Member, err)
	}
	resource := o.typ.Target.GroupVersionResource
	resource.Version = step.Object.GroupVersionKind().Version
	after, err := m.clients.Dynamic.Resource(resource).Namespace(step.Namespace).Patch(ctx, step.Name, types.ApplyPatchType, body,
		metav1.PatchOptions{FieldManager: fedv1.FieldManager, Force: ptr.To(true), DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return fmt.Sprintf("%s in %s would be refused: %s", o.Key, step.Member, apply.Words(err))
	}
	if paths := differences("", bare(before), bare(after)); len(paths) > 0 {
		return fmt.Sprintf("%s in %s would change: %s", o.Key, step.Member, some(paths, 5))
	}
	return ""
}

// bare is an object without our marks, and without what each write moves.
func bare(o *unstructured.Unstructured) map[string]any {
	o = o.DeepCopy()
	metadata, _, _ := unstructured.NestedMap(o.Object, "metadata")
	for _, field := range []string{"managedFields", "resourceVersion", "generation"} {
		delete(metadata, field)
	}
	for field, marks := range map[string][]string{
		"labels":      {fedv1.ManagedLabel},
		"annotations": {fedv1.OwnerAnnotation, fedv1.AppliedAnnotation, fedv1.RevisionAnnotation, fedv1.AdoptedAnnotation},
	} {
		values, _ := metadata[field].(map[string]any)
		for _, mark := range marks {
			delete(values, mark)
		}
		if len(values) == 0 {
			delete(metadata, field)
		}
	}
	o.Object["metadata"] = metadata
	delete(o.Object, "apiVersion") // the template may name another version of the same object
	return o.Object
}

// differences are the paths at which two values differ.
func differences(at string, a, b any) []string {
	x, both := a.(map[string]any)
	y, alike := b.(map[string]any)
	if !both || !alike {
		if reflect.DeepEqual(a, b) {
			return nil
		}
		return []string{strings.TrimPrefix(at, ".")}
	}
	keys := map[string]bool{}
	for k := range x {
		keys[k] = true
	}
	for k := range y {
		keys[k] = true
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		out = append(out, differences(at+"."+k, x[k], y[k])...)
	}
	return out
}

// aboutPlacement tells of objects that Hansa will not treat as KubeFed did.
func (f *Federation) aboutPlacement(_ context.Context, s *survey) (Finding, error) {
	out := Finding{Area: "objects", Level: Fine, Text: fmt.Sprintf("%d will be treated as KubeFed treats them", len(s.objects))}
	differ := 0
	for _, o := range s.objects {
		details := o.peculiar()
		if len(details) > 0 {
			differ++
		}
		out.Details = append(out.Details, details...)
	}
	if differ > 0 {
		out.Level, out.Text = Note, fmt.Sprintf("%d of %d are treated otherwise than by KubeFed, or need a look", differ, len(s.objects))
	}
	return out, nil
}

// peculiar are the things that a user of KubeFed may wonder about in what Hansa plans for an object.
func (o object) peculiar() []string {
	var out []string
	for _, p := range o.world.Intent.Problems {
		out = append(out, fmt.Sprintf("%s: %s; its copies stay as they are", o.Key, p))
	}
	if d := o.world.Intent.Dropped; len(d) > 0 {
		out = append(out, fmt.Sprintf("%s: spec.template.metadata.%s does not reach the members, as in KubeFed", o.Key, strings.Join(d, ", ")))
	}
	if o.plan.Reason == plan.NamespaceNotFederated {
		out = append(out, fmt.Sprintf("%s: its namespace is not federated; KubeFed would remove its copies, Hansa leaves them", o.Key))
	}
	if o.plan.Silent && o.plan.Reason != "" {
		out = append(out, fmt.Sprintf("%s: %s", o.Key, o.plan.Message))
	}
	for _, s := range o.plan.Steps {
		switch {
		case s.Verdict == plan.Withdraw && s.Needed, s.Verdict == plan.Release && s.Needed:
			out = append(out, fmt.Sprintf("%s: %s from %s (%s)", o.Key, strings.ToLower(string(s.Verdict)), s.Member, s.Reason))
		case s.Verdict == plan.Hold && len(o.world.Intent.Problems) == 0 && s.Reason != plan.ClusterNotReady && s.Reason != plan.NamespaceNotFederated:
			out = append(out, strings.TrimSuffix(fmt.Sprintf("%s: nothing is done in %s (%s): %s", o.Key, s.Member, s.Reason, s.Message), ": "))
		}
	}
	return out
}

// aboutLeftovers tells of copies without a federated object. KubeFed takes its label off them; Hansa does not touch what is not its own.
func (f *Federation) aboutLeftovers(_ context.Context, s *survey) (Finding, error) {
	out := Finding{Area: "leftovers", Level: Fine, Text: "every copy has its federated object"}
	owned := map[intent.Key]bool{}
	for _, o := range s.objects {
		owned[o.Key] = true
	}
	for i := range s.types {
		t := intent.TypeOf(&s.types[i])
		for _, m := range s.members {
			for at := range m.copies[t.Name] {
				if key := t.KeyOf(at.Namespace, at.Name); !owned[key] {
					out.Details = append(out.Details, fmt.Sprintf("%s in %s", key, m.cluster.Name))
				}
			}
		}
	}
	slices.Sort(out.Details)
	if n := len(out.Details); n > 0 {
		out.Level, out.Text = Note, fmt.Sprintf("%d objects carry KubeFed's label and have no federated object; they stay as they are", n)
	}
	return out, nil
}
