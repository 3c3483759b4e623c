"""Where a field stands in YAML text: dotted fields to steps, steps to nodes, nodes to lines."""

from collections.abc import Iterator
from dataclasses import dataclass

from koepon_gitops import scalars
from koepon_gitops.errors import ManifestError
from koepon_gitops.nodes import Kind, Node, decode, documents, parse

type Step = str | int

_DEEPEST_MERGE = 10
"""Merge keys inside merge keys that are followed."""


def steps(field: str) -> tuple[Step, ...]:
    """`spec.containers[0].image` to `("spec", "containers", 0, "image")`; `labels[a.b/c]` names the key `a.b/c`."""
    found: list[Step] = []
    rest = field
    while rest:
        if rest[0] == "[" and (end := rest.find("]")) > 0:
            inside = rest[1:end].strip("\"'")
            found.append(int(inside) if inside.isascii() and inside.isdecimal() and len(inside) < 10 else inside)
            rest = rest[end + 1 :].removeprefix(".")
            continue
        end = min((at for at in (rest.find(".", 1), rest.find("[", 1)) if at > 0), default=len(rest))
        found.append(rest[:end])
        rest = rest[end:].removeprefix(".")
    return tuple(found)


def locate(text: bytes, kind: str, name: str, field: str) -> int | None:
    """The line, from 1, of the deepest existing part of a field in the object with that kind and name.

    The object's first line when no part of the field is there; None when no such object is, or the text can't be read.
    """
    try:
        for found in objects(text):
            if (found.kind, found.name) == (kind, name):
                return found.first_line + deepest(found.node, steps(field))[1].line
    except ManifestError:
        pass
    return None


@dataclass(frozen=True, slots=True)
class Written:
    """One object as written. `first_line`: the line of the file, from 1, that is line 0 of its nodes."""

    node: Node
    first_line: int
    apiVersion: str
    kind: str
    name: str
    namespace: str


def objects(text: bytes) -> Iterator[Written]:
    """Every object of a stream, as `written`. Raises ManifestError manifests/*."""
    for document in documents(decode(text, ""), ""):
        if (root := parse(document.text, "", 1 + document.line)) is not None:
            yield from written(root, 1 + document.line)


def written(root: Node, first_line: int) -> Iterator[Written]:
    """The object that is the root of a document, or the items of a list."""
    if root.kind is not Kind.MAPPING:
        return
    items = child(root, "items")
    for node in map(target, items.children if items is not None and items.kind is Kind.SEQUENCE else [root]):
        metadata = child(node, "metadata")
        yield Written(
            node,
            first_line,
            text_of(child(node, "apiVersion")),
            text_of(child(node, "kind")),
            text_of(child(metadata, "name") if metadata else None),
            text_of(child(metadata, "namespace") if metadata else None),
        )


def deepest(node: Node, path: tuple[Step, ...]) -> tuple[int, Node]:
    """How many steps of a path exist below a node, and the key or element that the last of them leads to."""
    place, here = node, node
    for depth, step in enumerate(path):
        found = entry(here, step)
        if found is None:
            return depth, place
        place, here = found
    return len(path), place


def child(node: Node, step: Step) -> Node | None:
    """What a step leads to; aliases are followed."""
    found = entry(node, step)
    return found[1] if found else None


def entry(node: Node, step: Step, merges: int = 0) -> tuple[Node, Node] | None:
    """The place a step leads to (a key, an element) and the value there, aliases followed; None when nothing is."""
    node = target(node)
    if node.kind is Kind.SEQUENCE:
        if isinstance(step, int) and step < len(node.children):
            return node.children[step], target(node.children[step])
        return None
    if node.kind is not Kind.MAPPING:
        return None
    for key, value in node.entries:
        if key_of(key) == str(step):
            return key, target(value)
    for key, value in node.entries:
        if key.text == "<<" and merges < _DEEPEST_MERGE:
            sources = target(value).children if target(value).kind is Kind.SEQUENCE else [value]
            for source in sources:
                if found := entry(source, step, merges + 1):
                    return found
    return None


def key_of(node: Node) -> str | None:
    """The key a scalar is, by the rules of Go; None for what can't be one."""
    node = target(node)
    try:
        return scalars.as_key(scalars.resolve(node.text, node.tag, plain=node.plain))
    except ValueError:
        return None


def text_of(node: Node | None) -> str:
    """The text of a scalar; empty for anything else."""
    return target(node).text if node is not None else ""


def target(node: Node) -> Node:
    """The node itself, or what an alias stands for."""
    return node.children[0] if node.kind is Kind.ALIAS else node
