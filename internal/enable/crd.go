package enable

import (
	"maps"
	"strings"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// Bounds that let the API server price the rules; far above what anybody writes by hand.
const (
	maxClusters           = 10000
	maxOverriddenClusters = 1000
	maxOverrides          = 100
	maxPathLength         = 1024
	maxNameLength         = 253
)

type (
	props  = apiextv1.JSONSchemaProps
	fields = map[string]apiextv1.JSONSchemaProps
)

// CRD is the definition of the federated type of a target.
func CRD(t Target, group, version string) *apiextv1.CustomResourceDefinition {
	f := Federated(t, group, version)
	crd := &apiextv1.CustomResourceDefinition{
		TypeMeta:   metav1.TypeMeta{APIVersion: apiextv1.SchemeGroupVersion.String(), Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{Name: NameOf(f)},
		Spec: apiextv1.CustomResourceDefinitionSpec{
			Group: group,
			Names: apiextv1.CustomResourceDefinitionNames{Kind: f.Kind, Plural: f.PluralName},
			Scope: apiextv1.ClusterScoped,
			Versions: []apiextv1.CustomResourceDefinitionVersion{{
				Name:                     version,
				Served:                   true,
				Storage:                  true,
				Subresources:             subresources(t),
				AdditionalPrinterColumns: columns(t),
				Schema:                   &apiextv1.CustomResourceValidation{OpenAPIV3Schema: ptr.To(root(t))},
			}},
		},
	}
	if f.Scope == fedv1.ScopeNamespaced {
		crd.Spec.Scope = apiextv1.NamespaceScoped
	}
	for _, short := range t.ShortNames {
		crd.Spec.Names.ShortNames = append(crd.Spec.Names.ShortNames, "f"+short)
	}
	return crd
}

// subresources are the status, and for what can be scaled, scale: it sets how many replicas each cluster runs.
func subresources(t Target) *apiextv1.CustomResourceSubresources {
	s := &apiextv1.CustomResourceSubresources{Status: &apiextv1.CustomResourceSubresourceStatus{}}
	if t.Scales {
		s.Scale = &apiextv1.CustomResourceSubresourceScale{
			SpecReplicasPath: ".spec.template.spec.replicas", StatusReplicasPath: ".status.replicas", LabelSelectorPath: ptr.To(".status.selector"),
		}
	}
	return s
}

func columns(t Target) []apiextv1.CustomResourceColumnDefinition {
	const ready = ".status.conditions[?(@.type=='Ready')]"
	columns := []apiextv1.CustomResourceColumnDefinition{
		{Name: "Ready", Type: "string", JSONPath: ".status.ready", Description: "Members as desired, of the members meant"},
	}
	if t.Replicas {
		columns = append(columns, apiextv1.CustomResourceColumnDefinition{
			Name: "Replicas", Type: "string", JSONPath: ".status.replicasReady", Description: "Replicas ready, of the replicas meant, in all members that tell",
		})
	}
	if isService(t) {
		columns = append(columns, apiextv1.CustomResourceColumnDefinition{
			Name: "Address", Type: "string", JSONPath: ".status.loadBalancer.address", Description: "Where the load balancers answer for the service of all clusters",
		})
	}
	return append(columns, []apiextv1.CustomResourceColumnDefinition{
		{Name: "Status", Type: "string", JSONPath: ready + ".reason"},
		{Name: "Age", Type: "date", JSONPath: ".metadata.creationTimestamp"},
		{Name: "Message", Type: "string", JSONPath: ready + ".message", Priority: 1},
	}...)
}

func root(t Target) props {
	return props{
		Type:        "object",
		Description: "Federated" + t.Kind + " is a " + t.Kind + " that is kept alike in many clusters.",
		Required:    []string{"spec"},
		Properties: fields{
			"apiVersion": {Type: "string"},
			"kind":       {Type: "string"},
			"metadata":   {Type: "object"},
			"spec":       spec(t),
			"status":     status(t),
		},
	}
}

func spec(t Target) props {
	s := props{
		Type: "object",
		Properties: fields{
			"template":  template(t),
			"placement": placement(),
			"overrides": overrides(),
		},
	}
	if t.Replicas {
		s.Properties["retainReplicas"] = props{Type: "boolean", Description: "Leaves spec.replicas to the members once the object exists there, as for an autoscaler."}
	}
	return s
}

// template holds no validation of the target, which may be upgraded, but of what says which object it is. What is absent, null or
// empty comes from the federated object.
func template(t Target) props {
	s := anyObject("What all clusters get: a " + t.Kind + " without apiVersion, kind and name.")
	s.Properties = fields{
		"apiVersion": {Type: "string", Nullable: true, XValidations: apiextv1.ValidationRules{ofGroup(t.Group, t.Version)}},
		"kind": {Type: "string", Nullable: true, XValidations: apiextv1.ValidationRules{{
			Rule: "self in ['', '" + t.Kind + "']", Message: "kind must be " + t.Kind + " or absent: the federated type says what the members get",
		}}},
		"metadata": {Type: "object", Nullable: true, XPreserveUnknownFields: ptr.To(true), Properties: fields{
			"name":      {Type: "string", Nullable: true},
			"namespace": {Type: "string", Nullable: true},
			"labels": {
				Type: "object", Nullable: true, AdditionalProperties: &apiextv1.JSONSchemaPropsOrBool{Allows: true, Schema: &props{Type: "string"}},
				XValidations: apiextv1.ValidationRules{{
					// A template made of a copy carries the label as every copy does.
					Rule:    "!('" + fedv1.ManagedLabel + "' in self) || self['" + fedv1.ManagedLabel + "'] == 'true'",
					Message: "label " + fedv1.ManagedLabel + " is set by the federation: remove it from the template",
				}},
			},
		}},
	}
	return s
}

// ofGroup lets a template choose another version, but never another group. KubeFed wrote "/v1" for the core group.
func ofGroup(group, version string) apiextv1.ValidationRule {
	if group == "" {
		return apiextv1.ValidationRule{
			Rule: "!self.contains('/') || self.startsWith('/')", Message: "apiVersion must be of the core group, as " + version + " is, or absent",
		}
	}
	return apiextv1.ValidationRule{
		Rule: "self == '' || self.startsWith('" + group + "/')", Message: "apiVersion must be of the group " + group + ", as " + group + "/" + version + " is, or absent",
	}
}

func placement() props {
	clusters := list(object("", fields{"name": {Type: "string", MinLength: ptr.To[int64](1), MaxLength: ptr.To[int64](maxNameLength)}}, "name"))
	clusters.MaxItems = ptr.To[int64](maxClusters)
	return props{
		Type:        "object",
		Description: "Which clusters: by name, or else by label. Names count as soon as the list is there, even if it is empty.",
		Properties:  fields{"clusters": clusters, "clusterSelector": selector()},
	}
}

func selector() props {
	return object("Over the labels of the KubeFedClusters; an empty selector means all.", fields{
		"matchLabels":      {Type: "object", AdditionalProperties: &apiextv1.JSONSchemaPropsOrBool{Allows: true, Schema: &props{Type: "string"}}},
		"matchExpressions": list(requirement()),
	})
}

func requirement() props {
	r := object("", fields{
		"key":      {Type: "string", MinLength: ptr.To[int64](1)},
		"operator": enum("In", "NotIn", "Exists", "DoesNotExist"),
		"values":   list(props{Type: "string"}),
	}, "key", "operator")
	r.XValidations = apiextv1.ValidationRules{{
		Rule:    "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
		Message: "In and NotIn need values, Exists and DoesNotExist have none",
	}}
	return r
}

func overrides() props {
	op := enum("", "add", "remove", "replace")
	op.Description = "add, remove or replace; absent means replace."
	ops := list(object("", fields{
		"op":    op,
		"path":  overridePath(),
		"value": {XPreserveUnknownFields: ptr.To(true), Description: "What add and replace write; absent means null."},
	}, "path"))
	ops.MaxItems = ptr.To[int64](maxOverrides)
	unnamed := props{Type: "string", MaxLength: ptr.To[int64](maxNameLength), Default: &apiextv1.JSON{Raw: []byte(`""`)}} // a key must be required, which KubeFed's is not
	all := keyed(list(object("", fields{"clusterName": unnamed, "clusterOverrides": keyed(ops, "path")})), "clusterName")
	all.MaxItems = ptr.To[int64](maxOverriddenClusters)
	all.Description = "What differs in single clusters."
	return all
}

// overridePath refuses what would change which object this is, and what only a cluster's API server may write. The manager checks
// the same again when it renders.
func overridePath() props {
	return props{
		Type:        "string",
		Description: "A JSON pointer into the object, as in /spec/replicas.",
		MaxLength:   ptr.To[int64](maxPathLength),
		XValidations: apiextv1.ValidationRules{
			{Rule: "self != '' && self != '/'", Message: "path must not be empty: it would replace the whole object"},
			{Rule: "self == '' || self.startsWith('/')", Message: "path must start with a slash, as in /spec/replicas"},
			{
				Rule:    "!(self in ['/kind', '/metadata', '/metadata/name', '/metadata/namespace', '/metadata/generateName'])",
				Message: "overrides may not change identity (kind, metadata as a whole, metadata.name, metadata.namespace, metadata.generateName)",
			},
			{
				Rule: "!self.startsWith('/metadata/ownerReferences') && !self.startsWith('/metadata/managedFields') && !self.startsWith('/status/') && " +
					"!(self in ['/status', '/metadata/uid', '/metadata/resourceVersion', '/metadata/generation', '/metadata/creationTimestamp', '/metadata/deletionTimestamp'])",
				Message: "the field is managed by the cluster (metadata.ownerReferences, metadata.managedFields, metadata.resourceVersion, metadata.uid, " +
					"metadata.generation, metadata.creationTimestamp, metadata.deletionTimestamp, status)",
			},
			{Rule: "!(self in [" + strings.Join(marks(), ", ") + "])", Message: "labels and annotations that mark copies (kubefed.io/managed, owner, applied, adopted) are set by the federation"},
		},
	}
}

// marks are the paths of what marks a copy, quoted.
func marks() []string {
	escape := strings.NewReplacer("/", "~1").Replace
	out := []string{"'/metadata/labels/" + escape(fedv1.ManagedLabel) + "'"}
	for _, a := range []string{fedv1.OwnerAnnotation, fedv1.AppliedAnnotation, fedv1.AdoptedAnnotation, fedv1.RevisionAnnotation} {
		out = append(out, "'/metadata/annotations/"+escape(a)+"'")
	}
	return out
}

func status(t Target) props {
	member := fields{
		"name":         {Type: "string"},
		"status":       {Type: "string", Description: "Empty if the cluster holds what it should."},
		"message":      {Type: "string"},
		"uid":          {Type: "string", Description: "UID of the object there."},
		"version":      {Type: "string", Description: "Of what was applied there last."},
		"health":       {Type: "string", Description: "How the object fares there: Current, InProgress, Failed, Terminating or Unknown; absent if its status is not collected."},
		"remoteStatus": anyObject("Status of the object there."),
	}
	if t.Replicas {
		member["replicasReady"] = props{Type: "string", Description: "Replicas ready there, of the replicas meant."}
	}
	s := object("", fields{
		"observedGeneration": {Type: "integer", Format: "int64"},
		"ready":              {Type: "string", Description: "Members as desired, of the members meant."},
		"conditions": list(object("", fields{
			"type":               {Type: "string"},
			"status":             {Type: "string"},
			"reason":             {Type: "string"},
			"message":            {Type: "string"},
			"observedGeneration": {Type: "integer", Format: "int64"},
			"lastUpdateTime":     {Type: "string"},
			"lastTransitionTime": {Type: "string"},
		}, "type", "status")),
		"clusters": list(object("", member, "name")),
	})
	if t.Replicas {
		maps.Copy(s.Properties, replicaCounts())
	}
	if isService(t) {
		s.Properties["loadBalancer"] = loadBalancer()
	}
	// A status that nobody has written yet must not look as if all were done.
	s.Default = &apiextv1.JSON{Raw: []byte(`{"observedGeneration":-1}`)}
	return s
}

func isService(t Target) bool { return t.Group == "" && t.Kind == "Service" }

// loadBalancer is where the service answers for all clusters, and the record of the ports that it was given.
func loadBalancer() props {
	return object("The one address of the service of all clusters, at the load balancers.", fields{
		"address": {Type: "string", Description: "First address with its ports."},
		"ingress": list(object("", fields{
			"ip":       {Type: "string"},
			"hostname": {Type: "string"},
			"ports": list(object("", fields{
				"port":        {Type: "integer", Format: "int32", Description: "Port of the address."},
				"protocol":    {Type: "string"},
				"servicePort": {Type: "integer", Format: "int32", Description: "Port of the service that it stands for."},
			}, "port", "servicePort")),
		})),
		"reason":  {Type: "string", Description: "Balanced, PortsTaken, NoAddressPool or NothingToBalance."},
		"message": {Type: "string"},
	})
}

// replicaCounts are summed over the members.
func replicaCounts() fields {
	count := func(what string) props {
		return props{Type: "integer", Format: "int64", Description: what + " in all members that tell."}
	}
	return fields{
		"replicas":          count("Replicas"),
		"updatedReplicas":   count("Replicas of the newest template"),
		"readyReplicas":     count("Replicas that are ready"),
		"availableReplicas": count("Replicas that have been ready for long enough"),
		"replicasReady":     {Type: "string", Description: "Replicas ready, of the replicas meant; +? says that there may be more, in members that do not tell."},
		"selector":          {Type: "string", Description: "Selector of the Pods."},
	}
}

func object(description string, properties fields, required ...string) props {
	return props{Type: "object", Description: description, Properties: properties, Required: required}
}

func enum(values ...string) props {
	p := props{Type: "string"}
	for _, v := range values {
		p.Enum = append(p.Enum, apiextv1.JSON{Raw: []byte(`"` + v + `"`)})
	}
	return p
}

func list(item props) props {
	return props{Type: "array", Items: &apiextv1.JSONSchemaPropsOrArray{Schema: &item}}
}

// keyed lets each item of a list have an owner of its own, so that applying some leaves the others to whom they belong. No two items
// may have the same key.
func keyed(l props, key string) props {
	l.XListType = ptr.To("map")
	l.XListMapKeys = []string{key}
	return l
}

func anyObject(description string) props {
	return props{Type: "object", Description: description, XPreserveUnknownFields: ptr.To(true)}
}
