"""A content-addressed store on disk: results of pure functions, keyed by everything they depend on."""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from koepon_gitops.configuration import cache_directory


def key(*parts: str | bytes) -> str:
    """Hex sha-256 over the parts, each preceded by its length, so that no two lists of parts collide."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


class Cache:
    """One room of the store, such as `renders`. A cache that can't be written is slow, never wrong."""

    def __init__(self, room: str, *, enabled: bool = True) -> None:
        self.directory = cache_directory() / room
        self.enabled = enabled

    def get(self, name: str) -> bytes | None:
        """The stored bytes, or None."""
        if not self.enabled:
            return None
        with suppress(OSError):
            return self._file(name).read_bytes()
        return None

    def put(self, name: str, data: bytes) -> None:
        """Store by atomic rename: a reader sees all of it or nothing."""
        if not self.enabled:
            return
        with suppress(OSError):
            file = self._file(name)
            file.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=file.parent)
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(data)
                Path(temporary).replace(file)
            except BaseException:
                Path(temporary).unlink()
                raise

    def _file(self, name: str) -> Path:
        return self.directory / name[:2] / name
