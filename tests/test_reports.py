"""Reports: one rich report in six forms, none of which a hostile name can break or steer."""

import json
import random
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from koepon_gitops.formats import FORMATS
from koepon_gitops.model import Finding, ObjectId, Report, Rule, Severity, Summary, Waived, in_order
from koepon_gitops.report import render

SARIF = json.loads((Path(__file__).parent / "golden/sarif-schema-2.1.0.json").read_text("utf-8"))
DEPLOYMENT = ObjectId(apiVersion="apps/v1", kind="Deployment", namespace="production", name="koepon-app")
RULE = Rule(
    id="replicas",
    title="Production runs three replicas",
    requirement="NFR-101",
    reason="One zone may fail. {braces} and [links](https://example.com) stay as they are.",
    remedy="Set spec.replicas to 3 or more.",
    file="policies/admission/replicas.yaml",
)
HELD = Rule(
    id="probes", title="Probes", requirement="NFR-102", reason="", remedy="Add them.", severity=Severity.WARNING
)
ESCAPES = "\x1b[2J\x1b]8;;https://evil.example\x07こえ\u202eポン\n::add-mask::x\r\n##[error]y\0\x85\u2028<script>&\"'%"


def finding(rule: str = "replicas", severity: Severity = Severity.ERROR, **more: Any) -> Finding:
    fields: dict[str, Any] = {
        "rule": rule,
        "severity": severity,
        "requirement": "NFR-101",
        "application": "koepon-app-production",
        "object": DEPLOYMENT,
        "path": "apps/koepon-app/overlays/production/kustomization.yaml",
        "line": 12,
        "message": "Two replicas are too few.",
        "remedy": "Set spec.replicas to 3 or more.",
        "field": "spec.replicas",
    }
    return Finding(**(fields | more))


FINDINGS = (
    finding(),
    *(finding("ingress-tls", application=f"shop-{name}", message="No TLS.", remedy="Add it.") for name in "abcde"),
    *(finding("probes", Severity.WARNING, line=line, message="No probe.", remedy="Add one.") for line in (3, 30)),
    finding("applications/not-rendered", Severity.INFO, object=None, line=0, message="helm is not on PATH.", remedy=""),
    finding("schemas/missing", unchecked=True, application="karpenter", object=None, path="", line=0, message="None."),
    finding("waivers/unused", application="", object=None, path="policies/waivers.yaml", line=4, message="Unused."),
    finding(
        "CKV_K8S_1::add-mask::z",
        application=ESCAPES,
        object=ObjectId(apiVersion="v1", kind=ESCAPES, namespace=ESCAPES, name=ESCAPES),
        path=f"apps/{ESCAPES}/a,b:c.yaml",
        line=1,
        message=f"{{0}} ](x) {ESCAPES} " + "A long sentence that has to be broken somewhere. " * 4,
        remedy=ESCAPES,
        requirement=ESCAPES,
    ),
)  # fmt: skip
WAIVED = Waived(
    finding=finding("replicas", application="koepon-app-dr"),
    reason=f"The site is cold. {ESCAPES}",
    owner="platform@koepon.com",
    ticket="KOE-12",
    expires="2026-12-31",
)
SUMMARY = Summary(
    applications=8, objects=1234, claims=2, managed_resources=14, rules=2, waived=1, findings=12, seconds=0.4142
)
REPORT = Report(
    summary=SUMMARY,
    findings=tuple(in_order(FINDINGS)),
    waived=(WAIVED,),
    rules=(RULE, HELD),
    notes=("2 sources were not rendered.", ESCAPES),
)
CLEAN = Report(summary=Summary(applications=1, objects=1, rules=2, seconds=1), rules=(RULE, HELD))
WRONG = Report(summary=SUMMARY, findings=(finding(),))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("report", [REPORT, CLEAN], ids=["rich", "clean"])
def test_the_report(format: str, report: Report, snapshot: SnapshotAssertion) -> None:
    assert render(report, format) == snapshot


def test_the_verdicts() -> None:
    assert [report.exit_code for report in (CLEAN, WRONG, REPORT)] == [0, 1, 3]
    assert [render(report, "text").splitlines()[-1] for report in (CLEAN, WRONG, REPORT)] == [
        "Clean. 1 application, 1 object and 2 rules in 1.00 s.",
        "Not clean: 1 error. 8 applications, 1,234 objects, 2 claims composed into 14 managed resources and 2 rules "
        "in 0.41 s; 1 finding waived.",
        "Not everything could be checked: 1 thing could not be decided, besides 8 errors, 2 warnings and 1 remark. "
        "8 applications, 1,234 objects, 2 claims composed into 14 managed resources and 2 rules in 0.41 s; "
        "1 finding waived.",
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_the_order_of_discovery_does_not_show(format: str) -> None:
    shuffled = list(FINDINGS) * 2
    random.Random(1).shuffle(shuffled)
    assert render(REPORT.model_copy(update={"findings": tuple(in_order(shuffled))}), format) == render(REPORT, format)


@pytest.mark.parametrize("format", FORMATS)
def test_no_line_is_hostile(format: str) -> None:
    check_harmless(render(REPORT, format), format)


def check_harmless(text: str, format: str) -> None:
    """No character that steers a terminal, and no line that GitHub's runner takes for a command but our own."""
    assert text.endswith("\n")
    for line in text.removesuffix("\n").split("\n"):
        assert line.isprintable()
        assert "##[" not in line
        if line.lstrip().startswith("::"):
            assert format == "github"
            assert line.split(" ")[0] in ("::error", "::warning", "::notice")


TEXT = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    [ESCAPES, "::error::", " ::x", "##[group]", "\ud800"]
)
HOSTILE = st.builds(
    finding,
    TEXT,
    st.sampled_from(Severity),
    application=TEXT,
    path=TEXT,
    line=st.integers(0, 3),
    message=TEXT,
    remedy=TEXT,
    requirement=TEXT,
    object=st.none() | st.builds(ObjectId, apiVersion=TEXT, kind=TEXT, namespace=TEXT, name=TEXT),
    unchecked=st.booleans(),
)


@pytest.mark.parametrize("format", FORMATS)
@given(findings=st.lists(HOSTILE, max_size=3), reason=TEXT)
def test_any_text_is_shown_and_steers_nothing(format: str, findings: list[Finding], reason: str) -> None:
    waived = (WAIVED.model_copy(update={"reason": reason, "finding": findings[0]}),) if findings else ()
    text = render(
        Report(summary=SUMMARY, findings=tuple(findings), waived=waived, rules=(RULE,), notes=(reason,)), format
    )
    check_harmless(text, format)
    text.encode()
    if format == "sarif":
        jsonschema.Draft7Validator(SARIF).validate(json.loads(text))
    if format == "junit":
        ElementTree.fromstring(text)
    if format == "json":
        assert len(json.loads(text)["findings"]) == len(findings)


def test_json_holds_the_contract() -> None:
    report = json.loads(render(REPORT, "json"))
    assert list(report) == ["summary", "findings"]
    names = ["rule", "severity", "requirement", "application", "object", "path", "line", "message", "remedy"]
    assert all(list(each) == names for each in report["findings"])
    assert [each["message"] for each in report["findings"]] == [each.message for each in REPORT.findings]


def test_sarif_is_sarif() -> None:
    report = json.loads(render(REPORT, "sarif"))
    jsonschema.Draft7Validator(SARIF).validate(report)
    run = report["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    assert len(rules) == len(set(rules))
    prints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]
    assert len(prints) == len(set(prints)) == len(REPORT.findings) + 1
    assert [result["suppressions"][0]["status"] for result in run["results"] if "suppressions" in result] == [
        "accepted"
    ]


def test_a_moved_line_keeps_its_fingerprint() -> None:
    def fingerprint(line: int) -> str:
        report = json.loads(render(Report(summary=SUMMARY, findings=(finding(line=line),)), "sarif"))
        return str(report["runs"][0]["results"][0]["partialFingerprints"])

    assert fingerprint(3) == fingerprint(300)


def test_junit_counts_what_it_holds() -> None:
    root = ElementTree.fromstring(render(REPORT, "junit"))
    for element in (root, *root.iter("testsuite")):
        for name, tag in {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}.items():
            assert int(element.get(name, "")) == len(list(element.iter(tag)))
    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("8", "1", "1")
    assert [case.get("name") for case in root.findall("testsuite[@name='rules']/testcase")] == []


def test_junit_names_the_rules_that_held() -> None:
    root = ElementTree.fromstring(render(CLEAN, "junit"))
    assert [case.get("name") for case in root.iter("testcase")] == ["replicas", "probes"]


def test_html_closes_what_it_opens() -> None:
    checker = _Tags()
    checker.feed(render(REPORT, "html"))
    assert checker.open == []
    assert "script" not in checker.seen


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_colours_are_for_terminals_only() -> None:
    plain, coloured = render(REPORT, "text"), render(REPORT, "text", colour=True)
    assert "\x1b" not in plain
    assert "\x1b[31m" in coloured


def test_a_form_that_is_none() -> None:
    with pytest.raises(ValueError, match="yaml is none of text, json"):
        render(REPORT, "yaml")
