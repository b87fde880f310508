{{/* The name of all that is made: the release's, which says registrar in any case. */}}
{{- define "registrar.name" -}}
{{- if contains "registrar" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-registrar{{ end }}
{{- end }}

{{- define "registrar.selector" -}}
app.kubernetes.io/name: registrar
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "registrar.labels" -}}
{{ include "registrar.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The text of registrar.yaml. */}}
{{- define "registrar.config" -}}
{{- if not .Values.config }}{{ .Files.Get "files/registrar.yaml" }}
{{- else if kindIs "string" .Values.config }}{{ .Values.config }}
{{- else }}{{ toYaml .Values.config }}
{{ end }}
{{- end }}

{{/* What registrar.yaml says, as YAML without comments. Fails where it can't be used here. */}}
{{- define "registrar.parsed" -}}
{{- $config := include "registrar.config" . | fromYaml }}
{{- if hasKey $config "Error" }}{{ fail (printf "config is no YAML: %s" $config.Error) }}{{ end }}
{{- if ne (dig "admin" "listen" "" $config) ":9180" }}
{{- fail "config needs `admin: {listen: \":9180\"}`: the probes and Prometheus ask there" }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* The rights of one folder of config/rbac: `root`, `rights`, and the `namespace` that its Roles are for. */}}
{{- define "registrar.rights" -}}
{{- $root := .root }}
{{- $config := include "registrar.parsed" $root | fromYaml }}
{{- $lease := dig "leaderElection" "name" (printf "registrar-%s" (dig "instance" "default" $config)) $config }}
{{- $name := include "registrar.name" $root }}
{{- range $text := splitList "\n---\n" ($root.Files.Get (printf "rbac/%s/role.yaml" .rights)) }}
{{- $role := fromYaml $text }}
{{- $kind := ternary "ClusterRole" $role.kind $.everywhere }}
{{- $metadata := dict "name" ($role.metadata.name | replace "registrar" $name) "labels" (include "registrar.labels" $root | fromYaml) }}
{{- if eq $kind "Role" }}{{ $_ := set $metadata "namespace" (default $.namespace $role.metadata.namespace) }}{{ end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata: {{- toYaml $metadata | nindent 2 }}
rules: {{- toYaml $role.rules | replace "registrar-default" $lease | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata: {{- toYaml $metadata | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ $metadata.name }}
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
    namespace: {{ $root.Release.Namespace }}
{{ end }}
{{- end }}
