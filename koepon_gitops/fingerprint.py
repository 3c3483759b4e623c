"""The digest of a folder: equal exactly when names, bytes and links below it are equal."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


def of(folder: Path) -> str:
    """Hex digest over every file below `folder` that is not in a hidden folder or a Python cache.

    Nothing that is rendered lives in those: `prescan` refuses references into hidden folders.
    """
    digest = hashlib.blake2b(digest_size=32)
    for name, path in sorted(_files(str(folder))):
        link = os.path.islink(path)
        content = os.fsencode(os.readlink(path)) if link else _bytes(path)
        digest.update(f"{name}\0{'link' if link else 'file'}\0{len(content)}\0".encode(errors="surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def _files(folder: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_symlink() or entry.is_file(follow_symlinks=False):
                yield name, entry.path
            elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".") and entry.name != "__pycache__":
                yield from _files(entry.path, f"{name}/")


def _bytes(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()
