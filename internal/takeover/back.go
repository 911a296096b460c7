package takeover

import (
	"context"
	"fmt"
	"strconv"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/fail"
)

// Back returns a federation to KubeFed: it has Hansa write KubeFed's records, so that KubeFed finds nothing to rewrite, waits until
// Hansa has stopped, and puts back what Apply took away.
func (f *Federation) Back(ctx context.Context) error {
	cm, err := f.backup(ctx)
	if err != nil {
		return err
	}
	if cm.UID == "" {
		return fail.NoTakeover.New("there is no ConfigMap %s/%s: this federation was not taken over, or has gone back already", f.namespace, BackupName).
			Try("kubefedctl takeover check --host-cluster-context %s", f.host.Context)
	}
	for _, step := range []func(context.Context) error{
		f.awaitRecords, f.stopHansa,
		func(ctx context.Context) error { return f.switchRecords(ctx, false) },
		f.removePolicies, func(ctx context.Context) error { return f.restoreWebhooks(ctx, cm) }, f.startKubeFed,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := f.client.Delete(ctx, cm); client.IgnoreNotFound(err) != nil {
		return f.api("delete ConfigMap "+BackupName, err)
	}
	f.done("the federation is KubeFed's again")
	return nil
}

// awaitRecords waits until KubeFed's rule finds nothing to rewrite. Only a manager of Hansa's that leads can make it so.
func (f *Federation) awaitRecords(ctx context.Context) error {
	look := func(ctx context.Context) (string, error) {
		s, err := f.look(ctx)
		if err != nil {
			return "", err
		}
		if err := f.read(ctx, s); err != nil {
			return "", err
		}
		left, err := f.rewritten(ctx, s)
		return some(left, 3), err
	}
	open, err := look(ctx)
	if err != nil {
		return err
	}
	if open != "" {
		l, err := f.lease(ctx)
		if err != nil {
			return err
		}
		if !l.holds() {
			return fail.TakeoverBlocked.New("KubeFed would rewrite copies, and Hansa does not run to write its records: %s", open).
				Try("start Hansa and run the command again")
		}
		if err := f.switchRecords(ctx, true); err != nil || f.dryRun != dryrun.None {
			return err
		}
		if err := f.until(ctx, fail.TakeoverStuck, look); err != nil {
			return err
		}
	}
	f.tell("KubeFed will find every copy as it is on record")
	return nil
}

// stopHansa scales Hansa's Deployments to nothing, or asks for a process to be stopped, and waits until nobody leads.
func (f *Federation) stopHansa(ctx context.Context) error {
	if err := f.stop(ctx, isHansa); err != nil || f.dryRun != dryrun.None {
		return err
	}
	return f.until(ctx, fail.TakeoverStuck, func(ctx context.Context) (string, error) {
		l, err := f.lease(ctx)
		if err != nil || !l.holds() {
			return "", err
		}
		return "Hansa stops leading; stop the manager " + l.who, nil
	})
}

// removePolicies takes off what sets the finalizer of new federated objects: KubeFed sets it itself.
func (f *Federation) removePolicies(ctx context.Context) error {
	for _, kind := range []string{"MutatingAdmissionPolicyBinding", "MutatingAdmissionPolicy"} {
		o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "kubefed-finalizer"}}
		o.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind(kind))
		err := f.client.Delete(ctx, o)
		switch {
		case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		case err != nil:
			return f.api("delete "+kind+" "+o.Name, err)
		default:
			f.done("removed %s %s", kind, o.Name)
		}
	}
	return nil
}

func (f *Federation) restoreWebhooks(ctx context.Context, cm *corev1.ConfigMap) error {
	all, err := keptWebhooks(cm)
	if err != nil {
		return err
	}
	for _, o := range all {
		err := f.client.Create(ctx, o)
		if apierrors.IsAlreadyExists(err) {
			continue
		}
		if err != nil {
			return f.api("create "+o.GetKind()+" "+o.GetName(), err)
		}
		f.done("restored %s %s", o.GetKind(), o.GetName())
	}
	return nil
}

// startKubeFed scales KubeFed's Deployments to what they were.
func (f *Federation) startKubeFed(ctx context.Context) error {
	all, err := f.deployments(ctx, isKubeFed)
	if err != nil {
		return err
	}
	for i := range all {
		note := all[i].Annotations[ReplicasAnnotation]
		if note == "" {
			continue
		}
		n, err := strconv.ParseInt(note, 10, 32)
		if err != nil {
			return fmt.Errorf("read the annotation %s of Deployment %s: %w", ReplicasAnnotation, all[i].Name, err)
		}
		if err := f.scale(ctx, &all[i], int32(n), ""); err != nil {
			return err
		}
		f.done("scaled Deployment %s to %d", all[i].Name, n)
	}
	return nil
}
