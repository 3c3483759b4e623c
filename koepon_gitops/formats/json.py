"""The report for programs. The keys are a contract: none is left out, none is added without a word in the design."""

import json
from typing import Any

from koepon_gitops.model import Finding, Report, Summary


def render(report: Report) -> str:
    """`{"summary": {...}, "findings": [...]}`. An object that does not apply is null, an unknown line is 0."""
    return dumped(
        {
            "summary": {name: getattr(report.summary, name) for name in Summary.model_fields},
            "findings": [_finding(finding) for finding in report.findings],
        }
    )


def dumped(value: Any) -> str:
    """Indented JSON that a terminal and GitHub's runner can show: what does not print and `##[` are escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False).replace("##[", "#\\u0023[")
    return "".join(f"{line if line.isprintable() else _escaped(line)}\n" for line in text.split("\n"))


def _escaped(line: str) -> str:
    return "".join(each if each.isprintable() else _escape(each) for each in line)


def _escape(character: str) -> str:
    lone_surrogate = "\ud800" <= character <= "\udfff"
    return json.dumps("\ufffd" if lone_surrogate else character)[1:-1]


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "requirement": finding.requirement,
        "application": finding.application,
        "object": finding.object.model_dump() if finding.object else None,
        "path": finding.path,
        "line": finding.line,
        "message": finding.message,
        "remedy": finding.remedy,
    }
