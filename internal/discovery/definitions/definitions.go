// Package definitions answers: how does a cluster come to serve ServiceExports and ServiceImports? The definitions are those that the
// Multi-Cluster Services API publishes. Others install them too, so one that is newer stays.
package definitions

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	mcscrd "sigs.k8s.io/mcs-api/config/crd"
	"sigs.k8s.io/yaml"
)

// Result says what happened to a definition.
type Result string

// What can happen to a definition.
const (
	Created Result = "created"
	Updated Result = "updated"
	// Kept is as new as ours, or newer.
	Kept Result = "unchanged"
)

// All are the definitions, of ServiceExports and of ServiceImports.
func All() ([]*apiextv1.CustomResourceDefinition, error) {
	var out []*apiextv1.CustomResourceDefinition
	for _, data := range [][]byte{mcscrd.ServiceExportCRD, mcscrd.ServiceImportCRD} {
		crd := &apiextv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(data, crd); err != nil {
			return nil, fmt.Errorf("decode a definition of the Multi-Cluster Services API: %w", err)
		}
		out = append(out, crd)
	}
	return out, nil
}

// Ensure installs what is absent or older, and tells of each. With a client that writes nothing, nothing is waited for; else Served tells when
// objects can be made.
func Ensure(ctx context.Context, c client.Client, told func(name string, r Result)) error {
	all, err := All()
	if err != nil {
		return err
	}
	for _, want := range all {
		r, err := ensure(ctx, c, want)
		if err != nil {
			return fmt.Errorf("write CustomResourceDefinition %s: %w", want.Name, err)
		}
		told(want.Name, r)
	}
	return nil
}

func ensure(ctx context.Context, c client.Client, want *apiextv1.CustomResourceDefinition) (Result, error) {
	live := &apiextv1.CustomResourceDefinition{}
	err := c.Get(ctx, client.ObjectKeyFromObject(want), live)
	switch {
	case apierrors.IsNotFound(err):
		return Created, c.Create(ctx, want)
	case err != nil:
		return "", err
	case !older(live, want):
		return Kept, nil
	}
	live.Spec = want.Spec
	if live.Labels == nil {
		live.Labels = map[string]string{}
	}
	for _, label := range []string{mcscrd.ReleaseVersionLabel, mcscrd.CustomResourceDefinitionSchemaRevisionLabel} {
		live.Labels[label] = want.Labels[label]
	}
	if live.Annotations == nil {
		live.Annotations = map[string]string{}
	}
	maps.Copy(live.Annotations, want.Annotations)
	return Updated, c.Update(ctx, live) // refused if somebody else has changed it meanwhile
}

// older says whether a definition is of an earlier release than another one, or of an earlier revision of the same. One that does not say is from the
// time before there were such labels, unless it serves a version that the other does not know.
func older(live, than *apiextv1.CustomResourceDefinition) bool {
	for _, v := range live.Spec.Versions {
		known := func(w apiextv1.CustomResourceDefinitionVersion) bool { return w.Name == v.Name }
		if !slices.ContainsFunc(than.Spec.Versions, known) {
			return false
		}
	}
	is, err := version.ParseSemantic(live.Labels[mcscrd.ReleaseVersionLabel])
	if err != nil {
		return true
	}
	want := version.MustParseSemantic(than.Labels[mcscrd.ReleaseVersionLabel])
	return is.LessThan(want) || is.EqualTo(want) && revision(live) < revision(than)
}

func revision(crd *apiextv1.CustomResourceDefinition) int {
	n, err := strconv.Atoi(crd.Labels[mcscrd.CustomResourceDefinitionSchemaRevisionLabel])
	if err != nil {
		return -1
	}
	return n
}

// Served waits until the server serves both kinds.
func Served(ctx context.Context, c client.Client) error {
	all, err := All()
	if err != nil {
		return err
	}
	waiting := ""
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		for len(all) > 0 {
			waiting = all[0].Name
			live := &apiextv1.CustomResourceDefinition{}
			if err := c.Get(ctx, client.ObjectKey{Name: waiting}, live); err != nil {
				return false, err
			}
			if !established(live) {
				return false, nil
			}
			all = all[1:]
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("wait until %s is served: %w", waiting, err)
	}
	return nil
}

func established(crd *apiextv1.CustomResourceDefinition) bool {
	return slices.ContainsFunc(crd.Status.Conditions, func(c apiextv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextv1.Established && c.Status == apiextv1.ConditionTrue
	})
}
