{{- define "trainingjob-operator.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "trainingjob-operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of what belongs to no single component. */}}
{{- define "trainingjob-operator.commonLabels" -}}
{{ include "trainingjob-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: trainingjob
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "trainingjob-operator.labels" -}}
{{ include "trainingjob-operator.commonLabels" . }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* An image of the values: by digest, else by tag, else by the chart's appVersion. Takes (list root image). */}}
{{- define "trainingjob-operator.imageReference" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default (index . 0).Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The default tracking server. Fails with the remedy when there is none. */}}
{{- define "trainingjob-operator.trackingUri" -}}
{{- if .Values.mlflow.trackingUri -}}
{{- .Values.mlflow.trackingUri -}}
{{- else if .Values.mlflow.demo.enabled -}}
http://mlflow.{{ .Release.Namespace }}.svc:5000
{{- else -}}
{{- fail "mlflow.trackingUri is empty: set it to your MLflow server (--set mlflow.trackingUri=https://mlflow.example.com), or try the operator with a throw-away MLflow (--set mlflow.demo.enabled=true)" -}}
{{- end -}}
{{- end -}}

{{/* With podSecurityContext the restricted Pod Security Standard. */}}
{{- define "trainingjob-operator.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "mlflow-demo.selector" -}}
app.kubernetes.io/name: mlflow-demo
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mlflow-demo.labels" -}}
{{ include "mlflow-demo.selector" . }}
app.kubernetes.io/component: mlflow-demo
app.kubernetes.io/part-of: trainingjob
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "mlflow-demo.warning" -}}
trainingjob.dev/warning: "Demo only: one pod, no login, SQLite. Not for work that you want to keep."
{{- end -}}

{{/* Host headers by which pods (the Service's names), port-forwards and the node's port reach the server. */}}
{{- define "mlflow-demo.allowedHosts" -}}
{{- $hosts := list "localhost:*" "127.0.0.1:*" -}}
{{- range $name := list "mlflow" (printf "mlflow.%s" .Release.Namespace) (printf "mlflow.%s.svc" .Release.Namespace) (printf "mlflow.%s.svc.cluster.local" .Release.Namespace) -}}
{{- $hosts = concat $hosts (list $name (printf "%s:5000" $name)) -}}
{{- end -}}
{{- with .Values.mlflow.demo.nodePort -}}
{{- $hosts = append $hosts (printf "$(NODE_ADDRESS):%d" (int .)) -}}
{{- end -}}
{{- concat $hosts .Values.mlflow.demo.allowedHosts | join "," -}}
{{- end -}}

{{/* Origins of the pages that may write: MLflow takes its own UI for a foreign page, unless it is on localhost. */}}
{{- define "mlflow-demo.allowedOrigins" -}}
{{- $origins := list -}}
{{- with .Values.mlflow.demo.nodePort -}}
{{- $origins = append $origins (printf "http://$(NODE_ADDRESS):%d" (int .)) -}}
{{- end -}}
{{- range .Values.mlflow.demo.allowedHosts -}}
{{- $origins = concat $origins (list (printf "http://%s" .) (printf "https://%s" .)) -}}
{{- end -}}
{{- join "," $origins -}}
{{- end -}}
