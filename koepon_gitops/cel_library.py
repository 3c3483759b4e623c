"""The functions Kubernetes adds to CEL (apiserver `pkg/cel/library`, 1.36).

Not here, so that what uses them does not compile: `authorizer`, `format`, `jsonpatch`. The engine takes no durations
and times from Python, so that their sum, min and max are errors.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache, partial
from typing import Any

from cel_expr_python import cel as engine

from koepon_gitops import cel_values


def extension() -> engine.CelExtension:
    """All of them, for an environment of the engine."""
    return engine.CelExtension("kubernetes", list(_declarations({**_LISTS, **_REGEX, **cel_values.FUNCTIONS})))


def _declarations(functions: Mapping[str, Callable[..., Any]]) -> Iterator[engine.FunctionDecl]:
    overloads: dict[str, list[engine.Overload]] = {}
    for signature, implementation in functions.items():
        [(target, name, parameters, result)] = _SIGNATURE.findall(signature)
        taken = [target] if target else []
        types = [_TYPES[word] for word in (*taken, *filter(None, parameters.split(",")))]
        overload = engine.Overload(f"kubernetes {signature}", _TYPES[result], types, bool(target), implementation)
        overloads.setdefault(name, []).append(overload)
    return (engine.FunctionDecl(name, each) for name, each in overloads.items())


_SIGNATURE = re.compile(r"^(?:(value|list|string)\.)?([A-Za-z_.]+)\(([a-z,]*)\) ([a-z]+)$")
_TYPES = {
    "bool": engine.Type.BOOL,
    "bytes": engine.Type.BYTES,
    "double": engine.Type.DOUBLE,
    "duration": engine.Type.DURATION,
    "any": engine.Type.DYN,
    "int": engine.Type.INT,
    "list": engine.Type.List(engine.Type.DYN),
    "map": engine.Type.Map(engine.Type.STRING, engine.Type.List(engine.Type.STRING)),
    "object": engine.Type.Map(engine.Type.DYN, engine.Type.DYN),
    "string": engine.Type.STRING,
    "strings": engine.Type.List(engine.Type.STRING),
    "timestamp": engine.Type.TIMESTAMP,
    "uint": engine.Type.UINT,
    "value": engine.Type.Map(engine.Type.STRING, engine.Type.STRING),
}


def _comparable(items: Sequence[Any]) -> Sequence[Any]:
    """The items, if CEL has an order for them: all numbers, or all of one type. Raises ValueError when not."""
    kinds = {float if type(item) is int else type(item) for item in items}
    if len(kinds) > 1 or kinds & {type(None), list, dict}:
        raise ValueError("no such overload: these are not of one type that has an order")
    return items


def _is_sorted(items: Sequence[Any]) -> bool:
    return all(before <= after for before, after in zip(_comparable(items), items[1:], strict=False))


def _extreme(of: Callable[..., Any], items: Sequence[Any]) -> Any:
    if not items:
        raise ValueError(f"{of.__name__} called on empty list")
    return of(_comparable(items))


def _sum(items: Sequence[Any]) -> Any:
    if any(isinstance(item, bool | str | bytes | bytearray) for item in _comparable(items)):
        raise ValueError("no such overload: only numbers and durations have a sum")
    return sum(items[1:], items[0]) if items else 0


def _same(one: Any, other: Any) -> bool:
    """CEL's equality: true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _index(items: Sequence[Any], wanted: Any) -> int:
    return next((index for index, item in enumerate(items) if _same(item, wanted)), -1)


def _last_index(items: Sequence[Any], wanted: Any) -> int:
    return next((index for index in reversed(range(len(items))) if _same(items[index], wanted)), -1)


_ELEMENTS = ("int", "uint", "double", "string", "bool", "bytes", "duration", "timestamp", "list", "object")
_LISTS: Mapping[str, Callable[..., Any]] = {
    "list.isSorted() bool": _is_sorted,
    "list.min() any": partial(_extreme, min),
    "list.max() any": partial(_extreme, max),
    "list.sum() any": _sum,
    **{f"list.indexOf({element}) int": _index for element in _ELEMENTS},
    **{f"list.lastIndexOf({element}) int": _last_index for element in _ELEMENTS},
}


MATCHES = "__matches"
"""The name of `matches` as it is compiled: the engine's own compiles its pattern again each time, at 30 µs and more."""


@lru_cache(maxsize=65536)
def _is_match(text: str, pattern: str) -> bool:
    return bool(_searched("text.matches(pattern)", text, pattern))


def _find(text: str, pattern: str) -> str:
    return str(_searched("regex.extract(text, pattern).orValue('')", text, _without_groups(pattern)))


def _find_all(text: str, pattern: str, most: int = -1) -> list[str]:
    if _is_match("", pattern):
        raise ValueError("a pattern that matches nothing at all is not supported in findAll")
    found = list(_searched("regex.extractAll(text, pattern)", text, _without_groups(pattern)))
    return found if most < 0 else found[:most]


def _searched(expression: str, text: str, pattern: str) -> Any:
    """By the engine's own regular expressions: Python's differ from Go's, and can take for ever."""
    result = _search(expression).eval(data={"text": text, "pattern": pattern})
    if result.type() == engine.Type.ERROR:
        raise ValueError(str(result.value()))
    return result.plain_value()


@cache
def _search(expression: str) -> engine.Expression:
    return engine.NewEnv(
        config=engine.NewEnvConfigFromYaml("extensions:\n- name: optional\n- name: regex\n"),
        variables={"text": engine.Type.STRING, "pattern": engine.Type.STRING},
    ).compile(expression)


@lru_cache(maxsize=256)
def _without_groups(pattern: str) -> str:
    """The pattern with its groups made anonymous: the engine gives the one group of a match, not the whole of it."""
    return _GROUP.sub(lambda match: "(?:" if match[1] else match[0], pattern)


_GROUP = re.compile(r"\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]|(\((?:\?P?<\w+>|(?!\?)))", re.DOTALL)
"""What a pattern can hold that is not a group, and the beginning of one that is (RE2's syntax)."""

_REGEX: Mapping[str, Callable[..., Any]] = {
    f"string.{MATCHES}(string) bool": _is_match,
    f"{MATCHES}(string,string) bool": _is_match,
    "string.find(string) string": _find,
    "string.findAll(string) strings": _find_all,
    "string.findAll(string,int) strings": _find_all,
}
