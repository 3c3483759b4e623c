"""Defaults of a structural schema, filled in as the API server does before anything else looks at an object.

Source: k8s.io/apiextensions-apiserver v0.36 `pkg/apiserver/schema/defaulting/algorithm.go`.
"""

import copy
from typing import Any

from koepon_gitops.model import Json


def defaulted(value: Any, schema: Json) -> Any:
    """A copy of the value with the defaults of its OpenAPI v3 schema wherever a field is missing.

    A null where null is not allowed counts as missing.
    """
    if isinstance(value, dict):
        properties: Json = schema.get("properties") or {}
        others = schema.get("additionalProperties")
        filled = {
            name: inner
            for name, inner in value.items()
            if inner is not None or not _replaces_null(properties.get(name) or {})
        }
        for name, property_ in properties.items():
            if name not in filled and property_.get("default") is not None:
                filled[name] = copy.deepcopy(property_["default"])
        for name in filled:
            inner_schema = properties.get(name) or (others if isinstance(others, dict) else {})
            filled[name] = defaulted(filled[name], inner_schema)
        return filled
    if isinstance(value, list):
        return [defaulted(item, schema.get("items") or {}) for item in value]
    return copy.deepcopy(value)


def _replaces_null(schema: Json) -> bool:
    return not schema.get("nullable") and schema.get("default") is not None
