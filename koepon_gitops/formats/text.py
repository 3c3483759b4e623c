"""The report for a terminal: by application, each finding with the place to edit, the verdict last."""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import click

from koepon_gitops.formats.verdict import counted, label, listed, verdict
from koepon_gitops.harmless import exact, sentence
from koepon_gitops.model import Finding, Report

WIDTH = 100
"""Columns of prose. Paths and names are never broken: they are for copying."""
INDENT = " " * 6
SHOWN = 3
"""Applications and places named before the rest is counted."""


def render(report: Report, *, colour: bool = False) -> str:
    """The whole report, ending in a line break. What one edit would mend in several applications stands there once."""
    style = click.style if colour else _plain
    parts: list[str] = []
    for applications, blocks in groupby(_blocks(report.findings), key=lambda block: block.applications):
        parts += [style(_heading(applications), bold=True), *(_shown(block, style) for block in blocks), ""]
    parts += [sentence(note) for note in report.notes]
    if report.findings:
        parts.append("`python -m koepon_gitops explain RULE` says why a rule exists.")
    parts.append(style(verdict(report), fg=_COLOURS[report.exit_code], bold=True))
    return "\n".join(parts) + "\n"


_COLOURS = {0: "green", 1: "red", 3: "magenta"}


def _plain(text: str, **_style: object) -> str:
    return text


class _Block(NamedTuple):
    """Findings that say the same, and the Applications they concern."""

    applications: tuple[str, ...]
    findings: tuple[Finding, ...]


def _blocks(findings: Iterable[Finding]) -> list[_Block]:
    alike: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        alike.setdefault((finding.rule, label(finding), finding.message, finding.remedy), []).append(finding)
    blocks = [block for group in alike.values() for block in _folded(group)]
    return sorted(blocks, key=lambda block: (block.applications, block.findings[0].sort_key))


def _folded(group: Sequence[Finding]) -> Iterator[_Block]:
    """One block when all of it is mended in one place, or when it would fill the screen; else one per Application."""
    applications = tuple(sorted({finding.application for finding in group}))
    places = {(finding.path, finding.line) for finding in group}
    if len(applications) > SHOWN or (len(places) == 1 and group[0].path):
        yield _Block(applications, tuple(group))
        return
    for application in applications:
        yield _Block((application,), tuple(finding for finding in group if finding.application == application))


def _heading(applications: Sequence[str]) -> str:
    names = [exact(name) or "The repository" for name in applications[:SHOWN]]
    return listed([*names, *_rest(len(applications), "more application")])


def _rest(total: int, noun: str) -> list[str]:
    return [counted(total - SHOWN, noun)] if total > SHOWN else []


def _shown(block: _Block, style: Callable[..., str]) -> str:
    finding = block.findings[0]
    name = label(finding)
    head = "  ".join(filter(None, [style(name, fg=_LABEL_COLOURS[name]), style(exact(finding.rule), bold=True)]))
    places = list(dict.fromkeys(_place(each) for each in block.findings))
    lines = [f"  {head}{f'  {places[0][0]}' if places[0][0] else ''}", places[0][1]]
    lines += ["  ".join(filter(None, place)) for place in places[1:SHOWN]]
    lines += [f"and {more}" for more in _rest(len(places), "more place")]
    lines += [_wrapped(finding.message), _wrapped(f"Remedy: {finding.remedy}" if finding.remedy else "")]
    return "\n".join([lines[0], *(textwrap.indent(line, INDENT) for line in lines[1:] if line)])


_LABEL_COLOURS = {"unchecked": "magenta", "error": "red", "warning": "yellow", "info": "cyan"}


def _place(finding: Finding) -> tuple[str, str]:
    """Where to edit, as terminals and editors make it clickable, and which object."""
    place = f"{exact(finding.path)}:{finding.line}" if finding.line else exact(finding.path)
    return place if finding.path else "", exact(str(finding.object)) if finding.object else ""


def _wrapped(prose: str) -> str:
    width = WIDTH - len(INDENT)
    return textwrap.fill(sentence(prose), width, break_long_words=False, break_on_hyphens=False)
