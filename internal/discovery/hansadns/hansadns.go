// Package hansadns answers: what does a member get that is to have a DNS server of ours, and what does its own server have to be told? It is
// pure: objects and texts.
package hansadns

import (
	_ "embed"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hansa-io/hansa/internal/convert"
)

// Name of the Deployment, its Service and all that belongs to them.
const Name = "hansa-dns"

//go:embed manifests.yaml
var manifests string

// Objects are what runs the server in a namespace: the namespace first, which may be there already.
func Objects(namespace, image string) ([]*unstructured.Unstructured, error) {
	objects, err := convert.Decode([]byte(strings.NewReplacer("NAMESPACE", namespace, "IMAGE", image).Replace(manifests)))
	if err != nil {
		return nil, fmt.Errorf("decode the manifests of %s: %w", Name, err)
	}
	return objects, nil
}

// Stub is what a Corefile has to say so that CoreDNS asks the server for a zone.
func Stub(zone, address string) string {
	return fmt.Sprintf("%s:53 {\n    errors\n    cache 30\n    forward . %s\n}\n", zone, address)
}
