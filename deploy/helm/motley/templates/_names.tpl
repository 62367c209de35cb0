{{/* Labels of every object. */}}
{{- define "motley.labels" -}}
app.kubernetes.io/name: motley
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
motley/name: {{ .Values.name }}
{{- end }}

{{/* Every pod of ours: KubeRay names clusters anew, so its labels are none to select by. */}}
{{- define "motley.pods" -}}
motley/name: {{ .Values.name }}
{{- end }}

{{/* Those where doors run. */}}
{{- define "motley.doors" -}}
motley/name: {{ .Values.name }}
motley/doors: "true"
{{- end }}

{{/* dict root, name: the image of that name. */}}
{{- define "motley.image" -}}
{{- $image := get .root.Values.images .name -}}
{{- if not $image }}{{ fail (printf "the fleet runs the image '%s', and the values have no images.%s" .name .name) }}{{ end -}}
{{- with .root.Values.registry }}{{ . }}/{{ end }}{{ $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default (printf "%s-%s" .root.Chart.AppVersion .name) }}{{ end -}}
{{- end }}

{{/* A map as environment; names of Secrets after it. list: plain, secret. */}}
{{- define "motley.env" -}}
{{- range $name, $value := index . 0 }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range $name, $from := index . 1 }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $from.name }}, key: {{ $from.key }}}}
{{- end }}
{{- end }}
