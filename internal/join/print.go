package join

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hansa-io/hansa/internal/fail"
)

// Part is one side of a join.
type Part string

// The sides.
const (
	// HostPart is the credential and the KubeFedCluster.
	HostPart Part = "host"
	// MemberPart is the namespace, the service account with its secret, and its rights.
	MemberPart Part = "member"
)

// Objects are what a join would write on one side, for those who write it in another way. Nothing is written. The host's side needs the
// member's to be there: the credential is got from it.
func Objects(ctx context.Context, host, member Cluster, o Options, part Part) ([]client.Object, error) {
	o.RefuseExisting = false
	if o.SecretName == "" {
		o.SecretName = o.Name + "-credential" // the same each time it is printed
	}
	k, err := preflight(ctx, host, member, o)
	if err != nil {
		return nil, err
	}
	n := namesOf(o.Name, o.HostName, o.Namespace)
	account := accountThing(o, n, k.hostID)
	bound, secret := boundSecretThing(o, n, account.object.GetUID)
	things := append([]thing{namespaceThing(o.Namespace), account, bound}, roleThings(o, n, k)...)
	if part == HostPart {
		if things, err = hostThings(ctx, member, o, n, k, secret); err != nil {
			return nil, err
		}
	}
	out := make([]client.Object, len(things))
	for i, t := range things {
		t.set()
		out[i] = t.object
	}
	return out, nil
}

func hostThings(ctx context.Context, member Cluster, o Options, n names, k known, secret *corev1.Secret) ([]thing, error) {
	key := client.ObjectKeyFromObject(secret)
	err := member.Client.Get(ctx, key, secret)
	if apierrors.IsNotFound(err) {
		return nil, fail.NoCredential.New("there is no Secret %s in %s to get a credential from", key, member.At()).
			Try("apply the member's part first: kubefedctl join %s --cluster-context %s -o yaml --role=member", o.Name, member.Context)
	}
	if err != nil {
		return nil, fail.API(member.At(), "read Secret "+key.String(), err)
	}
	token, err := obtain(ctx, member, o, secret, k.memberID)
	if err != nil {
		return nil, err
	}
	stored := credentialThing(o, n, k, token, o.endpoint(member))
	return []thing{stored, memberThing(o, member, k, token, k.secretName)}, nil
}
