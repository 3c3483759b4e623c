"""Findings about rendered objects to the file and line that a person edits to mend them.

The layers of a source are looked at from the nearest (the overlay's `images`, its patches) to the base. The nearest
that sets the whole field is meant; where none does, the one that sets most of it, a resource before a patch.
"""

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from koepon_gitops import patches, settings
from koepon_gitops.errors import GitOpsError
from koepon_gitops.layers import Layer, Resources, Subject
from koepon_gitops.model import Finding, Manifest
from koepon_gitops.nodes import Kind, Node, decode, documents, parse
from koepon_gitops.places import child, steps, target, text_of
from koepon_gitops.prescan import NAMES, kustomization_file
from koepon_gitops.tree import Files
from koepon_gitops.tree import Kind as FileKind

_MOST_NAMES = 64
"""Names under which one object is looked for."""


class Provenance:
    """Locates findings in one tree; what it has read it keeps."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._stacks: dict[tuple[str, ...], _Stack] = {}
        self._resources: dict[str, list[Layer]] = {}

    def locate(self, finding: Finding, manifest: Manifest) -> Finding:
        """The finding with its place in `manifest.files`; line 0 of the first file when no place is certain.

        Nothing but those files is read. Files that can't be read or understood are passed over.
        """
        if not manifest.files:
            return finding
        path, line = self._place(finding, manifest) or (manifest.files[0], 0)
        return finding.model_copy(update={"path": path, "line": line})

    def _place(self, finding: Finding, manifest: Manifest) -> tuple[str, int] | None:
        if (stack := self._stacks.get(manifest.files)) is None:
            stack = self._stacks[manifest.files] = self._stack(manifest.files)
        subject = Subject(
            id=manifest.id,
            content=manifest.content,
            names=stack.names(manifest.id.name),
            steps=steps(finding.field),
            moved=stack.moves,
        )
        likely = _nearest(stack.mentioning(subject.names), subject)
        found = likely if likely and likely.made else _nearest(stack.layers, subject)
        return (found.path, found.line) if found else None

    def _stack(self, paths: tuple[str, ...]) -> "_Stack":
        """The layers of a source, nearest first: overlays, their components, then what they build on."""
        stack = _Stack()
        left = dict.fromkeys(paths)
        pending = [path for path in paths[:1] if _is_kustomization(path)]
        while pending:
            path = pending.pop()
            if path not in left:
                continue
            del left[path]
            if not _is_kustomization(path):
                stack.layers += self._resources_of(path)
            elif root := self._root(path):
                reading = _Reading(self._files, path, root, frozenset(paths))
                stack.add(reading)
                for used in reading.patch_files:
                    left.pop(used, None)
                pending += [*reading.referred("resources", "bases"), *reading.referred("components")]
        for path in left:
            stack.layers += self._resources_of(path)
        return stack

    def _resources_of(self, path: str) -> list[Layer]:
        if (known := self._resources.get(path)) is None:
            try:
                known = [Resources(path, document) for document in documents(_text(self._files, path), path)]
            except GitOpsError:
                known = []
            self._resources[path] = known
        return known

    def _root(self, path: str) -> "_Root | None":
        """The mapping in a kustomization file, and the line of the file that is line 0 of its nodes."""
        try:
            for document in documents(_text(self._files, path), path):
                root = parse(document.text, path)
                if root is not None and root.kind is Kind.MAPPING:
                    return root, 1 + document.line
        except GitOpsError:
            pass
        return None


class _Place(NamedTuple):
    """Where the nearest layer says something of a field. `made`: the object is defined in one of those looked at."""

    path: str
    line: int
    made: bool


def _nearest(layers: Iterable[Layer], subject: Subject) -> _Place | None:
    best: tuple[tuple[int, bool], _Place] | None = None
    made = False
    for layer in layers:
        if (reach := layer.reach(subject)) is None:
            continue
        if reach.whole and (layer.makes or subject.steps):
            return _Place(layer.path, reach.line, made=True)
        made = made or layer.makes
        if best is None or (reach.depth, layer.makes) > best[0]:
            best = (reach.depth, layer.makes), _Place(layer.path, reach.line, made)
    return best[1]._replace(made=made) if best else None


def _text(files: Files, path: str) -> str:
    """A file inside the root; empty for what is none."""
    place = files.locate(path)
    return decode(files.content(place.path), path) if place is not None and place.kind is FileKind.FILE else ""


type _Root = tuple[Node, int]


def _is_kustomization(path: str) -> bool:
    return posixpath.basename(path) in NAMES


class _Stack:
    """The layers of a source, nearest first, and how it changes names and namespaces."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.moves = False
        self._prefixes: list[str] = []
        self._suffixes: list[str] = []
        self._by_name: dict[str, list[int]] | None = None
        self._others: list[int] = []

    def add(self, reading: "_Reading") -> None:
        """The layers of one more kustomization, below those that are there."""
        self.layers += reading.layers()
        self.moves = self.moves or bool(reading.text("namespace"))
        self._prefixes += filter(None, [reading.text("namePrefix")])
        self._suffixes += filter(None, [reading.text("nameSuffix")])

    def mentioning(self, names: frozenset[str]) -> list[Layer]:
        """The layers without those resources that do not name the object in the usual way."""
        if self._by_name is None:
            self._by_name, self._others = {}, []
            for rank, layer in enumerate(self.layers):
                if not isinstance(layer, Resources):
                    self._others.append(rank)
                    continue
                for name in layer.mentioned:
                    self._by_name.setdefault(name, []).append(rank)
        found = {rank for name in names for rank in self._by_name.get(name, ())}
        return [self.layers[rank] for rank in sorted(found.union(self._others))]

    def names(self, name: str) -> frozenset[str]:
        """The name, and what may be left of it without some of the prefixes and suffixes."""
        pending, seen = [name], {name}
        while pending and len(seen) < _MOST_NAMES:
            each = pending.pop()
            shorter = {each.removeprefix(prefix) for prefix in self._prefixes}
            shorter |= {each.removesuffix(suffix) for suffix in self._suffixes}
            pending += shorter - seen - {""}
            seen |= shorter - {""}
        return frozenset(seen)


class _Reading:
    """One kustomization: the layers it holds, and the files it names, as far as the source has read them."""

    def __init__(self, files: Files, path: str, root: "_Root", known: frozenset[str]) -> None:
        self._files, self._path, self._known = files, path, known
        self._node, self._first_line = root
        self.patch_files: list[str] = []

    def text(self, name: str) -> str:
        """The text of one of its fields."""
        return text_of(child(self._node, name))

    def referred(self, *names: str) -> Iterator[str]:
        """The files that lists of paths lead to, the last one last: a folder leads to its kustomization."""
        for each in self._elements(*names):
            if found := self._file(text_of(each)):
                yield found

    def layers(self) -> Iterator[Layer]:
        """In the order opposite to kustomize's (`configureBuiltinTransformers`): what it does last is nearest."""
        yield from self._set("images", "replicas")
        yield from self._patches("patchesJson6902")
        yield from self._set("commonAnnotations", "commonLabels", "labels", "namePrefix", "nameSuffix", "namespace")
        yield from self._patches("patches")
        for each in reversed(self._elements("patchesStrategicMerge")):
            path = self._file(text_of(each))
            yield from self._in_file(path, None) if path else self._inline(each, None)
        for name, kind in (("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")):
            for each in reversed(self._elements(name)):
                yield settings.Generator(self._path, kind, each, self._first_line)

    def _set(self, *names: str) -> Iterator[Layer]:
        for name in names:
            if (node := child(self._node, name)) is not None:
                yield settings.Setting(self._path, name, node, self._first_line)

    def _patches(self, name: str) -> Iterator[Layer]:
        for each in reversed(self._elements(name)):
            selector = child(each, "target")
            chosen = patches.Target.of(selector) if selector is not None and selector.children else None
            if (inline := child(each, "patch")) is not None:
                yield from self._inline(inline, chosen)
            elif path := self._file(text_of(child(each, "path"))):
                yield from self._in_file(path, chosen)

    def _inline(self, written: Node, selector: patches.Target | None) -> Iterator[Layer]:
        line = self._first_line + target(written).line
        by_line = target(written).style == "|"
        return patches.read(self._path, text_of(written), selector, line + 1, 0 if by_line else line)

    def _in_file(self, path: str, selector: patches.Target | None) -> Iterator[Layer]:
        self.patch_files.append(path)
        try:
            text = _text(self._files, path)
        except GitOpsError:
            return iter(())
        return patches.read(path, text, selector, 1)

    def _elements(self, *names: str) -> Sequence[Node]:
        found = [child(self._node, name) for name in names]
        return [
            target(each) for node in found if node is not None and node.kind is Kind.SEQUENCE for each in node.children
        ]

    def _file(self, reference: str) -> str | None:
        folder = posixpath.dirname(self._path)
        try:
            place = self._files.locate(posixpath.normpath(posixpath.join(folder, reference))) if reference else None
            found = place.path if place else None
            if place is not None and place.kind is FileKind.FOLDER:
                found = kustomization_file(self._files, place.path)
        except GitOpsError:
            return None
        return found if found in self._known else None
