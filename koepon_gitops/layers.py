"""A layer is something in a file that sets fields of objects: resources here, the others in `patches` and `settings`.

A layer answers for one object how much of a field it sets, and on which line. What it can't understand it does not set.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from koepon_gitops import places
from koepon_gitops.errors import ManifestError
from koepon_gitops.model import ObjectId
from koepon_gitops.nodes import Document, Kind, Node, parse
from koepon_gitops.places import Step, Written, child, entry, target, text_of


@dataclass(frozen=True, slots=True)
class Subject:
    """The object that is looked for: as it was rendered, the names its sources may give it, and the field in steps."""

    id: ObjectId
    content: Mapping[str, Any]
    names: frozenset[str]
    steps: tuple[Step, ...]
    moved: bool
    """Whether a kustomization sets namespaces, so that the source may name another one or none."""


class Reach(NamedTuple):
    """How many steps of the field a layer sets, and the line, from 1, on which it does."""

    depth: int
    line: int
    whole: bool
    """Whether the layer alone decides the field. A patch of one container is not all that `containers` says."""


class Layer(Protocol):
    """Something in a file that makes or edits objects."""

    @property
    def path(self) -> str:
        """The file it is written in."""

    @property
    def makes(self) -> bool:
        """Whether it defines the objects, where others edit them."""

    def reach(self, subject: Subject) -> Reach | None:
        """None when the layer does not concern the object."""


class Resources:
    """The objects of one document; it is parsed when it is asked for a kind that it mentions."""

    makes = True

    def __init__(self, path: str, document: Document) -> None:
        self.path, self._document = path, document
        self.mentioned = frozenset(_NAME.findall(document.text))
        """What follows a `name:`: quick to find, but a name can be written in other ways as well."""
        self._objects: list[Written] | None = None

    def reach(self, subject: Subject) -> Reach | None:
        """How much of the field the first object of that kind and name has."""
        if subject.id.kind not in self._document.text:
            return None
        if self._objects is None:
            self._objects = list(_objects(self._document))
        for each in self._objects:
            if is_written(each, subject) and _is_in_namespace(each, subject):
                depth, node, _ = deepest(each.node, subject)
                return Reach(depth, each.first_line + node.line, depth == len(subject.steps))
        return None


_NAME = re.compile(r"""name["']?[ ]*:[ ]*["']?([^\s"',{}\[\]]+)""")


def _objects(document: Document) -> Iterator[Written]:
    try:
        root = parse(document.text, "")
    except ManifestError:
        return
    if root is not None:
        yield from places.written(root, 1 + document.line)


def is_written(written: Written, subject: Subject) -> bool:
    """Whether it became the object. A kustomization's `namespace` renames the Namespace that it holds as well."""
    group = written.apiVersion.rpartition("/")[0]
    if written.kind != subject.id.kind or group != subject.id.group:
        return False
    return written.name in subject.names or (subject.moved and (group, written.kind) == ("", "Namespace"))


def _is_in_namespace(written: Written, subject: Subject) -> bool:
    return subject.moved or not written.namespace or written.namespace == subject.id.namespace


def deepest(node: Node, subject: Subject) -> tuple[int, Node, Node]:
    """How many steps of the field exist below a node, the key or element the last leads to, and the value there.

    List elements are matched by what identifies them, for their places change on the way to the rendered object.
    """
    place, here, rendered = node, node, subject.content
    for depth, step in enumerate(subject.steps):
        if isinstance(step, int) and here.kind is Kind.SEQUENCE:
            found = _element(here, step, part(rendered, step))
        else:
            found = entry(here, step)
        if found is None:
            return depth, place, here
        place, here = found
        rendered = part(rendered, step)
    return len(subject.steps), place, here


_IDENTITIES = ("name", "mountPath", "containerPort", "port", "devicePath", "topologyKey", "ip", "uid", "type")
"""Fields by which Kubernetes merges lists of objects (`patchMergeKey` in its API)."""


def _element(sequence: Node, step: int, rendered: Any) -> tuple[Node, Node] | None:
    """The element that is the same as the rendered one, if possible at the same place."""
    here = sequence.children[step : step + 1]
    key = next((each for each in _IDENTITIES if each in rendered), None) if isinstance(rendered, dict) else None
    if isinstance(rendered, dict) and key is None:
        return entry(sequence, step)
    for each in (*here, *sequence.children):
        if text_of(child(each, key) if key else each) == str(rendered[key] if key else rendered):
            return each, target(each)
    return None if key else entry(sequence, step)


def part(value: Any, step: Step) -> Any:
    try:
        return value[step]
    except (LookupError, TypeError):
        return None
