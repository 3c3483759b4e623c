"""A commit's tree as files, byte for byte: no attribute, filter or hook has a say, no name leads out of the folder."""

from collections.abc import Iterable, Iterator, Mapping
from os import fsdecode
from pathlib import Path
from typing import NamedTuple

from koepon_gitops import harmless
from koepon_gitops.errors import ManifestError, UncheckableError
from koepon_gitops.plumbing import Plumbing


class Entry(NamedTuple):
    """One file of a tree: `mode` is 100644, 100755, 120000 (symlink) or 160000 (submodule)."""

    mode: str
    id: str
    path: str


def entries(git: Plumbing, tree: str) -> tuple[Entry, ...]:
    """Every file under the tree object `tree`, in git's order. Raises ManifestError repository/hostile-path."""
    listed = git.run("ls-tree", "-r", "-z", "--full-tree", tree)
    return tuple(_entry(record) for record in listed.split(b"\0") if record)


def _entry(record: bytes) -> Entry:
    facts, _, path = record.partition(b"\t")
    mode, _, identity = facts.decode("ascii").split(" ")
    entry = Entry(mode, identity, fsdecode(path))
    if not all(map(is_harmless, entry.path.split("/"))):
        raise ManifestError(
            "repository/hostile-path",
            "The commit holds a path that no file may have: it would be written outside its folder or into `.git`.",
            where=harmless.exact(entry.path),
            remedy="No honest tool makes such a commit. Do not merge it.",
        )
    return entry


def is_harmless(name: str) -> bool:
    """Whether one part of a path is a plain name: not empty, `.`, `..`, nor `.git` as any file system spells it."""
    plain = "".join(each for each in name.lower() if each.isprintable()).rstrip(". ")
    return bool(plain) and plain not in {".git", "git~1"} and not plain.startswith(".git:")


def blobs(git: Plumbing, ids: Iterable[str]) -> Mapping[str, bytes]:
    """The content of every blob named, by its id, in one run of git."""
    wanted = tuple(dict.fromkeys(ids))
    output = git.run("cat-file", "--batch", stdin="".join(f"{each}\n" for each in wanted).encode()) if wanted else b""
    return dict(zip(wanted, _contents(output), strict=True))


def _contents(output: bytes) -> Iterator[bytes]:
    """`<id> blob <size>\\n<content>\\n`, again and again; `<id> missing` where there is no such object."""
    start = 0
    while start < len(output):
        end = output.index(b"\n", start)
        header = output[start:end].split(b" ")
        if len(header) != 3:
            raise UncheckableError(
                "repository/object-missing",
                f"The repository lacks the object {header[0].decode(errors='replace')}.",
                remedy="Run `git fsck`, or clone it again.",
            )
        start = end + 1 + int(header[2])
        yield output[end + 1 : start]
        start += 1


def export(git: Plumbing, tree: str, folder: Path) -> None:
    """Write the tree's files below `folder`: symlinks as symlinks, submodules as empty folders.

    Raises ManifestError repository/hostile-path before anything is written, UncheckableError repository/unwritable.
    """
    found = entries(git, tree)
    contents = blobs(git, (each.id for each in found if each.mode != _SUBMODULE))
    try:
        _write(found, contents, folder)
    except (OSError, ValueError) as error:
        raise UncheckableError(
            "repository/unwritable",
            f"The commit can't be written as files: {harmless.sentence(str(error))}.",
            where=str(folder),
            remedy="Check the disk, and whether the tree names one path twice.",
        ) from error


_SYMLINK, _SUBMODULE, _EXECUTABLE = "120000", "160000", "100755"


def _write(found: Iterable[Entry], contents: Mapping[str, bytes], folder: Path) -> None:
    """Symlinks come last and nothing is overwritten, so that no file is written through a symlink of the same tree."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {folder}
    symlinks = []
    for entry in found:
        file = folder / entry.path
        parent = file if entry.mode == _SUBMODULE else file.parent
        if parent not in known:
            parent.mkdir(parents=True, exist_ok=True)
            known.add(parent)
        if entry.mode == _SYMLINK:
            symlinks.append((file, contents[entry.id]))
        elif entry.mode != _SUBMODULE:
            with file.open("xb") as stream:
                stream.write(contents[entry.id])
            if entry.mode == _EXECUTABLE:
                file.chmod(0o755)
    for file, target in symlinks:
        file.symlink_to(fsdecode(target))
