"""Label selectors, as `metav1.LabelSelectorAsSelector` of Kubernetes evaluates them."""

from collections.abc import Mapping
from typing import Any

from koepon_gitops.model import Json


def selects(selector: Json, labels: Mapping[str, Any]) -> bool:
    """Whether labels satisfy `matchLabels` and `matchExpressions`; an empty selector selects everything."""
    exact = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return exact and all(_holds(each, labels) for each in selector.get("matchExpressions") or ())


def _holds(expression: Json, labels: Mapping[str, Any]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values and value is not None
        case "NotIn":
            return value not in values or value is None
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(f"{expression['operator']} is no operator of a label selector")
