{{/* Further MLflow servers: the setting (JSON), and the files that it names. */}}
{{- define "trainingjob-operator.mlflowServers" -}}
{{- $servers := list -}}
{{- range $index, $server := . -}}
{{- $ca := $server.ca | default dict -}}
{{- if and $ca.configMap $ca.secret -}}
{{- fail (printf "mlflow.servers[%d].ca: configMap and secret are both set" $index) -}}
{{- end -}}
{{- $files := printf "/etc/mlflow-servers/%d" $index -}}
{{- $told := dict "uri" $server.uri -}}
{{- with $server.uiUrl }}{{ $_ := set $told "uiUrl" . }}{{ end -}}
{{- if $server.existingSecret }}{{ $_ := set $told "loginDirectory" (printf "%s/login" $files) }}{{ end -}}
{{- if or $ca.configMap $ca.secret -}}
{{- $_ := set $told "caPath" (printf "%s/ca/%s" $files ($ca.key | default "ca.crt")) -}}
{{- end -}}
{{- $servers = append $servers $told -}}
{{- end -}}
{{- toJson $servers -}}
{{- end -}}

{{- define "trainingjob-operator.mlflowServerMounts" -}}
{{- range $index, $server := . }}
{{- if $server.existingSecret }}
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
