// Package join answers: how does a cluster become a member, how does its credential stay fresh, and how does it leave? It writes
// the records in the host and in the member that say so, and takes them away again.
package join

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hansa-io/hansa/internal/fail"
)

// Cluster is a cluster as a kubeconfig's context leads to it.
type Cluster struct {
	// Context of the kubeconfig.
	Context string
	// Endpoint as the kubeconfig has it.
	Endpoint string
	// CA is the PEM bundle of the kubeconfig, from the file if it names one; empty means the system's.
	CA []byte
	// Insecure says that the kubeconfig skips the check of the certificate.
	Insecure bool
	// ProxyURL of the kubeconfig.
	ProxyURL string
	// Namespace of the context.
	Namespace string
	// Config reaches the cluster as the kubeconfig's user.
	Config *rest.Config
	Client client.Client
}

// At names the cluster in failures.
func (c Cluster) At() fail.Place { return fail.Place{Context: c.Context, Endpoint: c.Endpoint} }

// ID is what tells a cluster from all others: the UID of its namespace kube-system.
func (c Cluster) ID(ctx context.Context) (string, error) {
	var ns corev1.Namespace
	if err := c.Client.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, &ns); err != nil {
		return "", fail.API(c.At(), "read Namespace "+metav1.NamespaceSystem, err)
	}
	return string(ns.UID), nil
}

// Loopback says whether an endpoint leads to the machine that asks: no other machine, and no pod, reaches the cluster by it.
func Loopback(endpoint string) bool {
	host := endpoint
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		host = u.Hostname()
	} else if h, _, err := net.SplitHostPort(endpoint); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// Say tells the user something; level 0 is always shown, higher ones with -v.
type Say func(level int, format string, args ...any)

// name is how an object is called in messages.
func name(o client.Object) string {
	kind := o.GetObjectKind().GroupVersionKind().Kind
	if kind == "" {
		kind = strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1.")
		kind = strings.TrimPrefix(kind, "*v1beta1.")
	}
	if o.GetNamespace() == "" {
		return kind + " " + o.GetName()
	}
	return kind + " " + o.GetNamespace() + "/" + o.GetName()
}
