{{/* The defaults here are those of values.yaml: with helm upgrade --reuse-values, a release of an older chart, or of KubeFed's, has
values of its own only. */}}

{{/* What the control plane serves. */}}
{{- define "hansa.scope" -}}
{{ (.Values.global).scope | default "Cluster" }}
{{- end }}

{{- define "hansa.labels" -}}
app.kubernetes.io/name: hansa
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What selects the manager's Pods. It is KubeFed's, as the selector of a Deployment cannot change. */}}
{{- define "hansa.selector" -}}
kubefed-control-plane: controller-manager
{{- end }}

{{/* KubeFed's image, in values that come from its chart, cannot run Hansa: ours is used, and the notes say so. */}}
{{- define "hansa.foreignImage" -}}
{{ if eq (toString ((.Values.controllermanager).controller).image) "kubefed" }}true{{ end }}
{{- end }}

{{- define "hansa.image" -}}
{{- $c := (.Values.controllermanager).controller | default dict -}}
{{- if include "hansa.foreignImage" . -}}
ghcr.io/hansa-io/hansa:{{ .Chart.AppVersion }}
{{- else -}}
{{ $c.repository | default "ghcr.io/hansa-io" }}/{{ $c.image | default "hansa" }}:{{ $c.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* What all Pods of this chart have: the restricted level of Pod security, and where to run. */}}
{{- define "hansa.pod" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with (.Values.controllermanager).imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (.Values.controllermanager).commonNodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (.Values.controllermanager).commonTolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "hansa.container" -}}
image: {{ include "hansa.image" . | quote }}
imagePullPolicy: {{ ((.Values.controllermanager).controller).imagePullPolicy | default "IfNotPresent" }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "hansa.hook" -}}
labels: {{- include "hansa.labels" . | nindent 2 }}
annotations:
  helm.sh/hook: pre-install,pre-upgrade
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* Whether the host has the kind of an object. helm template knows no host: then the version of Kubernetes tells. */}}
{{- define "hansa.serves" -}}
{{- $capabilities := (index . 0).Capabilities }}
{{- $object := index . 1 }}
{{- if $capabilities.APIVersions.Has "v1/Pod" -}}
{{ if $capabilities.APIVersions.Has (printf "%s/%s" $object.apiVersion $object.kind) }}true{{ end }}
{{- else if hasPrefix "MutatingAdmissionPolicy" $object.kind -}}
{{ if semverCompare ">=1.36.0-0" $capabilities.KubeVersion.Version }}true{{ end }}
{{- else -}}
true
{{- end }}
{{- end }}

{{/* Whether the manager runs in this release. */}}
{{- define "hansa.runs" -}}
{{ if dig "enabled" true (.Values.controllermanager | default dict) }}true{{ end }}
{{- end }}

{{/* The name of each of the ten types with what the values say of it. */}}
{{- define "hansa.types" -}}
{{- range $path, $_ := .Files.Glob "files/types/*.yaml" }}
{{- $name := base $path | trimSuffix ".yaml" }}
{{ $name }}: {{ get ($.Values.types | default dict) $name | default "Enabled" }}
{{- end }}
{{- end }}
