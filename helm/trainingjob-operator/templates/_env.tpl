{{/* The operator's settings, and where MLflow's credentials are. */}}
{{- define "trainingjob-operator.env" -}}
{{- $mlflow := .Values.mlflow -}}
- name: TRAININGJOB_OPERATOR_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: TRAININGJOB_OPERATOR_IDENTITY
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: TRAININGJOB_OPERATOR_INSTALLATION
  value: {{ include "trainingjob-operator.fullname" . | quote }}
{{- with .Values.watchNamespaces }}
- name: TRAININGJOB_OPERATOR_WATCH_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
- name: TRAININGJOB_OPERATOR_MLFLOW_TRACKING_URI
  value: {{ include "trainingjob-operator.trackingUri" . | quote }}
{{- with $mlflow.uiUrl }}
- name: TRAININGJOB_OPERATOR_MLFLOW_UI_URL
  value: {{ . | quote }}
{{- end }}
{{- with $mlflow.allowedTrackingUris }}
- name: TRAININGJOB_OPERATOR_MLFLOW_ALLOWED_TRACKING_URIS
  value: {{ join "," . | quote }}
{{- end }}
{{- with $mlflow.servers }}
- name: TRAININGJOB_OPERATOR_MLFLOW_SERVERS
  value: {{ include "trainingjob-operator.mlflowServers" . | quote }}
{{- end }}
{{- with $mlflow.experimentPattern }}
- name: TRAININGJOB_OPERATOR_MLFLOW_EXPERIMENT_PATTERN
  value: {{ . | quote }}
{{- end }}
{{- with $mlflow.workspaces }}
- name: TRAININGJOB_OPERATOR_MLFLOW_WORKSPACES
  value: {{ toJson . | quote }}
{{- end }}
{{- if $mlflow.serviceAccountToken.enabled }}
- name: TRAININGJOB_OPERATOR_MLFLOW_POD_TOKEN
  value: {{ include "trainingjob-operator.podToken" $mlflow.serviceAccountToken | quote }}
{{- end }}
- name: TRAININGJOB_OPERATOR_MLFLOW_POLL_SECONDS
  value: {{ $mlflow.pollSeconds | quote }}
- name: TRAININGJOB_OPERATOR_POD_SECURITY_CONTEXT
  value: {{ .Values.trainingPods.securityContext | default dict | toJson | quote }}
- name: TRAININGJOB_OPERATOR_WORKERS
  value: {{ .Values.operator.workers | quote }}
- name: TRAININGJOB_OPERATOR_LEASE_SECONDS
  value: {{ .Values.operator.leaseSeconds | quote }}
- name: TRAININGJOB_OPERATOR_LOG_LEVEL
  value: {{ .Values.operator.logLevel | quote }}
- name: TRAININGJOB_OPERATOR_LOG_FORMAT
  value: {{ .Values.operator.logFormat | quote }}
{{- if and $mlflow.existingSecret $mlflow.serviceAccountToken.enabled }}
{{- fail "mlflow.existingSecret and mlflow.serviceAccountToken.enabled are both set: the operator logs in by one of them" }}
{{- end }}
{{- if or $mlflow.existingSecret $mlflow.serviceAccountToken.enabled }}
- name: TRAININGJOB_OPERATOR_MLFLOW_LOGIN_DIRECTORY
  value: /etc/mlflow-login
{{- end }}
{{- if and $mlflow.ca.configMap $mlflow.ca.secret }}
{{- fail "mlflow.ca.configMap and mlflow.ca.secret are both set: the CA certificate comes from one of them" }}
{{- end }}
{{- if or $mlflow.ca.configMap $mlflow.ca.secret }}
- name: MLFLOW_TRACKING_SERVER_CERT_PATH
  value: /etc/mlflow-ca/{{ $mlflow.ca.key }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
