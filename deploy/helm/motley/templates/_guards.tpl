{{/* What no schema can say: refused before anything is made of it. */}}
{{- define "motley.guards" -}}
{{- $values := .Values -}}
{{- if not $values.fleet.groups }}
{{- fail "there is no fleet: `motley render --helm FLEET > fleet-values.yaml`, and give that with -f" }}
{{- end }}
{{- if not (or $values.keys.existingSecret $values.apiKeys.existingSecret $values.openToAll) }}
{{- fail "who may use the door? Name keys.existingSecret (or apiKeys.existingSecret), or say openToAll: true" }}
{{- end }}
{{- if lt (int $values.drainSeconds) (int $values.fleet.drainSeconds) }}
{{- fail (printf "the fleet lets replicas finish for %d s (drain_s), and drainSeconds ends their pods before" (int $values.fleet.drainSeconds)) }}
{{- end }}
{{- $names := list }}
{{- $cards := dict }}
{{- range $group := $values.fleet.groups }}
{{- $names = append $names $group.name }}
{{- $own := get $values.groups $group.name | default dict }}
{{- $resource := include "motley.resource" (dict "root" $ "group" $group) }}
{{- if and $group.gpus (not (or $own.nodeSelector $own.affinity)) }}
{{- $_ := set $cards $resource (append (get $cards $resource | default list) $group.name) }}
{{- end }}
{{- if and $group.gpus (not $resource) }}
{{- fail (printf "vendors.%s.resource is empty: what does Kubernetes call its cards?" $group.vendor) }}
{{- end }}
{{- $most := $own.most | default $group.most | int }}
{{- if lt $most (hasKey $own "least" | ternary $own.least $group.least | int) }}
{{- fail (printf "group %s would have at least more pods than at most" $group.name) }}
{{- end }}
{{- if and (eq $values.models.volume "pvc") (gt $most 1) (not (has "ReadWriteMany" $values.models.accessModes)) }}
{{- fail (printf "group %s has %d pods, and one volume for them: models.accessModes must be [ReadWriteMany]" $group.name $most) }}
{{- end }}
{{- if and (ne $values.upgrade.type "None") $group.gpus (not $values.upgrade.everyGpuTwice) }}
{{- fail (printf "upgrade.type %s starts a second cluster, which needs every GPU twice (group %s): keep None, or say upgrade.everyGpuTwice: true" $values.upgrade.type $group.name) }}
{{- end }}
{{- end }}
{{- range $resource, $groups := $cards }}
{{- $all := list }}
{{- range $group := $values.fleet.groups }}
{{- if and $group.gpus (eq $resource (include "motley.resource" (dict "root" $ "group" $group))) }}{{ $all = append $all $group.name }}{{ end }}
{{- end }}
{{- if gt (len $all) 1 }}
{{- fail (printf "groups %s all ask for %s: a pod of %s could land on another's node. Give it a groups.%s.nodeSelector" (join ", " $all) $resource (first $groups) (first $groups)) }}
{{- end }}
{{- end }}
{{- range $name, $_ := $values.groups }}
{{- if not (has $name $names) }}
{{- fail (printf "groups.%s: the fleet has no such group, but %s" $name (join ", " $names)) }}
{{- end }}
{{- end }}
{{- if eq $values.upgrade.type "NewClusterWithIncrementalUpgrade" }}
{{- if not $values.autoscaler.enabled }}{{ fail "KubeRay upgrades step by step only with autoscaler.enabled: true" }}{{ end }}
{{- if not $values.upgrade.gatewayClassName }}{{ fail "KubeRay upgrades step by step through a Gateway: name upgrade.gatewayClassName" }}{{ end }}
{{- if gt (int $values.upgrade.stepSizePercent) (int $values.upgrade.maxSurgePercent) }}{{ fail "upgrade.stepSizePercent is more than upgrade.maxSurgePercent" }}{{ end }}
{{- if eq $values.kserve.mode "ExternalName" }}{{ fail (printf "KubeRay makes no %s-serve-svc when it upgrades step by step: kserve.mode must be ClusterIP" $values.name) }}{{ end }}
{{- end }}
{{- if and (eq $values.models.volume "existingClaim") (not $values.models.existingClaim) }}{{ fail "models.existingClaim names no claim" }}{{ end }}
{{- if and $values.ingress.enabled (not $values.ingress.hosts) }}{{ fail "ingress.hosts names no host" }}{{ end }}
{{- if and $values.route.enabled (not $values.route.parentRefs) }}{{ fail "route.parentRefs names no Gateway" }}{{ end }}
{{- end }}

{{/* dict root, group: what Kubernetes calls the cards of a group. */}}
{{- define "motley.resource" -}}
{{- $own := get .root.Values.groups .group.name | default dict -}}
{{- $vendor := get .root.Values.vendors .group.vendor | default dict -}}
{{- $own.resource | default $vendor.resource | default "" -}}
{{- end }}
