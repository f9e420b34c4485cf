{{- define "auth-gateway.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What a Deployment may never change; the same as in the deployment guide's manifest. */}}
{{- define "auth-gateway.selectorLabels" -}}
app: {{ include "auth-gateway.fullname" . }}
{{- end -}}

{{- define "auth-gateway.labels" -}}
{{ include "auth-gateway.selectorLabels" . }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "auth-gateway.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default (printf "v%s" $.Chart.AppVersion) .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "auth-gateway.secretName" -}}
{{- default .Values.secret.name .Values.secret.existingSecret -}}
{{- end -}}

{{- define "auth-gateway.rulesConfigMapName" -}}
{{- default .Values.rules.configMapName .Values.rules.existingConfigMap -}}
{{- end -}}

{{- define "auth-gateway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "auth-gateway.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The rules, unchanged; a text that is no array of objects stops the installation here, not in the pod. */}}
{{- define "auth-gateway.rules" -}}
{{- $text := index .Values.rules .value -}}
{{- range $index, $rule := fromJsonArray $text -}}
{{- if not (kindIs "map" $rule) -}}
{{- fail (printf "rules.%s has to be a JSON array of rules: element %d is %v" $.value $index $rule) -}}
{{- end -}}
{{- end -}}
{{- trim $text -}}
{{- end -}}

{{/* Names that only the cluster gives out, from the shortest on, and what is configured. */}}
{{- define "auth-gateway.privateHosts" -}}
{{- $name := include "auth-gateway.fullname" . -}}
{{- $below := printf "%s.%s" $name .Release.Namespace -}}
{{- $own := list $name $below (printf "%s.svc" $below) (printf "%s.svc.cluster.local" $below) -}}
{{- join "," (concat $own (compact (list .Values.network.privateHosts))) -}}
{{- end }}
