"""The pods that the objects of a cluster will make: their labels, and how many there are at the least.

What a schema refuses is read as if it were not there: the schema's own finding says what is wrong with it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from koepon_gitops.model import Json, Manifest

ENVIRONMENT = "koepon.com/environment"
"""The label of a Namespace that says which environment it is."""


class Workload(NamedTuple):
    """An object that makes pods."""

    manifest: Manifest
    labels: Mapping[str, str]
    """Of its pods."""
    minimum: int | None
    """How many pods there are at the least; None when that can't be told from the tree."""
    scaled: bool
    """Whether it has the scale subresource, from which a disruption budget is reckoned."""

    def __str__(self) -> str:
        return f"{self.manifest.id.kind} {self.manifest.id.name}"


def environments(manifests: Sequence[Manifest]) -> frozenset[str]:
    """The namespaces that belong to an environment."""
    return frozenset(
        manifest.id.name
        for manifest in manifests
        if manifest.id.kind == "Namespace" and ENVIRONMENT in labels(part(manifest.content, "metadata"))
    )


def workloads(manifests: Sequence[Manifest]) -> Iterator[Workload]:
    """Everything that makes pods. A Rollout stands for the Deployment its workloadRef names."""
    autoscaled = _autoscaled(manifests)
    templates = _templates(manifests)
    for manifest in manifests:
        if (kind := _KINDS.get((manifest.id.group, manifest.id.kind))) is None:
            continue
        if (key := _key(manifest.id.namespace, manifest.content)) in templates:
            continue
        reference = _reference(manifest)
        source = templates.get(reference, {}) if reference else manifest.content
        replicas = kind.minimum
        if kind.scaled:
            replicas = min(autoscaled.get(key) or [_count(part(manifest.content, "spec", "replicas"))])
        yield Workload(manifest, _pod_labels(source), replicas, kind.scaled)


class _Kind(NamedTuple):
    """`minimum`: of pods, where no scale says it."""

    scaled: bool = True
    minimum: int | None = None


_KINDS = {
    ("apps", "Deployment"): _Kind(),
    ("apps", "ReplicaSet"): _Kind(),
    ("apps", "StatefulSet"): _Kind(),
    ("", "ReplicationController"): _Kind(),
    ("argoproj.io", "Rollout"): _Kind(),
    ("", "Pod"): _Kind(scaled=False, minimum=1),
    ("apps", "DaemonSet"): _Kind(scaled=False),
    ("batch", "Job"): _Kind(scaled=False),
    ("batch", "CronJob"): _Kind(scaled=False),
}

type _Key = tuple[str, str, str, str]


def _key(namespace: str, content: Any) -> _Key:
    """Namespace, group, kind and name of an object, or of what a reference without metadata refers to."""
    name = part(content, "metadata", "name") or part(content, "name")
    group = str(part(content, "apiVersion") or "").rpartition("/")[0]
    return namespace, group, str(part(content, "kind")), str(name)


def _reference(manifest: Manifest) -> _Key | None:
    """What a Rollout takes its pod template from, when not from itself."""
    reference = part(manifest.content, "spec", "workloadRef") if manifest.id.group == "argoproj.io" else None
    return _key(manifest.id.namespace, reference) if reference else None


def _templates(manifests: Sequence[Manifest]) -> dict[_Key, Json]:
    """The objects that Rollouts take their pod templates from."""
    referred = {reference for manifest in manifests if (reference := _reference(manifest))}
    if not referred:
        return {}
    found = ((_key(manifest.id.namespace, manifest.content), manifest.content) for manifest in manifests)
    return {key: content for key, content in found if key in referred}


def _autoscaled(manifests: Sequence[Manifest]) -> dict[_Key, list[int]]:
    """The minReplicas of every HorizontalPodAutoscaler, by what it scales."""
    found = defaultdict(list)
    for manifest in manifests:
        if manifest.id.kind == "HorizontalPodAutoscaler":
            target = _key(manifest.id.namespace, part(manifest.content, "spec", "scaleTargetRef"))
            found[target].append(_count(part(manifest.content, "spec", "minReplicas")))
    return found


def _count(value: Any) -> int:
    """Replicas as the API server defaults them."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 1


def _pod_labels(content: Json) -> Mapping[str, str]:
    for template in (("spec", "jobTemplate", "spec", "template"), ("spec", "template"), ("template",), ()):
        if isinstance(found := part(content, *template), Mapping):
            return labels(part(found, "metadata"))
    return {}


def labels(metadata: Any) -> dict[str, str]:
    """The labels in a `metadata`; one that is null is empty, as Go decodes it."""
    found = part(metadata, "labels")
    return {str(key): str(value or "") for key, value in found.items()} if isinstance(found, Mapping) else {}


def part(content: Any, *path: str) -> Any:
    """What is at a path of keys; None when there is nothing."""
    for key in path:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content
