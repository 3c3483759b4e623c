"""What the API server's Go validation adds to the schemas, one field at a time, as JSON Schema.

`CONSTRAINTS` maps a definition to its fields; the empty field is the definition itself. Beside each block stands the Go
function it follows, in k8s.io/kubernetes v1.36.3 `pkg/apis/*/validation` unless a path is given. What several fields
decide together is in `coherence`.
"""

from koepon_gitops.syntax import (
    AMOUNTS,
    C_IDENTIFIER,
    CIDR,
    ENVIRONMENT_NAME,
    FILE_KEY,
    LABEL,
    LABEL_PATTERN,
    LABEL_VALUE,
    LABELS,
    MODE,
    NATURAL,
    NUMBER_OR_PERCENT,
    PORT,
    PORT_NAME,
    PORT_OR_NAME,
    POSITIVE,
    QUALIFIED,
    QUALIFIED_PATTERN,
    SEGMENT,
    SHARE,
    SOME,
    SUBDOMAIN,
    USER,
    WILDCARD_HOST,
    Constraint,
    exactly,
    given,
    if_any,
    matching,
    must,
    one_field,
    one_field_at_most,
    one_of,
)

_CORE = "io.k8s.api.core.v1."
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_APPS = "io.k8s.api.apps.v1."
_NETWORKING = "io.k8s.api.networking.v1."
_HPA = "io.k8s.api.autoscaling.v2."
_BATCH = "io.k8s.api.batch.v1."
_RBAC = "io.k8s.api.rbac.v1."
_ADMISSION = "io.k8s.api.admissionregistration.v1."


NAMES: dict[str, Constraint] = {
    # k8s.io/apimachinery pkg/api/validation.ValidateNamespaceName, NameIsDNSLabel
    f"{_CORE}Namespace": LABEL,
    f"{_CORE}Service": LABEL,  # RelaxedServiceNameValidation is on by default since 1.36
    f"{_APPS}StatefulSet": LABEL,
    f"{_BATCH}CronJob": matching(SUBDOMAIN["pattern"], "be a DNS name of at most 52 characters", 52),
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
                "properties": {"name": if_any(NAMES.get(definition, SUBDOMAIN))},
                "allOf": [must("have a name", anyOf=[_named("name"), _named("generateName")])],
            }
        },
    }


def _named(field: str) -> Constraint:
    return {"required": [field], "properties": {field: {"type": "string", "minLength": 1}}}


_PROTOCOL = one_of("TCP", "UDP", "SCTP")
_LOCAL_PATH = must("be relative and not contain '..'", pattern=r"^[^/]", **{"not": {"pattern": r"(^|/)\.\.(/|$)"}})
_WEIGHT = must("be between 1 and 100", minimum=1, maximum=100)

_SPEC_NEEDED: dict[str, Constraint] = {"": {"required": ["spec"], "properties": {"spec": {"type": "object"}}}}
"""Without a spec, Go validates an empty one, which lacks what is required."""

CONSTRAINTS: dict[str, dict[str, Constraint]] = {
    # k8s.io/apimachinery pkg/api/validation.ValidateObjectMetaAccessor
    f"{_META}ObjectMeta": {
        "labels": LABELS,
        "annotations": {"propertyNames": matching("(?i)" + QUALIFIED_PATTERN, QUALIFIED["x-must"], 317)},
        "namespace": if_any(LABEL),
        "finalizers": {"items": QUALIFIED},
        "generation": NATURAL,
    },
    f"{_META}OwnerReference": {"apiVersion": SOME, "kind": SOME, "name": SOME, "uid": SOME},
    # k8s.io/apimachinery pkg/apis/meta/v1/validation.ValidateLabelSelector
    f"{_META}LabelSelector": {"matchLabels": LABELS},
    f"{_META}LabelSelectorRequirement": {
        "": {
            "if": {"properties": {"operator": {"enum": ["In", "NotIn"]}}, "required": ["operator"]},
            "then": must(
                "name values for the operators In and NotIn",
                required=["values"],
                properties={"values": {"type": "array", "minItems": 1}},
            ),
            "else": must(
                "name no values for the operators Exists and DoesNotExist", properties={"values": {"maxItems": 0}}
            ),
        },
        "key": QUALIFIED,
        "operator": exactly("In", "NotIn", "Exists", "DoesNotExist"),
        "values": {"items": LABEL_VALUE},
    },
    # core/validation.ValidatePodSpec
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
        "protocol": _PROTOCOL,
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
        "": one_field("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef", "fileKeyRef")
    },
    f"{_CORE}EnvFromSource": {"": one_field("configMapRef", "secretRef"), "prefix": if_any(ENVIRONMENT_NAME)},
    f"{_CORE}ConfigMapKeySelector": {"": {"required": ["name"]}, "key": FILE_KEY, "name": SOME},
    f"{_CORE}SecretKeySelector": {"": {"required": ["name"]}, "key": FILE_KEY, "name": SOME},
    f"{_CORE}ConfigMapEnvSource": {"": {"required": ["name"]}, "name": SOME},
    f"{_CORE}SecretEnvSource": {"": {"required": ["name"]}, "name": SOME},
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
    f"{_CORE}HTTPGetAction": {"port": PORT_OR_NAME, "scheme": one_of("HTTP", "HTTPS")},
    f"{_CORE}HTTPHeader": {"name": must("be an HTTP header name", pattern="^[-A-Za-z0-9]+$")},
    f"{_CORE}TCPSocketAction": {"port": PORT_OR_NAME},
    f"{_CORE}GRPCAction": {"port": PORT},
    f"{_CORE}SleepAction": {"seconds": NATURAL},
    # core/validation.validateResourceRequirements
    f"{_CORE}ResourceRequirements": {
        "limits": {"propertyNames": QUALIFIED, **AMOUNTS},
        "requests": {"propertyNames": QUALIFIED, **AMOUNTS},
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
        "topologyKey": QUALIFIED,
        "whenUnsatisfiable": exactly("DoNotSchedule", "ScheduleAnyway"),
        "nodeAffinityPolicy": {"enum": ["Ignore", "Honor", None]},
        "nodeTaintsPolicy": {"enum": ["Ignore", "Honor", None]},
    },
    # core/validation.ValidateTolerations
    f"{_CORE}Toleration": {
        "key": if_any(QUALIFIED),
        "operator": one_of("Equal", "Exists", "Lt", "Gt"),
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
    },
    # core/validation.ValidateVolumes, validateConfigMapVolumeSource, validateSecretVolumeSource
    f"{_CORE}Volume": {"name": LABEL},
    f"{_CORE}ConfigMapVolumeSource": {"": {"required": ["name"]}, "name": SOME, "defaultMode": MODE},
    f"{_CORE}SecretVolumeSource": {"": {"required": ["secretName"]}, "secretName": SOME, "defaultMode": MODE},
    f"{_CORE}KeyToPath": {"key": SOME, "path": _LOCAL_PATH, "mode": MODE},
    f"{_CORE}PersistentVolumeClaimVolumeSource": {"claimName": SOME},
    # core/validation.ValidateService, validateServicePort
    f"{_CORE}ServiceSpec": {
        "type": one_of("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"),
        "selector": LABELS,
        "sessionAffinity": one_of("None", "ClientIP"),
        "externalTrafficPolicy": one_of("Cluster", "Local"),
        "internalTrafficPolicy": {"enum": ["Cluster", "Local", None]},
        "ipFamilyPolicy": {"enum": ["SingleStack", "PreferDualStack", "RequireDualStack", None]},
        "ipFamilies": {"items": exactly("IPv4", "IPv6"), "maxItems": 2},
        "externalName": if_any(matching(rf"^{LABEL_PATTERN}(\.{LABEL_PATTERN})*\.?$", SUBDOMAIN["x-must"], 254)),
    },
    f"{_CORE}ServicePort": {
        "port": PORT,
        "name": if_any(LABEL),
        "protocol": _PROTOCOL,
        # SetDefaults_Service: 0 and "" become the port
        "targetPort": {"if": {"enum": [0, "", None]}, "else": PORT_OR_NAME},
        "nodePort": must("be between 0 and 65535", minimum=0, maximum=65535),
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
    f"{_APPS}DeploymentStrategy": {"type": one_of("RollingUpdate", "Recreate")},
    f"{_APPS}RollingUpdateDeployment": {
        "maxSurge": NUMBER_OR_PERCENT,
        "maxUnavailable": SHARE,
    },
    f"{_APPS}StatefulSetSpec": {
        "replicas": NATURAL,
        "minReadySeconds": NATURAL,
        "revisionHistoryLimit": NATURAL,
        "podManagementPolicy": one_of("OrderedReady", "Parallel"),
    },
    f"{_APPS}StatefulSetUpdateStrategy": {"type": one_of("RollingUpdate", "OnDelete")},
    f"{_APPS}ReplicaSetSpec": {"replicas": NATURAL, "minReadySeconds": NATURAL},
    f"{_APPS}DaemonSetSpec": {"minReadySeconds": NATURAL, "revisionHistoryLimit": NATURAL},
    f"{_APPS}DaemonSetUpdateStrategy": {"type": one_of("RollingUpdate", "OnDelete")},
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
        "concurrencyPolicy": one_of("Allow", "Forbid", "Replace"),
        **dict.fromkeys(("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"), NATURAL),
    },
    # policy/validation.ValidatePodDisruptionBudgetSpec
    "io.k8s.api.policy.v1.PodDisruptionBudgetSpec": {
        "": one_field_at_most("minAvailable", "maxUnavailable"),
        "minAvailable": SHARE,
        "maxUnavailable": SHARE,
        "unhealthyPodEvictionPolicy": {"enum": ["IfHealthyBudget", "AlwaysAllow", None]},
    },
    # autoscaling/validation.validateHorizontalPodAutoscalerSpec; HPAScaleToZero is off by default
    f"{_HPA}HorizontalPodAutoscaler": _SPEC_NEEDED,
    f"{_HPA}HorizontalPodAutoscalerSpec": {"minReplicas": POSITIVE, "maxReplicas": POSITIVE},
    f"{_HPA}CrossVersionObjectReference": {"kind": {**SEGMENT, **SOME}, "name": {**SEGMENT, **SOME}},
    f"{_HPA}MetricSpec": {
        "": one_field("resource", "containerResource", "pods", "object", "external"),
        "type": exactly("Resource", "ContainerResource", "Pods", "Object", "External"),
    },
    f"{_HPA}MetricTarget": {"type": exactly("Utilization", "Value", "AverageValue"), "averageUtilization": POSITIVE},
    f"{_HPA}ResourceMetricSource": {
        "name": SOME,
        "target": one_field("averageUtilization", "averageValue"),
    },
    f"{_HPA}ContainerResourceMetricSource": {
        "name": SOME,
        "container": LABEL,
        "target": one_field("averageUtilization", "averageValue"),
    },
    # validateScalingRules; SetDefaults_HorizontalPodAutoscaler fills absent policies only
    f"{_HPA}HPAScalingRules": {
        "policies": {"minItems": 1},
        "selectPolicy": {"enum": ["Max", "Min", "Disabled", None]},
        "stabilizationWindowSeconds": must("be between 0 and 3600", minimum=0, maximum=3600),
    },
    f"{_HPA}HPAScalingPolicy": {
        "type": exactly("Pods", "Percent"),
        "value": POSITIVE,
        "periodSeconds": must("be between 1 and 1800", minimum=1, maximum=1800),
    },
    # networking/validation.ValidateNetworkPolicySpec, ValidateNetworkPolicyPeer, ValidateIPBlock
    f"{_NETWORKING}NetworkPolicySpec": {"policyTypes": {"items": exactly("Ingress", "Egress"), "maxItems": 2}},
    f"{_NETWORKING}NetworkPolicyPeer": {
        "": {
            "allOf": [
                must(
                    "set ipBlock, podSelector or namespaceSelector",
                    anyOf=[given("ipBlock"), given("podSelector"), given("namespaceSelector")],
                ),
                must(
                    "not set ipBlock together with a selector",
                    **{
                        "not": {
                            "allOf": [
                                given("ipBlock"),
                                {"anyOf": [given("podSelector"), given("namespaceSelector")]},
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
        "": must(
            "set rules or defaultBackend",
            anyOf=[
                given("defaultBackend"),
                {"required": ["rules"], "properties": {"rules": {"type": "array", "minItems": 1}}},
            ],
        ),
        "ingressClassName": SUBDOMAIN,
    },
    f"{_NETWORKING}IngressRule": {"host": if_any(WILDCARD_HOST)},
    f"{_NETWORKING}IngressTLS": {"hosts": {"items": WILDCARD_HOST}, "secretName": if_any(SUBDOMAIN)},
    f"{_NETWORKING}HTTPIngressRuleValue": {"paths": {"type": "array", "minItems": 1}},
    f"{_NETWORKING}HTTPIngressPath": {"pathType": exactly("Exact", "Prefix", "ImplementationSpecific")},
    f"{_NETWORKING}IngressBackend": {"": one_field("service", "resource")},
    f"{_NETWORKING}IngressServiceBackend": {"": {"required": ["port"]}, "name": LABEL},
    f"{_NETWORKING}ServiceBackendPort": {
        "": must(
            "set either a name or a number",
            oneOf=[
                {"required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}},
                {"required": ["number"], "properties": {"number": {"type": "integer", "not": {"const": 0}}}},
            ],
        ),
        "name": if_any(PORT_NAME),
        "number": must("be between 1 and 65535", minimum=0, maximum=65535),
    },
    # rbac/validation.ValidatePolicyRule, ValidateRoleBinding
    f"{_RBAC}PolicyRule": {"verbs": {"type": "array", "minItems": 1}},
    f"{_RBAC}RoleRef": {"kind": exactly("Role", "ClusterRole"), "name": {**SEGMENT, **SOME}},
    f"{_RBAC}Subject": {"kind": exactly("ServiceAccount", "User", "Group"), "name": SOME},
    # admissionregistration/validation.validateValidatingAdmissionPolicySpec
    f"{_ADMISSION}ValidatingAdmissionPolicySpec": {"failurePolicy": {"enum": ["Fail", "Ignore", None]}},
    f"{_ADMISSION}ValidatingAdmissionPolicyBindingSpec": {
        "policyName": SUBDOMAIN,
        "validationActions": {"type": "array", "minItems": 1, "items": exactly("Deny", "Warn", "Audit")},
    },
    f"{_ADMISSION}Validation": {
        "expression": SOME,
        "reason": {"enum": ["Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge", None]},
    },
    f"{_ADMISSION}MatchCondition": {"name": QUALIFIED, "expression": SOME},
    f"{_ADMISSION}Variable": {"name": C_IDENTIFIER, "expression": SOME},
    f"{_ADMISSION}ParamKind": {"": {"required": ["apiVersion", "kind"]}},
}
