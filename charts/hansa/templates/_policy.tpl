{{/* One document of an admission policy, as kubefedctl init would install it here; or nothing. */}}
{{- define "hansa.policy" -}}
{{- $root := index . 0 }}
{{- $object := index . 1 }}
{{- $check := index . 2 }}
{{- $binds := hasSuffix "Binding" $object.kind }}
{{- $confined := eq (include "hansa.scope" $root) "Namespaced" }}
{{- $asks := and $binds (hasPrefix "kubefed-requester" $object.metadata.name) }}
{{- if and (include "hansa.serves" (list $root $object)) (not (and $confined (eq $object.metadata.name "kubefed-finalizer"))) (not (and $asks (eq $check "Off"))) }}
{{- with $object.spec.matchConstraints }}
{{- /* Helm and kubefedctl both apply these as a whole: with the API server's defaults in it, equal rules are no conflict. */}}
{{- $_ := mergeOverwrite . (mergeOverwrite (dict "matchPolicy" "Equivalent" "namespaceSelector" dict "objectSelector" dict) .) }}
{{- range concat .resourceRules (.excludeResourceRules | default list) }}
{{- $_ := set . "scope" (.scope | default "*") }}
{{- end }}
{{- end }}
{{- if $confined }}
{{- $_ := set $object.metadata "name" (printf "%s-%s" $object.metadata.name $root.Release.Namespace) }}
{{- if $binds }}
{{- $here := dict "matchLabels" (dict "kubernetes.io/metadata.name" $root.Release.Namespace) }}
{{- $every := list "*" }}
{{- $namespaced := dict "apiGroups" $every "apiVersions" $every "operations" $every "resources" $every "scope" "Namespaced" }}
{{- $match := dict "matchPolicy" "Equivalent" "namespaceSelector" $here "objectSelector" dict "resourceRules" (list $namespaced) }}
{{- $_ := mergeOverwrite $object.spec (dict "policyName" (printf "%s-%s" $object.spec.policyName $root.Release.Namespace) "matchResources" $match) }}
{{- end }}
{{- end }}
{{- if $asks }}
{{- $live := dict }}
{{- if and (not ($root.Values.admission).requesterCheck) ($root.Capabilities.APIVersions.Has (printf "%s/%s" $object.apiVersion $object.kind)) }}
{{- $live = lookup $object.apiVersion $object.kind "" $object.metadata.name }}
{{- end }}
{{- $actions := ternary (list "Audit" "Warn") (list "Deny") (eq $check "Warn") }}
{{- $_ := set $object.spec "validationActions" (($live.spec).validationActions | default $actions) }}
{{- end }}
---
{{ toYaml $object }}
{{ end }}
{{- end }}

{{/* What comes of a federated object whose writer may not write its target: what the values say; else a warning where types were
federated before there was the check, and a refusal elsewhere. What a binding does that is there already stays. */}}
{{- define "hansa.requesterCheck" -}}
{{- $given := (.Values.admission).requesterCheck }}
{{- if kindIs "bool" $given -}}
{{- /* YAML reads Off without quotes as false. */ -}}
Off
{{- else if $given -}}
{{ $given }}
{{- else if .Capabilities.APIVersions.Has "core.kubefed.io/v1beta1/FederatedTypeConfig" -}}
{{ ternary "Warn" "Deny" (gt (len ((lookup "core.kubefed.io/v1beta1" "FederatedTypeConfig" .Release.Namespace "").items | default list)) 0) }}
{{- else -}}
Deny
{{- end -}}
{{- end }}
