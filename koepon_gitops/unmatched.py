"""What a kustomization says and kustomize silently does nothing with: images and patch targets that match no object."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from koepon_gitops.errors import ManifestError
from koepon_gitops.model import Image, Json
from koepon_gitops.patches import matches
from koepon_gitops.prescan import Closure, Kustomization
from koepon_gitops.tree import Files


def check(files: Files, closure: Closure, objects: Sequence[Json]) -> None:
    """Raise ManifestError kustomize/{image,patch}-unmatched for the first entry without effect.

    `objects`: what the whole closure rendered to. An object counts as matched under its name as written, as rendered,
    and as rendered without the prefixes and suffixes of this closure.
    """
    images = {Image.parse(reference).name for reference in references(objects)}
    renamed = {str(entry.get("name")) for each in closure.kustomizations for entry in _entries(each, "images")}
    sources: list[Json] | None = None
    affixes = _Affixes(closure)
    for kustomization in closure.kustomizations:
        for entry in _entries(kustomization, "images"):
            if not {str(entry.get("newName") or entry.get("name")), str(entry.get("name"))} & (
                images | renamed - {str(entry.get("name"))}
            ):
                what = f"`images` names {entry.get('name')}, and no container uses it."
                raise _unmatched("image", what, files, kustomization, str(entry.get("name")))
        for entry in _entries(kustomization, "patches"):
            if isinstance(target := entry.get("target"), dict):
                if sources is None:
                    sources = list(_sources(files, closure))
                if not any(_selects(target, each, affixes) for each in (*objects, *sources)):
                    what = f"A patch's target ({_described(target)}) matches no object."
                    raise _unmatched("patch", what, files, kustomization, "target:")


def references(objects: Iterable[Json]) -> Iterator[str]:
    """Every image reference of containers, wherever they stand in an object."""
    pending: list[Any] = list(objects)
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if key in ("containers", "initContainers", "ephemeralContainers") and isinstance(inner, list):
                    for container in inner:
                        if isinstance(container, Mapping) and isinstance(container.get("image"), str):
                            yield container["image"]
                pending.append(inner)
        elif isinstance(value, list):
            pending.extend(value)


def _entries(kustomization: Kustomization, field: str) -> Iterator[Json]:
    for entry in kustomization.content.get(field) or ():
        if isinstance(entry, Mapping):
            yield entry


def _sources(files: Files, closure: Closure) -> Iterator[Json]:
    """The objects as written, and those that generators name."""
    for kustomization in closure.kustomizations:
        for file in kustomization.resources:
            yield from files.objects(file)
        for field, kind in (("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")):
            for entry in _entries(kustomization, field):
                yield {"apiVersion": "v1", "kind": kind, "metadata": {"name": str(entry.get("name"))}}


class _Affixes:
    """The prefixes and suffixes that the kustomizations of a closure put around names."""

    def __init__(self, closure: Closure) -> None:
        self.prefixes = _texts(closure, "namePrefix")
        self.suffixes = _texts(closure, "nameSuffix")

    def names(self, name: str) -> Iterator[str]:
        """The name, and what may be left of it without some of them."""
        pending, seen = [name], set()
        while pending:
            each = pending.pop()
            if each in seen:
                continue
            seen.add(each)
            yield each
            pending += [each.removeprefix(prefix) for prefix in self.prefixes]
            pending += [each.removesuffix(suffix) for suffix in self.suffixes]


def _texts(closure: Closure, field: str) -> list[str]:
    return [str(each.content[field]) for each in closure.kustomizations if each.content.get(field)]


def _selects(target: Json, content: Json, affixes: _Affixes) -> bool:
    """kustomize's `Selector`: regular expressions that match the whole of group, version, kind, name, namespace."""
    metadata = content.get("metadata") or {}
    group, _, version = str(content.get("apiVersion")).rpartition("/")
    whole = {"group": group, "version": version, "kind": str(content.get("kind"))}
    if not all(_matches(target.get(field), value) for field, value in whole.items()):
        return False
    if not any(_matches(target.get("name"), name) for name in affixes.names(str(metadata.get("name")))):
        return False
    namespace = metadata.get("namespace")
    if namespace and not _matches(target.get("namespace"), str(namespace)):
        return False
    return _labelled(target.get("labelSelector"), metadata.get("labels")) and _labelled(
        target.get("annotationSelector"), metadata.get("annotations")
    )


def _matches(pattern: Any, value: str) -> bool:
    return not pattern or matches(str(pattern), value)


def _labelled(selector: Any, labels: Any) -> bool:
    """Equality terms (`a=b,c`) are looked at; set terms are taken as matching."""
    present = labels if isinstance(labels, Mapping) else {}
    for term in re.sub(r"\([^)]*\)", "", str(selector or "")).split(","):
        key, equal, value = (part.strip() for part in term.replace("==", "=").partition("="))
        if not key or " " in key or key.endswith("!"):
            continue
        if key not in present or (equal and str(present[key]) != value):
            return key.startswith("!")
    return True


def _described(target: Json) -> str:
    return ", ".join(f"{key} {value}" for key, value in target.items())


def _unmatched(what: str, message: str, files: Files, kustomization: Kustomization, text: str) -> ManifestError:
    head, found, _ = files.content(kustomization.file).partition(text.encode())
    where = f"{kustomization.file}:{head.count(b'\n') + 1}" if found else kustomization.file
    remedy = "Correct the name, or remove the entry: kustomize does nothing with it and says nothing."
    return ManifestError(f"kustomize/{what}-unmatched", message, where=where, remedy=remedy)
