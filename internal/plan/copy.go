package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// revisionField is in the set of our fields while nobody else has written the revision of a copy.
var revisionField = []byte(`"f:` + fedv1.RevisionAnnotation + `"`)

// CopyOf reads what the federation needs to know of an object in a member. The object's metadata is enough.
func CopyOf(m metav1.Object) *Copy {
	controlPlane, owner, _ := strings.Cut(m.GetAnnotations()[fedv1.OwnerAnnotation], "/")
	c := &Copy{
		UID:             m.GetUID(),
		ResourceVersion: m.GetResourceVersion(),
		Generation:      m.GetGeneration(),
		Managed:         m.GetLabels()[fedv1.ManagedLabel],
		ControlPlane:    controlPlane,
		Owner:           types.UID(owner),
		Applied:         m.GetAnnotations()[fedv1.AppliedAnnotation],
		Adopted:         m.GetAnnotations()[fedv1.AdoptedAnnotation] == "true",
		Deleting:        m.GetDeletionTimestamp() != nil,
	}
	for _, e := range m.GetManagedFields() {
		if IsOurs(e) && e.FieldsV1 != nil {
			c.Fields, c.OwnsReplicas = fieldSet(e.FieldsV1.GetRawBytes())
			if bytes.Contains(e.FieldsV1.GetRawBytes(), revisionField) {
				c.Revision = m.GetAnnotations()[fedv1.RevisionAnnotation]
			}
		}
	}
	c.Shared = shared(m.GetManagedFields())
	return c
}

// fieldSet hashes a set of owned fields, spec.replicas aside, which it answers for by itself: that one field may be left to the
// member although we set it first.
func fieldSet(raw []byte) (hash string, replicas bool) {
	var set map[string]json.RawMessage
	var spec map[string]json.RawMessage
	if json.Unmarshal(raw, &set) == nil && json.Unmarshal(set["f:spec"], &spec) == nil {
		if _, replicas = spec["f:replicas"]; replicas {
			delete(spec, "f:replicas")
			if set["f:spec"], _ = json.Marshal(spec); len(spec) == 0 { // it was just read
				delete(set, "f:spec")
			}
			raw, _ = json.Marshal(set)
		}
	}
	// Both branches hash the same form: keys sorted, no spaces.
	var canonical any
	if json.Unmarshal(raw, &canonical) == nil {
		raw, _ = json.Marshal(canonical)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8]), replicas
}

// RecordOf is what the host remembers of a copy that has just been applied.
func RecordOf(c *Copy) *Record {
	return &Record{UID: c.UID, Version: c.Applied + "." + c.Fields}
}

// IsOurs says whether a copy carries the mark of a control plane.
func (c *Copy) IsOurs(controlPlane string) bool { return c.ControlPlane == controlPlane }

// MayAdopt says whether an object that a step found in its place may be taken over, and if not, why.
func (s Step) MayAdopt(found *Copy) (Reason, string) {
	switch {
	case found.Managed == "false":
		return ManagedLabelFalse, "the object is labelled " + fedv1.ManagedLabel + "=false: remove the label to let the federation manage it"
	case found.ControlPlane != "" && found.ControlPlane != s.ControlPlane:
		return OwnedByOther, "the object belongs to the control plane " + found.ControlPlane
	case !s.Adopt && found.Managed != "true" && found.ControlPlane == "":
		return AlreadyExists, "the object exists and adoption is disabled: delete it there or enable spec.syncController.adoptResources in the KubeFedConfig"
	default:
		return "", ""
	}
}
