"""`explain RULE`: why a rule exists, how to satisfy it, what it evaluates and where it is written."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from koepon_gitops import manifests
from koepon_gitops.configuration import load
from koepon_gitops.errors import RequestError
from koepon_gitops.harmless import exact, sentence
from koepon_gitops.model import Json, Rule

WIDTH = 100
"""Columns of prose."""


def explain(root: Path, name: str, policies: Path | None = None) -> str:
    """The text for one rule. Raises RequestError, with the names that are near, when there is no such rule."""
    from koepon_gitops import checks  # noqa: PLC0415 - the rules of a tree are read only when one is asked for
    from koepon_gitops.policies import load as load_policies  # noqa: PLC0415

    folder = (policies or root / load(root).policies) / "admission"
    return of(name, (*load_policies(folder, root).rules, *checks.RULES), folder)


def of(name: str, rules: Sequence[Rule], folder: Path) -> str:
    """The same, out of the rules given. `folder` is where the files of those that are policies are."""
    for rule in rules:
        if rule.id == name:
            return "\n".join(_explained(rule, folder)) + "\n"
    if _CHECKOV.fullmatch(name):
        return _paragraphs(f"{exact(name)} is a check of checkov, which runs as a baseline.", _BASELINE)
    if words := _pipeline(name):
        return _paragraphs(f"{exact(name)} is found by the pipeline itself, whatever the policies.", words)
    near = get_close_matches(name, [rule.id for rule in rules], n=3, cutoff=0.5)
    raise RequestError(
        "explain/unknown",
        f"No rule is named {name}.",
        remedy=f"Near it: {', '.join(near)}." if near else "`validate --format sarif` lists all rules.",
    )


_CHECKOV = re.compile(r"CKV2?_[A-Z0-9]+_[0-9]+")
_BASELINE = "Its findings say what to do. Where it does not apply, waive it in policies/waivers.yaml and say why."


def _pipeline(name: str) -> str:
    """What the module that finds `<module>/<what>` is for, in its own words; empty when there is none."""
    module, slash, what = name.partition("/")
    if not (slash and what and module.isidentifier() and find_spec(f"koepon_gitops.{module}")):
        return ""
    purpose, _, _ = (import_module(f"koepon_gitops.{module}").__doc__ or "").partition("\n")
    return purpose and f"koepon_gitops/{module}.py: {purpose}"


def _paragraphs(*texts: str) -> str:
    return "\n".join(_wrapped(text) for text in texts) + "\n"


def _explained(rule: Rule, folder: Path) -> Iterator[str]:
    yield f"{exact(rule.id)} ({rule.severity})"
    yield _wrapped(rule.title)
    for name, words in (("Requirement", rule.requirement), ("Reason", rule.reason), ("Remedy", rule.remedy)):
        if words:
            yield from ("", name, _wrapped(words, "    "))
    for policy in _policies(rule, folder):
        yield from _evaluated(policy)
    if rule.file:
        yield from ("", "Written in", f"    {exact(rule.file)}")


def _policies(rule: Rule, folder: Path) -> Iterator[Json]:
    """The ValidatingAdmissionPolicy of a rule that is one; none for a check, whose file is Python."""
    file = folder / Path(rule.file).name
    if file.suffix in {".yaml", ".yml"} and file.is_file():
        for content in manifests.read(file.read_bytes(), rule.file):
            if content["kind"] == "ValidatingAdmissionPolicy":
                yield content


def _evaluated(policy: Json) -> Iterator[str]:
    """The policy's expressions, as written."""
    specification = policy["spec"]
    for heading, key in (("Only when", "matchConditions"), ("Variables", "variables"), ("Holds when", "validations")):
        expressions = [
            f"{each['name']} = {each['expression']}" if key == "variables" else each["expression"]
            for each in specification.get(key) or ()
        ]
        if expressions:
            yield from ("", heading, *(_code(each) for each in expressions))


def _code(expression: str) -> str:
    return "\n".join(f"    {exact(line)}" for line in expression.strip().split("\n"))


def _wrapped(prose: str, indent: str = "") -> str:
    return textwrap.fill(
        sentence(prose), WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
