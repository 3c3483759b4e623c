"""The commits of a history with their messages and the blobs they changed, read in one run of git."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from koepon_gitops.model import Value
from koepon_gitops.plumbing import Plumbing


class Change(Value):
    """One file that a commit changed against its first parent: blob ids before and after, empty where there is none."""

    path: str
    old: str
    new: str


class Commit(Value):
    """One commit. `time` is the committer's, in UTC; what is not UTF-8 in names and message is replaced by U+FFFD."""

    id: str
    parents: tuple[str, ...]
    time: datetime
    author: str
    message: str
    changes: tuple[Change, ...] = ()

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.strip().partition("\n")[0]

    def relative_to(self, prefix: str) -> "Commit":
        """The same with only the changes below `prefix` (ends with `/`), their paths relative to it."""
        changes = (
            each.model_copy(update={"path": each.path.removeprefix(prefix)})
            for each in self.changes
            if each.path.startswith(prefix)
        )
        return self.model_copy(update={"changes": tuple(changes)})


def log(
    git: Plumbing,
    revisions: Sequence[str],
    paths: Sequence[str],
    *,
    first_parent: bool,
    grep: Sequence[str],
    walk: bool,
) -> tuple[Commit, ...]:
    """See `Repository.log`. Everything given is a full path or an object id."""
    options = [
        *(["--first-parent"] if first_parent else []),
        *([] if walk else ["--no-walk=unsorted"]),
        *(["--extended-regexp", "--regexp-ignore-case"] if grep else []),
        *(f"--grep={pattern}" for pattern in grep),
    ]
    # %x00 ends each field: the one byte that neither a name nor a message can hold.
    output = git.run("log", *options, *_FORMAT, *revisions, "--", *paths)
    return tuple(_commits(output.decode(errors="replace").split("\0")))


_FORMAT = (
    "-z",
    "--topo-order",
    "--raw",
    "--no-abbrev",
    "--no-renames",
    "--diff-merges=first-parent",
    "--no-notes",
    "--no-decorate",
    "--no-color",
    "--format=tformat:%H%x00%P%x00%ct%x00%an%x00%B%x00",
)


def _commits(fields: Sequence[str]) -> Iterator[Commit]:
    at = 0
    while at + 5 <= len(fields):
        identity, parents, seconds, author, message = fields[at : at + 5]
        at += 5
        changes = []
        while at < len(fields) and not _is_id(fields[at]):
            if fields[at].lstrip("\n").startswith(":"):
                changes.append(_change(fields[at], fields[at + 1]))
                at += 1
            at += 1
        yield Commit(
            id=identity,
            parents=tuple(parents.split()),
            time=datetime.fromtimestamp(int(seconds), UTC),
            author=author,
            message=message,
            changes=tuple(changes),
        )


def _is_id(field: str) -> bool:
    return len(field) == 40 and field[0] != ":"


def _change(facts: str, path: str) -> Change:
    _modes, _mode, old, new, _status = facts.split(" ")
    return Change(path=path, old=old.strip("0") and old, new=new.strip("0") and new)
