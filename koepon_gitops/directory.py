"""Folders of plain manifests to objects, as Argo CD's repo-server reads a directory source (`findManifests`)."""

import json
import posixpath
import re
from collections.abc import Iterator
from functools import lru_cache

from koepon_gitops.cache import key
from koepon_gitops.errors import ManifestError, UncheckableError
from koepon_gitops.model import Rendering, Source
from koepon_gitops.tree import Files, Kind

_MANIFEST = re.compile(r"^.*\.(yaml|yml|json|jsonnet)$")
_SKIP = b"+argocd:skip-file-rendering"


def render(source: Source, files: Files) -> Rendering:
    """The objects of a folder; `cached`, because nothing but files is read.

    Raises ManifestError directory/missing and manifests/*; UncheckableError directory/{empty,jsonnet}.
    """
    place = files.locate(source.path or ".")
    if place is None or place.kind is not Kind.FOLDER:
        what = f"The folder {source.path} is not there."
        raise ManifestError(
            "directory/missing", what, remedy="Correct the Application's source.path, or add the folder."
        )
    options = source.directory
    chosen = [
        name
        for name in sorted(_manifests(files, place.path, recurse=bool(options.get("recurse"))))
        if _is_chosen(posixpath.relpath(name, place.path), options)
    ]
    objects = [each for name in chosen if _SKIP not in files.content(name) for each in files.objects(name)]
    if not objects:
        raise UncheckableError(
            "directory/empty",
            f"No file of {source.path or '.'} holds an object, so there is nothing to check.",
            remedy="Correct recurse, include and exclude, or remove the Application.",
        )
    digest = key(
        place.path, json.dumps(options, sort_keys=True), *(part for n in chosen for part in (n, files.digest(n)))
    )
    return Rendering.model_construct(objects=tuple(objects), files=tuple(chosen), digest=digest, cached=True)


def _manifests(files: Files, folder: str, *, recurse: bool) -> Iterator[str]:
    for name, kind in files.listing(folder).items():
        path = posixpath.normpath(f"{folder}/{name}")
        if kind is Kind.FOLDER:
            if recurse and not name.startswith("."):
                yield from _manifests(files, path, recurse=True)
        elif _MANIFEST.match(name) and (place := files.locate(path)) is not None and place.kind is Kind.FILE:
            if name.endswith(".jsonnet"):
                what = "Jsonnet is a program; it is not run here."
                raise UncheckableError("directory/jsonnet", what, where=path, remedy="Commit what it renders to.")
            yield place.path


def _is_chosen(name: str, options: dict[str, object]) -> bool:
    include, exclude = str(options.get("include") or ""), str(options.get("exclude") or "")
    if exclude and _glob(exclude).fullmatch(name):
        return False
    return not include or _glob(include).fullmatch(name) is not None


@lru_cache(maxsize=256)
def _glob(pattern: str) -> re.Pattern[str]:
    """gobwas/glob as Argo CD calls it, without separators: `*` crosses folders, `{a,b}` alternates, `[!a]` negates."""
    result, depth, position = "", 0, 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        match character:
            case "*":
                result += ".*"
            case "?":
                result += "."
            case "{":
                depth += 1
                result += "(?:"
            case "}" if depth:
                depth -= 1
                result += ")"
            case "," if depth:
                result += "|"
            case "[" if (end := pattern.find("]", position)) > position:
                inside = pattern[position:end]
                negated = inside.startswith("!")
                result += f"[{'^' if negated else ''}{re.escape(inside[negated:]).replace(r'\-', '-')}]"
                position = end + 1
            case "\\" if position < len(pattern):
                result += re.escape(pattern[position])
                position += 1
            case _:
                result += re.escape(character)
    try:
        return re.compile(result + ")" * depth, re.DOTALL)
    except re.error as error:
        what = f"The pattern {pattern!r} can't be read: {error}."
        raise ManifestError("directory/invalid-pattern", what, remedy="Correct include or exclude.") from error
