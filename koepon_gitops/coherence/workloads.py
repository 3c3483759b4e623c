"""What makes pods and how many: Deployments, Jobs, autoscalers."""

from collections.abc import Iterator

from koepon_gitops.coherence.pods import pod_spec
from koepon_gitops.coherence.reporting import each, problem
from koepon_gitops.labels import selects
from koepon_gitops.model import Json, Problem


def workload(content: Json) -> Iterator[Problem]:
    """ValidatePodTemplateSpecForReplicaSet, ...ForStatefulSet, ...ForDaemonSet: selector, template, restart policy."""
    spec = content["spec"]
    selector, template = spec.get("selector") or {}, spec["template"]
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield problem("spec.selector", "must not be empty")
    elif not selects(selector, labels):
        yield problem("spec.template.metadata.labels", "must match spec.selector")
    pod = template.get("spec") or {}
    if pod.get("restartPolicy") not in {None, "", "Always"}:
        yield problem("spec.template.spec.restartPolicy", f'must be "Always" here, not "{pod["restartPolicy"]}"')
    if pod.get("activeDeadlineSeconds") is not None:
        yield problem("spec.template.spec.activeDeadlineSeconds", "must not be set here")
    claims = {claim["metadata"]["name"] for _, claim in each(spec.get("volumeClaimTemplates")) if claim}
    yield from pod_spec(pod, "spec.template.spec", claims)


def deployment(content: Json) -> Iterator[Problem]:
    """ValidateDeploymentSpec, ValidateDeploymentStrategy, ValidateRollingUpdateDeployment."""
    yield from workload(content)
    spec = content["spec"]
    strategy = spec.get("strategy") or {}
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate":
        if rolling is not None:
            yield problem("spec.strategy.rollingUpdate", "must not be set with the type Recreate")
    elif rolling and _is_zero(rolling.get("maxUnavailable")) and _is_zero(rolling.get("maxSurge")):
        yield problem("spec.strategy.rollingUpdate.maxUnavailable", "must not be 0 while maxSurge is 0")
    ready, deadline = spec.get("minReadySeconds") or 0, spec.get("progressDeadlineSeconds")
    if (600 if deadline is None else deadline) <= ready:
        yield problem("spec.progressDeadlineSeconds", f"must be more than minReadySeconds, which is {ready}")


def _is_zero(value: int | str | None) -> bool:
    return value == 0 or (isinstance(value, str) and value.rstrip("%").strip("0") == "")


def job(content: Json) -> Iterator[Problem]:
    """batch/validation.ValidateJobSpec."""
    yield from _job_spec(content.get("spec") or {}, "spec")


def cron_job(content: Json) -> Iterator[Problem]:
    """batch/validation.validateCronJobSpec."""
    yield from _job_spec(content["spec"]["jobTemplate"].get("spec") or {}, "spec.jobTemplate.spec")


def _job_spec(spec: Json, path: str) -> Iterator[Problem]:
    pod = (spec.get("template") or {}).get("spec") or {}
    if (policy := pod.get("restartPolicy") or "Always") not in {"OnFailure", "Never"}:
        yield problem(f"{path}.template.spec.restartPolicy", f'must be "OnFailure" or "Never" in a Job, not "{policy}"')
    yield from pod_spec(pod, f"{path}.template.spec", ())


def autoscaler(content: Json) -> Iterator[Problem]:
    """autoscaling/validation.validateHorizontalPodAutoscalerSpec, validateMetricSpec."""
    spec = content["spec"]
    if (least := spec.get("minReplicas") or 1) > spec["maxReplicas"]:
        yield problem("spec.maxReplicas", f"must be at least minReplicas, {least}, not {spec['maxReplicas']}")
    for index, metric in each(spec.get("metrics")):
        name = metric["type"][0].lower() + metric["type"][1:]
        if metric.get(name) is None:
            yield problem(f"spec.metrics[{index}].{name}", f'is required for the type "{metric["type"]}"')
