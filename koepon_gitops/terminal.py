"""Between the commands and the outside: the folder they run in, the progress they show, the file they write."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from koepon_gitops.errors import RequestError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

type Step = Callable[[str, int, int], None]
"""Told of progress: what is being done, how many are done, of how many."""


def repository_root() -> Path:
    """The nearest folder at or above this one that holds `.git`. Raises RequestError when there is none.

    Looked for without running git: git would refuse a folder of another owner, and costs 5 ms.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".git").exists():
            return folder
    raise RequestError(
        "repository/not-found",
        "This folder is not in a git repository.",
        where=str(here),
        remedy="Change to one, or name a folder with --root.",
    )


def is_colourful() -> bool:
    """Whether stdout is a terminal whose user has not asked for plain text (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@contextmanager
def progress() -> Iterator[Step]:
    """A step function that draws bars on a terminal's stderr, and does nothing elsewhere. The bars leave no trace."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    bars = _Bars()
    try:
        yield bars.step
    finally:
        bars.close()


class _Bars:
    """A bar per kind of step. rich is imported by the first step: a run answered from the cache has none."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def step(self, what: str, done: int, total: int) -> None:
        if self._progress is None:
            from rich.console import Console  # noqa: PLC0415 - 70 ms
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

            what_column = TextColumn("{task.description}", markup=False)
            columns = (what_column, BarColumn(), MofNCompleteColumn())
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._progress.start()
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def write(text: str, file: Path) -> None:
    """Write all of the text or nothing: a reader never sees half a report. Raises RequestError when it can't be."""
    target = file.resolve()
    data = text.encode(errors="backslashreplace")
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        temporary.write_bytes(data)
        temporary.replace(target)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise RequestError(
            "output/not-written",
            f"The report can't be written: {error.strerror}.",
            where=str(file),
            remedy="Name a file in a folder that exists and can be written.",
        ) from error
