"""What a check is: a function over all objects of a cluster, whose docstring is what people read about it."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from koepon_gitops.model import Finding, Manifest, Rule, Severity

REGISTERED: "list[Check]" = []
"""Every function under `@check`, in the order of import."""


class Fault(NamedTuple):
    """What a check finds: the object to mend, a sentence about it, and the field (`spec.replicas`) if it is one."""

    manifest: Manifest
    message: str
    field: str = ""


type Predicate = Callable[..., Iterator[Fault]]
"""A function of `manifests`, all objects of a cluster; of `policies` if it reads data there, and of `today`."""


class Check:
    """A registered check. Calling it gives findings that carry its rule."""

    def __init__(self, rule: Rule, predicate: Predicate) -> None:
        self.rule, self._predicate = rule, predicate
        self._asks_for = tuple(inspect.signature(predicate).parameters)[1:]
        self.__doc__ = predicate.__doc__

    def __call__(self, manifests: Sequence[Manifest], policies: Path, today: date) -> Iterator[Finding]:
        """What is wrong with the objects of one cluster. `policies`: the folder that data files are read from."""
        given = {"policies": policies, "today": today}
        for fault in self._predicate(manifests, **{name: given[name] for name in self._asks_for}):
            yield Finding(
                rule=self.rule.id,
                severity=self.rule.severity,
                requirement=self.rule.requirement,
                application=fault.manifest.application,
                object=fault.manifest.id,
                field=fault.field,
                message=fault.message,
                remedy=self.rule.remedy,
            )


def check(*, requirement: str, remedy: str, severity: Severity = Severity.ERROR) -> Callable[[Predicate], Check]:
    """Make a check of a function. The first line of its docstring is the rule's title, the rest is the reason.

    The rule is named like the function (`pod_disruption_budget`: pod-disruption-budget) and written in its module.
    """

    def register(predicate: Predicate) -> Check:
        title, _, reason = (inspect.getdoc(predicate) or "").partition("\n")
        rule = Rule(
            id=predicate.__name__.replace("_", "-"),
            title=title.removesuffix("."),
            requirement=requirement,
            reason=" ".join(reason.split()),
            remedy=remedy,
            severity=severity,
            file=f"{predicate.__module__.replace('.', '/')}.py",
        )
        REGISTERED.append(registered := Check(rule, predicate))
        return registered

    return register
