package plan

import (
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// kubeFeds are the names under which KubeFed's binary writes: an API server takes a client's program for its field manager.
var kubeFeds = map[string]bool{"controller-manager": true, "hyperfed": true}

// IsKubeFeds says whether an entry of managed fields is KubeFed's, going by its name.
func IsKubeFeds(e metav1.ManagedFieldsEntry) bool {
	return kubeFeds[e.Manager] && e.Operation == metav1.ManagedFieldsOperationUpdate && e.Subresource == ""
}

// IsOurs says whether an entry of managed fields is what we have applied.
func IsOurs(e metav1.ManagedFieldsEntry) bool {
	return e.Manager == fedv1.FieldManager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""
}

// shared says whether KubeFed owns any field beside us. What leaves the template would stay in the member then, as KubeFed's.
func shared(entries []metav1.ManagedFieldsEntry) bool {
	if !slices.ContainsFunc(entries, IsKubeFeds) {
		return false
	}
	var ours, theirs []map[string]json.RawMessage
	for _, e := range entries {
		switch {
		case IsOurs(e):
			ours = append(ours, fields(e))
		case IsKubeFeds(e):
			theirs = append(theirs, fields(e))
		}
	}
	for _, a := range ours {
		for _, b := range theirs {
			if overlap(a, b) {
				return true
			}
		}
	}
	return false
}

func fields(e metav1.ManagedFieldsEntry) map[string]json.RawMessage {
	var set map[string]json.RawMessage
	if e.FieldsV1 != nil {
		_ = json.Unmarshal(e.FieldsV1.GetRawBytes(), &set) // what cannot be read owns nothing
	}
	return set
}

// overlap says whether two sets of fields have one in common: a path that ends in both, or an item of a list that both hold.
func overlap(a, b map[string]json.RawMessage) bool {
	for key, below := range a {
		other, ok := b[key]
		if !ok {
			continue
		}
		var x, y map[string]json.RawMessage
		if json.Unmarshal(below, &x) != nil || json.Unmarshal(other, &y) != nil {
			continue
		}
		if len(x) == 0 || len(y) == 0 || overlap(x, y) {
			return true
		}
	}
	return false
}
