{{/* What several templates share. Names are fixed: a cluster has one podmirror, and webhook and agent know each other's ConfigMaps by name. */}}

{{- /* Labels of every object. Called with (list $ "webhook"). */}}
{{- define "podmirror.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: podmirror
app.kubernetes.io/part-of: podmirror
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- with $root.Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* What finds the pods of a unit. It can never be changed. */}}
{{- define "podmirror.selector" -}}
app.kubernetes.io/name: podmirror
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- /* Labels of pods: not the chart's version, or each new one would restart everything. Called with (list $ "webhook" .Values.webhook). */}}
{{- define "podmirror.podLabels" -}}
{{- $root := index . 0 -}}
{{- $own := dict "app.kubernetes.io/name" "podmirror" "app.kubernetes.io/component" (index . 1) -}}
app.kubernetes.io/name: podmirror
app.kubernetes.io/part-of: podmirror
app.kubernetes.io/component: {{ index . 1 }}
{{- with merge (dict) (index . 2).podLabels $root.Values.extraLabels }}
{{ toYaml (omit . "app.kubernetes.io/name" "app.kubernetes.io/part-of" "app.kubernetes.io/component") }}
{{- end }}
{{- end }}

{{- /* Called with (list $ "webhook" .Values.webhook). */}}
{{- define "podmirror.image" -}}
{{- $root := index . 0 -}}
{{- $image := mergeOverwrite (deepCopy $root.Values.image) (index . 2).image -}}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.name | default (printf "podmirror-%s" (index . 1)) -}}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{- define "podmirror.pullPolicy" -}}
{{- $root := index . 0 -}}
{{- (mergeOverwrite (deepCopy $root.Values.image) (index . 2).image).pullPolicy -}}
{{- end }}

{{- /* Where the agent lives. */}}
{{- define "podmirror.agentNamespace" -}}
{{- .Values.agent.namespace | default .Release.Namespace -}}
{{- end }}

{{- /* "true": in a namespace of its own. */}}
{{- define "podmirror.agentApart" -}}
{{- if ne (include "podmirror.agentNamespace" .) .Release.Namespace -}}true{{- end -}}
{{- end }}

{{- /* The Secret with the certificate of a unit. Called with (list $ "processor"). */}}
{{- define "podmirror.tlsSecret" -}}
{{- $root := index . 0 -}}
{{- $unit := index . 1 -}}
{{- $given := index $root.Values.certificates.existingSecret $unit -}}
{{- $connector := $root.Values.config.connector.certificate -}}
{{- if and (eq $unit "processor") $connector.enabled $connector.existingSecret.enabled -}}
{{- required "config.connector.certificate.existingSecret.name: it is missing. Write the name of a Secret with ca.crt, tls.crt and tls.key" $connector.existingSecret.name -}}
{{- else if and (eq $unit "processor") $connector.enabled (or $connector.customSecret.enabled $connector.certManager.enabled) -}}
podmirror-processor-custom-tls
{{- else if eq $root.Values.certificates.mode "existingSecret" -}}
{{- required (printf "certificates.existingSecret.%s: it is missing. Write the name of a Secret with ca.crt, tls.crt and tls.key" $unit) $given -}}
{{- else -}}
podmirror-{{ $unit }}-tls
{{- end -}}
{{- end }}

{{- /*
The folder /etc/podmirror of a unit: its configuration, its certificate, and the CA that vouches for the other side.
One volume, since nothing can be mounted below a ConfigMap. Called with (list $ "agent" "processor").
*/}}
{{- define "podmirror.folder" -}}
{{- $root := index . 0 -}}
{{- $own := include "podmirror.tlsSecret" (list $root (index . 1)) -}}
{{- $other := include "podmirror.tlsSecret" (list $root (index . 2)) -}}
projected:
  defaultMode: 0440
  sources:
    - configMap:
        name: podmirror-{{ index . 1 }}
    - secret:
        name: {{ $own }}
        items:
          - key: tls.crt
            path: tls/tls.crt
          - key: tls.key
            path: tls/tls.key
    # The CA of the {{ index . 2 }}.
    - secret:
        name: {{ ternary $own $other (eq (include "podmirror.agentApart" $root) "true") }}
        items:
          - key: ca.crt
            path: tls/ca.crt
{{- end }}
