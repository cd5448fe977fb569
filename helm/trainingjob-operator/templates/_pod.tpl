{{/* What the pods of the operator and of `helm test` share: placement, network, volumes. */}}
{{- define "trainingjob-operator.podBase" -}}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with include "trainingjob-operator.imagePullSecrets" . }}
imagePullSecrets: {{- . | nindent 2 }}
{{- end }}
{{- if kindIs "bool" .Values.hostUsers }}
hostUsers: {{ .Values.hostUsers }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig: {{- toYaml . | nindent 2 }}
{{- end }}
# A Service trainingjob-operator would give variables that look like the operator's settings
enableServiceLinks: false
securityContext: {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "trainingjob-operator.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if or .Values.mlflow.existingSecret .Values.mlflow.serviceAccountToken.enabled }}
- name: mlflow-login
  mountPath: /etc/mlflow-login
  readOnly: true
{{- end }}
{{- if or .Values.mlflow.ca.configMap .Values.mlflow.ca.secret }}
- name: mlflow-ca
  mountPath: /etc/mlflow-ca
  readOnly: true
{{- end }}
{{- with include "trainingjob-operator.mlflowServerMounts" .Values.mlflow.servers }}
{{ . | trim }}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "trainingjob-operator.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- with .Values.mlflow.existingSecret }}
- name: mlflow-login
  secret:
    secretName: {{ . }}
{{- end }}
{{- if .Values.mlflow.serviceAccountToken.enabled }}
- name: mlflow-login
  {{- include "trainingjob-operator.tokenProjection" .Values.mlflow.serviceAccountToken | nindent 2 }}
{{- end }}
{{- with .Values.mlflow.ca.configMap }}
- name: mlflow-ca
  configMap:
    name: {{ . }}
{{- end }}
{{- with .Values.mlflow.ca.secret }}
- name: mlflow-ca
  secret:
    secretName: {{ . }}
{{- end }}
{{- with include "trainingjob-operator.mlflowServerVolumes" .Values.mlflow.servers }}
{{ . | trim }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
