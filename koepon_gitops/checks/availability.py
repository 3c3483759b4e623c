"""Availability: what may go away at once."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from koepon_gitops.checks.registration import Fault, check
from koepon_gitops.checks.workloads import Workload, environments, part, workloads
from koepon_gitops.labels import LabelSelector
from koepon_gitops.model import Manifest


@check(
    requirement="NFR-301",
    remedy="Give every workload of several pods one PodDisruptionBudget over its pods' labels, with maxUnavailable: 1.",
)
def pod_disruption_budget(manifests: Sequence[Manifest]) -> Iterator[Fault]:
    """Any node can be drained, and what runs as several pods goes on serving meanwhile.

    An upgrade or the Cluster Autoscaler evicts all pods of a node. Without a PodDisruptionBudget all pods of a
    workload may be away at once; with one that can't be met, or with two, no pod is ever evicted and the node stays.
    """
    namespaces = environments(manifests)
    budgets = _Budgets(
        _budget(manifest)
        for manifest in manifests
        if manifest.id.kind == "PodDisruptionBudget" and manifest.id.namespace in namespaces
    )
    for workload in workloads(manifests):
        if workload.manifest.id.namespace in namespaces:
            yield from _covered(workload, budgets.take(workload))
    for budget, covered in budgets.taken():
        yield from _satisfiable(budget, covered)


class Budget(NamedTuple):
    """A PodDisruptionBudget. `bound` is `minAvailable`, `maxUnavailable`, or empty when it has neither."""

    manifest: Manifest
    selector: LabelSelector | None
    """None selects nothing."""
    bound: str
    value: Any

    def evictable(self, pods: int) -> int | None:
        """How many of so many healthy pods may be evicted at once; None when the bound is no number or percentage.

        As k8s.io/kubernetes 1.36 pkg/controller/disruption reckons: getExpectedPodCount, updatePdbStatus.
        """
        if not self.bound:
            return 0
        if (amount := _scaled(self.value, pods)) is None:
            return None
        return min(pods, amount) if self.bound == "maxUnavailable" else max(0, pods - amount)

    def __str__(self) -> str:
        return f"{self.bound} {self.value}"


def _scaled(value: Any, total: int) -> int | None:
    """`intstr.GetScaledValueFromIntOrPercent`, which rounds percentages up for both bounds."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,3}%", value):
        return -(-int(value[:-1]) * total // 100)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _budget(manifest: Manifest) -> Budget:
    spec = part(manifest.content, "spec")
    bound = next((name for name in ("maxUnavailable", "minAvailable") if part(spec, name) is not None), "")
    return Budget(manifest, _selector(part(spec, "selector")), bound, part(spec, bound))


def _selector(written: Any) -> LabelSelector | None:
    if not isinstance(written, Mapping):
        return None
    try:
        return LabelSelector.model_validate({key: value for key, value in written.items() if value is not None})
    except ValidationError:
        return None


class _Budgets:
    """The budgets of a cluster, found by namespace and one label, and what each has been found to cover."""

    def __init__(self, budgets: Iterator[Budget]) -> None:
        self._covered: list[tuple[Budget, list[Workload]]] = [(budget, []) for budget in budgets]
        self._index = defaultdict(list)
        for entry in self._covered:
            budget = entry[0]
            label = next(iter(budget.selector.matchLabels.items()), None) if budget.selector else None
            self._index[budget.manifest.id.namespace, label].append(entry)

    def take(self, workload: Workload) -> list[Budget]:
        """The budgets over the pods of a workload, which from now on count as covering it."""
        namespace = workload.manifest.id.namespace
        found = []
        for label in (None, *workload.labels.items()):
            for budget, covered in self._index.get((namespace, label), ()):
                if budget.selector and budget.selector.matches(workload.labels):
                    covered.append(workload)
                    found.append(budget)
        return found

    def taken(self) -> list[tuple[Budget, list[Workload]]]:
        """Every budget with the workloads it covers."""
        return self._covered


def _covered(workload: Workload, budgets: Sequence[Budget]) -> Iterator[Fault]:
    if len(names := {budget.manifest.id.name for budget in budgets}) > 1:
        yield Fault(
            workload.manifest,
            f"the PodDisruptionBudgets {' and '.join(sorted(names))} select the same pods, "
            "and then Kubernetes evicts none of them",
        )
    elif not budgets and workload.scaled and (workload.minimum or 0) > 1:
        yield Fault(
            workload.manifest,
            f"no PodDisruptionBudget selects its pods, and all {workload.minimum} may be evicted at once",
        )


def _satisfiable(budget: Budget, covered: Sequence[Workload]) -> Iterator[Fault]:
    unscaled = next((workload for workload in covered if not workload.scaled), None)
    if not covered:
        yield Fault(budget.manifest, "it selects no pods that the tree makes in this namespace", "spec.selector")
    elif not budget.bound:
        yield Fault(budget.manifest, "with neither maxUnavailable nor minAvailable no pod is ever evicted", "spec")
    elif unscaled and not (budget.bound == "minAvailable" and isinstance(budget.value, int)):
        yield Fault(
            budget.manifest,
            f"{unscaled} has no scale to reckon {budget} from; only minAvailable with a number works",
            f"spec.{budget.bound}",
        )
    else:
        yield from _reckoned(budget, covered)


def _reckoned(budget: Budget, covered: Sequence[Workload]) -> Iterator[Fault]:
    """The budget in numbers, when every workload runs as few pods as it may."""
    counts = [workload.minimum for workload in covered]
    pods = sum(count for count in counts if count)
    if None in counts or not pods or (evictable := budget.evictable(pods)) is None:
        return
    if evictable == 0:
        yield Fault(
            budget.manifest,
            f"{budget} of {pods} pods lets none be evicted: their nodes can't be drained",
            f"spec.{budget.bound}",
        )
    for workload in covered:
        if 1 < (workload.minimum or 0) <= evictable:
            yield Fault(
                budget.manifest,
                f"{budget} of {pods} pods lets all {workload.minimum} of {workload} be evicted at once",
                f"spec.{budget.bound}",
            )
