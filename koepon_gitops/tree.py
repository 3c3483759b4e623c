"""The files under one root, each read at most once, and never one outside it.

A pull request decides what is in the tree, so links are followed here and not by the operating system: every step of a
path is looked up in a directory listing, and a link that is absolute or leaves the root is an error with its name.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from koepon_gitops.errors import GitOpsError, ManifestError, UncheckableError
from koepon_gitops.manifests import read, read_all, read_data
from koepon_gitops.nodes import MAX_STREAM

MOST_LINKS = 40
"""Links followed on one path, as Linux does."""
MOST_STEPS = 100
"""Folders deep; beyond, a path is walked without recursion."""

UNHASHED_FOLDERS = ("__pycache__",)
"""With hidden folders, those that `fingerprint` leaves out: what is there must not decide a rendering."""


class Kind(StrEnum):
    """What a directory entry is, links not followed."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads: `path` is relative to the root, without links; `links` are those that were followed."""

    path: str
    kind: Kind
    links: tuple[str, ...] = ()


class Files:
    """What one run sees of a tree. Paths are relative to the root, posix, normalised; the root itself is ``.``.

    Threads may share it: two of them may read the same file, and get equal results.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._base = str(root)
        self._listings: dict[str, dict[str, Kind]] = {}
        self._places: dict[str, Place | ManifestError | None] = {}
        self._bytes: dict[str, bytes] = {}
        self._digests: dict[str, str] = {}
        self._values: dict[tuple[str, str], Any] = {}
        self.memory: dict[Any, Any] = {}
        """Results that others compute from files alone, such as the closures of `prescan`."""

    def edited(self, path: str, content: bytes) -> "Files":
        """The same tree with other content in one file; nothing on disk changes."""
        other = Files(self.root)
        other._listings, other._places = self._listings, self._places
        other._bytes = {**self._bytes, path: content}
        return other

    def listing(self, folder: str) -> dict[str, Kind]:
        """The entries of a folder that `locate` has found. Raises UncheckableError when it can't be read."""
        if (known := self._listings.get(folder)) is None:
            try:
                with os.scandir(f"{self._base}/{folder}") as entries:
                    known = {entry.name: _kind(entry) for entry in entries}
            except OSError as error:
                raise _unreadable(folder, error) from error
            self._listings[folder] = known
        return known

    def locate(self, path: str) -> Place | None:
        """Where `path` leads, or None when nothing is there.

        Raises ManifestError tree/{outside-root,hidden-folder}. The caller adds who refers to it.
        """
        try:
            found = self._places[path]
        except KeyError:
            try:
                found = self._found(path)
            except ManifestError as error:
                found = error
            self._places[path] = found
        if isinstance(found, ManifestError):
            raise copy(found)
        return found

    def _found(self, path: str) -> Place | None:
        """One step beyond the folder that holds it, which other paths have mostly asked for before."""
        parent, _, name = path.rpartition("/")
        if name in ("", ".", "..") or path.count("/") > MOST_STEPS:
            return self._walk(path)
        folder = self.locate(parent) if parent else _ROOT
        if folder is None or folder.kind is not Kind.FOLDER:
            return None
        kind = self.listing(folder.path).get(name, Kind.OTHER)
        if kind is Kind.LINK:
            return self._walk(path)
        if kind is Kind.OTHER:
            return None
        if kind is Kind.FOLDER and _is_hidden(name):
            raise _hidden(path, name)
        return Place(name if folder is _ROOT or folder.path == "." else f"{folder.path}/{name}", kind, folder.links)

    def _walk(self, path: str) -> Place | None:
        pending = path.split("/")[::-1]
        here: list[str] = []
        links: list[str] = []
        kind = Kind.FOLDER
        while pending:
            step = pending.pop()
            if step in ("", "."):
                continue
            if kind is not Kind.FOLDER:
                return None
            if step == "..":
                if not here:
                    raise _outside(path, links)
                here.pop()
                continue
            name = "/".join((*here, step))
            kind = self.listing("/".join(here) or ".").get(step, Kind.OTHER)
            if kind is Kind.LINK:
                target = self.link(name)
                links.append(name)
                if target.startswith("/"):
                    raise _outside(path, links)
                if len(links) > MOST_LINKS:
                    raise _endless(path, links)
                pending += target.split("/")[::-1]
                kind = Kind.FOLDER
            elif kind is Kind.OTHER:
                return None
            else:
                if kind is Kind.FOLDER and _is_hidden(step):
                    raise _hidden(path, name)
                here.append(step)
        return Place("/".join(here) or ".", kind, tuple(links))

    def content(self, path: str) -> bytes:
        """The content of a file that `locate` has found. Raises ManifestError manifests/too-large, UncheckableError."""
        if (known := self._bytes.get(path)) is None:
            known = self._bytes[path] = self._read(path)
        return known

    def _read(self, path: str) -> bytes:
        try:
            handle = os.open(f"{self._base}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                status = os.fstat(handle)
                if not stat.S_ISREG(status.st_mode):
                    raise OSError("not a regular file")
                if status.st_size > MAX_STREAM:
                    raise ManifestError(
                        "manifests/too-large",
                        f"The file holds {status.st_size:,} bytes; at most {MAX_STREAM:,} are read.",
                        where=path,
                        remedy="Split it.",
                    )
                return b"".join(iter(lambda: os.read(handle, 1 << 20), b""))
            finally:
                os.close(handle)
        except OSError as error:
            raise _unreadable(path, error) from error

    def digest(self, path: str) -> str:
        """Hex sha-256 of a file."""
        if (known := self._digests.get(path)) is None:
            known = self._digests[path] = hashlib.sha256(self.content(path)).hexdigest()
        return known

    def data(self, path: str) -> Any:
        """`manifests.read_data` of a file."""
        if (key := ("data", path)) not in self._values:
            self._values[key] = _kept(lambda: read_data(self.content(path), path))
        return _given(self._values[key])

    def objects(self, path: str) -> tuple[dict[str, Any], ...]:
        """`manifests.read` of a file."""
        if (key := ("objects", path)) not in self._values:
            self._values[key] = _kept(lambda: read(self.content(path), path))
        found: tuple[dict[str, Any], ...] = _given(self._values[key])
        return found

    def documents(self, path: str) -> tuple[Any, ...]:
        """`manifests.read_all` of a file."""
        if (key := ("documents", path)) not in self._values:
            self._values[key] = _kept(lambda: read_all(self.content(path), path))
        found: tuple[Any, ...] = _given(self._values[key])
        return found

    def link(self, path: str) -> str:
        """Where a link points, as it is written."""
        try:
            return str((self.root / path).readlink())
        except OSError as error:
            raise _unreadable(path, error) from error


_ROOT = Place(".", Kind.FOLDER)


def _kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_symlink():
        return Kind.LINK
    if entry.is_dir(follow_symlinks=False):
        return Kind.FOLDER
    return Kind.FILE if entry.is_file(follow_symlinks=False) else Kind.OTHER


def _is_hidden(folder: str) -> bool:
    return folder.startswith(".") or folder in UNHASHED_FOLDERS


def _outside(path: str, links: list[str]) -> ManifestError:
    through = f" through the link {links[-1]}" if links else ""
    return ManifestError(
        "tree/outside-root",
        f"{path} leaves the repository{through}.",
        remedy="Refer to a file inside the repository, with a relative path.",
    )


def _endless(path: str, links: list[str]) -> ManifestError:
    return ManifestError(
        "tree/outside-root",
        f"{path} leads nowhere: the link {links[-1]} is one of more than {MOST_LINKS}, or of a loop.",
        remedy="Refer to the file itself.",
    )


def _hidden(path: str, folder: str) -> ManifestError:
    return ManifestError(
        "tree/hidden-folder",
        f"{path} is in the folder {folder}, whose name hides it from review.",
        remedy="Move what is synced to a folder whose name does not begin with a dot.",
    )


def _unreadable(path: str, error: OSError) -> UncheckableError:
    return UncheckableError(
        "tree/unreadable",
        f"This can't be read: {error.strerror or error}.",
        where=path,
        remedy="Make it readable, then run again.",
    )


class _Failure:
    """An error that belongs to a file and is raised each time the file is asked for."""

    __slots__ = ("error",)

    def __init__(self, error: GitOpsError) -> None:
        self.error = error


def _kept(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except GitOpsError as error:
        return _Failure(error)


def _given(value: Any) -> Any:
    if isinstance(value, _Failure):
        raise copy(value.error)
    return value
