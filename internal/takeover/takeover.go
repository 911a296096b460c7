// Package takeover answers: how does a federation of KubeFed become Hansa's where it stands, and how does it go back? Check reads and
// tells; Apply and Back take their steps in an order in which each may be interrupted: run again, they go on where they were.
package takeover

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
)

// Names of what a take-over leaves on the host.
const (
	// BackupName is the ConfigMap that holds what Back needs: webhook configurations, and which copies there were.
	BackupName = "hansa-takeover"
	// ReplicasAnnotation on a Deployment of KubeFed's is how many replicas it had.
	ReplicasAnnotation = "kubefed.io/replicas-before-takeover"
)

// Federation is what is taken over: a host and the control plane's namespace in it.
type Federation struct {
	client    client.Client // writes as far as a dry run lets it
	dynamic   dynamic.Interface
	host      join.Cluster
	namespace string
	dryRun    dryrun.Mode
	// tell says what was done, or is waited for.
	tell func(format string, args ...any)
	// patience is how long to wait for somebody else.
	patience time.Duration
}

// Options of a take-over.
type Options struct {
	Host      join.Cluster
	Namespace string
	DryRun    dryrun.Mode
	// Tell is called with a line for each thing that was done, or is waited for.
	Tell func(format string, args ...any)
	// Patience is how long to wait for what somebody else must do, as starting or stopping a manager.
	Patience time.Duration
}

// New returns a federation to take over.
func New(o Options) (*Federation, error) {
	d, err := dynamic.NewForConfig(o.Host.Config)
	if err != nil {
		return nil, fmt.Errorf("connect to the host: %w", err)
	}
	return &Federation{
		client: o.DryRun.Writer(o.Host.Client), dynamic: d, host: o.Host, namespace: o.Namespace,
		dryRun: o.DryRun, tell: o.Tell, patience: o.Patience,
	}, nil
}

// done tells that something was done.
func (f *Federation) done(format string, args ...any) {
	f.tell(format+"%s", append(args, f.dryRun.Suffix())...)
}

func (f *Federation) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: f.namespace, Name: name}
}

// api is a failure of a request to the host.
func (f *Federation) api(act string, err error) error { return fail.API(f.host.At(), act, err) }

// until looks again and again until there is nothing left to wait for. What is waited for is told each time that it changes.
func (f *Federation) until(ctx context.Context, timeout fail.Code, look func(context.Context) (waiting string, err error)) error {
	deadline := time.Now().Add(f.patience)
	last := ""
	for {
		waiting, err := look(ctx)
		if waiting == "" || err != nil {
			return err
		}
		if waiting != last {
			f.tell("waiting: %s", waiting)
			last = waiting
		}
		if time.Now().After(deadline) {
			return timeout.New("gave up waiting: %s", waiting).Try("run the command again: it goes on where it was")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted, while waiting: %s", waiting)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// some is a list of at most so many words, with how many more there are.
func some(words []string, most int) string {
	if more := len(words) - most; more > 0 {
		return strings.Join(words[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(words, ", ")
}
