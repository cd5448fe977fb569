{{- define "trainingjob-operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name -}}
{{- end -}}

{{- define "trainingjob-operator.fullname" -}}
{{- $name := include "trainingjob-operator.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "trainingjob-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "trainingjob-operator.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.create is false: name the ServiceAccount that exists in serviceAccount.name" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "trainingjob-operator.selector" -}}
app.kubernetes.io/name: {{ include "trainingjob-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Of the pod of `helm test`, which the operator's Service must not select. */}}
{{- define "trainingjob-operator.testSelector" -}}
app.kubernetes.io/name: {{ include "trainingjob-operator.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of what belongs to no single component. */}}
{{- define "trainingjob-operator.releaseLabels" -}}
{{ include "trainingjob-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: trainingjob
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "trainingjob-operator.labels" -}}
{{ include "trainingjob-operator.releaseLabels" . }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* The operator's labels and those of one object, which count more than commonLabels. Takes (list root labels). */}}
{{- define "trainingjob-operator.labelsWith" -}}
{{- merge (dict) (index . 1) (include "trainingjob-operator.labels" (index . 0) | fromYaml) | toYaml -}}
{{- end -}}

{{/* An image of the values: by digest, else by tag, else by the chart's appVersion. Takes (list root image). */}}
{{- define "trainingjob-operator.imageReference" -}}
{{- $image := index . 1 -}}
{{- $repository := include "trainingjob-operator.repository" . -}}
{{- if $image.digest -}}
{{ $repository }}@{{ $image.digest }}
{{- else -}}
{{ $repository }}:{{ $image.tag | default (index . 0).Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The repository under global.imageRegistry, which fails where the repository names a registry of its own. */}}
{{- define "trainingjob-operator.repository" -}}
{{- $repository := (index . 1).repository -}}
{{- $registry := ((index . 0).Values.global | default dict).imageRegistry -}}
{{- if not $registry -}}
{{- $repository -}}
{{- else if and (contains "/" $repository) (regexMatch "[.:]|^localhost$" (splitList "/" $repository | first)) -}}
{{- fail (printf "global.imageRegistry is %s, and the repository %s names a registry, too: leave it out of the repository, or leave global.imageRegistry empty" $registry $repository) -}}
{{- else -}}
{{- printf "%s/%s" (trimSuffix "/" $registry) $repository -}}
{{- end -}}
{{- end -}}

{{/* Pull secrets of the chart and of a parent chart, which may list names or objects. */}}
{{- define "trainingjob-operator.imagePullSecrets" -}}
{{- $secrets := list -}}
{{- range concat (.Values.imagePullSecrets | default list) ((.Values.global | default dict).imagePullSecrets | default list) -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with $secrets | uniq -}}
{{- toYaml . -}}
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

{{/*
Spread constraints, each over the operator's pods unless it has a selector. Without any, and without affinity,
replicas prefer different nodes and zones.
*/}}
{{- define "trainingjob-operator.spread" -}}
{{- $selector := dict "matchLabels" (include "trainingjob-operator.selector" . | fromYaml) -}}
{{- $given := .Values.topologySpreadConstraints -}}
{{- if and (not $given) (not .Values.affinity) (gt (int .Values.replicas) 1) -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" -}}
{{- $given = append $given (dict "maxSkew" 1 "topologyKey" . "whenUnsatisfiable" "ScheduleAnyway") -}}
{{- end -}}
{{- end -}}
{{- $constraints := list -}}
{{- range $given -}}
{{- $constraints = append $constraints (hasKey . "labelSelector" | ternary . (merge (dict "labelSelector" $selector) .)) -}}
{{- end -}}
{{- with $constraints -}}
{{- toYaml . -}}
{{- end -}}
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
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
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

{{/* The ports in the URIs of all MLflow servers, or those of their schemes. */}}
{{- define "trainingjob-operator.mlflowPorts" -}}
{{- $uris := concat (list (include "trainingjob-operator.trackingUri" .)) .Values.mlflow.allowedTrackingUris -}}
{{- range .Values.mlflow.servers -}}
{{- $uris = append $uris .uri -}}
{{- end -}}
{{- $ports := list -}}
{{- range $uris -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $ports = append $ports (int ($port | default (eq $url.scheme "https" | ternary "443" "80"))) -}}
{{- end -}}
{{- toYaml $ports -}}
{{- end -}}
