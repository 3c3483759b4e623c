"""What the API server checks between the fields of one object, after each field is right by itself.

Each function names the Go function it follows, in k8s.io/kubernetes v1.36.3 `pkg/apis/*/validation`. All expect an
object that its schema (with `kubernetes.CONSTRAINTS`) accepts: types are right, required fields are there; others may
be null.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from koepon_gitops.labels import selects
from koepon_gitops.model import Json, Problem

type Check = Callable[[Json], Iterable[Problem]]


def check_of(definition: str) -> Check | None:
    """The check of a definition such as `io.k8s.api.apps.v1.Deployment`; None when its fields are independent."""
    return _CHECKS.get(definition)


def _each(items: Sequence[Any] | None) -> Iterator[tuple[int, Any]]:
    """Entries with their index; a null counts as an empty entry, as Go decodes it."""
    return ((index, item or {}) for index, item in enumerate(items or ()))


def _problem(field: str, sentence: str) -> Problem:
    return Problem(rule="schemas/invalid", field=field, message=f"{field} {sentence}.")


def _workload(content: Json) -> Iterator[Problem]:
    """ValidatePodTemplateSpecForReplicaSet, ...ForStatefulSet, ...ForDaemonSet: selector, template, restart policy."""
    spec = content["spec"]
    selector, template = spec.get("selector") or {}, spec["template"]
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield _problem("spec.selector", "must not be empty")
    elif not selects(selector, labels):
        yield _problem("spec.template.metadata.labels", "must match spec.selector")
    pod = template.get("spec") or {}
    if pod.get("restartPolicy") not in {None, "", "Always"}:
        yield _problem("spec.template.spec.restartPolicy", f'must be "Always" here, not "{pod["restartPolicy"]}"')
    if pod.get("activeDeadlineSeconds") is not None:
        yield _problem("spec.template.spec.activeDeadlineSeconds", "must not be set here")
    claims = {claim["metadata"]["name"] for _, claim in _each(spec.get("volumeClaimTemplates")) if claim}
    yield from _pod(pod, "spec.template.spec", claims)


def _deployment(content: Json) -> Iterator[Problem]:
    """ValidateDeploymentSpec, ValidateDeploymentStrategy, ValidateRollingUpdateDeployment."""
    yield from _workload(content)
    spec = content["spec"]
    strategy = spec.get("strategy") or {}
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate":
        if rolling is not None:
            yield _problem("spec.strategy.rollingUpdate", "must not be set with the type Recreate")
    elif rolling and _is_zero(rolling.get("maxUnavailable")) and _is_zero(rolling.get("maxSurge")):
        yield _problem("spec.strategy.rollingUpdate.maxUnavailable", "must not be 0 while maxSurge is 0")
    ready, deadline = spec.get("minReadySeconds") or 0, spec.get("progressDeadlineSeconds")
    if (600 if deadline is None else deadline) <= ready:
        yield _problem("spec.progressDeadlineSeconds", f"must be more than minReadySeconds, which is {ready}")


def _is_zero(value: int | str | None) -> bool:
    return value == 0 or (isinstance(value, str) and value.rstrip("%").strip("0") == "")


def _job(content: Json) -> Iterator[Problem]:
    """batch/validation.ValidateJobSpec."""
    yield from _job_spec(content.get("spec") or {}, "spec")


def _cron_job(content: Json) -> Iterator[Problem]:
    """batch/validation.validateCronJobSpec."""
    yield from _job_spec(content["spec"]["jobTemplate"].get("spec") or {}, "spec.jobTemplate.spec")


def _job_spec(spec: Json, path: str) -> Iterator[Problem]:
    pod = (spec.get("template") or {}).get("spec") or {}
    if (policy := pod.get("restartPolicy") or "Always") not in {"OnFailure", "Never"}:
        yield _problem(
            f"{path}.template.spec.restartPolicy", f'must be "OnFailure" or "Never" in a Job, not "{policy}"'
        )
    yield from _pod(pod, f"{path}.template.spec", ())


def _pod_object(content: Json) -> Iterator[Problem]:
    yield from _pod(content.get("spec") or {}, "spec", ())


def _pod(spec: Json, path: str, claims: Iterable[str | None]) -> Iterator[Problem]:
    """core/validation.ValidatePodSpec. `claims`: volumes that a StatefulSet adds."""
    volumes = spec.get("volumes") or ()
    yield from _repeated(volumes, "name", f"{path}.volumes")
    for index, volume in _each(volumes):
        if len(sources := [name for name, value in volume.items() if name != "name" and value is not None]) > 1:
            yield _problem(f"{path}.volumes[{index}]", f"must have one source, not {' and '.join(sorted(sources))}")
    mountable = {volume["name"] for volume in volumes} | set(claims)
    seen: dict[str, str] = {}
    for group in ("containers", "initContainers"):
        for index, container in _each(spec.get(group)):
            place = f"{path}.{group}[{index}]"
            if (first := seen.setdefault(container["name"], place)) != place:
                yield _problem(f"{place}.name", f'must be unique; "{container["name"]}" is also {first}')
            yield from _container(container, place, mountable)
            if group == "initContainers" and container.get("restartPolicy") != "Always":
                for field in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
                    if container.get(field) is not None:
                        yield _problem(f"{place}.{field}", "must not be set for an init container that ends")
    yield from _spread(spec.get("topologySpreadConstraints") or (), f"{path}.topologySpreadConstraints")
    yield from _tolerations(spec.get("tolerations") or (), f"{path}.tolerations")


def _container(container: Json, path: str, mountable: set[str | None]) -> Iterator[Problem]:
    """core/validation.validateContainerCommon and what it calls."""
    yield from _repeated(container.get("ports") or (), "name", f"{path}.ports")
    mounts = container.get("volumeMounts") or ()
    yield from _repeated(mounts, "mountPath", f"{path}.volumeMounts")
    for index, mount in _each(mounts):
        if mount["name"] not in mountable:
            yield _problem(f"{path}.volumeMounts[{index}].name", f'must be the name of a volume, not "{mount["name"]}"')
    yield from _resources(container.get("resources") or {}, f"{path}.resources")
    security = container.get("securityContext") or {}
    if security.get("allowPrivilegeEscalation") is False:
        added = (security.get("capabilities") or {}).get("add") or ()
        if security.get("privileged"):
            yield _problem(f"{path}.securityContext", "must not be privileged without allowPrivilegeEscalation")
        if "CAP_SYS_ADMIN" in added:
            yield _problem(f"{path}.securityContext", "must not add CAP_SYS_ADMIN without allowPrivilegeEscalation")


def _repeated(items: Sequence[Json], name: str, path: str) -> Iterator[Problem]:
    if len(items) < 2:
        return
    seen: dict[str, int] = {}
    for index, item in _each(items):
        if (value := item.get(name)) and seen.setdefault(value, index) != index:
            yield _problem(f"{path}[{index}].{name}", f'must be unique; {path}[{seen[value]}] also has "{value}"')


def _resources(resources: Json, path: str) -> Iterator[Problem]:
    """core/validation.validateResourceRequirements."""
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for name, wanted in requests.items():
        allowed = limits.get(name, wanted)
        if wanted != allowed and quantity(wanted or 0) > quantity(allowed or 0):
            field = f"{path}.requests.{name}" if name.isalnum() else f"{path}.requests[{name}]"
            yield _problem(field, f"must be at most the limit, {allowed or 0}, not {wanted}")


_SUFFIXES = {"": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


@lru_cache(maxsize=4096)
def quantity(value: str | float) -> Decimal:
    """The number a quantity such as `500m` or `1Gi` stands for (apimachinery `resource.ParseQuantity`)."""
    text = str(value)
    if text.endswith("i"):
        return Decimal(text[:-2]) * Decimal(1024) ** ("KMGTPE".index(text[-2]) + 1)
    if text[-1].isalpha():
        return Decimal(text[:-1]).scaleb(_SUFFIXES[text[-1]])
    return Decimal(text)


def _spread(constraints: Sequence[Json], path: str) -> Iterator[Problem]:
    """core/validation.ValidateSpreadConstraintNotRepeat, validateMinDomains."""
    seen: dict[tuple[str, str], int] = {}
    for index, constraint in _each(constraints):
        pair = (constraint["topologyKey"], constraint["whenUnsatisfiable"])
        if seen.setdefault(pair, index) != index:
            yield _problem(f"{path}[{index}]", f"must not repeat the pair of {path}[{seen[pair]}]")
        if constraint.get("minDomains") is not None and pair[1] != "DoNotSchedule":
            yield _problem(f"{path}[{index}].minDomains", "must not be set unless whenUnsatisfiable is DoNotSchedule")


def _tolerations(tolerations: Sequence[Json], path: str) -> Iterator[Problem]:
    """core/validation.ValidateTolerations."""
    for index, toleration in _each(tolerations):
        operator = toleration.get("operator") or "Equal"
        if not toleration.get("key") and operator != "Exists":
            yield _problem(f"{path}[{index}].operator", "must be Exists without a key")
        if operator == "Exists" and toleration.get("value"):
            yield _problem(f"{path}[{index}].value", "must be empty with the operator Exists")
        if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
            yield _problem(f"{path}[{index}].effect", "must be NoExecute with tolerationSeconds")


def _service(content: Json) -> Iterator[Problem]:
    """core/validation.ValidateService, validateServicePort."""
    spec = content.get("spec") or {}
    ports = spec.get("ports") or ()
    external = spec.get("type") == "ExternalName"
    if external and not spec.get("externalName"):
        yield _problem("spec.externalName", "is required for the type ExternalName")
    if not ports and not external and spec.get("clusterIP") != "None":
        yield _problem("spec.ports", "must not be empty")
    if spec.get("externalTrafficPolicy") and spec.get("type") not in {"NodePort", "LoadBalancer"}:
        yield _problem("spec.externalTrafficPolicy", "must not be set for a service that is not reached from outside")
    if spec.get("type") == "LoadBalancer" and spec.get("clusterIP") == "None":
        yield _problem("spec.clusterIP", 'must not be "None" for the type LoadBalancer')
    yield from _repeated(ports, "name", "spec.ports")
    seen: dict[tuple[str, int], int] = {}
    for index, port in _each(ports):
        if len(ports) > 1 and not port.get("name"):
            yield _problem(f"spec.ports[{index}].name", "is required where there are several ports")
        pair = (port.get("protocol") or "TCP", port["port"])
        if seen.setdefault(pair, index) != index:
            yield _problem(
                f"spec.ports[{index}]", f"must not repeat port {pair[1]} ({pair[0]}) of spec.ports[{seen[pair]}]"
            )


def _ingress(content: Json) -> Iterator[Problem]:
    """networking/validation.ValidateIngressCreate, validateHTTPIngressPath."""
    spec = content.get("spec") or {}
    annotation = (content["metadata"].get("annotations") or {}).get("kubernetes.io/ingress.class")
    if annotation is not None and spec.get("ingressClassName") not in {None, annotation}:
        field = "metadata.annotations[kubernetes.io/ingress.class]"
        yield _problem(field, f'must be as spec.ingressClassName, "{spec["ingressClassName"]}"')
    for index, rule in _each(spec.get("rules")):
        if (host := rule.get("host") or "").replace(".", "").isdigit() and host.count(".") == 3:
            yield _problem(f"spec.rules[{index}].host", f'must be a DNS name, not the address "{host}"')
        for number, path in _each((rule.get("http") or {}).get("paths")):
            yield from _path(path, f"spec.rules[{index}].http.paths[{number}].path")


def _path(entry: Json, field: str) -> Iterator[Problem]:
    path, kind = entry.get("path") or "", entry["pathType"]
    if not path.startswith("/") and (path or kind != "ImplementationSpecific"):
        yield _problem(field, f'must begin with "/", not be "{path}"')
    if kind == "ImplementationSpecific":
        return
    for part in ("//", "/./", "/../", "%2f", "%2F"):
        if part in path:
            yield _problem(field, f'must not contain "{part}"')
    if path.endswith(("/..", "/.")):
        yield _problem(field, 'must not end with "/." or "/.."')


def _autoscaler(content: Json) -> Iterator[Problem]:
    """autoscaling/validation.validateHorizontalPodAutoscalerSpec, validateMetricSpec."""
    spec = content["spec"]
    if (least := spec.get("minReplicas") or 1) > spec["maxReplicas"]:
        yield _problem("spec.maxReplicas", f"must be at least minReplicas, {least}, not {spec['maxReplicas']}")
    for index, metric in _each(spec.get("metrics")):
        name = metric["type"][0].lower() + metric["type"][1:]
        if metric.get(name) is None:
            yield _problem(f"spec.metrics[{index}].{name}", f'is required for the type "{metric["type"]}"')


def _network_policy(content: Json) -> Iterator[Problem]:
    """networking/validation.ValidateNetworkPolicyPort."""
    spec = content.get("spec") or {}
    for direction in ("ingress", "egress"):
        for index, rule in _each(spec.get(direction)):
            for number, entry in _each(rule.get("ports")):
                field = f"spec.{direction}[{index}].ports[{number}].endPort"
                port, end = entry.get("port"), entry.get("endPort")
                if end is None:
                    continue
                if not isinstance(port, int):
                    yield _problem(field, "must not be set without a numeric port")
                elif end < port:
                    yield _problem(field, f"must be at least the port, {port}, not {end}")


_LARGEST = 1024 * 1024


def _config_map(content: Json) -> Iterator[Problem]:
    """core/validation.ValidateConfigMap."""
    data, binary = content.get("data") or {}, content.get("binaryData") or {}
    for name in sorted(data.keys() & binary.keys()):
        yield _problem(f"data[{name}]", "must not be in binaryData as well")
    size = sum(len((value or "").encode()) for value in data.values())
    size += sum(len(value or "") * 3 // 4 for value in binary.values())
    if size > _LARGEST:
        yield _problem("data", f"must be at most {_LARGEST} bytes in all, not {size}")


_SECRET_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def _secret(content: Json) -> Iterator[Problem]:
    """core/validation.ValidateSecret."""
    given = {**(content.get("data") or {}), **(content.get("stringData") or {})}
    for name in _SECRET_KEYS.get(content.get("type") or "", ()):
        if name not in given:
            yield _problem(f"data[{name}]", f"is required for a secret of the type {content['type']}")
    if content.get("type") == "kubernetes.io/basic-auth" and not {"username", "password"} & given.keys():
        yield _problem("data[username]", "or data[password] is required for a secret of this type")


def _admission_policy(content: Json) -> Iterator[Problem]:
    """admissionregistration/validation.validateMatchConditions."""
    yield from _repeated(content["spec"].get("matchConditions") or (), "name", "spec.matchConditions")


_CHECKS: dict[str, Check] = {
    "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy": _admission_policy,
    "io.k8s.api.apps.v1.DaemonSet": _workload,
    "io.k8s.api.apps.v1.Deployment": _deployment,
    "io.k8s.api.apps.v1.ReplicaSet": _workload,
    "io.k8s.api.apps.v1.StatefulSet": _workload,
    "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler": _autoscaler,
    "io.k8s.api.batch.v1.CronJob": _cron_job,
    "io.k8s.api.batch.v1.Job": _job,
    "io.k8s.api.core.v1.ConfigMap": _config_map,
    "io.k8s.api.core.v1.Pod": _pod_object,
    "io.k8s.api.core.v1.Secret": _secret,
    "io.k8s.api.core.v1.Service": _service,
    "io.k8s.api.networking.v1.Ingress": _ingress,
    "io.k8s.api.networking.v1.NetworkPolicy": _network_policy,
}
