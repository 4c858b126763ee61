{{- define "falcon-catalog.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "falcon-catalog.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "falcon-catalog.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "falcon-catalog.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "falcon-catalog.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "falcon-catalog.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "falcon-catalog.image" -}}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}

{{- /* The Secret whose keys are mounted as files; empty if there is none. */ -}}
{{- define "falcon-catalog.secret" -}}
{{- if .Values.secrets.external.enabled -}}
{{- include "falcon-catalog.fullname" . -}}
{{- else -}}
{{- .Values.secrets.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "falcon-catalog.isPostgres" -}}
{{- if eq .Values.store.type "postgresql" }}true{{ end -}}
{{- end -}}

{{- /* Whether pods of the catalog have the volume: SQLite's, or that of a warehouse in file://. */ -}}
{{- define "falcon-catalog.hasVolume" -}}
{{- $location := default "file:" (get .Values.settings "warehouse.location") -}}
{{- if or (not (include "falcon-catalog.isPostgres" .)) (hasPrefix "file:" $location) }}true{{ end -}}
{{- end -}}

{{- define "falcon-catalog.hosts" -}}
{{- $name := include "falcon-catalog.fullname" . -}}
{{- $space := .Release.Namespace -}}
{{- $own := list $name (printf "%s.%s" $name $space) (printf "%s.%s.svc" $name $space) (printf "%s.%s.svc.cluster.local" $name $space) -}}
{{- concat $own .Values.ingress.hosts .Values.allowedHosts | uniq | join "," -}}
{{- end -}}

{{- /* A value as a variable has it: lists with commas, and numbers without an exponent. */ -}}
{{- define "falcon-catalog.value" -}}
{{- if kindIs "slice" . }}{{ join "," . }}{{ else if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ toString . }}{{ end -}}
{{- end -}}

{{- define "falcon-catalog.env" -}}
{{- $given := .Values.settings -}}
{{- $env := dict -}}
{{- range $key, $value := $given -}}
{{- $_ := set $env (printf "CATALOG_%s" ($key | replace "." "_" | upper)) (include "falcon-catalog.value" $value) -}}
{{- end -}}
{{- $_ := set $env "CATALOG_AUTH_REQUIRED" (toString .Values.auth.required) -}}
{{- if not .Values.auth.required -}}{{- $_ := set $env "CATALOG_SERVER_INSECURE" "true" -}}{{- end -}}
{{- $_ := set $env "CATALOG_METRICS_PUBLIC" (toString .Values.metrics.public) -}}
{{- $_ := set $env "CATALOG_SERVER_ALLOWED_HOSTS" (include "falcon-catalog.hosts" .) -}}
{{- if include "falcon-catalog.isPostgres" . -}}
{{- $_ := set $env "CATALOG_STORE_URL" .Values.store.url -}}
{{- if include "falcon-catalog.secret" . -}}
{{- $_ := set $env "CATALOG_STORE_PASSWORD" (printf "file:/run/secrets/falcon-catalog/%s" .Values.store.passwordKey) -}}
{{- end -}}
{{- end -}}
{{- if .Values.config -}}{{- $_ := set $env "CATALOG_CONFIG" "/etc/falcon-catalog/catalog.toml" -}}{{- end -}}
{{- $list := list -}}
{{- range $name, $value := $env -}}{{- $list = append $list (dict "name" $name "value" $value) -}}{{- end -}}
{{- toYaml $list -}}
{{- end -}}

{{- /* What all pods of the catalog mount; .configMap names the one with the settings. */ -}}
{{- define "falcon-catalog.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: state, mountPath: /var/lib/falcon-catalog}
{{- if .Values.config }}
- {name: config, mountPath: /etc/falcon-catalog, readOnly: true}
{{- end }}
{{- if include "falcon-catalog.secret" . }}
- {name: secrets, mountPath: /run/secrets/falcon-catalog, readOnly: true}
{{- end }}
{{- end -}}

{{- define "falcon-catalog.volumes" -}}
- name: tmp
  emptyDir: {}
- name: state
  {{- if and .root.Values.persistence.enabled (include "falcon-catalog.hasVolume" .root) (not .temporary) }}
  persistentVolumeClaim:
    claimName: {{ default (include "falcon-catalog.fullname" .root) .root.Values.persistence.existingClaim }}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- if .root.Values.config }}
- name: config
  configMap:
    name: {{ .configMap }}
{{- end }}
{{- if include "falcon-catalog.secret" .root }}
- name: secrets
  secret:
    secretName: {{ include "falcon-catalog.secret" .root }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- /* What pods of the catalog and the pipeline share. */ -}}
{{- define "falcon-catalog.pod" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{ toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
