"""The patches of kustomizations as layers: strategic merge patches, and lists of JSON operations."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from koepon_gitops import places
from koepon_gitops.errors import ManifestError
from koepon_gitops.layers import Layer, Reach, Subject, deepest, is_written, part
from koepon_gitops.nodes import Kind, Node, documents, parse
from koepon_gitops.places import Step, Written, child, entry, key_of, target, text_of


def read(path: str, text: str, target: "Target | None", first_line: int, line: int = 0) -> Iterator[Layer]:
    """The patches in a text, merged or operations. Without a target, a patch says itself which object it is for.

    `first_line` is the line of the file at which the text begins. `line` stands for every line of a text that is not
    written line by line (quoted, folded); 0 otherwise.
    """
    try:
        for document in documents(text, ""):
            root = parse(document.text, "")
            if root is not None and root.kind is Kind.SEQUENCE:
                yield OperationPatch(path, root, first_line + document.line, target or Target({}), line)
            elif root is not None:
                for each in places.written(root, first_line + document.line):
                    yield MergePatch(path, each, target, line)
    except ManifestError:
        return


@dataclass(frozen=True, slots=True)
class Target:
    """The `target` of a patch: regular expressions over the object's coordinates, as text; empty ones match all."""

    fields: Mapping[str, str]

    @classmethod
    def of(cls, node: Node) -> Self:
        """As written in a kustomization."""
        return cls({key: text_of(value) for name, value in node.entries if (key := key_of(name))})

    def selects(self, subject: Subject) -> bool:
        """Whether the object is meant. Patterns that could take long to evaluate are taken as matching."""
        group, _, version = subject.id.apiVersion.rpartition("/")
        for name, values in (
            ("group", {group}),
            ("version", {version}),
            ("kind", {subject.id.kind}),
            ("name", subject.names),
            ("namespace", {subject.id.namespace} if not subject.moved else {}),
        ):
            pattern = self.fields.get(name, "")
            if pattern and values and not any(matches(pattern, each) for each in values):
                return False
        metadata = part(subject.content, "metadata")
        return _labelled(self.fields.get("labelSelector", ""), part(metadata, "labels")) and _labelled(
            self.fields.get("annotationSelector", ""), part(metadata, "annotations")
        )


def matches(pattern: str, value: str) -> bool:
    """kustomize's regular expressions over whole names; True for those not evaluated here.

    Only names, `.*` and alternatives are: a pull request writes them, and others could take Python's matcher for ever.
    """
    if not _SIMPLE.fullmatch(pattern) or pattern.count("*") > 2:
        return True
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return True


_SIMPLE = re.compile(r"(?:[A-Za-z0-9_./^$|()-]|\.\*){1,200}")


def _labelled(selector: str, labels: Any) -> bool:
    """Terms of equality are looked at, others taken as holding."""
    terms = [term.replace("==", "=").split("=") for term in selector.split(",") if "!" not in term and "(" not in term]
    return all(len(term) != 2 or str(part(labels, term[0].strip())) == term[1].strip() for term in terms)


@dataclass(frozen=True, slots=True)
class MergePatch:
    """A strategic merge patch; `line` as in `read`."""

    path: str
    patch: Written
    target: Target | None
    line: int = 0
    makes: bool = False

    def reach(self, subject: Subject) -> Reach | None:
        """How much of the field the patch mentions."""
        if not (self.target.selects(subject) if self.target else is_written(self.patch, subject)):
            return None
        depth, node, value = deepest(self.patch.node, subject)
        whole = depth == len(subject.steps) and subject.steps not in _COORDINATES and not _is_merged(value)
        return Reach(depth, self.line or self.patch.first_line + node.line, whole)


_COORDINATES = (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"))
"""What a patch says to be applied to an object, and does not change."""


def _is_merged(value: Node) -> bool:
    """Mappings and lists of mappings are merged with what is there, all else takes its place."""
    return value.kind is Kind.MAPPING or any(target(each).kind is Kind.MAPPING for each in value.children)


@dataclass(frozen=True, slots=True)
class OperationPatch:
    """A JSON patch (RFC 6902): a list of operations on paths."""

    path: str
    operations: Node
    first_line: int
    target: Target
    line: int = 0
    makes: bool = False

    def reach(self, subject: Subject) -> Reach | None:
        """What the last operation on the field or on what holds it sets."""
        if not self.target.selects(subject):
            return None
        best = Reach(0, self.line or self.first_line + self.operations.line, whole=False)
        for operation in self.operations.children:
            pointer = text_of(child(operation, "path")).split("/")[1:]
            keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer]
            if keys and _leads_to(keys, subject.steps):
                depth, node = len(keys), operation
                if value := entry(operation, "value"):
                    deeper, place = places.deepest(value[1], subject.steps[depth:])
                    depth, node = depth + deeper, place if deeper else value[0]
                if depth >= best.depth:
                    best = Reach(depth, self.line or self.first_line + node.line, depth == len(subject.steps))
        return best


def _leads_to(keys: list[str], steps: tuple[Step, ...]) -> bool:
    return len(keys) <= len(steps) and all(
        key == str(step) or (key == "-" and isinstance(step, int)) for key, step in zip(keys, steps, strict=False)
    )
