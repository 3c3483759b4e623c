"""What makes pods and how many: Deployments, Jobs, autoscalers, disruption budgets."""

from koepon_gitops.kubernetes.syntax import (
    AMOUNT,
    LABEL,
    NATURAL,
    NUMBER_OR_PERCENT,
    POSITIVE,
    SEGMENT,
    SHARE,
    SOME,
    SPEC_NEEDED,
    Constraint,
    exactly,
    if_any,
    must,
    one_field,
    one_field_at_most,
    one_of,
)

_APPS = "io.k8s.api.apps.v1."
_HPA = "io.k8s.api.autoscaling.v2."
_BATCH = "io.k8s.api.batch.v1."

_GROUP_VERSION = must("be GROUP/VERSION, such as apps/v1", pattern="^[^/]+/[^/]*$", type="string")
_MORE_THAN_ZERO = {"allOf": [AMOUNT, must("be more than 0", pattern="[1-9]", exclusiveMinimum=0)]}

CONSTRAINTS: dict[str, dict[str, Constraint]] = {
    # apps/validation.ValidateDeploymentSpec, ValidateStatefulSetSpec, ValidateDaemonSetSpec
    **{f"{_APPS}{kind}": SPEC_NEEDED for kind in ("DaemonSet", "Deployment", "ReplicaSet", "StatefulSet")},
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
        "serviceName": if_any(LABEL),
        "volumeClaimTemplates": {
            "items": {
                "required": ["metadata", "spec"],
                "properties": {
                    "metadata": {"required": ["name"], "properties": {"name": {"type": "string", **LABEL}}},
                    "spec": {"type": "object"},
                },
            }
        },
        "podManagementPolicy": one_of("OrderedReady", "Parallel"),
    },
    f"{_APPS}StatefulSetUpdateStrategy": {"type": one_of("RollingUpdate", "OnDelete")},
    f"{_APPS}ReplicaSetSpec": {"replicas": NATURAL, "minReadySeconds": NATURAL},
    f"{_APPS}DaemonSetSpec": {"minReadySeconds": NATURAL, "revisionHistoryLimit": NATURAL},
    f"{_APPS}DaemonSetUpdateStrategy": {"type": one_of("RollingUpdate", "OnDelete")},
    # batch/validation.ValidateJobSpec, validateCronJobSpec
    f"{_BATCH}Job": SPEC_NEEDED,
    f"{_BATCH}CronJob": SPEC_NEEDED,
    f"{_BATCH}JobSpec": {
        **dict.fromkeys(("parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished"), NATURAL),
        "activeDeadlineSeconds": NATURAL,
        "completionMode": {"enum": ["NonIndexed", "Indexed", None]},
    },
    f"{_BATCH}CronJobSpec": {
        "schedule": must(
            "be five fields such as 0 3 * * *",
            pattern=r"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|@every \S+"
            r"|[-0-9A-Za-z*,/?]+( +[-0-9A-Za-z*,/?]+){4}) *$",
        ),
        "concurrencyPolicy": one_of("Allow", "Forbid", "Replace"),
        **dict.fromkeys(("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"), NATURAL),
    },
    # scheduling/validation.ValidatePriorityClass; only Kubernetes' own may be higher
    "io.k8s.api.scheduling.v1.PriorityClass": {
        "value": must("be at most 1000000000", maximum=10**9),
        "preemptionPolicy": {"enum": ["Never", "PreemptLowerPriority", None]},
    },
    # policy/validation.ValidatePodDisruptionBudgetSpec
    "io.k8s.api.policy.v1.PodDisruptionBudgetSpec": {
        "": one_field_at_most("minAvailable", "maxUnavailable"),
        "minAvailable": SHARE,
        "maxUnavailable": SHARE,
        "unhealthyPodEvictionPolicy": {"enum": ["IfHealthyBudget", "AlwaysAllow", None]},
    },
    # autoscaling/validation.validateHorizontalPodAutoscalerSpec; HPAScaleToZero is off by default
    f"{_HPA}HorizontalPodAutoscaler": SPEC_NEEDED,
    f"{_HPA}HorizontalPodAutoscalerSpec": {
        "minReplicas": POSITIVE,
        "maxReplicas": POSITIVE,
        "scaleTargetRef": {
            "required": ["apiVersion"],
            "properties": {"apiVersion": _GROUP_VERSION},
        },
    },
    f"{_HPA}CrossVersionObjectReference": {"kind": {**SEGMENT, **SOME}, "name": {**SEGMENT, **SOME}},
    f"{_HPA}MetricSpec": {
        "": one_field("resource", "containerResource", "pods", "object", "external"),
        "type": exactly("Resource", "ContainerResource", "Pods", "Object", "External"),
    },
    f"{_HPA}MetricTarget": {
        "type": exactly("Utilization", "Value", "AverageValue"),
        "averageUtilization": POSITIVE,
        "value": _MORE_THAN_ZERO,
        "averageValue": _MORE_THAN_ZERO,
    },
    f"{_HPA}ResourceMetricSource": {
        "name": SOME,
        "target": one_field("averageUtilization", "averageValue"),
    },
    f"{_HPA}ContainerResourceMetricSource": {
        "name": SOME,
        "container": LABEL,
        "target": one_field("averageUtilization", "averageValue"),
    },
    f"{_HPA}PodsMetricSource": {"target": {"required": ["averageValue"]}},
    f"{_HPA}ExternalMetricSource": {"target": one_field("averageValue", "value")},
    f"{_HPA}ObjectMetricSource": {"target": one_field("averageValue", "value")},
    f"{_HPA}MetricIdentifier": {"name": {**SEGMENT, **SOME}},
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
}
