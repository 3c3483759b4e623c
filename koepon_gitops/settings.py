"""Fields of kustomizations as layers: those that set a field of objects (`images`, labels), those that make objects."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from koepon_gitops.layers import Reach, Subject, part
from koepon_gitops.model import Image
from koepon_gitops.nodes import Node
from koepon_gitops.places import child, entry, text_of


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of a kustomization that sets one field of objects: `images`, `replicas`, `namespace`, labels, names."""

    path: str
    name: str
    node: Node
    first_line: int
    makes: bool = False

    def reach(self, subject: Subject) -> Reach | None:
        """The whole field, or nothing."""
        place = _SETTINGS[self.name](self.node, subject)
        return Reach(len(subject.steps), self.first_line + place.line, whole=True) if place is not None else None


def _image(node: Node, subject: Subject) -> Node | None:
    if subject.steps[-1:] != ("image",):
        return None
    rendered: Any = subject.content
    for step in subject.steps:
        rendered = part(rendered, step)
    name = Image.parse(rendered).name if isinstance(rendered, str) else None
    for each in reversed(node.children):
        if name == (text_of(child(each, "newName")) or text_of(child(each, "name"))):
            return _first_key(each, "newTag", "digest", "newName", "name")
    return None


def _first_key(node: Node, *names: str) -> Node:
    return next((found[0] for name in names if (found := entry(node, name))), node)


def _replicas(node: Node, subject: Subject) -> Node | None:
    if subject.steps != ("spec", "replicas"):
        return None
    counts = (each for each in node.children if text_of(child(each, "name")) in subject.names)
    return next((_first_key(each, "count") for each in counts), None)


def _namespace(node: Node, subject: Subject) -> Node | None:
    return node if subject.steps == ("metadata", "namespace") else None


def _affix(node: Node, subject: Subject) -> Node | None:
    is_part = text_of(node) and text_of(node) in subject.id.name
    return node if subject.steps == ("metadata", "name") and is_part else None


def _labels(node: Node, subject: Subject) -> Node | None:
    return _pair(node, subject, ("labels", "matchLabels"))


def _annotations(node: Node, subject: Subject) -> Node | None:
    return _pair(node, subject, ("annotations",))


def _pair(node: Node, subject: Subject, holders: tuple[str, ...]) -> Node | None:
    if len(subject.steps) < 2 or subject.steps[-2] not in holders:
        return None
    found = entry(node, subject.steps[-1])
    return found[0] if found else None


def _label_entries(node: Node, subject: Subject) -> Node | None:
    in_metadata = subject.steps[:2] == ("metadata", "labels")
    for each in reversed(node.children):
        everywhere = "true" in (text_of(child(each, "includeSelectors")), text_of(child(each, "includeTemplates")))
        pairs = child(each, "pairs")
        if pairs is not None and (in_metadata or everywhere) and (found := _labels(pairs, subject)):
            return found
    return None


_SETTINGS = {
    "images": _image,
    "replicas": _replicas,
    "commonAnnotations": _annotations,
    "commonLabels": _labels,
    "labels": _label_entries,
    "namePrefix": _affix,
    "nameSuffix": _affix,
    "namespace": _namespace,
}


@dataclass(frozen=True, slots=True)
class Generator:
    """One entry of `configMapGenerator` or `secretGenerator`; the name it renders to ends in a hash."""

    path: str
    kind: str
    node: Node
    first_line: int
    makes: bool = True

    def reach(self, subject: Subject) -> Reach | None:
        """The entry, or the line of one of its keys."""
        name = text_of(child(self.node, "name"))
        if subject.id.kind != self.kind or not {name, f"{name}{_hash(subject.id.name)}"} & subject.names:
            return None
        if len(subject.steps) > 1 and subject.steps[0] in ("data", "stringData", "binaryData"):
            for each in self._sources():
                key, _, rest = text_of(each).partition("=")
                if subject.steps[1] in (key, key.rpartition("/")[2] if not rest else key):
                    return Reach(2, self.first_line + each.line, len(subject.steps) == 2)
        return Reach(0, self.first_line + self.node.line, not subject.steps)

    def _sources(self) -> Iterator[Node]:
        for name in ("literals", "files"):
            if found := child(self.node, name):
                yield from found.children


def _hash(name: str) -> str:
    found = re.search(r"-[a-z0-9]{10}\Z", name)
    return found[0] if found else ""
