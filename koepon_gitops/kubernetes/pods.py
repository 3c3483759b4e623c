"""Containers, probes, volumes and the rest of a pod."""

from koepon_gitops.kubernetes.syntax import (
    ADDRESS,
    AMOUNT,
    AMOUNTS,
    ENVIRONMENT_NAME,
    FILE_KEY,
    FILLED,
    LABEL,
    LABEL_VALUE,
    LABELS,
    MODE,
    NATURAL,
    PORT,
    PORT_NAME,
    PORT_OR_NAME,
    POSITIVE,
    PROTOCOL,
    QUALIFIED,
    SOME,
    SPEC_NEEDED,
    SUBDOMAIN,
    USER,
    Constraint,
    exactly,
    given,
    if_any,
    matching,
    must,
    one_field,
    one_of,
    texts,
)

_CORE = "io.k8s.api.core.v1."

_LOCAL_PATH = must("be relative and not contain '..'", pattern=r"^[^/]", **{"not": {"pattern": r"(^|/)\.\.(/|$)"}})
_PROBED_PORT = {"type": ["integer", "string"], **PORT_OR_NAME}
_WEIGHT = must("be between 1 and 100", minimum=1, maximum=100)
_NAME_NEEDED = {"required": ["name"], "properties": {"name": {"type": "string"}}}
_GENERATED_NAME = matching(
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*-?$", SUBDOMAIN["x-must"], 253
)
_ENVIRONMENT_PATH = must(
    "be a field that a container may see, such as metadata.name",
    pattern=r"^(metadata\.(name|namespace|uid|(labels|annotations)\['.+'\])|spec\.(nodeName|serviceAccountName)"
    r"|status\.(hostIP|hostIPs|podIP|podIPs))$",
)

CONSTRAINTS: dict[str, dict[str, Constraint]] = {
    # core/validation.ValidatePodSpec
    f"{_CORE}PodTemplateSpec": SPEC_NEEDED,
    f"{_CORE}PodSpec": {
        "containers": {"type": "array", "minItems": 1},
        "restartPolicy": one_of("Always", "OnFailure", "Never"),
        "dnsPolicy": one_of("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
        "nodeSelector": LABELS,
        "serviceAccountName": if_any(SUBDOMAIN),
        "nodeName": if_any(SUBDOMAIN),
        "hostname": if_any(LABEL),
        "subdomain": if_any(LABEL),
        "priorityClassName": if_any(SUBDOMAIN),
        "runtimeClassName": SUBDOMAIN,
        "activeDeadlineSeconds": must("be between 1 and 2147483647", minimum=1, maximum=2147483647),
        "preemptionPolicy": {"enum": ["Never", "PreemptLowerPriority", None]},
        "terminationGracePeriodSeconds": NATURAL,
    },
    # core/validation.validateContainerCommon
    f"{_CORE}Container": {
        "": {"required": ["image"]},
        "name": LABEL,
        "image": {"type": "string", **SOME},
        "envFrom": {"items": {"type": "object"}},
        "imagePullPolicy": one_of("Always", "IfNotPresent", "Never"),
        "terminationMessagePolicy": one_of("File", "FallbackToLogsOnError"),
        # validateLivenessProbe, validateStartupProbe: absent is defaulted to 1, as is 0
        "livenessProbe": {"properties": {"successThreshold": must("be 1", enum=[0, 1, None])}},
        "startupProbe": {"properties": {"successThreshold": must("be 1", enum=[0, 1, None])}},
        "readinessProbe": {
            "properties": {"terminationGracePeriodSeconds": must("not be set for a readiness probe", type="null")}
        },
    },
    # core/validation.validateContainerPorts
    f"{_CORE}ContainerPort": {
        "containerPort": PORT,
        "hostPort": must("be between 1 and 65535", minimum=0, maximum=65535),
        "name": if_any(PORT_NAME),
        "protocol": PROTOCOL,
    },
    # core/validation.ValidateEnv, validateEnvVarValueFrom, ValidateEnvFrom
    f"{_CORE}EnvVar": {
        "": must(
            "not set both value and valueFrom",
            **{
                "not": {
                    "allOf": [
                        given("valueFrom"),
                        {"required": ["value"], "properties": {"value": {"type": "string", "minLength": 1}}},
                    ]
                }
            },
        ),
        "name": ENVIRONMENT_NAME,
    },
    f"{_CORE}EnvVarSource": {
        "fieldRef": {"properties": {"fieldPath": _ENVIRONMENT_PATH}},
        "": one_field("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef", "fileKeyRef"),
    },
    f"{_CORE}EnvFromSource": {"": one_field("configMapRef", "secretRef"), "prefix": if_any(ENVIRONMENT_NAME)},
    **{
        f"{_CORE}{kind}KeySelector": {"": _NAME_NEEDED, "key": FILE_KEY, "name": SUBDOMAIN}
        for kind in ("ConfigMap", "Secret")
    },
    **{f"{_CORE}{kind}EnvSource": {"": _NAME_NEEDED, "name": _GENERATED_NAME} for kind in ("ConfigMap", "Secret")},
    f"{_CORE}ResourceFieldSelector": {
        "resource": must(
            "be limits or requests of cpu, memory, ephemeral-storage or hugepages-SIZE",
            pattern="^(limits|requests)\\.(cpu|memory|ephemeral-storage|hugepages-.+)$",
        )
    },
    # core/validation.ValidateVolumeMounts
    f"{_CORE}VolumeMount": {
        "name": SOME,
        "mountPath": SOME,
        "subPath": if_any(_LOCAL_PATH),
        "subPathExpr": if_any(_LOCAL_PATH),
        "mountPropagation": {"enum": ["None", "HostToContainer", "Bidirectional", None]},
    },
    # core/validation.validateProbe, validateHandler, validateHTTPGetAction
    f"{_CORE}Probe": {
        "": one_field("exec", "httpGet", "tcpSocket", "grpc"),
        **dict.fromkeys(
            ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"), NATURAL
        ),
        "terminationGracePeriodSeconds": POSITIVE,
    },
    f"{_CORE}LifecycleHandler": {"": one_field("exec", "httpGet", "tcpSocket", "sleep")},
    f"{_CORE}ExecAction": {"": {"required": ["command"]}, "command": {"type": "array", "minItems": 1}},
    f"{_CORE}HTTPGetAction": {"port": _PROBED_PORT, "scheme": one_of("HTTP", "HTTPS")},
    f"{_CORE}HTTPHeader": {"name": must("be an HTTP header name", pattern="^[-A-Za-z0-9]+$")},
    f"{_CORE}TCPSocketAction": {"port": _PROBED_PORT},
    f"{_CORE}GRPCAction": {"port": PORT},
    f"{_CORE}SleepAction": {"seconds": NATURAL},
    # core/validation.validateResourceRequirements
    f"{_CORE}ResourceRequirements": {
        "limits": AMOUNTS,
        "requests": AMOUNTS,
    },
    # core/validation.ValidateSecurityContext, validatePodSpecSecurityContext
    f"{_CORE}SecurityContext": {
        "runAsUser": USER,
        "runAsGroup": USER,
        "procMount": {"enum": ["Default", "Unmasked", None]},
    },
    f"{_CORE}PodSecurityContext": {
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "supplementalGroups": {"items": USER},
        "fsGroupChangePolicy": {"enum": ["OnRootMismatch", "Always", None]},
    },
    f"{_CORE}SeccompProfile": {"type": exactly("Localhost", "RuntimeDefault", "Unconfined")},
    # core/validation.validateTopologySpreadConstraints
    f"{_CORE}TopologySpreadConstraint": {
        "maxSkew": POSITIVE,
        "minDomains": POSITIVE,
        "topologyKey": SOME,
        "whenUnsatisfiable": exactly("DoNotSchedule", "ScheduleAnyway"),
        "nodeAffinityPolicy": {"enum": ["Ignore", "Honor", None]},
        "nodeTaintsPolicy": {"enum": ["Ignore", "Honor", None]},
        "matchLabelKeys": texts(QUALIFIED),
    },
    # core/validation.ValidateTolerations
    f"{_CORE}Toleration": {
        "key": if_any(QUALIFIED),
        "operator": one_of("Equal", "Exists", "Lt", "Gt"),
        "value": LABEL_VALUE,
        "effect": one_of("NoSchedule", "PreferNoSchedule", "NoExecute"),
    },
    # core/validation.validateAffinity
    f"{_CORE}PodAffinityTerm": {"topologyKey": QUALIFIED},
    f"{_CORE}WeightedPodAffinityTerm": {"weight": _WEIGHT},
    f"{_CORE}PreferredSchedulingTerm": {"weight": _WEIGHT},
    f"{_CORE}NodeSelector": {"nodeSelectorTerms": {"type": "array", "minItems": 1}},
    f"{_CORE}NodeSelectorRequirement": {
        "key": QUALIFIED,
        "operator": exactly("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
        "values": {"items": LABEL_VALUE},
        "": {
            "if": {"properties": {"operator": {"enum": ["In", "NotIn"]}}, "required": ["operator"]},
            "then": must(
                "name values for the operators In and NotIn", required=["values"], properties={"values": FILLED}
            ),
        },
    },
    # core/validation.ValidateVolumes, validateConfigMapVolumeSource, validateSecretVolumeSource
    f"{_CORE}Volume": {"name": LABEL},
    f"{_CORE}ConfigMapVolumeSource": {"": _NAME_NEEDED, "name": SOME, "defaultMode": MODE},
    f"{_CORE}SecretVolumeSource": {"": {"required": ["secretName"]}, "secretName": SOME, "defaultMode": MODE},
    f"{_CORE}ConfigMapProjection": {"": _NAME_NEEDED, "name": SOME},
    f"{_CORE}SecretProjection": {"": _NAME_NEEDED, "name": SOME},
    f"{_CORE}ServiceAccountTokenProjection": {
        "path": _LOCAL_PATH,
        "expirationSeconds": must("be between 600 and 4294967296", minimum=600, maximum=2**32),
    },
    f"{_CORE}ProjectedVolumeSource": {"defaultMode": MODE},
    f"{_CORE}EmptyDirVolumeSource": {"sizeLimit": AMOUNT},
    f"{_CORE}KeyToPath": {"key": SOME, "path": _LOCAL_PATH, "mode": MODE},
    f"{_CORE}PersistentVolumeClaimVolumeSource": {"claimName": SOME},
    f"{_CORE}PodDNSConfigOption": {"": {"required": ["name"]}, "name": {"type": "string", **SOME}},
    f"{_CORE}HostAlias": {"ip": ADDRESS, "hostnames": texts(SUBDOMAIN)},
    f"{_CORE}Pod": SPEC_NEEDED,
    # core/validation.ValidatePersistentVolumeClaimSpec
    f"{_CORE}PersistentVolumeClaim": SPEC_NEEDED,
    f"{_CORE}PersistentVolumeClaimSpec": {
        "": {"required": ["accessModes", "resources"]},
        "accessModes": {
            **FILLED,
            "items": exactly("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"),
        },
        "resources": {
            "type": "object",
            "required": ["requests"],
            "properties": {"requests": {"type": "object", "required": ["storage"]}},
        },
    },
}
