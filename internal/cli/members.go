package cli

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
	"github.com/hansa-io/hansa/internal/version"
)

// warnMissing tells which members lack a type, or did not say: it cannot be propagated there. That is no reason to fail.
func (f *enableFlags) warnMissing(ctx context.Context, host join.Cluster, p enable.Pair, s Streams) error {
	var members fedv1.KubeFedClusterList
	if err := host.Client.List(ctx, &members, client.InNamespace(f.namespace)); err != nil {
		return fail.API(host.At(), "list KubeFedClusters in "+f.namespace, err)
	}
	var missing, silent []string
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, m := range members.Items {
		all.Go(func() {
			serves, err := serves(ctx, host, m, p.Config.Spec.TargetType)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				silent = append(silent, m.Name)
			case !serves:
				missing = append(missing, m.Name)
			}
		})
	}
	all.Wait()
	slices.Sort(missing)
	slices.Sort(silent)
	if len(missing) > 0 {
		s.say(0, "WARNING: these members do not have %s, so nothing of it can be propagated there: %s", p.Config.Name, list(missing))
	}
	if len(silent) > 0 {
		s.say(0, "WARNING: cannot tell whether these members have %s: %s", p.Config.Name, list(silent))
	}
	return nil
}

// serves says whether a member has a type, asking it as the manager does.
func serves(ctx context.Context, host join.Cluster, member fedv1.KubeFedCluster, target fedv1.APIResource) (bool, error) {
	var secret corev1.Secret
	if err := host.Client.Get(ctx, client.ObjectKey{Namespace: member.Namespace, Name: member.Spec.SecretRef.Name}, &secret); err != nil {
		return false, err
	}
	config, err := cluster.Connect(&member, &secret, cluster.ConnectOptions{UserAgent: "hansa/" + version.Current().Version})
	if err != nil {
		return false, err
	}
	config.Timeout = 3 * time.Second
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return false, fmt.Errorf("connect to %s: %w", member.Name, err)
	}
	l, err := d.ServerResourcesForGroupVersion(schema.GroupVersion{Group: target.Group, Version: target.Version}.String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, r := range l.APIResources {
		if r.Name == target.PluralName {
			return true, nil
		}
	}
	return false, nil
}
