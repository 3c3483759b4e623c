"""Workflow commands: GitHub shows each as an annotation on the line of the pull request it concerns."""

from collections.abc import Iterable, Iterator

from koepon_gitops.formats.verdict import counted, listed, verdict
from koepon_gitops.harmless import exact, sentence
from koepon_gitops.model import Finding, Report, Severity


def render(report: Report) -> str:
    """A command per place to edit, errors first because GitHub shows ten of a kind per step, and the verdict."""
    lines = [_annotation(group) for group in sorted(_by_place(report.findings), key=lambda group: _rank(group[0]))]
    notes = [sentence(note) for note in report.notes]
    return "\n".join([*lines, *notes, verdict(report)]) + "\n"


def _by_place(findings: Iterable[Finding]) -> Iterator[list[Finding]]:
    """Findings that one edit would mend: the same said of the same line in several Applications."""
    alike: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        place = (finding.path, finding.line) if finding.path else (finding.application, finding.object)
        alike.setdefault((*place, finding.rule, finding.severity, finding.message), []).append(finding)
    yield from alike.values()


def _rank(finding: Finding) -> int:
    return list(Severity).index(finding.severity)


def _annotation(group: list[Finding]) -> str:
    finding = group[0]
    properties = {
        "file": exact(finding.path),
        "line": str(finding.line) if finding.path and finding.line else "",
        "title": exact(finding.rule),
    }
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    applications = sorted({exact(each.application) for each in group if each.application})
    more = [counted(len(applications) - 3, "more application")] if len(applications) > 3 else []
    about = [listed([*applications[:3], *more]), exact(str(finding.object)) if finding.object else ""]
    parts = [": ".join(filter(None, about)), sentence(finding.message), sentence(finding.remedy)]
    return f"::{_COMMANDS[finding.severity]} {written}::{_data(chr(10).join(filter(None, parts)))}"


_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def _data(text: str) -> str:
    """As `escapeData` of @actions/core."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """As `escapeProperty` of @actions/core."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
