"""What differs between two trees once rendered: the objects a reviewer, `promote` and `rollback` look at."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from koepon_gitops.cache import Cache
from koepon_gitops.configuration import load
from koepon_gitops.errors import ManifestError, UncheckableError
from koepon_gitops.model import Finding, ObjectId, Severity, Value
from koepon_gitops.rendering import Rendered, Renderer
from koepon_gitops.repository import Repository

SHOWN = 200
"""Characters of a value that are shown."""


class Kind(StrEnum):
    """What happened to an object; the value is the sign before it."""

    ADDED = "+"
    REMOVED = "-"
    CHANGED = "~"


class FieldChange(Value):
    """One field: `spec.template.spec.containers[koepon-app].image`; None where it is not there."""

    field: str
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        lines = [f"      {self.field}"]
        lines += [f"        - {_shown(self.before)}"] if self.before is not None else []
        lines += [f"        + {_shown(self.after)}"] if self.after is not None else []
        return "\n".join(lines)


def _shown(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


class Change(Value):
    """One object of one Application; `fields` only when it was there before and after."""

    kind: Kind
    application: str
    object: ObjectId
    fields: tuple[FieldChange, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"  {self.kind} {self.object}", *map(str, self.fields)])


class Difference(Value):
    """Everything that differs, by Application and object."""

    changes: tuple[Change, ...]

    def __str__(self) -> str:
        if not self.changes:
            return "No object differs."
        parts = []
        for application, changes in groupby(self.changes, key=lambda change: change.application):
            parts += [application, *map(str, changes)]
        count = len(self.changes)
        return "\n".join([*parts, "1 object differs." if count == 1 else f"{count} objects differ."])


def difference(root: Path, base: str, head: str | None = None) -> Difference:
    """What merging `head` (the work tree when None) into `base` would change on the clusters.

    Raises RequestError for unknown revisions, and ManifestError or UncheckableError when either side can't be rendered.
    """
    repository = Repository.open(root)
    with exported(repository, base) as before:
        if head is None:
            return compare(rendered(before, repository), rendered(root, repository))
        with exported(repository, head) as after:
            return compare(rendered(before, repository), rendered(after, repository))


@contextmanager
def exported(repository: Repository, revision: str, changes: Mapping[str, bytes] | None = None) -> Iterator[Path]:
    """A temporary folder with the files of a commit, some of them with other content."""
    with TemporaryDirectory(prefix="koepon-gitops-") as folder:
        root = Path(folder).resolve()
        repository.export(revision, root)
        for name, content in (changes or {}).items():
            (root / name).write_bytes(content)
        yield root


def rendered(root: Path, repository: Repository) -> tuple[Rendered, ...]:
    """Every Application of a tree, or the first error that kept one from being rendered."""
    renderer = _renderer(root, repository)
    tree = renderer.tree()
    refuse((*renderer.findings, *(each for one in tree for each in one.findings)))
    return tree


def refuse(findings: Iterable[Finding]) -> None:
    """Raise the first error among findings: what is not whole is not shown."""
    for finding in findings:
        if finding.severity is Severity.ERROR:
            kind = UncheckableError if finding.unchecked else ManifestError
            where = f"{finding.path}:{finding.line}" if finding.line else finding.path
            raise kind(finding.rule, finding.message, where=where, remedy=finding.remedy)


def renderable(root: Path, repository: Repository) -> tuple[Rendered, ...]:
    """The Applications of a tree that can be rendered. Raises GitOpsError when they can't even be found."""
    tree = _renderer(root, repository).tree()
    return tuple(one for one in tree if all(each.severity is not Severity.ERROR for each in one.findings))


def _renderer(root: Path, repository: Repository) -> Renderer:
    return Renderer(root, load(root), remotes=repository.remotes(), cache=Cache("renders"))


def compare(before: Sequence[Rendered], after: Sequence[Rendered]) -> Difference:
    """The objects that differ, sorted by Application and object."""
    old, new = _objects(before), _objects(after)
    return Difference(changes=tuple(_changes(old, new)))


type _Key = tuple[str, str]


def _objects(tree: Iterable[Rendered]) -> dict[_Key, tuple[ObjectId, Mapping[str, Any]]]:
    return {
        (each.application.name, f"{manifest.id} {manifest.id.apiVersion}"): (manifest.id, manifest.content)
        for each in tree
        for manifest in each.manifests
    }


def _changes(
    old: Mapping[_Key, tuple[ObjectId, Mapping[str, Any]]], new: Mapping[_Key, tuple[ObjectId, Mapping[str, Any]]]
) -> Iterator[Change]:
    for key in sorted(old.keys() | new.keys()):
        application = key[0]
        if key not in old:
            yield Change(kind=Kind.ADDED, application=application, object=new[key][0])
        elif key not in new:
            yield Change(kind=Kind.REMOVED, application=application, object=old[key][0])
        elif fields := _changed_fields(old[key][1], new[key][1]):
            yield Change(kind=Kind.CHANGED, application=application, object=new[key][0], fields=fields)


def _changed_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    if repr(old) == repr(new):  # Ten times faster than to walk what is mostly the same.
        return ()
    return tuple(_fields(old, new, ""))


def _fields(old: Any, new: Any, path: str) -> Iterator[FieldChange]:
    """Down to the values: `1`, `1.0` and `true` are equal in Python, and only there."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _fields(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif isinstance(old, list) and isinstance(new, list):
        before, after = _elements(old), _elements(new)
        for name in dict.fromkeys((*before, *after)):
            yield from _fields(before.get(name), after.get(name), f"{path}[{name}]")
    elif old != new or type(old) is not type(new):
        yield FieldChange(field=path, before=old, after=new)


def _elements(values: list[Any]) -> dict[str, Any]:
    """Elements by name where each has one of its own, else by position."""
    names = [str(each["name"]) for each in values if isinstance(each, Mapping) and "name" in each]
    if len(set(names)) == len(values):
        return dict(zip(names, values, strict=True))
    return {str(index): each for index, each in enumerate(values)}


def text_difference(contents: Mapping[str, tuple[bytes, bytes]]) -> str:
    """A unified diff of files, given as before and after."""
    lines: list[str] = []
    for name, (before, after) in contents.items():
        old, new = (text.decode(errors="replace").splitlines() for text in (before, after))
        lines += difflib.unified_diff(old, new, f"a/{name}", f"b/{name}", lineterm="", n=1)
    return "\n".join(lines)
