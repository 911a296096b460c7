package join

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/fail"
)

// writer makes things be there, in one cluster after the other, and remembers what it made so that it can be undone.
type writer struct {
	dry  dryrun.Mode
	say  Say
	made []made
}

type made struct {
	in     Cluster
	object client.Object
}

// happened says what became of a thing.
type happened string

const (
	created happened = "Created"
	updated happened = "Updated"
	kept    happened = "Kept"
)

// ensure makes a thing be in a cluster as it must be.
func (w *writer) ensure(ctx context.Context, in Cluster, t thing) error {
	if t.doing != "" {
		w.tell(t.doing)
	}
	var what happened
	err := retry.RetryOnConflict(retry.DefaultRetry, func() (err error) {
		what, err = w.write(ctx, in, t)
		return err
	})
	if err != nil {
		return fail.API(in.At(), "write "+name(t.object), err)
	}
	if t.done != "" {
		w.tell(string(what) + " " + t.done)
	}
	return nil
}

// tell shows a line; in a dry run it does so without -v, as there it is all that happens.
func (w *writer) tell(line string) {
	if w.dry != dryrun.None {
		w.say(0, "%s%s", line, w.dry.Suffix())
		return
	}
	w.say(2, "%s", line)
}

func (w *writer) write(ctx context.Context, in Cluster, t thing) (happened, error) {
	c := w.dry.Writer(in.Client)
	err := c.Get(ctx, client.ObjectKeyFromObject(t.object), t.object)
	switch {
	case apierrors.IsNotFound(err):
		return created, w.create(ctx, in, c, t)
	case err != nil:
		return "", err
	case t.stale != nil && t.stale():
		return updated, w.replace(ctx, in, c, t)
	}
	before := t.object.DeepCopyObject()
	t.set()
	if equality.Semantic.DeepEqual(before, t.object) {
		return kept, nil
	}
	return updated, c.Update(ctx, t.object)
}

// replace deletes what cannot be changed and makes it anew.
func (w *writer) replace(ctx context.Context, in Cluster, c client.Client, t thing) error {
	if err := c.Delete(ctx, t.object, precondition(t.object)); err != nil {
		return err
	}
	t.object.SetUID("")
	t.object.SetResourceVersion("")
	return w.create(ctx, in, c, t)
}

func (w *writer) create(ctx context.Context, in Cluster, c client.Client, t thing) error {
	t.set()
	err := c.Create(ctx, t.object)
	switch {
	case err == nil && w.dry == dryrun.None:
		w.made = append(w.made, made{in, t.object})
		return nil
	case w.dry == dryrun.Server && apierrors.IsNotFound(err):
		return nil // its namespace is not there, as nothing is written in a dry run
	default:
		return err
	}
}

func precondition(o client.Object) client.DeleteOption {
	uid := o.GetUID()
	return client.Preconditions{UID: &uid}
}

// undo removes what this run made, last first, and names what it could not remove. It does so even if the run was interrupted.
func (w *writer) undo(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var left []string
	for i := len(w.made) - 1; i >= 0; i-- {
		m := w.made[i]
		err := m.in.Client.Delete(ctx, m.object, precondition(m.object))
		if client.IgnoreNotFound(err) != nil {
			left = append(left, fmt.Sprintf("%s in %s", name(m.object), m.in.At()))
		}
	}
	return left
}

// failed is the failure of a run, after what it made has been removed again.
func (w *writer) failed(ctx context.Context, err error, again string) error {
	left := w.undo(ctx)
	if len(left) == 0 {
		return err
	}
	var known *fail.Error
	if !errors.As(err, &known) {
		known = fail.RequestFailed.New("the join failed").Because(err)
	}
	out := fail.HalfJoined.New("%s", known.What).Because(known.Cause)
	return out.Try("left behind: %s\nrun the same command again to complete the join, or %s to remove it", strings.Join(left, ", "), again)
}
