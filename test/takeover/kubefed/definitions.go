package kubefed

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type fields = map[string]any

// The definitions of KubeFed 0.10: types and required fields, without defaults, rules or what Hansa adds.

var (
	text    = fields{"type": "string"}
	number  = fields{"type": "integer", "format": "int64"}
	number3 = fields{"type": "integer", "format": "int32"}
	flag    = fields{"type": "boolean"}
	moment  = fields{"type": "string", "format": "date-time"}
	open    = fields{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
)

func object(properties fields, required ...string) fields {
	o := fields{"type": "object", "properties": properties}
	if len(required) > 0 {
		list := []any{}
		for _, r := range required {
			list = append(list, r)
		}
		o["required"] = list
	}
	return o
}

func list(items fields) fields { return fields{"type": "array", "items": items} }

func root(properties fields, required ...string) fields {
	properties["apiVersion"], properties["kind"], properties["metadata"] = text, text, fields{"type": "object"}
	return object(properties, required...)
}

// crd is a definition with one version, served and stored.
func crd(gv, kind, plural string, namespaced, status bool, schema fields, shortNames ...string) *unstructured.Unstructured {
	group, version, _ := strings.Cut(gv, "/")
	scope := "Cluster"
	if namespaced {
		scope = "Namespaced"
	}
	names := fields{"kind": kind, "plural": plural, "singular": strings.ToLower(kind), "listKind": kind + "List"}
	if len(shortNames) > 0 {
		short := []any{}
		for _, s := range shortNames {
			short = append(short, s)
		}
		names["shortNames"] = short
	}
	v := fields{"name": version, "served": true, "storage": true, "schema": fields{"openAPIV3Schema": schema}}
	if status {
		v["subresources"] = fields{"status": fields{}}
	}
	o := &unstructured.Unstructured{Object: fields{"spec": fields{"group": group, "names": names, "scope": scope, "versions": []any{v}}}}
	o.SetAPIVersion("apiextensions.k8s.io/v1")
	o.SetKind("CustomResourceDefinition")
	o.SetName(plural + "." + group)
	return o
}

// definitions are those of the control plane.
func definitions() []*unstructured.Unstructured {
	const core = "core.kubefed.io"
	resource := object(fields{"group": text, "version": text, "kind": text, "pluralName": text, "scope": text}, "version", "kind", "pluralName", "scope")
	condition := object(fields{
		"type": text, "status": text, "lastProbeTime": moment, "lastTransitionTime": moment, "reason": text, "message": text,
	}, "type", "status", "lastProbeTime")
	versions := object(fields{
		"templateVersion": text, "overridesVersion": text,
		"clusterVersions": list(object(fields{"clusterName": text, "version": text}, "clusterName", "version")),
	}, "templateVersion", "overridesVersion")
	duration := text
	return []*unstructured.Unstructured{
		crd(core+"/v1beta1", "KubeFedCluster", "kubefedclusters", true, true, root(fields{
			"spec": object(fields{
				"apiEndpoint": text, "caBundle": fields{"type": "string", "format": "byte"}, "secretRef": object(fields{"name": text}, "name"),
				"disabledTLSValidations": list(text), "proxyURL": text,
			}, "apiEndpoint", "secretRef"),
			"status": object(fields{"conditions": list(condition), "kubernetesVersion": text, "zones": list(text), "region": text}, "conditions"),
		}, "spec"), "kfc"),
		crd(core+"/v1beta1", "KubeFedConfig", "kubefedconfigs", true, false, root(fields{"spec": object(fields{
			"scope":              text,
			"controllerDuration": object(fields{"availableDelay": duration, "unavailableDelay": duration, "cacheSyncTimeout": duration}),
			"leaderElect":        object(fields{"leaseDuration": duration, "renewDeadline": duration, "retryPeriod": duration, "resourceLock": text}),
			"featureGates":       list(object(fields{"name": text, "configuration": text}, "name", "configuration")),
			"clusterHealthCheck": object(fields{"period": duration, "timeout": duration, "failureThreshold": number, "successThreshold": number}),
			"syncController":     object(fields{"maxConcurrentReconciles": number, "adoptResources": text}),
			"statusController":   object(fields{"maxConcurrentReconciles": number}),
		}, "scope")}, "spec")),
		crd(core+"/v1beta1", "FederatedTypeConfig", "federatedtypeconfigs", true, true, root(fields{
			"spec": object(fields{
				"targetType": resource, "federatedType": resource, "statusType": resource, "propagation": text, "statusCollection": text,
			}, "targetType", "federatedType", "propagation"),
			"status": object(fields{"observedGeneration": number, "propagationController": text, "statusController": text}, "observedGeneration", "propagationController"),
		}, "spec"), "ftc"),
		crd(core+"/v1alpha1", "PropagatedVersion", "propagatedversions", true, true, root(fields{"status": versions})),
		crd(core+"/v1alpha1", "ClusterPropagatedVersion", "clusterpropagatedversions", false, true, root(fields{"status": versions})),
		crd("scheduling.kubefed.io/v1alpha1", "ReplicaSchedulingPreference", "replicaschedulingpreferences", true, false, root(fields{
			"spec": object(fields{
				"targetKind": text, "totalReplicas": number3, "rebalance": flag, "intersectWithClusterSelector": flag,
				"clusters": fields{"type": "object", "additionalProperties": object(fields{"minReplicas": number, "maxReplicas": number, "weight": number})},
			}, "targetKind", "totalReplicas"),
			"status": fields{"type": "object"},
		}), "rsp"),
	}
}

// target is a type that is federated.
type target struct {
	group, version, kind, plural string
	namespaced                   bool
	replicas                     bool
	short                        string
}

// targets are the ten of KubeFed's chart, and one that was enabled by hand.
var targets = []target{
	{"rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false, false, ""},
	{"", "v1", "ConfigMap", "configmaps", true, false, "cm"},
	{"apps", "v1", "Deployment", "deployments", true, true, "deploy"},
	{"networking.k8s.io", "v1", "Ingress", "ingresses", true, false, "ing"},
	{"batch", "v1", "Job", "jobs", true, false, ""},
	{"", "v1", "Namespace", "namespaces", false, false, "ns"},
	{"apps", "v1", "ReplicaSet", "replicasets", true, true, "rs"},
	{"", "v1", "Secret", "secrets", true, false, ""},
	{"", "v1", "ServiceAccount", "serviceaccounts", true, false, "sa"},
	{"", "v1", "Service", "services", true, false, "svc"},
	{"batch", "v1", "CronJob", "cronjobs", true, false, "cj"},
}

// inNamespaces says whether the federated form lives in namespaces: that of a Namespace does.
func (t target) inNamespaces() bool { return t.namespaced || t.kind == "Namespace" }

func (t target) scope(namespaced bool) string {
	if namespaced {
		return "Namespaced"
	}
	return "Cluster"
}

// definition is what `kubefedctl enable` of KubeFed makes of a target.
func (t target) definition() *unstructured.Unstructured {
	expression := object(fields{"key": text, "operator": text, "values": list(text)}, "key", "operator")
	override := object(fields{
		"op": fields{"type": "string", "pattern": "^(add|remove|replace)?$"}, "path": text, "value": fields{"x-kubernetes-preserve-unknown-fields": true},
	}, "path")
	spec := fields{
		"template": open,
		"placement": object(fields{
			"clusters": list(object(fields{"name": text}, "name")),
			"clusterSelector": object(fields{
				"matchLabels": fields{"type": "object", "additionalProperties": text}, "matchExpressions": list(expression),
			}),
		}),
		"overrides": list(object(fields{"clusterName": text, "clusterOverrides": list(override)})),
	}
	if t.replicas {
		spec["retainReplicas"] = flag
	}
	status := object(fields{
		"observedGeneration": number,
		"conditions":         list(object(fields{"type": text, "status": text, "reason": text, "lastUpdateTime": text, "lastTransitionTime": text}, "type", "status")),
		"clusters":           list(object(fields{"name": text, "status": text, "remoteStatus": open}, "name")),
	})
	var short []string
	if t.short != "" {
		short = append(short, "f"+t.short)
	}
	return crd("types.kubefed.io/v1beta1", "Federated"+t.kind, "federated"+t.plural, t.inNamespaces(), true,
		root(fields{"spec": object(spec), "status": status}, "spec"), short...)
}

// config is its FederatedTypeConfig, as a running KubeFed leaves it.
func (t target) config(namespace string) *unstructured.Unstructured {
	api := fields{"version": t.version, "kind": t.kind, "pluralName": t.plural, "scope": t.scope(t.namespaced)}
	name := t.plural
	if t.group != "" {
		api["group"] = t.group
		name += "." + t.group
	}
	o := &unstructured.Unstructured{Object: fields{"spec": fields{
		"targetType": api, "propagation": "Enabled",
		"federatedType": fields{
			"group": "types.kubefed.io", "version": "v1beta1", "kind": "Federated" + t.kind, "pluralName": "federated" + t.plural,
			"scope": t.scope(t.inNamespaces()),
		},
	}}}
	o.SetAPIVersion("core.kubefed.io/v1beta1")
	o.SetKind("FederatedTypeConfig")
	o.SetNamespace(namespace)
	o.SetName(name)
	o.SetFinalizers([]string{"core.kubefed.io/federated-type-config"})
	return o
}

func targetOf(federatedKind string) target {
	for _, t := range targets {
		if "Federated"+t.kind == federatedKind {
			return t
		}
	}
	panic("no target " + federatedKind)
}
