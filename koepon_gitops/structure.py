"""What JSON Schema cannot say about a custom resource: defaults, lists with keys, and CEL rules.

A *plan* is a structural schema reduced to the nodes at which one of these happens; most kinds have none. It is walked
after the schema has accepted the object, as the API server does: defaults first, then keys, then rules.
"""

import copy
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypedDict

import orjson

from koepon_gitops.errors import UncheckableError
from koepon_gitops.model import Json, Problem

if TYPE_CHECKING:
    from koepon_gitops import cel


class RuleText(TypedDict):
    """One `x-kubernetes-validations` entry. Transition rules (`oldSelf`) are not in a plan: nothing is updated here."""

    rule: str
    message: str
    messageExpression: str
    fieldPath: str


class Node(TypedDict, total=False):
    """One level of a plan. Plain JSON, so that it can be stored."""

    properties: dict[str, "Node"]
    items: "Node"
    values: "Node"
    defaults: dict[str, Any]
    nullable: list[str]
    keys: list[str]
    """`x-kubernetes-list-type`: the keys of a map list; empty for a set."""
    rules: list[RuleText]


def plan(schema: Json) -> Node | None:
    """The plan of a structural schema; None when nothing in it needs one."""
    return _node(schema, ruled=False)


def _node(schema: Json, *, ruled: bool) -> Node | None:
    """`ruled`: a rule at or above this level looks down on it, so that defaults matter."""
    node: Node = {}
    if rules := [_rule(entry) for entry in schema.get("x-kubernetes-validations") or () if _applies(entry)]:
        node["rules"] = rules
        ruled = True
    properties: Json = schema.get("properties") or {}
    listed = schema.get("x-kubernetes-list-type")
    if listed in {"map", "set"}:
        node["keys"] = list(schema.get("x-kubernetes-list-map-keys") or ()) if listed == "map" else []
    if below := {name: found for name, part in properties.items() if (found := _node(part, ruled=ruled))}:
        node["properties"] = below
    if isinstance(items := schema.get("items"), dict) and (found := _item(items, node, ruled=ruled)):
        node["items"] = found
    if isinstance(others := schema.get("additionalProperties"), dict) and (found := _node(others, ruled=ruled)):
        node["values"] = found
    if ruled:
        if defaults := {name: part["default"] for name, part in properties.items() if part.get("default") is not None}:
            node["defaults"] = defaults
        if nullable := [name for name, part in properties.items() if part.get("nullable")]:
            node["nullable"] = nullable
    return node or None


def _item(schema: Json, listed: Node, *, ruled: bool) -> Node | None:
    """Keys of a map list may have defaults: the protocol of a port."""
    node = _node(schema, ruled=ruled) or Node()
    properties: Json = schema.get("properties") or {}
    for name in listed.get("keys", ()):
        if (default := properties.get(name, {}).get("default")) is not None:
            node.setdefault("defaults", {})[name] = default
    return node or None


def _applies(entry: Json) -> bool:
    """A rule with `oldSelf` is a transition rule: not evaluated on create (Kubernetes CRD reference)."""
    return not re.search(r"\boldSelf\b", entry["rule"])


def _rule(entry: Json) -> RuleText:
    return RuleText(
        rule=entry["rule"],
        message=entry.get("message") or "",
        messageExpression=entry.get("messageExpression") or "",
        fieldPath=entry.get("fieldPath") or "",
    )


def problems(node: Node, content: Json) -> Iterator[Problem]:
    """What is wrong with an object that its schema accepts. Raises UncheckableError when a rule can't be evaluated."""
    yield from _walk(node, defaulted(node, content), "")


def defaulted(node: Node, value: Any) -> Any:
    """A copy of the value as the API server sees it when rules run: nulls that count as absent gone, defaults there."""
    if isinstance(value, dict):
        nullable = node.get("nullable", ())
        members = {name: part for name, part in value.items() if part is not None or name in nullable}
        for name, default in node.get("defaults", {}).items():
            members.setdefault(name, copy.deepcopy(default))
        for name, below in node.get("properties", {}).items():
            if name in members:
                members[name] = defaulted(below, members[name])
        if "values" in node:
            members = {name: defaulted(node["values"], part) for name, part in members.items()}
        return members
    if isinstance(value, list) and "items" in node:
        return [defaulted(node["items"], part) for part in value]
    return value


def _walk(node: Node, value: Any, path: str) -> Iterator[Problem]:
    if value is None:
        return
    if isinstance(value, list):
        if "keys" in node:
            yield from _duplicates(node["keys"], value, path)
        if "items" in node:
            for index, part in enumerate(value):
                yield from _walk(node["items"], part, f"{path}[{index}]")
    elif isinstance(value, dict):
        for name, below in node.get("properties", {}).items():
            if name in value:
                yield from _walk(below, value[name], f"{path}.{name}" if path else name)
        if "values" in node:
            for name, part in value.items():
                yield from _walk(node["values"], part, f"{path}[{name}]")
    for rule in node.get("rules", ()):
        yield from _violation(rule, value, path)


def _duplicates(keys: Sequence[str], items: Sequence[Any], path: str) -> Iterator[Problem]:
    """apiextensions-apiserver `schema/listtype.ValidateListSetsAndMaps`."""
    seen: dict[bytes, int] = {}
    for index, item in enumerate(items):
        identity = [item.get(key) for key in keys] if keys and isinstance(item, dict) else item
        first = seen.setdefault(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS), index)
        if first != index:
            words = " and ".join(f"{key} {orjson.dumps(item.get(key)).decode()}" for key in keys) if keys else "value"
            yield Problem(
                rule="schemas/invalid",
                field=f"{path}[{index}]",
                message=f"{path}[{index}] has the same {words} as {path}[{first}]; each may be there once.",
            )


def _violation(rule: RuleText, value: Any, path: str) -> Iterator[Problem]:
    outcome = _evaluate(rule["rule"], value)
    if outcome is True:
        return
    place = f"{path}{rule['fieldPath']}".lstrip(".")
    said = _evaluate(rule["messageExpression"], value) if rule["messageExpression"] else ""
    words = said if isinstance(said, str) and said else rule["message"] or f"it must satisfy `{rule['rule']}`"
    if outcome is not False:
        words = f"{words} (the rule itself failed: {outcome})"
    where = place or "the object"
    yield Problem(rule="schemas/invalid", field=place, message=f"{where} is refused: {words.rstrip('.')}.")


def _evaluate(expression: str, value: Any) -> Any:
    """A value, or the error of evaluation, which the API server counts as a violation."""
    return _program(expression).evaluate({"self": _escaped(value) if "__" in expression else value})


@cache
def _program(expression: str) -> "cel.Program":
    from koepon_gitops import cel  # noqa: PLC0415 - 40 ms that kinds without rules save

    try:
        return cel.compile(expression, ("self",))
    except UncheckableError as error:
        raise UncheckableError(
            "schemas/rule",
            f"The rule `{expression}` of a definition can't be compiled: {error.what}",
            remedy="Correct the rule in its CustomResourceDefinition.",
        ) from error


_RESERVED = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "in", "let", "loop", "namespace"}
    | {"null", "package", "return", "true", "false", "var", "void", "while"}
)


def _escaped(value: Any) -> Any:
    """Property names as CEL rules spell them (apiserver `cel/escaping.go`): `namespace` is `__namespace__`."""
    if isinstance(value, dict):
        return {_escaped_name(name): _escaped(part) for name, part in value.items()}
    return [_escaped(part) for part in value] if isinstance(value, list) else value


def _escaped_name(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    escaped = name.replace("__", "__underscores__")
    return escaped.replace(".", "__dot__").replace("-", "__dash__").replace("/", "__slash__")
