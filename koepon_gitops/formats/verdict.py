"""The last line of every report that people read: the verdict in words, then what it rests on."""

from collections.abc import Sequence

from koepon_gitops.model import Finding, Report, Severity, Summary

LABELS = ("unchecked", *Severity)
"""What a finding is called, heaviest first."""


def verdict(report: Report) -> str:
    """Two sentences: `Not clean: 2 errors. 3 applications, 40 objects and 12 rules in 0.41 s; 1 finding waived.`"""
    return f"{_judgement(report)} {_basis(report)}"


def label(finding: Finding) -> str:
    """`error`, `warning`, `info`, or `unchecked` for what could not be decided."""
    return "unchecked" if finding.unchecked else finding.severity.value


def counted(number: int, noun: str) -> str:
    """`1 rule`, `1,200 rules`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _judgement(report: Report) -> str:
    labels = [label(finding) for finding in report.findings]
    counts = {each: labels.count(each) for each in LABELS}
    known = [counted(counts[each], noun) for each, noun in _NOUNS.items() if counts[each]]
    if report.exit_code == 3:
        gaps = f"{counted(counts['unchecked'], 'thing')} could not be decided"
        return f"Not everything could be checked: {gaps}{', besides ' if known else ''}{listed(known)}."
    return f"{'Not clean' if report.exit_code else 'Clean'}{': ' if known else ''}{listed(known)}."


_NOUNS = {"error": "error", "warning": "warning", "info": "remark"}


def _basis(report: Report) -> str:
    summary = report.summary
    looked_at = [
        counted(summary.applications, "application"),
        counted(summary.objects, "object"),
        *([_composed(summary)] if summary.claims else []),
        counted(summary.rules, "rule"),
    ]
    waived = f"; {counted(summary.waived, 'finding')} waived" if summary.waived else ""
    return f"{listed(looked_at)} in {summary.seconds:.2f} s{waived}."


def _composed(summary: Summary) -> str:
    return f"{counted(summary.claims, 'claim')} composed into {counted(summary.managed_resources, 'managed resource')}"
