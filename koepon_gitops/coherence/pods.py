"""The template of a pod: volumes and their mounts, names, resources, times."""

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache

from koepon_gitops.coherence.reporting import each, problem, repeated
from koepon_gitops.model import Json, Problem


def pod_object(content: Json) -> Iterator[Problem]:
    yield from pod_spec(content.get("spec") or {}, "spec", ())


def pod_spec(spec: Json, path: str, claims: Iterable[str | None]) -> Iterator[Problem]:
    """core/validation.ValidatePodSpec. `claims`: volumes that a StatefulSet adds."""
    volumes = spec.get("volumes") or ()
    yield from repeated(volumes, "name", f"{path}.volumes")
    for index, volume in each(volumes):
        if len(sources := [name for name, value in volume.items() if name != "name" and value is not None]) > 1:
            yield problem(f"{path}.volumes[{index}]", f"must have one source, not {' and '.join(sorted(sources))}")
    mountable = {volume["name"] for volume in volumes} | set(claims)
    seen: dict[str, str] = {}
    for group in ("containers", "initContainers"):
        for index, container in each(spec.get(group)):
            place = f"{path}.{group}[{index}]"
            if (first := seen.setdefault(container["name"], place)) != place:
                yield problem(f"{place}.name", f'must be unique; "{container["name"]}" is also {first}')
            yield from _container(container, place, mountable)
            if group == "initContainers" and container.get("restartPolicy") != "Always":
                for field in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
                    if container.get(field) is not None:
                        yield problem(f"{place}.{field}", "must not be set for an init container that ends")
    yield from _spread(spec.get("topologySpreadConstraints") or (), f"{path}.topologySpreadConstraints")
    yield from _tolerations(spec.get("tolerations") or (), f"{path}.tolerations")
    yield from _sleeps(spec, path)


def _sleeps(spec: Json, path: str) -> Iterator[Problem]:
    """core/validation.validateSleepAction; SetDefaults_PodSpec gives 30 seconds."""
    grace = spec.get("terminationGracePeriodSeconds")
    grace = 30 if grace is None else grace
    for group in ("containers", "initContainers"):
        for index, container in each(spec.get(group)):
            for hook, handler in (container.get("lifecycle") or {}).items():
                seconds = ((handler or {}).get("sleep") or {}).get("seconds") if hook != "stopSignal" else 0
                if (seconds or 0) > grace:
                    field = f"{path}.{group}[{index}].lifecycle.{hook}.sleep.seconds"
                    yield problem(field, f"must be at most terminationGracePeriodSeconds, {grace}, not {seconds}")


def _container(container: Json, path: str, mountable: set[str | None]) -> Iterator[Problem]:
    """core/validation.validateContainerCommon and what it calls."""
    yield from repeated(container.get("ports") or (), "name", f"{path}.ports")
    mounts = container.get("volumeMounts") or ()
    yield from repeated(mounts, "mountPath", f"{path}.volumeMounts")
    for index, mount in each(mounts):
        if mount["name"] not in mountable:
            yield problem(f"{path}.volumeMounts[{index}].name", f'must be the name of a volume, not "{mount["name"]}"')
    yield from _resources(container.get("resources") or {}, f"{path}.resources")
    security = container.get("securityContext") or {}
    if security.get("allowPrivilegeEscalation") is False:
        added = (security.get("capabilities") or {}).get("add") or ()
        if security.get("privileged"):
            yield problem(f"{path}.securityContext", "must not be privileged without allowPrivilegeEscalation")
        if "CAP_SYS_ADMIN" in added:
            yield problem(f"{path}.securityContext", "must not add CAP_SYS_ADMIN without allowPrivilegeEscalation")


def _resources(resources: Json, path: str) -> Iterator[Problem]:
    """core/validation.validateResourceRequirements."""
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for part, amounts in (("requests", requests), ("limits", limits)):
        for name, amount in amounts.items():
            if _is_extended(name) and quantity(amount or 0) % 1:
                yield problem(_place(path, part, name), f"must be a whole number, not {amount}")
    for name, wanted in requests.items():
        field, exact = _place(path, "requests", name), _is_extended(name) or name.startswith("hugepages-")
        if exact and name not in limits:
            yield problem(field, "must have a limit too, the same")
            continue
        allowed = limits.get(name, wanted)
        difference = quantity(wanted or 0) - quantity(allowed or 0) if wanted != allowed else 0
        if difference > 0 or (exact and difference):
            yield problem(field, f"must be {'' if exact else 'at most '}the limit, {allowed or 0}, not {wanted}")


def _is_extended(name: str) -> bool:
    """`helper.IsExtendedResourceName`: a domain's own, such as example.com/gpu, counted and never shared."""
    return "/" in name and "kubernetes.io/" not in name and not name.startswith("requests.")


def _place(path: str, part: str, name: str) -> str:
    return f"{path}.{part}.{name}" if name.isalnum() else f"{path}.{part}[{name}]"


_SUFFIXES = {"": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


@lru_cache(maxsize=4096)
def quantity(value: str | float) -> Decimal:
    """The number a quantity such as `500m` or `1Gi` stands for (apimachinery `resource.ParseQuantity`).

    Raises ValueError on other text, which a schema refuses.
    """
    match = _QUANTITY.fullmatch(str(value).strip(" "))
    if not match:
        raise ValueError(f"{value!r} is no quantity")
    sign, whole, fraction, suffix = match.groups(default="")
    number = Decimal(f"{sign}{whole or 0}.{fraction or 0}")
    if suffix.endswith("i"):
        return number * Decimal(1024) ** ("KMGTPE".index(suffix[0]) + 1)
    return number.scaleb(int(suffix[1:]) if suffix[1:] else _SUFFIXES[suffix])


_QUANTITY = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?")


def _spread(constraints: Sequence[Json], path: str) -> Iterator[Problem]:
    """core/validation.ValidateSpreadConstraintNotRepeat, validateMinDomains, validateLabelKeys."""
    seen: dict[tuple[str, str], int] = {}
    for index, constraint in each(constraints):
        pair = (constraint["topologyKey"], constraint["whenUnsatisfiable"])
        if seen.setdefault(pair, index) != index:
            yield problem(f"{path}[{index}]", f"must not repeat the pair of {path}[{seen[pair]}]")
        if constraint.get("minDomains") is not None and pair[1] != "DoNotSchedule":
            yield problem(f"{path}[{index}].minDomains", "must not be set unless whenUnsatisfiable is DoNotSchedule")
        if constraint.get("matchLabelKeys") and constraint.get("labelSelector") is None:
            yield problem(f"{path}[{index}].matchLabelKeys", "must not be set without a labelSelector")


def _tolerations(tolerations: Sequence[Json], path: str) -> Iterator[Problem]:
    """core/validation.ValidateTolerations."""
    for index, toleration in each(tolerations):
        operator = toleration.get("operator") or "Equal"
        if not toleration.get("key") and operator != "Exists":
            yield problem(f"{path}[{index}].operator", "must be Exists without a key")
        if operator == "Exists" and toleration.get("value"):
            yield problem(f"{path}[{index}].value", "must be empty with the operator Exists")
        if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
            yield problem(f"{path}[{index}].effect", "must be NoExecute with tolerationSeconds")
