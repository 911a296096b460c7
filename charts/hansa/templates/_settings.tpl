{{/* The spec of the KubeFedConfig: that of kubefedctl init, then what the values say, then controllermanager.config. */}}
{{- define "hansa.settings" -}}
{{- $v := .Values.controllermanager | default dict }}
{{- $spec := (.Files.Get "files/kubefedconfig.yaml" | fromYaml).spec }}
{{- $_ := set $spec "scope" (include "hansa.scope" .) }}
{{- $fields := list
  (list "controllerDuration" "availableDelay" $v.clusterAvailableDelay)
  (list "controllerDuration" "unavailableDelay" $v.clusterUnavailableDelay)
  (list "controllerDuration" "cacheSyncTimeout" $v.cacheSyncTimeout)
  (list "leaderElect" "leaseDuration" $v.leaderElectLeaseDuration)
  (list "leaderElect" "renewDeadline" $v.leaderElectRenewDeadline)
  (list "leaderElect" "retryPeriod" $v.leaderElectRetryPeriod)
  (list "leaderElect" "resourceLock" $v.leaderElectResourceLock)
  (list "clusterHealthCheck" "period" $v.clusterHealthCheckPeriod)
  (list "clusterHealthCheck" "failureThreshold" $v.clusterHealthCheckFailureThreshold)
  (list "clusterHealthCheck" "successThreshold" $v.clusterHealthCheckSuccessThreshold)
  (list "clusterHealthCheck" "timeout" $v.clusterHealthCheckTimeout)
  (list "syncController" "maxConcurrentReconciles" ($v.syncController | default dict).maxConcurrentReconciles)
  (list "syncController" "adoptResources" ($v.syncController | default dict).adoptResources)
  (list "statusController" "maxConcurrentReconciles" ($v.statusController | default dict).maxConcurrentReconciles)
}}
{{- range $field := $fields }}
{{- with index $field 2 }}
{{- $section := get $spec (index $field 0) }}
{{- $_ := set $section (index $field 1) . }}
{{- end }}
{{- end }}
{{- $gates := dict }}
{{- range $spec.featureGates }}
{{- $_ := set $gates .name .configuration }}
{{- end }}
{{- range $name, $mode := $v.featureGates }}
{{- if $mode }}
{{- $_ := set $gates $name $mode }}
{{- end }}
{{- end }}
{{- $list := list }}
{{- range $name, $mode := $gates }}
{{- $list = append $list (dict "name" $name "configuration" $mode) }}
{{- end }}
{{- $_ := set $spec "featureGates" $list }}
{{ mergeOverwrite $spec ($v.config | default dict) | toYaml }}
{{- end }}
