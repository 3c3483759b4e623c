"""One page that needs nothing else: for a wide screen, a narrow one, light and dark, and paper."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from koepon_gitops.formats.verdict import counted, label, verdict
from koepon_gitops.harmless import exact, sentence
from koepon_gitops.model import Finding, Report, Rule, Waived


def render(report: Report) -> str:
    """The verdict, findings by Application, waived findings, and the rules that were looked at."""
    by_application = groupby(sorted(report.findings, key=lambda each: each.application), lambda each: each.application)
    sections = [_findings(application, list(group)) for application, group in by_application]
    body = [
        f'<p class="verdict v{report.exit_code}">{_prose(verdict(report))}</p>',
        *(f"<p>{_prose(note)}</p>" for note in report.notes),
        *sections,
        _folded("Waived", [_waived(each) for each in report.waived], "finding"),
        _folded("Rules", [_rule(each) for each in report.rules], "rule"),
    ]
    return _PAGE.format(style=_STYLE, body="\n".join(filter(None, body)))


def _findings(application: str, findings: Sequence[Finding]) -> str:
    items = "\n".join(_finding(finding) for finding in findings)
    return f"<section>\n<h2>{_name(application) or 'The repository'}</h2>\n{items}\n</section>"


def _finding(finding: Finding, more: str = "") -> str:
    name = label(finding)
    place = f"{_name(finding.path)}:{finding.line}" if finding.line else _name(finding.path)
    rows = [
        f'<h3><b class="{name}">{name}</b> {_name(finding.rule)}</h3>',
        f"<p><code>{place}</code></p>" if place else "",
        f"<p>{_name(str(finding.object))}</p>" if finding.object else "",
        f"<p>{_prose(finding.message)}</p>",
        f"<p><i>Remedy:</i> {_prose(finding.remedy)}</p>" if finding.remedy else "",
        f"<p><i>Requirement:</i> {_prose(finding.requirement)}</p>" if finding.requirement else "",
        more,
    ]
    return f"<article>\n{'\n'.join(filter(None, rows))}\n</article>"


def _waived(waived: Waived) -> str:
    words = f"{waived.reason} Owner {waived.owner}, {waived.ticket}, until {waived.expires}."
    return _finding(waived.finding, f"<p><i>Waived:</i> {_prose(words)}</p>")


def _rule(rule: Rule) -> str:
    rows = {"Requirement": rule.requirement, "Reason": rule.reason, "Remedy": rule.remedy}
    text = "\n".join(f"<p><i>{name}:</i> {_prose(value)}</p>" for name, value in rows.items() if value)
    return f"<article>\n<h3>{_name(rule.id)}</h3>\n<p>{_prose(rule.title)}</p>\n{text}\n</article>"


def _folded(title: str, items: Iterable[str], noun: str) -> str:
    shown = list(items)
    summary = f"<summary>{title}: {counted(len(shown), noun)}</summary>"
    return f"<details>\n{summary}\n{'\n'.join(shown)}\n</details>" if shown else ""


def _name(text: str) -> str:
    return escape(exact(text))


def _prose(text: str) -> str:
    return escape(sentence(text))


_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.4rem } h2 { font-size: 1.15rem; margin-top: 2rem } h3 { font-size: 1rem; margin: 0 }
article { border-left: 3px solid #8888; padding: .1rem 0 .1rem 1rem; margin: 1rem 0 }
article p, p.verdict { margin: .2rem 0 }
p.verdict { font-weight: 600; padding: .6rem 1rem; border: 2px solid; border-radius: .4rem }
.v0 { border-color: #2a7d3f } .v1 { border-color: #c62828 } .v3 { border-color: #8e44ad }
.error { color: #c62828 } .unchecked { color: #8e44ad } .warning { color: #a15c00 } .info { color: #1565c0 }
@media (prefers-color-scheme: dark) {
  .error { color: #ff8a80 } .unchecked { color: #d7a6ef } .warning { color: #ffb74d } .info { color: #82b1ff }
}
summary { cursor: pointer; font-weight: 600; margin-top: 2rem }
@media (max-width: 40rem) { body { margin: 1rem auto } article { padding-left: .6rem } }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>koepon_gitops: validation report</title>
<style>{style}</style>
</head>
<body>
<h1>Validation report</h1>
{body}
</body>
</html>
"""
