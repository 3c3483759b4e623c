"""Schema errors as sentences: what jsonschema-rs reports, in the words of a person who edits manifests."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from koepon_gitops.model import Json, Problem
from koepon_gitops.spelling import nearest

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

INVALID = "schemas/invalid"
UNKNOWN = "schemas/unknown-field"

_WORDS = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
}


def problems(errors: Iterable["ValidationError"], schema: Json, kind: str) -> tuple[Problem, ...]:
    """Every error once, in the order of the fields. `schema` is the one that reported; `kind` names the object."""
    found: dict[tuple[str, str], Problem] = {}
    mistyped: set[str] = set()
    for error in errors:
        for problem in _of(error, schema, kind):
            if error.kind.name == "type":
                mistyped.add(problem.field)
                found = {key: each for key, each in found.items() if each.field != problem.field}
            elif problem.field in mistyped:
                continue
            found[problem.field, problem.message] = problem
    return tuple(sorted(found.values(), key=lambda each: (each.field, each.message)))


def unknown(errors: Iterable["ValidationError"]) -> dict[tuple[str | int, ...], "ValidationError"]:
    """Of the errors, those about fields that do not exist, by the path of each field."""
    found: dict[tuple[str | int, ...], ValidationError] = {}
    for error in errors:
        details: Any = error.kind
        if details.name == "additionalProperties":
            found |= {(*error.instance_path, name): error for name in details.unexpected}
    return found


def field(path: Sequence[str | int]) -> str:
    """`spec.containers[0].image`; a key that is no plain name as Kubernetes writes it: `metadata.labels[a.b/c]`."""
    written = ""
    for part in path:
        if isinstance(part, int) or not part.replace("-", "").replace("_", "").isalnum():
            written += f"[{part}]"
        else:
            written += f".{part}" if written else part
    return written


def shown(value: Any) -> str:
    """A value as a sentence names it; long ones are cut."""
    if isinstance(value, dict):
        return "an object" if value else "an empty object"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None:
        return "null"
    text = orjson.dumps(value).decode() if isinstance(value, str | bool | int | float) else str(value)
    text = text if len(text) <= 80 else f"{text[:77]}..."
    names = {str: "the string ", bool: "", int: "the number ", float: "the number "}
    return names.get(type(value), "") + text


def _of(error: "ValidationError", schema: Json, kind: str) -> Iterator[Problem]:
    path = list(error.instance_path)
    place = _at(schema, error.schema_path[:-1])
    details: Any = error.kind
    match details.name:
        case "additionalProperties":
            for name in details.unexpected:
                yield _unknown(path, name, place.get("properties", {}), kind)
        case "required" if "x-must" not in place:
            where = field([*path, details.property])
            yield Problem(rule=INVALID, field=where, message=f"{where} is required.")
        case "propertyNames":
            name, where = details.error.instance, field(path)
            must = place.get("x-must") or f"be otherwise: {details.error.message}"
            message = f"{where} has the key {_text(name)}; a key must {must}."
            yield Problem(rule=INVALID, field=field([*path, name]), message=message)
        case "anyOf" | "oneOf" if "x-must" not in place and (only := _shared_required(place[details.name])):
            choice = "exactly one of" if details.name == "oneOf" else "one of"
            yield _invalid(path, f"must have {choice} {', '.join(only)}")
        case _:
            yield _invalid(path, _demand(error, place))


def _unknown(path: list[str | int], name: str, known: Json, kind: str) -> Problem:
    place = f"{kind}.{field(path)}" if path else kind
    near = nearest(name, known, cutoff=0.7)
    advice = f"; did you mean `{near[0]}`?" if near else "."
    return Problem(rule=UNKNOWN, field=field([*path, name]), message=f"`{name}` is not a field of {place}{advice}")


def _invalid(path: list[str | int], demand: str) -> Problem:
    where = field(path)
    return Problem(rule=INVALID, field=where, message=f"{where or 'the object'} {demand}.")


def _demand(error: "ValidationError", place: Json) -> str:
    """The rest of the sentence that begins with the field."""
    kind: Any = error.kind
    value: Any = error.instance
    but = "" if isinstance(value, dict | list) else f", not {shown(value)}"
    if must := place.get("x-must"):
        return f"must {must}{but}"
    if kind.name in {"type", "enum"}:
        allowed = _types(kind.types) if kind.name == "type" else _options(place)
        return f"must be {allowed}, not {shown(value)}"
    if kind.name in _COMPARISONS:
        return f"must be {_COMPARISONS[kind.name]} {kind.limit}{but}"
    if kind.name in _SIZES:
        return _size(kind.name, kind.limit, len(value))
    if kind.name in {"anyOf", "oneOf"}:
        return f"must have one of the forms its schema allows{but}: {_nearest(kind.context)}"
    return _OTHERS.get(kind.name, "is refused: {message}").format(
        but=but, message=error.message, place=_text(place.get(kind.name))
    )


_COMPARISONS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
}
_SIZES = {
    "minLength": "at least {} characters long",
    "maxLength": "at most {} characters long",
    "minItems": "a list of at least {} entries",
    "maxItems": "a list of at most {} entries",
    "minProperties": "an object of at least {} fields",
    "maxProperties": "an object of at most {} fields",
}
_OTHERS = {
    "pattern": "must match {place}{but}",
    "format": "must have the format {place}{but}",
    "uniqueItems": "must not have the same entry twice",
    "multipleOf": "must be a multiple of {place}{but}",
    "not": "has a form its schema forbids: {place}",
}


def _types(names: Iterable[str]) -> str:
    return " or ".join(sorted(_WORDS[name] for name in names if name != "null")) or "absent"


def _options(place: Json) -> str:
    options = place.get("x-values") or [option for option in place["enum"] if option is not None]
    return ("one of " if len(options) > 1 else "") + ", ".join(_text(option) for option in options)


def _size(name: str, limit: int, size: int) -> str:
    if limit == 1 and name.startswith("min"):
        return "must not be empty"
    return f"must be {_SIZES[name].format(limit)}, not {size}"


def _shared_required(branches: Sequence[Json]) -> list[str]:
    """The fields among which to choose, when that is all that the branches of a anyOf or oneOf say."""
    if all(set(branch) == {"required"} and len(branch["required"]) == 1 for branch in branches):
        return [branch["required"][0] for branch in branches]
    return []


def _nearest(context: Iterable[Sequence["ValidationError"]]) -> str:
    """What the branch that came closest says."""
    branches = [branch for branch in context if branch]
    return min(branches, key=len)[0].message if branches else "several fit where one may"


def _at(schema: Json, path: Sequence[str | int]) -> Any:
    place: Any = schema
    for part in path:
        place = place[part]
    return place


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
