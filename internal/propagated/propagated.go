// Package propagated answers: what would KubeFed have on record of a federated object, and would it write to a member? It is pure. KubeFed
// keeps a PropagatedVersion, or ClusterPropagatedVersion, beside each federated object; other programs read them, and a KubeFed that comes
// back rewrites every copy that its record does not know.
package propagated

import (
	"bytes"
	"crypto/md5" // KubeFed's hash; nothing rests on its strength
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	corev1alpha1 "github.com/hansa-io/hansa/api/core/v1alpha1"
)

// NoOverrides is the hash of an object without overrides.
const NoOverrides = "2979b7538b527abe06492021841caf47"

// Hashes are those of a federated object's template and overrides.
type Hashes struct{ Template, Overrides string }

// HashesOf reads spec.template and spec.overrides as the API gives them. Overrides that have not the form that KubeFed reads have no hash.
func HashesOf(spec map[string]any) (Hashes, error) {
	h := Hashes{Overrides: NoOverrides}
	if template, ok := spec["template"].(map[string]any); ok {
		raw, err := encode(template)
		if err != nil {
			return h, fmt.Errorf("spec.template: %w", err)
		}
		h.Template = sum(raw)
	}
	if spec["overrides"] == nil {
		return h, nil
	}
	raw, err := json.Marshal(spec["overrides"])
	if err != nil {
		return h, fmt.Errorf("spec.overrides: %w", err)
	}
	var list []override
	if err := json.Unmarshal(raw, &list); err != nil {
		return h, fmt.Errorf("spec.overrides: %w", err)
	}
	if raw, err = encode(map[string]any{"overrides": list}); err != nil {
		return h, fmt.Errorf("spec.overrides: %w", err)
	}
	h.Overrides = sum(raw)
	return h, nil
}

// override is KubeFed's typed form, through which overrides go before they are hashed: it decides the order of the keys.
type override struct {
	ClusterName      string      `json:"clusterName"`
	ClusterOverrides []operation `json:"clusterOverrides"`
}

type operation struct {
	Op    string `json:"op,omitempty"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// encode is Go's encoder for unstructured objects, whose trailing newline is part of what is hashed.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	err := json.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

func sum(raw []byte) string {
	h := md5.Sum(raw)
	return hex.EncodeToString(h[:])
}

// Name is the name of the record of a federated object whose target is of this kind.
func Name(targetKind, name string) string { return strings.ToLower(targetKind) + "-" + name }

// VersionOf is what KubeFed calls the version of an object in a member.
func VersionOf(generation int64, resourceVersion string) string {
	if generation != 0 {
		return fmt.Sprintf("gen:%d", generation)
	}
	return "rv:" + resourceVersion
}

// Next is the record after a look at the members: selected has an entry for each member that the placement selects, with the version that
// the copy has there now, or "" where that is not known. What is not known stays as it was recorded, unless the object has changed since.
func Next(old corev1alpha1.PropagatedVersionStatus, h Hashes, selected map[string]string) corev1alpha1.PropagatedVersionStatus {
	next := corev1alpha1.PropagatedVersionStatus{TemplateVersion: h.Template, OverridesVersion: h.Overrides}
	recorded := map[string]string{}
	if old.TemplateVersion == h.Template && old.OverridesVersion == h.Overrides {
		for _, c := range old.ClusterVersions {
			recorded[c.ClusterName] = c.Version
		}
	}
	for _, name := range slices.Sorted(maps.Keys(selected)) {
		version := selected[name]
		if version == "" {
			version = recorded[name]
		}
		if version != "" {
			next.ClusterVersions = append(next.ClusterVersions, corev1alpha1.ClusterObjectVersion{ClusterName: name, Version: version})
		}
	}
	return next
}

// Same says whether two records are equal.
func Same(a, b corev1alpha1.PropagatedVersionStatus) bool {
	return a.TemplateVersion == b.TemplateVersion && a.OverridesVersion == b.OverridesVersion && slices.Equal(a.ClusterVersions, b.ClusterVersions)
}

// Rewrites says why KubeFed, with this record of a federated object, would write to a member that holds this copy; "" if it would not.
// The labels are those that it would give the copy. Annotations do not count: KubeFed keeps those of the member's object.
func Rewrites(record corev1alpha1.PropagatedVersionStatus, h Hashes, member string, copied metav1.Object, labels map[string]string) string {
	if record.TemplateVersion != h.Template || record.OverridesVersion != h.Overrides {
		return "the record is of another template or other overrides"
	}
	n := slices.IndexFunc(record.ClusterVersions, func(c corev1alpha1.ClusterObjectVersion) bool { return c.ClusterName == member })
	if n < 0 {
		return "the record has no version for " + member
	}
	was, is := record.ClusterVersions[n].Version, VersionOf(copied.GetGeneration(), copied.GetResourceVersion())
	switch {
	case was != is:
		return fmt.Sprintf("the record says %s, the copy has %s", was, is)
	case strings.HasPrefix(is, "gen:") && !maps.Equal(labels, copied.GetLabels()):
		return "the labels of the copy are not those of the template"
	default:
		return ""
	}
}
