"""Exceptions to rules: each named, owned, reasoned, ticketed and dated; one that is not is itself a finding.

`policies/waivers.yaml`, every key but `application` and `object` required:

    waivers:
      - rule: CKV_K8S_43          # an exact rule id
        application: koepon-*     # glob
        object: {kind: Rollout, namespace: koepon, name: "*"}   # globs
        reason: Promotion writes the digest; checkov reads the tag.
        owner: platform@koepon.com
        ticket: KOE-12
        expires: 2027-01-31       # the last day on which it holds
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from fnmatch import fnmatchcase
from itertools import chain, repeat
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StringConstraints, ValidationError

from koepon_gitops import manifests, nodes, places
from koepon_gitops.errors import ManifestError
from koepon_gitops.model import Finding, ObjectId, Severity, Value, Waived

LONGEST = timedelta(days=180)
"""How far ahead a waiver may expire: an exception nobody looks at for half a year has become the rule."""

type _Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def _day(value: object) -> date:
    if not isinstance(value, str):
        raise ValueError("it has to be a date such as 2027-01-31")
    return date.fromisoformat(value)


def _waivable(rule: str) -> str:
    if rule.startswith("waivers/"):
        raise ValueError("what is wrong with waivers can't be waived")
    return rule


class Selector(Value):
    """Globs over the coordinates of an object; the namespace of a cluster-scoped object is empty."""

    kind: str = "*"
    namespace: str = "*"
    name: str = "*"

    def matches(self, id: ObjectId) -> bool:
        return (
            fnmatchcase(id.kind, self.kind)
            and fnmatchcase(id.namespace, self.namespace)
            and fnmatchcase(id.name, self.name)
        )


class Waiver(Value):
    """One exception, as written."""

    rule: Annotated[_Words, AfterValidator(_waivable)]
    application: str = "*"
    object: Selector | None = None
    reason: _Words
    owner: _Words
    ticket: _Words
    expires: Annotated[date, BeforeValidator(_day)]

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is the one meant. What could not be decided is never covered: nobody knows what it is."""
        return (
            finding.rule == self.rule
            and not finding.unchecked
            and fnmatchcase(finding.application, self.application)
            and (self.object is None or (finding.object is not None and self.object.matches(finding.object)))
        )


class Waivers(Value):
    """What a waiver file says. `entries`: the line of each waiver and the waiver; `findings`: what is wrong in it."""

    path: str = ""
    entries: tuple[tuple[int, Waiver], ...] = ()
    findings: tuple[Finding, ...] = ()


def load(file: Path, root: Path) -> Waivers:
    """Read the waiver file; none when it is not there. Entries that can't be read are findings and waive nothing."""
    inside = file.is_relative_to(root)
    path = file.relative_to(root).as_posix() if inside else file.name
    if not file.exists(follow_symlinks=False):
        return Waivers()
    if not file.is_file() or (inside and not file.resolve().is_relative_to(root.resolve())):
        return Waivers(path=path, findings=(_invalid(path, 0, "This is not a file of the repository."),))
    try:
        return _read(file.read_bytes(), path)
    except ManifestError as error:
        return Waivers(path=path, findings=(Finding.of_error(error),))


def _read(text: bytes, path: str) -> Waivers:
    data = manifests.read_data(text, path)
    written = data.get("waivers") if isinstance(data, dict) else None
    if data is None or data == {"waivers": None}:
        return Waivers(path=path)
    if not isinstance(written, list) or len(data) > 1:
        return Waivers(path=path, findings=(_invalid(path, 1, "The file has to hold one list, named `waivers`."),))
    entries, findings = [], []
    for line, entry in zip(chain(_lines(text, path), repeat(1)), written, strict=False):
        try:
            entries.append((line, Waiver.model_validate(entry)))
        except ValidationError as error:
            findings += [_invalid(path, line, _sentence(problem)) for problem in error.errors()]
    return Waivers(path=path, entries=tuple(entries), findings=tuple(findings))


def _lines(text: bytes, path: str) -> Iterator[int]:
    """The line on which each entry begins; fewer than there are entries when merge keys hide where they come from."""
    for document in nodes.documents(nodes.decode(text, path), path):
        root = nodes.parse(document.text, path)
        if root is not None and (entries := places.child(root, "waivers")) is not None:
            yield from (1 + document.line + entry.line for entry in entries.children)


def _sentence(problem: Any) -> str:
    """pydantic's error in our words."""
    key = ".".join(map(str, problem["loc"]))
    if problem["type"] == "missing":
        return f"The waiver has no {key}."
    if problem["type"] == "extra_forbidden":
        return f"The waiver has a key that means nothing: {key}."
    if problem["type"] == "string_too_short":
        return f"The waiver's {key} is empty."
    if not key:
        return "The waiver is not a mapping."
    return f"The waiver's {key} can't be used: {problem['msg'].removeprefix('Value error, ')}."


def _invalid(path: str, line: int, message: str) -> Finding:
    remedy = "Give each waiver rule, reason, owner, ticket and expires (YYYY-MM-DD); application and object narrow it."
    return _finding("waivers/invalid", path, line, message, remedy)


def _finding(rule: str, path: str, line: int, message: str, remedy: str) -> Finding:
    return Finding(rule=rule, severity=Severity.ERROR, path=path, line=line, message=message, remedy=remedy)


def apply(
    findings: Iterable[Finding], waivers: Waivers, today: date, *, whole: bool = True
) -> tuple[list[Finding], list[Waived]]:
    """Divide findings into those that stand and those that are waived; what is wrong with the waivers stands as well.

    `whole`: every rule ran over the whole repository, so that a waiver which covers nothing is known to be unused.
    """
    kept, waived = [*waivers.findings], []
    holding = [entry for entry in waivers.entries if entry[1].expires >= today]
    used: set[tuple[int, Waiver]] = set()
    for finding in findings:
        covering = [entry for entry in holding if entry[1].covers(finding)]
        used.update(covering)
        if covering:
            waived.append(_waived(finding, covering[0][1]))
        else:
            kept.append(finding)
    kept += _misdated(waivers, today)
    if whole and not any(finding.unchecked for finding in kept):
        kept += [_unused(waivers.path, *entry) for entry in holding if entry not in used]
    return kept, waived


def _waived(finding: Finding, waiver: Waiver) -> Waived:
    words = waiver.model_dump(include={"reason", "owner", "ticket"})
    return Waived(finding=finding, expires=waiver.expires.isoformat(), **words)


def _misdated(waivers: Waivers, today: date) -> Iterator[Finding]:
    for line, waiver in waivers.entries:
        if waiver.expires < today:
            message = f"The waiver of {waiver.rule} expired on {waiver.expires} and covers nothing any more."
            remedy = f"Mend what it covered and remove it, or ask {waiver.owner} for a new date ({waiver.ticket})."
            yield _finding("waivers/expired", waivers.path, line, message, remedy)
        elif waiver.expires > today + LONGEST:
            message = f"The waiver of {waiver.rule} lasts until {waiver.expires}, more than {LONGEST.days} days ahead."
            remedy = f"Let it expire by {today + LONGEST}; it can be renewed then."
            yield _finding("waivers/too-long", waivers.path, line, message, remedy)


def _unused(path: str, line: int, waiver: Waiver) -> Finding:
    message = f"The waiver of {waiver.rule} covers nothing: no finding matches it."
    return _finding("waivers/unused", path, line, message, "Remove it, or correct its rule, application or object.")
