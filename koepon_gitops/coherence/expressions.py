"""Do the expressions of an admission policy compile, and to the types they have to have?

Follows apiserver `admission/plugin/cel.CompileCELExpression`. Whether this library can evaluate them is another
question, which `verdicts` answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from koepon_gitops.coherence.reporting import each, problem
from koepon_gitops.errors import UncheckableError
from koepon_gitops.model import Json, Problem

_ALWAYS = ("object", "oldObject", "request", "authorizer", "namespaceObject")
_LISTS = (
    ("matchConditions", "expression", ("BOOL",)),
    ("variables", "expression", ()),
    ("validations", "expression", ("BOOL",)),
    ("validations", "messageExpression", ("STRING",)),
    ("auditAnnotations", "valueExpression", ("STRING", "NULL")),
)
"""In the order of compilation; the types allowed, none meaning any."""


def problems(spec: Json) -> Iterator[Problem]:
    """What is wrong with the expressions of a policy's `spec`."""
    known = (*_ALWAYS, "params") if spec.get("paramKind") else _ALWAYS
    named: dict[str, str] = {}
    for part, field, types in _LISTS:
        visible = tuple(name for name in known if (name, field) != ("authorizer", "messageExpression"))
        for index, entry in each(spec.get(part)):
            if not (text := entry.get(field)):
                continue
            if why := _refusal(text, visible, types, tuple(named.items())):
                yield problem(f"spec.{part}[{index}].{field}", why)
            if part == "variables":
                named[entry["name"]] = text


@lru_cache(maxsize=4096)
def _refusal(text: str, known: tuple[str, ...], types: Sequence[str], named: Sequence[tuple[str, str]]) -> str:
    from koepon_gitops import cel  # noqa: PLC0415 - 40 ms that trees without policies save

    variables: Mapping[str, str] = dict(named)
    try:
        given = cel.compile(text, known, variables).type
    except UncheckableError as error:
        return f"does not compile: {error.what.removesuffix('.')}"
    if types and given not in types:
        return f"must give a {types[0].lower()}, not {given.lower()}"
    return ""
