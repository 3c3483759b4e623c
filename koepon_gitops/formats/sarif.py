"""SARIF 2.1.0, which GitHub code scanning and editors read. Section numbers are those of the OASIS standard."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from koepon_gitops.formats.json import dumped
from koepon_gitops.model import Finding, Report, Rule, Severity, Waived

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_ROOT = "%SRCROOT%"


def render(report: Report) -> str:
    """One run: every rule with its help, every finding, and what waivers cover as suppressed results."""
    found = [*report.findings, *(waived.finding for waived in report.waived)]
    rules = [*map(_rule, report.rules), *_unregistered(report.rules, found)]
    indices = {rule["id"]: index for index, rule in reversed(list(enumerate(rules)))}
    results = [_result(finding, indices) for finding in found]
    for result, waived in zip(results[len(report.findings) :], report.waived, strict=True):
        result["suppressions"] = [_suppression(waived)]
    _number(results)
    run = {
        "tool": {"driver": {"name": "koepon_gitops", "rules": rules}},
        "invocations": [{"executionSuccessful": report.exit_code != 3, "exitCode": report.exit_code}],
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the repository."}}},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return dumped({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": _message(rule.title or rule.id)},
        "fullDescription": {"text": _message(rule.reason or rule.title or rule.id)},
        "help": {"text": _message(rule.remedy or rule.title or rule.id)},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": [rule.requirement] if rule.requirement else []},
    }


def _unregistered(rules: Iterable[Rule], findings: Iterable[Finding]) -> Iterator[dict[str, Any]]:
    """What the pipeline itself or checkov found: known by what the first finding says of it."""
    known = {rule.id for rule in rules}
    for finding in findings:
        if finding.rule not in known:
            known.add(finding.rule)
            advice = finding.remedy or finding.message
            yield {"id": finding.rule, "shortDescription": {"text": finding.rule}, "help": {"text": _message(advice)}}


def _result(finding: Finding, indices: dict[str, int]) -> dict[str, Any]:
    return {
        "ruleId": finding.rule,
        "ruleIndex": indices[finding.rule],
        "level": _LEVELS[finding.severity],
        "message": {"text": _message(" ".join(filter(None, [finding.message, finding.remedy])))},
        "locations": [_location(finding)],
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(finding)},
        "properties": {"application": finding.application, "requirement": finding.requirement},
    }


def _message(text: str) -> str:
    """Plain text without placeholders (3.11.5: braces are doubled) and without embedded links (3.11.6)."""
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")


def _location(finding: Finding) -> dict[str, Any]:
    """GitHub refuses a whole upload for one result without a physical location: the root stands in for none."""
    physical: dict[str, Any] = {
        "artifactLocation": {"uri": quote(finding.path, errors="replace") or ".", "uriBaseId": _ROOT}
    }
    if finding.path and finding.line:
        physical["region"] = {"startLine": finding.line}
    location: dict[str, Any] = {"physicalLocation": physical}
    if finding.object:
        name = "/".join(filter(None, [finding.application, str(finding.object)]))
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "resource"}]
    return location


def _fingerprint(finding: Finding) -> str:
    """The same finding after lines have moved. The key is the one by which GitHub tells alerts apart."""
    what = (finding.rule, finding.application, finding.object, finding.path, finding.field, finding.message)
    return hashlib.sha256("\0".join(map(str, what)).encode(errors="replace")).hexdigest()[:32]


def _number(results: Iterable[dict[str, Any]]) -> None:
    """Tell results that differ only by line apart, as GitHub's own fingerprints do: `<hash>:<occurrence>`."""
    seen: Counter[str] = Counter()
    for result in results:
        fingerprints = result["partialFingerprints"]
        for key, value in fingerprints.items():
            seen[value] += 1
            fingerprints[key] = f"{value}:{seen[value]}"


def _suppression(waived: Waived) -> dict[str, Any]:
    words = f"{waived.reason} (owner {waived.owner}, {waived.ticket}, expires {waived.expires})"
    return {"kind": "external", "status": "accepted", "justification": words}
