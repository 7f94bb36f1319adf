{{/* Name of the release's objects: trainyard, or what tells two releases apart. */}}
{{- define "trainyard.name" -}}
{{- if contains "trainyard" .Release.Name }}{{ .Release.Name | trunc 46 | trimSuffix "-" }}
{{- else }}{{ printf "%s-trainyard" .Release.Name | trunc 46 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "trainyard.operator" -}}
{{ include "trainyard.name" . }}-operator
{{- end }}

{{- define "trainyard.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "trainyard.operator" .) }}
{{- end }}

{{/* Name of cluster-scoped objects: two releases in two namespaces don't share them. */}}
{{- define "trainyard.clusterName" -}}
{{ printf "%s-%s" .Release.Namespace (include "trainyard.operator" .) }}
{{- end }}

{{- define "trainyard.selector" -}}
app.kubernetes.io/name: trainyard
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "trainyard.labels" -}}
app.kubernetes.io/name: trainyard
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: trainyard
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* An image's reference; takes (dict "image" ... "chart" .Chart). */}}
{{- define "trainyard.image" -}}
{{- if .image.digest }}{{ .image.repository }}@{{ .image.digest }}
{{- else }}{{ .image.repository }}:{{ .image.tag | default .chart.AppVersion }}{{ end }}
{{- end }}

{{- define "trainyard.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "trainyard.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What the operator may do in each namespace it looks after. docs/operate.md says why, rule by rule. */}}
{{- define "trainyard.rules" -}}
- apiGroups: [trainyard.dev]
  resources: [trainingjobs]
  verbs: [get, list, watch]
- apiGroups: [trainyard.dev]
  resources: [trainingjobs/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
- apiGroups: [scheduling.x-k8s.io, scheduling.volcano.sh]
  resources: [podgroups]
  verbs: [get, create, patch]
{{- end }}

{{/* Marks of a TrainingRuntime that a hook makes; one that runs before something deletes it again. */}}
{{- define "trainyard.runtimeHook" -}}
meta.helm.sh/release-name: {{ .release.Name | quote }}
meta.helm.sh/release-namespace: {{ .release.Namespace | quote }}
helm.sh/hook: {{ .hook }}
helm.sh/hook-delete-policy: before-hook-creation{{ if hasPrefix "pre-" .hook }},hook-succeeded{{ end }}
{{- end }}
