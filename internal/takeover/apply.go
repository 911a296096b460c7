package takeover

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/config"
	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/install"
	"github.com/hansa-io/hansa/internal/plan"
)

// Apply takes a federation of KubeFed over: it stops KubeFed, brings the host up to date, waits until Hansa leads and has marked every
// copy, makes sure that none was made anew, and removes what only KubeFed needs.
func (f *Federation) Apply(ctx context.Context) error {
	s, err := f.look(ctx)
	if err != nil {
		return err
	}
	if err := f.read(ctx, s); err != nil {
		return err
	}
	if err := f.mayBegin(ctx, s); err != nil {
		return err
	}
	for _, step := range []func(context.Context, *survey) error{
		f.remember, f.stopKubeFed, f.removeWebhooks, f.install, f.awaitHansa, f.verify, f.finish,
	} {
		if err := step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// mayBegin refuses while anything stands in the way.
func (f *Federation) mayBegin(ctx context.Context, s *survey) error {
	for _, about := range []func(context.Context, *survey) (Finding, error){f.aboutManager, f.aboutTypes, f.aboutClusters} {
		finding, err := about(ctx, s)
		if err != nil {
			return err
		}
		if finding.Level == Blocker {
			return fail.TakeoverBlocked.New("%s: %s: %s", finding.Area, finding.Text, some(finding.Details, 3)).
				Try("kubefedctl takeover check --host-cluster-context %s", f.host.Context)
		}
	}
	return nil
}

// stopKubeFed scales KubeFed's Deployments to nothing and waits until its lock has run out.
func (f *Federation) stopKubeFed(ctx context.Context, _ *survey) error {
	if err := f.stop(ctx, isKubeFed); err != nil || f.dryRun != dryrun.None {
		return err
	}
	return f.until(ctx, fail.TakeoverStuck, func(ctx context.Context) (string, error) {
		all, err := f.deployments(ctx, isKubeFed)
		if err != nil {
			return "", err
		}
		for _, d := range all {
			if d.Status.Replicas > 0 || d.Status.ObservedGeneration < d.Generation {
				return "the Pods of Deployment " + d.Name + " end", nil
			}
		}
		lock, err := f.kubeFedRuns(ctx)
		if lock.holds() {
			return fmt.Sprintf("the lock of %s runs out", lock.who), err
		}
		return "", err
	})
}

// stop scales Deployments to nothing, and notes how many replicas they had.
func (f *Federation) stop(ctx context.Context, which func(corev1.Container) bool) error {
	all, err := f.deployments(ctx, which)
	if err != nil {
		return err
	}
	for i := range all {
		if n := replicas(all[i]); n > 0 {
			if err := f.scale(ctx, &all[i], 0, strconv.Itoa(int(n))); err != nil {
				return err
			}
			f.done("scaled Deployment %s from %d to 0", all[i].Name, n)
		}
	}
	return nil
}

// scale sets the replicas of a Deployment and the note of how many there were; an empty note is taken off.
func (f *Federation) scale(ctx context.Context, d *appsv1.Deployment, to int32, note string) error {
	before := d.DeepCopy()
	d.Spec.Replicas = ptr.To(to)
	if note == "" {
		delete(d.Annotations, ReplicasAnnotation)
	} else {
		if d.Annotations == nil {
			d.Annotations = map[string]string{}
		}
		d.Annotations[ReplicasAnnotation] = note
	}
	err := f.client.Patch(ctx, d, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	return f.api("scale Deployment "+d.Name, err)
}

// removeWebhooks takes KubeFed's admission away, which would refuse what Hansa writes, and everything once its Pods are gone.
func (f *Federation) removeWebhooks(ctx context.Context, _ *survey) error {
	all, err := f.webhooks(ctx)
	if err != nil || len(all) == 0 {
		return err
	}
	if err := f.keepWebhooks(ctx, all); err != nil {
		return err
	}
	for _, o := range all {
		if err := f.client.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
			return f.api("delete "+o.GetKind()+" "+o.GetName(), err)
		}
		f.done("removed %s %s, kept in ConfigMap %s", o.GetKind(), o.GetName(), BackupName)
	}
	return nil
}

// install brings definitions, roles and policies up to date; settings and types stay.
func (f *Federation) install(ctx context.Context, s *survey) error {
	objects, err := config.Objects(f.namespace, s.config.Spec.Scope)
	if err != nil {
		return err
	}
	all, err := f.definitions(ctx, s.types, s.config.Spec.Scope)
	if err != nil {
		return err
	}
	first := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "CustomResourceDefinition" })
	for _, d := range all {
		if slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetName() == d.want.Name }) {
			continue
		}
		o, err := d.object()
		if err != nil {
			return fmt.Errorf("write the definition %s: %w", d.want.Name, err)
		}
		objects = slices.Insert(objects, first, o)
	}
	objects = slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() == "FederatedTypeConfig" && !f.enabled(s, o) // what the user has disabled stays disabled
	})
	changed := 0
	i := install.Installer{Client: f.host.Client, At: f.host.At(), DryRun: f.dryRun, Told: func(o *unstructured.Unstructured, r install.Result) {
		if r == install.Created || r == install.Configured {
			changed++
			f.done("%s %s", install.Name(o), r)
		}
	}}
	// Who has written federated objects until now may lack rights on their targets: new policies only say so.
	if err := i.Install(ctx, config.WithRequesterCheck(objects, config.RequesterWarn)); err != nil {
		return err
	}
	if changed == 0 {
		f.done("definitions and roles are up to date")
	}
	return nil
}

func (f *Federation) enabled(s *survey, o *unstructured.Unstructured) bool {
	return slices.ContainsFunc(s.types, func(t fedv1.FederatedTypeConfig) bool { return t.Name == o.GetName() })
}

// awaitHansa waits until a manager of Hansa's leads.
func (f *Federation) awaitHansa(ctx context.Context, _ *survey) error {
	if f.dryRun != dryrun.None {
		return nil
	}
	return f.until(ctx, fail.TakeoverStuck, func(ctx context.Context) (string, error) {
		l, err := f.lease(ctx)
		if err != nil || l.holds() {
			return "", err
		}
		return fmt.Sprintf("Hansa leads; start it: hansa manager --context %s --kubefed-namespace %s, or install its chart", f.host.Context, f.namespace), nil
	})
}

// verify waits until every copy carries Hansa's marks and is on record, and makes sure that it is the one that was there.
func (f *Federation) verify(ctx context.Context, _ *survey) error {
	if f.dryRun != dryrun.None {
		return nil
	}
	copies := 0
	err := f.until(ctx, fail.TakeoverStuck, func(ctx context.Context) (string, error) {
		s, err := f.look(ctx)
		if err != nil {
			return "", err
		}
		if err := f.read(ctx, s); err != nil {
			return "", err
		}
		remade, err := f.remade(ctx, s)
		if err != nil {
			return "", err
		}
		if len(remade) > 0 {
			return "", fail.NotTheSame.New("copies are not the ones that were taken over: %s", some(remade, 5)).
				Try("PropagatedVersions are kept; see the events of these objects: kubectl describe")
		}
		var open []string
		open, copies = s.unsettled()
		return some(open, 3), nil
	})
	if err == nil {
		f.tell("all %d copies are marked, and none was made anew", copies)
	}
	return err
}

// unsettled lists the copies that are not as they should be, with why, and counts all.
func (s *survey) unsettled() (open []string, copies int) {
	open = append(open, s.untold...)
	for _, o := range s.objects {
		for _, step := range o.plan.Steps {
			if step.Verdict != plan.Place && (step.Verdict != plan.Hold || !step.Selected) {
				continue
			}
			copies++
			if step.Needed || step.Verdict == plan.Hold {
				open = append(open, fmt.Sprintf("%s in %s (%s)", o.Key, step.Member, step.Reason))
			}
		}
	}
	return open, copies
}

// finish removes KubeFed's records.
func (f *Federation) finish(ctx context.Context, s *survey) error {
	if f.dryRun == dryrun.None {
		var err error
		if s, err = f.look(ctx); err != nil { // the gate may have been moved meanwhile
			return err
		}
	}
	return f.removeRecords(ctx, s)
}
