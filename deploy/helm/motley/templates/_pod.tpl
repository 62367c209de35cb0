{{/* dict root, image, env (list of dicts), doors, models (whether models lie here), group, own, vendor: the
     template of a pod, head or worker. KubeRay adds Ray's command, /dev/shm, and who waits for the head. */}}
{{- define "motley.pod" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $own := .own -}}
{{- $vendor := .vendor -}}
{{- $group := .group -}}
metadata:
  labels:
    {{- include "motley.pods" $root | nindent 4 }}
    motley/part: {{ $group.name | default "head" }}
    {{- if $group.doors }}
    motley/doors: "true"
    {{- end }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with merge (dict) ($own.podAnnotations | default dict) $values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: {{ and (empty $group.name) $values.autoscaler.enabled }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add (int $values.drainSeconds) 30 }}
  {{- with $values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- $security := deepCopy $values.podSecurityContext }}
    {{- with concat ($vendor.supplementalGroups | default list) ($own.supplementalGroups | default list) | uniq }}
    {{- $_ := set $security "supplementalGroups" . }}
    {{- end }}
    {{- toYaml $security | nindent 4 }}
  {{- with $own.runtimeClassName | default $vendor.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with $own.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $own.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- else }}
  {{- if $group.doors }}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "motley.doors" $root | nindent 16 }}
  {{- end }}
  {{- end }}
  {{- with concat ($vendor.tolerations | default list) ($own.tolerations | default list) }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $pulls := and $group.stores $values.models.pull.enabled }}
  {{- if $pulls }}
  initContainers:
    - name: pull
      image: {{ .image }}
      imagePullPolicy: {{ $values.imagePullPolicy }}
      command:
        - sh
        - -c
        - motley pull /etc/motley/fleet/fleet.yaml --node {{ $group.name }}{{ if not $values.models.pull.required }} || echo "not all models are here; their replicas will try again"{{ end }}
      env:
        {{- include "motley.environment" . | nindent 8 }}
      resources:
        {{- toYaml $values.models.pull.resources | nindent 8 }}
      securityContext:
        {{- toYaml $values.securityContext | nindent 8 }}
      volumeMounts:
        {{- include "motley.mounts" . | nindent 8 }}
        - {name: fleet, mountPath: /etc/motley/fleet, readOnly: true}
  {{- end }}
  containers:
    - name: {{ empty $group.name | ternary "ray-head" "ray-worker" }}
      image: {{ .image }}
      imagePullPolicy: {{ $values.imagePullPolicy }}
      env:
        {{- include "motley.environment" . | nindent 8 }}
      ports:
        - {name: metrics, containerPort: 8080}
        - {name: serve, containerPort: 8000}
        {{- if not $group.name }}
        - {name: gcs-server, containerPort: 6379}
        - {name: dashboard, containerPort: 8265}
        - {name: client, containerPort: 10001}
        - {name: as-metrics, containerPort: 44217}
        - {name: dash-metrics, containerPort: 44227}
        {{- end }}
      # A model that loads may hold a core for long: a pod is dead only when its raylet has not answered for minutes.
      livenessProbe:
        httpGet: {path: /api/local_raylet_healthz, port: 52365}
        initialDelaySeconds: 30
        periodSeconds: 15
        timeoutSeconds: 5
        failureThreshold: 12
      readinessProbe:
        {{- if $group.name }}
        httpGet: {path: /-/healthz, port: 8000}
        {{- else }}
        httpGet: {path: /api/healthz, port: 52365}
        {{- end }}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 3
      {{- if $group.name }}
      lifecycle:
        # Endpoints forget the pod first; then Ray, at SIGTERM, drains it: RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S.
        preStop: {exec: {command: [sleep, "5"]}}
      {{- end }}
      resources:
        {{- if $own.resources }}
        {{- $asked := deepCopy $own.resources }}
        {{- with .cards }}
        {{- $_ := set $asked "limits" (merge (dict) . ($asked.limits | default dict)) }}
        {{- end }}
        {{- toYaml $asked | nindent 8 }}
        {{- else }}
        requests:
          {{- toYaml $group.requests | nindent 10 }}
        {{- with merge (dict) .cards $group.limits }}
        limits:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- end }}
      securityContext:
        {{- if $own.hostDevices }}
        privileged: true
        {{- else }}
        {{- toYaml $values.securityContext | nindent 8 }}
        {{- end }}
      volumeMounts:
        {{- include "motley.mounts" . | nindent 8 }}
        {{- range $index, $path := $own.hostDevices }}
        - {name: device-{{ $index }}, mountPath: {{ $path }}}
        {{- end }}
  volumes:
    - {name: tmp, emptyDir: {}}
    {{- if $group.stores }}
    - name: models
      {{- if eq $values.models.volume "hostPath" }}
      hostPath: {path: {{ $values.models.hostPath }}, type: DirectoryOrCreate}
      {{- else if eq $values.models.volume "pvc" }}
      persistentVolumeClaim: {claimName: {{ $values.name }}-models-{{ $group.name }}}
      {{- else if eq $values.models.volume "existingClaim" }}
      persistentVolumeClaim: {claimName: {{ $values.models.existingClaim }}}
      {{- else }}
      emptyDir: {sizeLimit: {{ $values.models.size }}}
      {{- end }}
    {{- end }}
    {{- range $claim := $group.claims }}
    - {name: claim-{{ $claim }}, persistentVolumeClaim: {claimName: {{ $claim }}, readOnly: true}}
    {{- end }}
    {{- if $pulls }}
    - {name: fleet, configMap: {name: {{ $values.name }}-fleet}}
    {{- end }}
    {{- if and $group.doors $values.keys.existingSecret }}
    - name: keys
      secret:
        secretName: {{ $values.keys.existingSecret }}
        items: [{key: {{ $values.keys.fileKey }}, path: keys.json}]
    {{- end }}
    {{- if and $group.doors $values.door.hooksConfigMap }}
    - {name: hooks, configMap: {name: {{ $values.door.hooksConfigMap }}}}
    {{- end }}
    {{- range $index, $path := $own.hostDevices }}
    - {name: device-{{ $index }}, hostPath: {path: {{ $path }}}}
    {{- end }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "motley.mounts" -}}
{{- $values := .root.Values -}}
- {name: tmp, mountPath: /tmp}
{{- if .group.stores }}
- {name: models, mountPath: {{ $values.models.mountPath }}}
{{- end }}
{{- range $claim := .group.claims }}
- {name: claim-{{ $claim }}, mountPath: /mnt/pvc/{{ $claim }}, readOnly: true}
{{- end }}
{{- if and .group.doors $values.keys.existingSecret }}
- {name: keys, mountPath: /etc/motley/keys, readOnly: true}
{{- end }}
{{- if and .group.doors $values.door.hooksConfigMap }}
- {name: hooks, mountPath: /etc/motley/hooks, readOnly: true}
{{- end }}
{{- with $values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What the fleet brings, then what the values say: the last word is the group's. */}}
{{- define "motley.environment" -}}
{{- $values := .root.Values -}}
{{- $env := dict "HOME" "/tmp" "XDG_CACHE_HOME" "/tmp/.cache" -}}
{{- if eq $values.auth.mode "disabled" }}{{ $_ := set $env "RAY_AUTH_MODE" "disabled" }}{{ end -}}
{{- $secret := dict -}}
{{- if .group.stores -}}
{{- $_ := set $env "MOTLEY_STORE" (printf "%s/.store" $values.models.mountPath) -}}
{{- $_ := set $env "XDG_CACHE_HOME" (printf "%s/.cache" $values.models.mountPath) -}}
{{- with $values.models.storeMax }}{{ $_ := set $env "MOTLEY_STORE_MAX" . }}{{ end -}}
{{- end -}}
{{- if .group.name -}}
{{- $_ := set $env "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S" (int $values.drainSeconds | toString) -}}
{{- end -}}
{{- if .group.doors -}}
{{- with $values.keys.existingSecret -}}
{{- $_ := set $env "MOTLEY_KEYS_FILE" "/etc/motley/keys/keys.json" -}}
{{- $_ := set $secret "MOTLEY_KEYS_PEPPER" (dict "name" . "key" $values.keys.pepperKey) -}}
{{- end -}}
{{- with $values.apiKeys.existingSecret -}}
{{- $_ := set $secret "MOTLEY_API_KEYS" (dict "name" . "key" $values.apiKeys.key) -}}
{{- end -}}
{{- if $values.openToAll }}{{ $_ := set $env "MOTLEY_OPEN_TO_ALL" "true" }}{{ end -}}
{{- if $values.door.hooksConfigMap }}{{ $_ := set $env "MOTLEY_HOOKS" "/etc/motley/hooks" }}{{ end -}}
{{- $env = merge (dict) $values.door.env $values.env $env -}}
{{- $secret = merge (dict) $values.door.secretEnv $secret -}}
{{- end -}}
{{- $env = merge (dict) (.own.env | default dict) (.vendor.env | default dict) $values.env $env $values.fleet.environment -}}
{{- $secret = merge (dict) (.own.secretEnv | default dict) $values.secretEnv $secret -}}
{{- include "motley.env" (list $env $secret) | trim -}}
{{- end }}
