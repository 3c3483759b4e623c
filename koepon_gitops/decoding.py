"""An object as the API server holds it once decoded: what counts as absent is absent.

Built-in kinds become Go structs, in which a null is nothing and an empty text is left out again (`omitempty`); custom
kinds lose the nulls of fields that are not nullable (apiextensions `PruneNonNullableNullsWithoutDefaults`).
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from koepon_gitops.model import Json


def held(content: Json, schema: Json) -> Json:
    """The content without what counts as absent. `schema`: the compiled JSON Schema of its kind, with `$defs`."""
    written = orjson.dumps(content)
    if b"null" not in written and b'""' not in written:
        return content
    decoded: Json = _held(content, schema, schema.get("$defs", {}), typed=False)
    return decoded


def without(content: Json, paths: Iterable[Sequence[str | int]]) -> Json:
    """A copy that lacks the fields at these paths."""
    copied = copy.deepcopy(content)
    for *way, name in paths:
        place: Any = copied
        for part in way:
            place = place[part]
        place.pop(name, None)
    return copied


def _held(value: Any, schema: Json, definitions: Mapping[str, Json], *, typed: bool) -> Any:
    """`typed`: a Go struct holds it."""
    shape, typed = _shape(schema, definitions, typed=typed)
    if isinstance(value, list):
        items = shape.get("items")
        return [_held(each, items, definitions, typed=typed) for each in value] if items else value
    if not isinstance(value, dict):
        return value
    fields, others = shape.get("properties") or {}, shape.get("additionalProperties")
    required = shape.get("required") or ()
    kept = {}
    for name, part in value.items():
        below = fields.get(name, others)
        if not isinstance(below, dict):
            kept[name] = part
        elif part is None and not below.get("x-nullable"):
            if name in required:
                kept[name] = None  # what is refused is better called null than missing
            elif typed and name not in fields and (zero := _zero(below)) is not None:
                kept[name] = zero
        elif part or not _left_out(name, part, shape, typed=typed):
            kept[name] = _held(part, below, definitions, typed=typed)
    return kept


def _left_out(name: str, part: Any, shape: Json, *, typed: bool) -> bool:
    """Whether an empty text in a field of a struct vanishes."""
    field: Json = (shape.get("properties") or {}).get(name) or {}
    return typed and part == "" and name not in shape.get("required", ()) and _is_text(field)


def _is_text(schema: Json) -> bool:
    return "string" in (schema.get("type") or ())


def _zero(schema: Json) -> str | None:
    """What Go makes of a null in a map: an empty text, no amount."""
    if _is_text(schema):
        return ""
    return "0" if str(schema.get("$ref")).endswith(".Quantity") else None


def _shape(schema: Json, definitions: Mapping[str, Json], *, typed: bool) -> tuple[Json, bool]:
    """The part of a schema that names fields, found through references."""
    while not _SHAPING & schema.keys():
        if reference := schema.get("$ref"):
            schema, typed = definitions[reference.rpartition("/")[2]], True
        else:
            schema = next((each for each in schema.get("allOf", ()) if "$ref" in each or _SHAPING & each.keys()), _NONE)
    return schema, typed


_SHAPING = frozenset({"properties", "items", "additionalProperties"})
_NONE: Json = {"properties": {}}
