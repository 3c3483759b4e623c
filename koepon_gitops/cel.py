"""Kubernetes' Common Expression Language: an expression compiled once, evaluated in microseconds.

The engine is Google's own (C++); `cel_library` adds what Kubernetes adds. Nothing here guesses: what the engine does
not know fails to compile, and what goes wrong in an evaluation is a `CelError`, which is never true.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from cel_expr_python import cel as engine

from koepon_gitops import cel_library
from koepon_gitops.errors import UncheckableError


class CelError(NamedTuple):
    """Why an expression has no value, in the engine's words."""

    message: str

    def __str__(self) -> str:
        return self.message


type Activation = engine.Activation


class Program:
    """A compiled expression. `type` is what it gives, as far as is known before it runs: BOOL, STRING, DYN ..."""

    def __init__(self, expression: engine.Expression, variables: tuple[str, ...]) -> None:
        self._expression, self._variables = expression, variables
        self.type = expression.return_type().name()

    def evaluate(self, bindings: "Mapping[str, Any] | Activation") -> Any:
        """The value as plain Python, or a CelError. `bindings`: each variable's value, or what `activation` made."""
        if isinstance(bindings, Mapping):
            bindings = activation(bindings, self._variables)
        try:
            result = self._expression.eval(bindings)
            value = result.plain_value()
            if value is True or value is False:
                return value
            return CelError(_sentence(str(value))) if result.type() in _ERRORS else value
        except TypeError:
            return CelError(f"it gives an {self.type.lower()}, which is not a value")
        except (RuntimeError, ValueError) as error:
            return CelError(_sentence(str(error)))


_ERRORS = (engine.Type.ERROR, engine.Type.UNKNOWN)


def activation(bindings: Mapping[str, Any], variables: tuple[str, ...]) -> Activation:
    """Values for the variables that many programs compiled with these variables can share: converted once."""
    return _environment(variables).Activation({name: bindings[name] for name in variables})


def compile(expression: str, variables: tuple[str, ...], named: Mapping[str, str] | None = None) -> Program:
    """A program in which `variables` (of any type) can be used.

    `named`: expressions to be had as `variables.NAME`, each by those after it too; evaluated when first used, once.
    Raises UncheckableError cel/unsupported for whatever the engine can't compile.
    """
    try:
        text = _with_named(expression, named or {})
        compiled = _environment(variables).compile(text)
        compiled.eval(data={})  # some functions are only looked for when a program is first planned
    except RuntimeError as error:
        raise UncheckableError(
            "cel/unsupported",
            f"{_sentence(str(error))}.",
            remedy="Only functions that Kubernetes' CEL has and this program knows can be used.",
        ) from error
    return Program(compiled, variables)


@cache
def _environment(variables: tuple[str, ...]) -> engine.Env:
    return engine.NewEnv(
        config=engine.NewEnvConfigFromYaml(_CONFIGURATION),
        variables=dict.fromkeys(variables, engine.Type.DYN),
        extensions=[cel_library.extension()],
    )


_CONFIGURATION = """
extensions:
- name: optional
- name: strings
  version: 2
- name: lists
- name: sets
- name: two-var-comprehensions
- name: bindings
"""
"""The libraries of apiserver `cel/environment/base.go` (1.36); `bindings` is for `_with_named` alone."""


def _with_named(expression: str, named: Mapping[str, str]) -> str:
    """The expression inside one lazy `cel.bind` for each named expression it needs, directly or through another."""
    text, wanted = _renamed(expression, frozenset(named))
    earlier = list(named)
    for name in reversed(list(named)):
        earlier.remove(name)
        if name in wanted:
            value, used = _renamed(named[name], frozenset(earlier))
            text = f"cel.bind({_PREFIX}{name}, ({value}\n), ({text}\n))"
            wanted |= used
    return text


_PREFIX = "__variables_"
_BARE = "`variables` can be used here only as `variables.NAME`"
_OURS = frozenset({cel_library.MATCHES})


def _renamed(expression: str, names: frozenset[str]) -> tuple[str, set[str]]:
    """The expression with `variables.NAME` as one identifier and our `matches`, and the names it uses."""
    tokens = list(_tokens(expression))
    _check_brackets(tokens)
    places = [index for index, token in enumerate(tokens) if not _BLANK.fullmatch(token)]
    used: set[str] = set()
    for order, place in enumerate(places):
        first, second, third = (tokens[each] for each in (places[order : order + 3] + [place] * 2)[:3])
        if first == "matches" and second == "(":
            tokens[place] = cel_library.MATCHES
        elif first in _OURS or first.startswith(_PREFIX):
            raise RuntimeError(f"undeclared reference to '{first}'")
        elif _is_field([tokens[each] for each in places[max(0, order - 2) : order]]):
            continue
        elif (first, second, third) == ("cel", ".", "bind"):
            raise RuntimeError("undeclared reference to 'cel.bind'")
        elif first == "variables" and names:
            if second != "." or third not in names:
                raise RuntimeError(f"undeclared reference to 'variables.{third}'" if second == "." else _BARE)
            used.add(third)
            tokens[place], tokens[places[order + 1]], tokens[places[order + 2]] = f"{_PREFIX}{third}", "", ""
    return "".join(tokens), used


def _is_field(before: list[str]) -> bool:
    """Whether a name after these tokens is a field: after `.` or `.?`, which the `?` of a condition is not."""
    return before[-1:] == ["."] or before == [".", "?"]


def _check_brackets(tokens: list[str]) -> None:
    """An expression stands inside others when it runs: it must not close what it has not opened."""
    depth = 0
    for token in tokens:
        depth += (token in {"(", "[", "{"}) - (token in {")", "]", "}"})
        if depth < 0:
            break
    if depth:
        raise RuntimeError("brackets are not balanced")


def _tokens(expression: str) -> Iterator[str]:
    return (match[0] for match in _TOKEN.finditer(expression))


_BLANK = re.compile(r"\s+|//[^\n]*")
_TOKEN = re.compile(
    r"""//[^\n]*|\s+"""
    r"""|[bB]?[rR][bB]?(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')"""
    r"""|[bB]?(?:\"{3}(?:\\.|.)*?\"{3}|'{3}(?:\\.|.)*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"""|`[^`\n]*`|[A-Za-z_][A-Za-z0-9_]*|[0-9][0-9A-Za-z.]*|.""",
    re.DOTALL,
)
"""CEL's lexis (cel-spec, langdef.md): comments, blanks, strings raw and not, quoted fields, identifiers, the rest."""


def identifiers(expression: str) -> Iterator[tuple[str, str]]:
    """Each name an expression uses that is not a field, with the field selected from it (empty: none)."""
    tokens = [token for token in _tokens(expression) if not _BLANK.fullmatch(token)]
    for index, token in enumerate(tokens):
        if _NAME.fullmatch(token) and not _is_field(tokens[max(0, index - 2) : index]):
            following = [each for each in tokens[index + 1 : index + 4] if each != "?"]
            selected = following[:1] == ["."] and len(following) > 1 and _NAME.fullmatch(following[1])
            yield token, following[1] if selected else ""


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _sentence(words: str) -> str:
    """The engine's message without its code, its drawing of the place, and its status."""
    lines = [line for line in words.splitlines() if not line.startswith(" |")]
    text = " ".join(_NOISE.sub("", line).strip() for line in lines).replace(cel_library.MATCHES, "matches")
    return _MISSING.sub(r"no such key: \1", text).removesuffix(".").strip()


_NOISE = re.compile(r"^(?:[A-Z_]+: )+|<input>:-?\d+:-?\d+: | \(in container ''\)|\[[A-Z_]+\]$")
_MISSING = re.compile(r'Key not found in map : "(.*)"')
"""Kubernetes' words for it are known to more people."""
