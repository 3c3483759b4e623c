"""Defaults of a structural schema, filled in as the API server does before anything else looks at an object.

Source: k8s.io/apiextensions-apiserver v0.36 `pkg/apiserver/schema/defaulting/{algorithm,prunenulls}.go`.
"""

import copy
from typing import Any

from koepon_gitops.model import Json


def defaulted(value: Any, schema: Json) -> Any:
    """A copy of the value with the defaults of its OpenAPI v3 schema wherever a field is missing.

    A null where null is not allowed counts as missing: it gets the default, or goes.
    """
    if isinstance(value, dict):
        filled = dict(value)
        for name, property_ in (schema.get("properties") or {}).items():
            if name not in filled and property_.get("default") is not None:
                filled[name] = copy.deepcopy(property_["default"])
        members = {name: _member(inner, _schema_of(name, schema)) for name, inner in filled.items()}
        return {name: inner for name, inner in members.items() if inner is not _GONE}
    if isinstance(value, list):
        items = schema.get("items")
        return [None if (inner := _member(item, items)) is _GONE else inner for item in value]
    return copy.deepcopy(value)


_GONE = object()
"""What is left of a null that counts as missing and has no default."""


def _schema_of(name: str, schema: Json) -> Json | None:
    others = schema.get("additionalProperties")
    known: Json | None = (schema.get("properties") or {}).get(name, others if isinstance(others, dict) else None)
    return known


def _member(value: Any, schema: Json | None) -> Any:
    """A field or an element; one that no schema describes stays as it is."""
    if schema is None:
        return copy.deepcopy(value)
    if value is None and not schema.get("nullable"):
        if schema.get("default") is None:
            return _GONE
        value = schema["default"]
    return defaulted(value, schema)
