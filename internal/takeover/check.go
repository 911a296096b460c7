package takeover

import (
	"context"
	"fmt"
	"slices"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/enable"
)

// Level says how much a finding matters.
type Level string

// The levels.
const (
	// Fine: nothing to do.
	Fine Level = "fine"
	// Note: it will change, or differs from KubeFed; nothing stands in the way.
	Note Level = "note"
	// Blocker: somebody must do something first.
	Blocker Level = "blocker"
)

// Finding is what was found out about one area.
type Finding struct {
	Area    string   `json:"area"`
	Level   Level    `json:"level"`
	Text    string   `json:"text"`
	Details []string `json:"details,omitempty"`
}

// Check reads a federation of KubeFed and says, area by area, what a take-over will change and what stands in its way. It writes nothing.
func (f *Federation) Check(ctx context.Context) ([]Finding, error) {
	s, err := f.look(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.read(ctx, s); err != nil {
		return nil, err
	}
	var findings []Finding
	for _, about := range []func(context.Context, *survey) (Finding, error){
		f.aboutManager, f.aboutWebhooks, f.aboutDefinitions, f.aboutSettings, f.aboutTypes, f.aboutClusters,
		f.aboutObjects, f.aboutPlacement, f.aboutLeftovers, f.aboutRecords,
	} {
		finding, err := about(ctx, s)
		if err != nil {
			return nil, err
		}
		findings = append(findings, finding)
	}
	return findings, nil
}

// Blocked says whether any finding stands in the way.
func Blocked(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Level == Blocker })
}

func (f *Federation) aboutManager(ctx context.Context, _ *survey) (Finding, error) {
	out := Finding{Area: "manager", Level: Fine, Text: "no manager of KubeFed runs"}
	all, err := f.deployments(ctx, isKubeFed)
	if err != nil {
		return out, err
	}
	lock, err := f.kubeFedRuns(ctx)
	if err != nil {
		return out, err
	}
	running := 0
	for _, d := range all {
		if n := replicas(d); n > 0 {
			running++
			out.Details = append(out.Details, fmt.Sprintf("Deployment %s: %d replicas, to be scaled to 0", d.Name, n))
		}
	}
	switch {
	case running > 0:
		out.Level, out.Text = Note, "KubeFed runs; it will be stopped, and can be started again"
	case lock.holds():
		out.Level, out.Text = Blocker, fmt.Sprintf("%s holds the %s %s/%s, and no Deployment here is its: stop it", lock.who, lock.what, f.namespace, fedv1.LockName)
	}
	return out, nil
}

func (f *Federation) aboutWebhooks(ctx context.Context, _ *survey) (Finding, error) {
	out := Finding{Area: "webhooks", Level: Fine, Text: "none"}
	found, err := f.webhooks(ctx)
	if err != nil || len(found) == 0 {
		return out, err
	}
	out.Level, out.Text = Note, fmt.Sprintf("%d configurations will be kept in the ConfigMap %s and removed", len(found), BackupName)
	for _, o := range found {
		out.Details = append(out.Details, o.GetKind()+" "+o.GetName())
	}
	return out, nil
}

func (f *Federation) aboutDefinitions(ctx context.Context, s *survey) (Finding, error) {
	out := Finding{Area: "definitions", Level: Fine}
	all, err := f.definitions(ctx, s.types, s.config.Spec.Scope)
	if err != nil {
		return out, err
	}
	for _, d := range all {
		if change := d.change(); change != "" {
			out.Details = append(out.Details, change)
		}
	}
	out.Text = fmt.Sprintf("%d are up to date", len(all))
	if n := len(out.Details); n > 0 {
		out.Level, out.Text = Note, fmt.Sprintf("%d of %d CustomResourceDefinitions will change; what is stored stays", n, len(all))
	}
	return out, nil
}

// known are the gates that Hansa follows; revived are those of an old release of KubeFed that newer ones do not look at.
var (
	known   = []string{fedv1.GatePushReconciler, fedv1.GateSchedulerPreferences, fedv1.GateRawResourceStatusCollection, fedv1.GatePropagatedVersions}
	revived = []string{fedv1.GateCrossClusterServiceDiscovery, fedv1.GateFederatedIngress}
)

func (f *Federation) aboutSettings(_ context.Context, s *survey) (Finding, error) {
	spec := s.config.Spec
	out := Finding{Area: "settings", Level: Fine, Text: fmt.Sprintf("KubeFedConfig %s/%s, scope %s, stays as it is", f.namespace, fedv1.ConfigName, spec.Scope)}
	for _, g := range spec.FeatureGates {
		switch {
		case slices.Contains(revived, g.Name) && g.Configuration == fedv1.Enabled:
			out.Details = append(out.Details, "feature gate "+g.Name+" is Enabled: KubeFed has not looked at it since v0.7, Hansa will act on it")
		case slices.Contains(revived, g.Name):
		case !slices.Contains(known, g.Name):
			out.Details = append(out.Details, "feature gate "+g.Name+" is not known and does nothing")
		case g.Name == fedv1.GatePushReconciler && g.Configuration == fedv1.Disabled:
			out.Details = append(out.Details, "feature gate PushReconciler is Disabled: KubeFed propagates nothing, Hansa will")
		}
	}
	if len(out.Details) > 0 {
		out.Level = Note
	}
	return out, nil
}

func (f *Federation) aboutTypes(_ context.Context, s *survey) (Finding, error) {
	out := Finding{Area: "types", Level: Fine, Text: fmt.Sprintf("%d are enabled", len(s.types))}
	for _, c := range s.types {
		if c.Spec.StatusType != nil {
			out.Details = append(out.Details, c.Name+" collects status of services into "+enable.NameOf(*c.Spec.StatusType))
		}
	}
	if len(out.Details) > 0 {
		out.Level = Note
	}
	for _, why := range s.untold {
		out.Level = Blocker
		out.Details = append(out.Details, why)
	}
	if out.Level == Blocker {
		out.Text = fmt.Sprintf("%d of %d cannot be read: disable them, or repair them", len(s.untold), len(s.types))
	}
	return out, nil
}

func (f *Federation) aboutClusters(_ context.Context, s *survey) (Finding, error) {
	out := Finding{Area: "clusters", Level: Fine}
	byID := map[string]string{}
	reached, eternal := 0, 0
	for _, m := range s.members {
		name := m.cluster.Name
		switch first := byID[string(m.id)]; {
		case m.err != nil:
			out.Details = append(out.Details, fmt.Sprintf("%s cannot be reached from here (%v): its copies wait until it is back", name, m.err))
			continue
		case first != "":
			out.Level = Blocker
			out.Details = append(out.Details, fmt.Sprintf("%s and %s are the same cluster: unjoin one of them", first, name))
		}
		byID[string(m.id)] = name
		reached++
		if m.eternal {
			eternal++
		}
		if len(m.cluster.Spec.DisabledTLSValidations) > 0 {
			out.Details = append(out.Details, name+" is reached without a full check of its certificate")
		}
	}
	out.Text = fmt.Sprintf("%d of %d answer; %d with tokens that never end, which go on working", reached, len(s.members), eternal)
	if out.Level == Fine && len(out.Details) > 0 {
		out.Level = Note
	}
	return out, nil
}
