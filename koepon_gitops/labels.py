"""Label selectors, as `metav1.LabelSelectorAsSelector` of Kubernetes evaluates them."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from koepon_gitops.model import Json, Value

type Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
type Labels = Mapping[str, Any]
"""Label values are strings; one that is null in a manifest is empty to Go."""


def selects(selector: Json, labels: Labels) -> bool:
    """Whether labels satisfy `matchLabels` and `matchExpressions`; an empty selector selects everything.

    Raises ValueError on an operator that Kubernetes doesn't know.
    """
    for name, value in (selector.get("matchLabels") or {}).items():
        if name not in labels or (labels[name] or "") != (value or ""):
            return False
    return all(_meets(requirement, labels) for requirement in selector.get("matchExpressions") or ())


def _meets(requirement: Json, labels: Labels) -> bool:
    name, values = requirement["key"], requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return labels.get(name) in values
        case "NotIn":
            return labels.get(name) not in values
        case "Exists":
            return name in labels
        case "DoesNotExist":
            return name not in labels
    raise ValueError(f"{requirement['operator']} is no operator of a label selector")


class Requirement(Value):
    """One of a selector's `matchExpressions`."""

    key: Text
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_its_values(self) -> Self:
        if bool(self.values) != (self.operator in {"In", "NotIn"}):
            raise ValueError("In and NotIn need values, Exists and DoesNotExist take none")
        return self


class LabelSelector(Value):
    """A selector that has been found to be well-formed: what a policy, its binding or a PodDisruptionBudget holds."""

    matchLabels: dict[str, str] = Field(default_factory=dict)
    matchExpressions: tuple[Requirement, ...] = ()

    @cached_property
    def keys(self) -> frozenset[str]:
        """The labels it asks for."""
        return frozenset((*self.matchLabels, *(each.key for each in self.matchExpressions)))

    @cached_property
    def _written(self) -> Json:
        return self.model_dump()

    def matches(self, labels: Labels) -> bool:
        """Whether it selects what has these labels."""
        return selects(self._written, labels)
