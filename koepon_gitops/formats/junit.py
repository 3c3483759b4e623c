"""JUnit XML for CI servers: a suite per Application with a case per finding, and a suite of the rules that held."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from koepon_gitops.formats.verdict import label, verdict
from koepon_gitops.harmless import exact, sentence
from koepon_gitops.model import Finding, Report, Waived


def render(report: Report) -> str:
    """Errors fail their case, what could not be decided is an error of it, what is waived is skipped."""
    root = Element("testsuites", name="koepon_gitops")
    _add_suite(root, "rules", _held(report))
    cases = [(finding.application, _case(finding)) for finding in report.findings]
    cases += [(waived.finding.application, _skipped(waived)) for waived in report.waived]
    for application, group in groupby(sorted(cases, key=lambda each: each[0]), key=lambda each: each[0]):
        _add_suite(root, exact(application) or "repository", (case for _, case in group))
    _count(root)
    root.set("time", f"{report.summary.seconds:.3f}")
    SubElement(SubElement(root, "properties"), "property", name="verdict", value=verdict(report))
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _held(report: Report) -> Iterator[Element]:
    broken = {finding.rule for finding in report.findings}
    for rule in report.rules:
        if rule.id not in broken:
            yield Element("testcase", classname="rules", name=exact(rule.id))


def _case(finding: Finding) -> Element:
    name = f"{finding.rule} {finding.object}" if finding.object else finding.rule
    case = Element("testcase", classname=exact(finding.application) or "repository", name=exact(name))
    if finding.path:
        case.set("file", exact(finding.path))
    if finding.line:
        case.set("line", str(finding.line))
    message = sentence(finding.message)
    details = "\n".join(filter(None, [_place(finding), message, sentence(finding.remedy)]))
    if tag := _TAGS.get(label(finding)):
        SubElement(case, tag, type=exact(finding.rule), message=message).text = details
    else:
        SubElement(case, "system-out").text = details
    return case


_TAGS = {"error": "failure", "unchecked": "error"}
"""Elements that make a CI server red; warnings and remarks are output of a case that passes."""


def _place(finding: Finding) -> str:
    return f"{exact(finding.path)}:{finding.line}" if finding.line else exact(finding.path)


def _skipped(waived: Waived) -> Element:
    case = _case(waived.finding)
    for outcome in list(case):
        case.remove(outcome)
    words = f"{waived.reason} (owner {waived.owner}, {waived.ticket}, expires {waived.expires})"
    SubElement(case, "skipped", message=sentence(words))
    return case


def _add_suite(root: Element, name: str, cases: Iterable[Element]) -> None:
    suite = SubElement(root, "testsuite", name=name)
    suite.extend(cases)
    _count(suite)


def _count(element: Element) -> None:
    element.set("tests", str(len(list(element.iter("testcase")))))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(len(list(element.iter(tag)))))
