package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// dnsPort is where a cluster's DNS server listens, on its first node.
const dnsPort = 53

// corefile is what CoreDNS says in clusters that kubeadm has made, with the names of services that span clusters. There is nobody to ask for others.
const corefile = `.:53 {
    bind %s
    errors
    kubernetes cluster.local clusterset.local in-addr.arpa ip6.arpa {
        kubeconfig %q
        pods insecure
        multicluster clusterset.local
    }
    loadbalance
}
`

// dnsProgram is the DNS server beside this program.
func dnsProgram() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	program := filepath.Join(filepath.Dir(self), "hansa-dns")
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("--dns: run `make dns-build`: %w", err)
	}
	return program, nil
}

// createDNS makes the Service by which Pods reach the DNS server, as clusters have it.
func createDNS(ctx context.Context, client kubernetes.Interface, c cluster) error {
	name := metav1.ObjectMeta{Name: "kube-dns", Namespace: metav1.NamespaceSystem}
	service := &corev1.Service{ObjectMeta: name, Spec: corev1.ServiceSpec{ClusterIP: c.dnsIP()}}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: name, AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{c.nodeIP(0)}}},
	}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: name.Name, discoveryv1.LabelManagedBy: "hansa-lab"}
	for port, protocol := range map[string]corev1.Protocol{"dns": corev1.ProtocolUDP, "dns-tcp": corev1.ProtocolTCP} {
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: port, Port: dnsPort, Protocol: protocol})
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: new(port), Port: new(int32(dnsPort)), Protocol: new(protocol)})
	}
	_, err := client.CoreV1().Services(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) { // to create it twice is a conflict of addresses, not of names
		_, err = client.CoreV1().Services(name.Namespace).Create(ctx, service, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("create the Service of the DNS server: %w", err)
	}
	_, err = client.DiscoveryV1().EndpointSlices(name.Namespace).Create(ctx, slice, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create the EndpointSlice of the DNS server: %w", err)
	}
	return nil
}
