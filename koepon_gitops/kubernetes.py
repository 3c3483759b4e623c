"""What the API server's Go validation adds to the schemas, one field at a time, as JSON Schema.

`CONSTRAINTS` maps a definition to its fields; the empty field is the definition itself. `x-must` completes the sentence
"FIELD must ..." and has no other effect. An empty string or a null counts as absent wherever Go would apply a default.
Beside each block stands the Go function it follows, in k8s.io/kubernetes v1.36.3 `pkg/apis/*/validation` unless a path
is given. What several fields decide together is in `coherence`.
"""

from typing import Any

type Constraint = dict[str, Any]

_CORE = "io.k8s.api.core.v1."
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_APPS = "io.k8s.api.apps.v1."
_NETWORKING = "io.k8s.api.networking.v1."
_HPA = "io.k8s.api.autoscaling.v2."
_BATCH = "io.k8s.api.batch.v1."
_RBAC = "io.k8s.api.rbac.v1."
_ADMISSION = "io.k8s.api.admissionregistration.v1."


def _must(words: str, **constraint: Any) -> Constraint:
    return {**constraint, "x-must": words}


def _one_of(*values: str) -> Constraint:
    """An enumeration with a default: absent, null and empty are the default."""
    return {"enum": [*values, "", None], "x-values": list(values)}


def _exactly(*values: str) -> Constraint:
    return {"enum": list(values)}


def _given(name: str) -> Constraint:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def _one_field(*names: str) -> Constraint:
    return _must(f"set exactly one of {', '.join(names)}", oneOf=[_given(name) for name in names])


def _one_field_at_most(*names: str) -> Constraint:
    pairs = [(a, b) for index, a in enumerate(names) for b in names[index + 1 :]]
    return {
        "allOf": [_must(f"not set both {a} and {b}", **{"not": {"allOf": [_given(a), _given(b)]}}) for a, b in pairs]
    }


def _if_any(constraint: Constraint) -> Constraint:
    """The constraint on a string unless it is empty, which counts as absent."""
    return {"if": {"type": "string", "minLength": 1}, "then": constraint}


def _matching(pattern: str, words: str, longest: int) -> Constraint:
    return _must(words, pattern=pattern, maxLength=longest)


# k8s.io/apimachinery pkg/util/validation
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = rf"^({_LABEL}(\.{_LABEL})*/)?([A-Za-z0-9][-A-Za-z0-9_.]{{0,61}})?[A-Za-z0-9]$"
_DNS = "lower case letters, digits and '-', beginning and ending with a letter or digit"

LABEL = _matching(rf"^{_LABEL}$", f"be a DNS label (at most 63 {_DNS})", 63)
SUBDOMAIN = _matching(rf"^{_LABEL}(\.{_LABEL})*$", f"be a DNS name (labels of {_DNS}, joined by dots)", 253)
SEGMENT = _must("not be '.' or '..' nor contain '/' or '%'", pattern="^[^/%]*$", **{"not": {"enum": [".", ".."]}})
QUALIFIED = _matching(_QUALIFIED, "be a name such as app or example.com/app", 317)
LABEL_VALUE = _matching(
    "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
    "be at most 63 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit",
    63,
)
PORT_NAME = _must(
    "be a port name (at most 15 lower case letters, digits and '-', with a letter, no '--')",
    pattern="^([a-z0-9]|[a-z0-9](-?[a-z0-9])*)$",
    maxLength=15,
    allOf=[{"pattern": "[a-z]"}],
)
WILDCARD_HOST = _matching(
    rf"^(\*\.)?{_LABEL}(\.{_LABEL})*$",
    f"be a host name (labels of {_DNS}, joined by dots), with '*.' in front at most",
    253,
)
FILE_KEY = _matching(r"^([-._a-zA-Z0-9]{3,}|[-_a-zA-Z0-9][-._a-zA-Z0-9]?|\.[-_a-zA-Z0-9])$", "be a file name", 253)
ENVIRONMENT_NAME = _must("be printable ASCII without '='", pattern="^[ -<>-~]+$")
C_IDENTIFIER = _must("be a C identifier", pattern="^[A-Za-z_][A-Za-z0-9_]*$")
PORT = _must("be between 1 and 65535", minimum=1, maximum=65535)
NATURAL = _must("not be negative", minimum=0)
POSITIVE = _must("be at least 1", minimum=1)
USER = _must("be between 0 and 2147483647", minimum=0, maximum=2147483647)
MODE = _must("be a file mode between 0 and 0777 (octal)", minimum=0, maximum=511)
SOME = {"minLength": 1}
LABELS: Constraint = {"propertyNames": QUALIFIED, "additionalProperties": LABEL_VALUE}
PORT_OR_NAME: Constraint = {"if": {"type": "string"}, "then": PORT_NAME, "else": PORT}
NUMBER_OR_PERCENT: Constraint = {
    "if": {"type": "string"},
    "then": _must("be a whole number or a percentage such as 25%", pattern="^[0-9]+%$"),
    "else": NATURAL,
}
AT_MOST_100_PERCENT = _must("be at most 100%", pattern="^(0*[0-9]{1,2}|0*100)%$")
CIDR = _must(
    "be a CIDR such as 10.0.0.0/16",
    pattern=r"^([0-9]{1,3}(\.[0-9]{1,3}){3}/([0-9]|[12][0-9]|3[0-2])|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*/([0-9]{1,2}|1[01][0-9]|12[0-8]))$",
)

# k8s.io/apimachinery pkg/api/resource ParseQuantity; a bare number is allowed
QUANTITY = _must(
    "be a quantity such as 200m, 0.5, 256Mi or 1e3",
    type=["string", "number", "null"],
    pattern=r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
)
_NOT_NEGATIVE = {"additionalProperties": _must("not be negative", pattern="^[^-]", minimum=0)}
# k8s.io/apimachinery pkg/apis/meta/v1 Time.UnmarshalJSON
TIME = _must(
    "be a time such as 2026-01-31T12:00:00Z",
    type=["string", "null"],
    pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$",
)
FORMATS: dict[str, Constraint] = {
    "int32": {"minimum": -(2**31), "maximum": 2**31 - 1},
    "int64": {"minimum": -(2**63), "maximum": 2**63 - 1},
    # encoding/base64.StdEncoding, which skips line ends
    "byte": _must("be base64", pattern=r"^([A-Za-z0-9+/\r\n]{4})*([A-Za-z0-9+/\r\n]{2}==|[A-Za-z0-9+/\r\n]{3}=)?\s*$"),
}
"""Numbers and bytes as Go's decoder takes them into its types."""

NAMES: dict[str, Constraint] = {
    # k8s.io/apimachinery pkg/api/validation.ValidateNamespaceName, NameIsDNSLabel
    f"{_CORE}Namespace": LABEL,
    f"{_CORE}Service": LABEL,  # RelaxedServiceNameValidation is on by default since 1.36
    f"{_APPS}StatefulSet": LABEL,
    f"{_BATCH}CronJob": _matching(SUBDOMAIN["pattern"], "be a DNS name of at most 52 characters", 52),
    # rbac/validation.ValidateRBACName
    **{f"{_RBAC}{kind}": SEGMENT for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")},
    "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService": SEGMENT,
}
"""`metadata.name` where it is not the DNS subdomain of most kinds."""


def metadata(definition: str = "") -> Constraint:
    """What `metadata` of an object itself must have, beyond what every ObjectMeta must."""
    return {
        "required": ["metadata"],
        "properties": {
            "metadata": {
                "type": "object",
                "properties": {"name": _if_any(NAMES.get(definition, SUBDOMAIN))},
                "allOf": [_must("have a name", anyOf=[_named("name"), _named("generateName")])],
            }
        },
    }


def _named(field: str) -> Constraint:
    return {"required": [field], "properties": {field: {"type": "string", "minLength": 1}}}


_PROTOCOL = _one_of("TCP", "UDP", "SCTP")
_LOCAL_PATH = _must("be relative and not contain '..'", pattern=r"^[^/]", **{"not": {"pattern": r"(^|/)\.\.(/|$)"}})
_WEIGHT = _must("be between 1 and 100", minimum=1, maximum=100)

_SPEC_NEEDED: dict[str, Constraint] = {"": {"required": ["spec"], "properties": {"spec": {"type": "object"}}}}
"""Without a spec, Go validates an empty one, which lacks what is required."""

CONSTRAINTS: dict[str, dict[str, Constraint]] = {
    # k8s.io/apimachinery pkg/api/validation.ValidateObjectMetaAccessor
    f"{_META}ObjectMeta": {
        "labels": LABELS,
        "annotations": {"propertyNames": _matching("(?i)" + _QUALIFIED, QUALIFIED["x-must"], 317)},
        "namespace": _if_any(LABEL),
        "finalizers": {"items": QUALIFIED},
        "generation": NATURAL,
    },
    f"{_META}OwnerReference": {"apiVersion": SOME, "kind": SOME, "name": SOME, "uid": SOME},
    # k8s.io/apimachinery pkg/apis/meta/v1/validation.ValidateLabelSelector
    f"{_META}LabelSelector": {"matchLabels": LABELS},
    f"{_META}LabelSelectorRequirement": {
        "": {
            "if": {"properties": {"operator": {"enum": ["In", "NotIn"]}}, "required": ["operator"]},
            "then": _must(
                "name values for the operators In and NotIn",
                required=["values"],
                properties={"values": {"type": "array", "minItems": 1}},
            ),
            "else": _must(
                "name no values for the operators Exists and DoesNotExist", properties={"values": {"maxItems": 0}}
            ),
        },
        "key": QUALIFIED,
        "operator": _exactly("In", "NotIn", "Exists", "DoesNotExist"),
        "values": {"items": LABEL_VALUE},
    },
    # core/validation.ValidatePodSpec
    f"{_CORE}PodSpec": {
        "containers": {"type": "array", "minItems": 1},
        "restartPolicy": _one_of("Always", "OnFailure", "Never"),
        "dnsPolicy": _one_of("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
        "nodeSelector": LABELS,
        "serviceAccountName": _if_any(SUBDOMAIN),
        "nodeName": _if_any(SUBDOMAIN),
        "hostname": _if_any(LABEL),
        "subdomain": _if_any(LABEL),
        "priorityClassName": _if_any(SUBDOMAIN),
        "runtimeClassName": SUBDOMAIN,
        "activeDeadlineSeconds": _must("be between 1 and 2147483647", minimum=1, maximum=2147483647),
        "preemptionPolicy": {"enum": ["Never", "PreemptLowerPriority", None]},
        "terminationGracePeriodSeconds": NATURAL,
    },
    # core/validation.validateContainerCommon
    f"{_CORE}Container": {
        "": {"required": ["image"]},
        "name": LABEL,
        "image": {"type": "string", **SOME},
        "imagePullPolicy": _one_of("Always", "IfNotPresent", "Never"),
        "terminationMessagePolicy": _one_of("File", "FallbackToLogsOnError"),
        # validateLivenessProbe, validateStartupProbe: absent is defaulted to 1, as is 0
        "livenessProbe": {"properties": {"successThreshold": _must("be 1", enum=[0, 1, None])}},
        "startupProbe": {"properties": {"successThreshold": _must("be 1", enum=[0, 1, None])}},
        "readinessProbe": {
            "properties": {"terminationGracePeriodSeconds": _must("not be set for a readiness probe", type="null")}
        },
    },
    # core/validation.validateContainerPorts
    f"{_CORE}ContainerPort": {
        "containerPort": PORT,
        "hostPort": _must("be between 1 and 65535", minimum=0, maximum=65535),
        "name": _if_any(PORT_NAME),
        "protocol": _PROTOCOL,
    },
    # core/validation.ValidateEnv, validateEnvVarValueFrom, ValidateEnvFrom
    f"{_CORE}EnvVar": {
        "": _must(
            "not set both value and valueFrom",
            **{
                "not": {
                    "allOf": [
                        _given("valueFrom"),
                        {"required": ["value"], "properties": {"value": {"type": "string", "minLength": 1}}},
                    ]
                }
            },
        ),
        "name": ENVIRONMENT_NAME,
    },
    f"{_CORE}EnvVarSource": {
        "": _one_field("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef", "fileKeyRef")
    },
    f"{_CORE}EnvFromSource": {"": _one_field("configMapRef", "secretRef"), "prefix": _if_any(ENVIRONMENT_NAME)},
    f"{_CORE}ConfigMapKeySelector": {"": {"required": ["name"]}, "key": FILE_KEY, "name": SOME},
    f"{_CORE}SecretKeySelector": {"": {"required": ["name"]}, "key": FILE_KEY, "name": SOME},
    f"{_CORE}ConfigMapEnvSource": {"": {"required": ["name"]}, "name": SOME},
    f"{_CORE}SecretEnvSource": {"": {"required": ["name"]}, "name": SOME},
    # core/validation.ValidateVolumeMounts
    f"{_CORE}VolumeMount": {
        "name": SOME,
        "mountPath": SOME,
        "subPath": _if_any(_LOCAL_PATH),
        "subPathExpr": _if_any(_LOCAL_PATH),
        "mountPropagation": {"enum": ["None", "HostToContainer", "Bidirectional", None]},
    },
    # core/validation.validateProbe, validateHandler, validateHTTPGetAction
    f"{_CORE}Probe": {
        "": _one_field("exec", "httpGet", "tcpSocket", "grpc"),
        **dict.fromkeys(
            ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"), NATURAL
        ),
        "terminationGracePeriodSeconds": POSITIVE,
    },
    f"{_CORE}LifecycleHandler": {"": _one_field("exec", "httpGet", "tcpSocket", "sleep")},
    f"{_CORE}ExecAction": {"": {"required": ["command"]}, "command": {"type": "array", "minItems": 1}},
    f"{_CORE}HTTPGetAction": {"port": PORT_OR_NAME, "scheme": _one_of("HTTP", "HTTPS")},
    f"{_CORE}HTTPHeader": {"name": _must("be an HTTP header name", pattern="^[-A-Za-z0-9]+$")},
    f"{_CORE}TCPSocketAction": {"port": PORT_OR_NAME},
    f"{_CORE}GRPCAction": {"port": PORT},
    f"{_CORE}SleepAction": {"seconds": NATURAL},
    # core/validation.validateResourceRequirements
    f"{_CORE}ResourceRequirements": {
        "limits": {"propertyNames": QUALIFIED, **_NOT_NEGATIVE},
        "requests": {"propertyNames": QUALIFIED, **_NOT_NEGATIVE},
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
    f"{_CORE}SeccompProfile": {"type": _exactly("Localhost", "RuntimeDefault", "Unconfined")},
    # core/validation.validateTopologySpreadConstraints
    f"{_CORE}TopologySpreadConstraint": {
        "maxSkew": POSITIVE,
        "minDomains": POSITIVE,
        "topologyKey": QUALIFIED,
        "whenUnsatisfiable": _exactly("DoNotSchedule", "ScheduleAnyway"),
        "nodeAffinityPolicy": {"enum": ["Ignore", "Honor", None]},
        "nodeTaintsPolicy": {"enum": ["Ignore", "Honor", None]},
    },
    # core/validation.ValidateTolerations
    f"{_CORE}Toleration": {
        "key": _if_any(QUALIFIED),
        "operator": _one_of("Equal", "Exists", "Lt", "Gt"),
        "effect": _one_of("NoSchedule", "PreferNoSchedule", "NoExecute"),
    },
    # core/validation.validateAffinity
    f"{_CORE}PodAffinityTerm": {"topologyKey": QUALIFIED},
    f"{_CORE}WeightedPodAffinityTerm": {"weight": _WEIGHT},
    f"{_CORE}PreferredSchedulingTerm": {"weight": _WEIGHT},
    f"{_CORE}NodeSelector": {"nodeSelectorTerms": {"type": "array", "minItems": 1}},
    f"{_CORE}NodeSelectorRequirement": {
        "key": QUALIFIED,
        "operator": _exactly("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
    },
    # core/validation.ValidateVolumes, validateConfigMapVolumeSource, validateSecretVolumeSource
    f"{_CORE}Volume": {"name": LABEL},
    f"{_CORE}ConfigMapVolumeSource": {"": {"required": ["name"]}, "name": SOME, "defaultMode": MODE},
    f"{_CORE}SecretVolumeSource": {"": {"required": ["secretName"]}, "secretName": SOME, "defaultMode": MODE},
    f"{_CORE}KeyToPath": {"key": SOME, "path": _LOCAL_PATH, "mode": MODE},
    f"{_CORE}PersistentVolumeClaimVolumeSource": {"claimName": SOME},
    # core/validation.ValidateService, validateServicePort
    f"{_CORE}ServiceSpec": {
        "type": _one_of("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"),
        "selector": LABELS,
        "sessionAffinity": _one_of("None", "ClientIP"),
        "externalTrafficPolicy": _one_of("Cluster", "Local"),
        "internalTrafficPolicy": {"enum": ["Cluster", "Local", None]},
        "ipFamilyPolicy": {"enum": ["SingleStack", "PreferDualStack", "RequireDualStack", None]},
        "ipFamilies": {"items": _exactly("IPv4", "IPv6"), "maxItems": 2},
        "externalName": _if_any(_matching(rf"^{_LABEL}(\.{_LABEL})*\.?$", SUBDOMAIN["x-must"], 254)),
    },
    f"{_CORE}ServicePort": {
        "port": PORT,
        "name": _if_any(LABEL),
        "protocol": _PROTOCOL,
        # SetDefaults_Service: 0 and "" become the port
        "targetPort": {"if": {"enum": [0, "", None]}, "else": PORT_OR_NAME},
        "nodePort": _must("be between 0 and 65535", minimum=0, maximum=65535),
        "appProtocol": QUALIFIED,
    },
    # core/validation.ValidateConfigMap, ValidateSecret
    f"{_CORE}ConfigMap": {"data": {"propertyNames": FILE_KEY}, "binaryData": {"propertyNames": FILE_KEY}},
    f"{_CORE}Secret": {"data": {"propertyNames": FILE_KEY}, "stringData": {"propertyNames": FILE_KEY}},
    # apps/validation.ValidateDeploymentSpec, ValidateStatefulSetSpec, ValidateDaemonSetSpec
    **{f"{_APPS}{kind}": _SPEC_NEEDED for kind in ("DaemonSet", "Deployment", "ReplicaSet", "StatefulSet")},
    f"{_APPS}DeploymentSpec": {
        "replicas": NATURAL,
        "minReadySeconds": NATURAL,
        "revisionHistoryLimit": NATURAL,
        "progressDeadlineSeconds": NATURAL,
    },
    f"{_APPS}DeploymentStrategy": {"type": _one_of("RollingUpdate", "Recreate")},
    f"{_APPS}RollingUpdateDeployment": {
        "maxSurge": NUMBER_OR_PERCENT,
        "maxUnavailable": {"allOf": [NUMBER_OR_PERCENT, AT_MOST_100_PERCENT]},
    },
    f"{_APPS}StatefulSetSpec": {
        "replicas": NATURAL,
        "minReadySeconds": NATURAL,
        "revisionHistoryLimit": NATURAL,
        "podManagementPolicy": _one_of("OrderedReady", "Parallel"),
    },
    f"{_APPS}StatefulSetUpdateStrategy": {"type": _one_of("RollingUpdate", "OnDelete")},
    f"{_APPS}ReplicaSetSpec": {"replicas": NATURAL, "minReadySeconds": NATURAL},
    f"{_APPS}DaemonSetSpec": {"minReadySeconds": NATURAL, "revisionHistoryLimit": NATURAL},
    f"{_APPS}DaemonSetUpdateStrategy": {"type": _one_of("RollingUpdate", "OnDelete")},
    # batch/validation.ValidateJobSpec, validateCronJobSpec
    f"{_BATCH}Job": _SPEC_NEEDED,
    f"{_BATCH}CronJob": _SPEC_NEEDED,
    f"{_CORE}Pod": _SPEC_NEEDED,
    f"{_CORE}Service": _SPEC_NEEDED,
    f"{_BATCH}JobSpec": {
        **dict.fromkeys(("parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished"), NATURAL),
        "activeDeadlineSeconds": NATURAL,
        "completionMode": {"enum": ["NonIndexed", "Indexed", None]},
    },
    f"{_BATCH}CronJobSpec": {
        "schedule": SOME,
        "concurrencyPolicy": _one_of("Allow", "Forbid", "Replace"),
        **dict.fromkeys(("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"), NATURAL),
    },
    # policy/validation.ValidatePodDisruptionBudgetSpec
    "io.k8s.api.policy.v1.PodDisruptionBudgetSpec": {
        "": _one_field_at_most("minAvailable", "maxUnavailable"),
        "minAvailable": {"allOf": [NUMBER_OR_PERCENT, AT_MOST_100_PERCENT]},
        "maxUnavailable": {"allOf": [NUMBER_OR_PERCENT, AT_MOST_100_PERCENT]},
        "unhealthyPodEvictionPolicy": {"enum": ["IfHealthyBudget", "AlwaysAllow", None]},
    },
    # autoscaling/validation.validateHorizontalPodAutoscalerSpec; HPAScaleToZero is off by default
    f"{_HPA}HorizontalPodAutoscaler": _SPEC_NEEDED,
    f"{_HPA}HorizontalPodAutoscalerSpec": {"minReplicas": POSITIVE, "maxReplicas": POSITIVE},
    f"{_HPA}CrossVersionObjectReference": {"kind": {**SEGMENT, **SOME}, "name": {**SEGMENT, **SOME}},
    f"{_HPA}MetricSpec": {
        "": _one_field("resource", "containerResource", "pods", "object", "external"),
        "type": _exactly("Resource", "ContainerResource", "Pods", "Object", "External"),
    },
    f"{_HPA}MetricTarget": {"type": _exactly("Utilization", "Value", "AverageValue"), "averageUtilization": POSITIVE},
    f"{_HPA}ResourceMetricSource": {
        "name": SOME,
        "target": _one_field("averageUtilization", "averageValue"),
    },
    f"{_HPA}ContainerResourceMetricSource": {
        "name": SOME,
        "container": LABEL,
        "target": _one_field("averageUtilization", "averageValue"),
    },
    # validateScalingRules; SetDefaults_HorizontalPodAutoscaler fills absent policies only
    f"{_HPA}HPAScalingRules": {
        "policies": {"minItems": 1},
        "selectPolicy": {"enum": ["Max", "Min", "Disabled", None]},
        "stabilizationWindowSeconds": _must("be between 0 and 3600", minimum=0, maximum=3600),
    },
    f"{_HPA}HPAScalingPolicy": {
        "type": _exactly("Pods", "Percent"),
        "value": POSITIVE,
        "periodSeconds": _must("be between 1 and 1800", minimum=1, maximum=1800),
    },
    # networking/validation.ValidateNetworkPolicySpec, ValidateNetworkPolicyPeer, ValidateIPBlock
    f"{_NETWORKING}NetworkPolicySpec": {"policyTypes": {"items": _exactly("Ingress", "Egress"), "maxItems": 2}},
    f"{_NETWORKING}NetworkPolicyPeer": {
        "": {
            "allOf": [
                _must(
                    "set ipBlock, podSelector or namespaceSelector",
                    anyOf=[_given("ipBlock"), _given("podSelector"), _given("namespaceSelector")],
                ),
                _must(
                    "not set ipBlock together with a selector",
                    **{
                        "not": {
                            "allOf": [
                                _given("ipBlock"),
                                {"anyOf": [_given("podSelector"), _given("namespaceSelector")]},
                            ]
                        }
                    },
                ),
            ]
        }
    },
    f"{_NETWORKING}NetworkPolicyPort": {
        "port": PORT_OR_NAME,
        "protocol": {"enum": ["TCP", "UDP", "SCTP", None]},
        "endPort": PORT,
    },
    f"{_NETWORKING}IPBlock": {"cidr": CIDR, "except": {"items": CIDR}},
    # networking/validation.ValidateIngressSpec
    f"{_NETWORKING}Ingress": _SPEC_NEEDED,
    f"{_NETWORKING}IngressSpec": {
        "": _must(
            "set rules or defaultBackend",
            anyOf=[
                _given("defaultBackend"),
                {"required": ["rules"], "properties": {"rules": {"type": "array", "minItems": 1}}},
            ],
        ),
        "ingressClassName": SUBDOMAIN,
    },
    f"{_NETWORKING}IngressRule": {"host": _if_any(WILDCARD_HOST)},
    f"{_NETWORKING}IngressTLS": {"hosts": {"items": WILDCARD_HOST}, "secretName": _if_any(SUBDOMAIN)},
    f"{_NETWORKING}HTTPIngressRuleValue": {"paths": {"type": "array", "minItems": 1}},
    f"{_NETWORKING}HTTPIngressPath": {"pathType": _exactly("Exact", "Prefix", "ImplementationSpecific")},
    f"{_NETWORKING}IngressBackend": {"": _one_field("service", "resource")},
    f"{_NETWORKING}IngressServiceBackend": {"": {"required": ["port"]}, "name": LABEL},
    f"{_NETWORKING}ServiceBackendPort": {
        "": _must(
            "set either a name or a number",
            oneOf=[
                {"required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}},
                {"required": ["number"], "properties": {"number": {"type": "integer", "not": {"const": 0}}}},
            ],
        ),
        "name": _if_any(PORT_NAME),
        "number": _must("be between 1 and 65535", minimum=0, maximum=65535),
    },
    # rbac/validation.ValidatePolicyRule, ValidateRoleBinding
    f"{_RBAC}PolicyRule": {"verbs": {"type": "array", "minItems": 1}},
    f"{_RBAC}RoleRef": {"kind": _exactly("Role", "ClusterRole"), "name": {**SEGMENT, **SOME}},
    f"{_RBAC}Subject": {"kind": _exactly("ServiceAccount", "User", "Group"), "name": SOME},
    # admissionregistration/validation.validateValidatingAdmissionPolicySpec
    f"{_ADMISSION}ValidatingAdmissionPolicySpec": {"failurePolicy": {"enum": ["Fail", "Ignore", None]}},
    f"{_ADMISSION}ValidatingAdmissionPolicyBindingSpec": {
        "policyName": SUBDOMAIN,
        "validationActions": {"type": "array", "minItems": 1, "items": _exactly("Deny", "Warn", "Audit")},
    },
    f"{_ADMISSION}Validation": {
        "expression": SOME,
        "reason": {"enum": ["Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge", None]},
    },
    f"{_ADMISSION}MatchCondition": {"name": QUALIFIED, "expression": SOME},
    f"{_ADMISSION}Variable": {"name": C_IDENTIFIER, "expression": SOME},
    f"{_ADMISSION}ParamKind": {"": {"required": ["apiVersion", "kind"]}},
}
