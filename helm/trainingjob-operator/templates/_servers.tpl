{{/* Further MLflow servers: the setting (JSON), and the files that it names. */}}
{{- define "trainingjob-operator.mlflowServers" -}}
{{- $servers := list -}}
{{- range $index, $server := . -}}
{{- $ca := $server.ca | default dict -}}
{{- if and $ca.configMap $ca.secret -}}
{{- fail (printf "mlflow.servers[%d].ca: configMap and secret are both set" $index) -}}
{{- end -}}
{{- $token := $server.serviceAccountToken | default dict -}}
{{- if and $server.existingSecret $token.enabled -}}
{{- fail (printf "mlflow.servers[%d]: existingSecret and serviceAccountToken.enabled are both set" $index) -}}
{{- end -}}
{{- $files := printf "/etc/mlflow-servers/%d" $index -}}
{{- $entry := dict "uri" $server.uri -}}
{{- with $server.uiUrl }}{{ $_ := set $entry "uiUrl" . }}{{ end -}}
{{- with $server.workspaces }}{{ $_ := set $entry "workspaces" . }}{{ end -}}
{{- if or $server.existingSecret $token.enabled }}{{ $_ := set $entry "loginDirectory" (printf "%s/login" $files) }}{{ end -}}
{{- if $token.enabled }}{{ $_ := set $entry "podToken" (include "trainingjob-operator.podToken" $token | fromJson) }}{{ end -}}
{{- if or $ca.configMap $ca.secret -}}
{{- $_ := set $entry "caPath" (printf "%s/ca/%s" $files ($ca.key | default "ca.crt")) -}}
{{- end -}}
{{- $servers = append $servers $entry -}}
{{- end -}}
{{- toJson $servers -}}
{{- end -}}

{{- define "trainingjob-operator.mlflowServerMounts" -}}
{{- range $index, $server := . }}
{{- if or $server.existingSecret ($server.serviceAccountToken | default dict).enabled }}
- name: mlflow-{{ $index }}-login
  mountPath: /etc/mlflow-servers/{{ $index }}/login
  readOnly: true
{{- end }}
{{- if $server.ca }}
- name: mlflow-{{ $index }}-ca
  mountPath: /etc/mlflow-servers/{{ $index }}/ca
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{- define "trainingjob-operator.mlflowServerVolumes" -}}
{{- range $index, $server := . }}
{{- with $server.existingSecret }}
- name: mlflow-{{ $index }}-login
  secret:
    secretName: {{ . }}
{{- end }}
{{- with $server.serviceAccountToken }}
{{- if .enabled }}
- name: mlflow-{{ $index }}-login
{{ include "trainingjob-operator.tokenProjection" . | trim | indent 2 }}
{{- end }}
{{- end }}
{{- with $server.ca }}
- name: mlflow-{{ $index }}-ca
  {{- if .configMap }}
  configMap:
    name: {{ .configMap }}
  {{- else }}
  secret:
    secretName: {{ required "mlflow.servers: ca needs configMap or secret" .secret }}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The setting (JSON) for the token that training pods log in with. */}}
{{- define "trainingjob-operator.podToken" -}}
{{- dict "audience" (.audience | default "") "expirationSeconds" (int (.expirationSeconds | default 3600)) | toJson -}}
{{- end -}}

{{/* The operator's own token, under the file name that a login in files uses. */}}
{{- define "trainingjob-operator.tokenProjection" -}}
projected:
  sources:
    - serviceAccountToken:
        path: MLFLOW_TRACKING_TOKEN
        expirationSeconds: {{ int (.expirationSeconds | default 3600) }}
        {{- with .audience }}
        audience: {{ . | quote }}
        {{- end }}
{{- end -}}
