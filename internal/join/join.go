package join

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/fail"
)

// Credential says what kind of token the host gets.
type Credential string

// The kinds of credential.
const (
	// CredentialBound is a token that ends after a while, is renewed by the manager, and dies with a secret in the member.
	CredentialBound Credential = "bound"
	// CredentialEternal is the token of that secret itself, as KubeFed stored it.
	CredentialEternal Credential = "eternal"
)

// MinTokenLifetime is the least that Kubernetes grants.
const MinTokenLifetime = 10 * time.Minute

// Options of a join and an unjoin.
type Options struct {
	// Name of the member in the federation; HostName is what the host is called in the member.
	Name, HostName string
	// Namespace of the control plane, in the host and in the member.
	Namespace string
	// SecretName of the credential in the host; empty means that it is generated, or reused.
	SecretName string
	// RefuseExisting fails if the member has joined already.
	RefuseExisting bool
	Access         Access
	Credential     Credential
	TokenLifetime  time.Duration
	// Endpoint by which the manager reaches the member; empty means that of the kubeconfig.
	Endpoint string
	DryRun   dryrun.Mode
	// Force lets an unjoin go on without the member.
	Force bool
}

// endpoint by which the manager will reach the member.
func (o Options) endpoint(member Cluster) string {
	if o.Endpoint != "" {
		return o.Endpoint
	}
	return member.Endpoint
}

// Join makes the member part of the host's federation. If it fails, what it made is removed again; if it was killed, the same join
// run again completes it.
func Join(ctx context.Context, host, member Cluster, o Options, say Say) error {
	say(2, "Performing preflight checks.")
	k, err := preflight(ctx, host, member, o)
	if err != nil {
		return err
	}
	warn(host, member, o, say)
	w := &writer{dry: o.DryRun, say: say}
	if err := join(ctx, w, host, member, o, k); err != nil {
		return w.failed(ctx, err, "kubefedctl unjoin "+o.Name+" --cluster-context "+member.Context)
	}
	return nil
}

func join(ctx context.Context, w *writer, host, member Cluster, o Options, k known) error {
	n := namesOf(o.Name, o.HostName, o.Namespace)
	account := accountThing(o, n, k.hostID)
	bound, secret := boundSecretThing(o, n, account.object.GetUID)
	things := append([]thing{namespaceThing(o.Namespace), account, bound}, roleThings(o, n, k)...)
	for _, t := range things {
		if err := w.ensure(ctx, member, t); err != nil {
			return err
		}
	}
	var token grant
	if o.DryRun == dryrun.None {
		var err error
		if token, err = obtain(ctx, member, o, secret, k.memberID); err != nil {
			return err
		}
	}
	stored := credentialThing(o, n, k, token, o.endpoint(member))
	if err := w.ensure(ctx, host, stored); err != nil {
		return err
	}
	return w.ensure(ctx, host, memberThing(o, member, k, token, stored.object.GetName()))
}

// warn tells what works but should not stay.
func warn(host, member Cluster, o Options, say Say) {
	if member.Insecure {
		say(0, "WARNING: the kubeconfig skips the TLS verification of %s, and so will the control plane (disabledTLSValidations: [\"*\"]):\n"+
			"  whoever stands between the clusters can read the credential and act with it.\n"+
			"  Give the context a certificate-authority and join again with --error-on-existing=false.", member.At())
	}
	if Loopback(o.endpoint(member)) && !Loopback(host.Endpoint) {
		say(0, "WARNING: the address %s leads to this machine only; a control plane elsewhere cannot reach the cluster by it.\n"+
			"  Join again with --server-override https://<address that the host cluster can reach> --error-on-existing=false.", o.endpoint(member))
	}
}

// credentialThing is the host's secret with the member's credential.
func credentialThing(o Options, n names, k known, token grant, endpoint string) thing {
	s := &corev1.Secret{}
	s.Namespace = o.Namespace
	s.Name = k.secretName
	return thing{
		object: s,
		set: func() {
			if s.Type == "" {
				s.Type = corev1.SecretTypeOpaque
			}
			s.Data = map[string][]byte{corev1.ServiceAccountTokenKey: []byte(token.token)}
			token.annotate(s, o.Namespace+"/"+n.account, n.account, k.memberID, endpoint)
		},
		doing: "Creating cluster credentials secret in host cluster",
		done:  "secret in host cluster named: " + k.secretName,
	}
}

// memberThing is the host's record of the member.
func memberThing(o Options, member Cluster, k known, token grant, secretName string) thing {
	c := &fedv1.KubeFedCluster{}
	c.Namespace = o.Namespace
	c.Name = o.Name
	return thing{
		object: c,
		set: func() {
			if c.Annotations == nil {
				c.Annotations = map[string]string{}
			}
			c.Annotations[fedv1.CredentialClusterIDAnnotation] = k.memberID
			c.Spec.APIEndpoint = o.endpoint(member)
			c.Spec.CABundle = token.ca
			c.Spec.ProxyURL = member.ProxyURL
			c.Spec.SecretRef.Name = secretName
			c.Spec.DisabledTLSValidations = nil
			if member.Insecure {
				c.Spec.DisabledTLSValidations = []fedv1.TLSValidation{fedv1.TLSAll}
			}
		},
		done: "federated cluster resource",
	}
}

// readClusters lists the host's members.
func readClusters(ctx context.Context, host Cluster, namespace string) ([]fedv1.KubeFedCluster, error) {
	var list fedv1.KubeFedClusterList
	if err := host.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fail.API(host.At(), fmt.Sprintf("list KubeFedClusters in %s", namespace), err)
	}
	return list.Items, nil
}
