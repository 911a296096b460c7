package cli

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/config"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
)

func (f *initFlags) checkMode() error {
	switch config.RequesterCheck(f.requester) {
	case "", config.RequesterDeny, config.RequesterWarn, config.RequesterOff:
		return nil
	default:
		return fail.BadUsage.New("Invalid value for --requester-check: %s", f.requester).Try("use Deny, Warn or Off")
	}
}

// requesterMode is what the requester check is to be: what the user says; else off where somebody has taken its bindings away, a warning
// where types were federated before there was the check, and otherwise a refusal. What bindings do that are there is not changed.
func (f *initFlags) requesterMode(ctx context.Context, host join.Cluster, all []*unstructured.Unstructured, s Streams) (config.RequesterCheck, error) {
	if f.requester != "" {
		return config.RequesterCheck(f.requester), nil
	}
	policies, bindings := 0, 0
	for _, o := range all {
		if !config.IsRequesterCheck(o) {
			continue
		}
		err := host.Client.Get(ctx, client.ObjectKeyFromObject(o), o.DeepCopy())
		switch {
		case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
		case err != nil:
			return "", fail.API(host.At(), "read "+o.GetName(), err)
		case config.IsRequesterBinding(o):
			bindings++
		default:
			policies++
		}
	}
	switch {
	case bindings > 0:
		return config.RequesterDeny, nil
	case policies > 0:
		s.say(0, "WARNING: who writes federated objects is not checked, as the bindings of the policy were removed; check it with: kubefedctl init --requester-check=Deny")
		return config.RequesterOff, nil
	}
	return f.firstMode(ctx, host, s)
}

// firstMode is for a host that has not had the check so far.
func (f *initFlags) firstMode(ctx context.Context, host join.Cluster, s Streams) (config.RequesterCheck, error) {
	var types fedv1.FederatedTypeConfigList
	err := host.Client.List(ctx, &types, client.InNamespace(f.namespace))
	switch {
	case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
	case err != nil:
		return "", fail.API(host.At(), "list FederatedTypeConfigs in "+f.namespace, err)
	case len(types.Items) > 0:
		s.say(0, "WARNING: types are federated here already, so the new check of who writes federated objects only warns; "+
			"refuse with: kubefedctl init --requester-check=Deny")
		return config.RequesterWarn, nil
	}
	return config.RequesterDeny, nil
}
