"""Commits made by plumbing. Work tree, index and refs stay untouched: a kill at any moment leaves loose objects."""

import tempfile
from collections.abc import Iterable, Mapping
from os import fsencode
from pathlib import Path

from koepon_gitops.errors import RequestError, UncheckableError
from koepon_gitops.plumbing import Outcome, Plumbing


def changed_tree(git: Plumbing, parent: str, changes: Mapping[str, bytes]) -> str:
    """The id of the parent's tree with the files `changes` (full paths) in place of its own; modes are kept.

    Raises RequestError repository/not-a-file for symlinks, submodules, folders and paths git refuses.
    """
    with tempfile.TemporaryDirectory(prefix="koepon-gitops-") as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
        git.run("read-tree", parent, environment=index)
        modes = _modes(git, changes, index)
        ids = _stored(git, changes.values(), Path(folder))
        lines = (
            b"%s %s\t%s\0" % (modes[path].encode(), identity.encode(), fsencode(path))
            for path, identity in zip(changes, ids, strict=True)
        )
        outcome = git.attempt("update-index", "-z", "--index-info", stdin=b"".join(lines), environment=index)
        if outcome.status:
            raise _not_a_file(", ".join(changes), outcome.reason)
        return git.run("write-tree", environment=index).decode().strip()


def _modes(git: Plumbing, paths: Iterable[str], index: Mapping[str, str]) -> dict[str, str]:
    modes = dict.fromkeys(paths, "100644")
    for record in git.run("ls-files", "-s", "-z", "--", *modes, environment=index).split(b"\0"):
        facts, _, name = record.partition(b"\t")
        if record:
            path, mode = name.decode(errors="surrogateescape"), facts[:6].decode()
            if path not in modes or mode not in {"100644", "100755"}:
                raise _not_a_file(path, "something else of that name is there")
            modes[path] = mode
    return modes


def _not_a_file(path: str, why: str) -> RequestError:
    remedy = "Name a regular file of the repository."
    return RequestError("repository/not-a-file", f"No file can be written there: {why}.", where=path, remedy=remedy)


def _stored(git: Plumbing, contents: Iterable[bytes], folder: Path) -> list[str]:
    files = []
    for number, content in enumerate(contents):
        files.append(folder / str(number))
        files[-1].write_bytes(content)
    names = "".join(f"{file}\n" for file in files).encode()
    return git.run("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=names).decode().split()


def commit_tree(git: Plumbing, tree: str, parent: str, message: str) -> str:
    """The id of a new commit. Author and committer are those of git's configuration.

    Raises RequestError repository/{no-identity,invalid-message}.
    """
    if "\0" in message or not message.strip():
        raise RequestError("repository/invalid-message", "A commit message is text, and not empty.")
    outcome = git.attempt("commit-tree", tree, "-p", parent, "-F", "-", stdin=message.encode(errors="replace"))
    if outcome.status:
        raise _not_committed(outcome)
    return outcome.output.decode().strip()


def _not_committed(outcome: Outcome) -> RequestError | UncheckableError:
    if any(word in outcome.errors for word in ("tell me who you are", "ident name", "auto-detection", "identity")):
        return RequestError(
            "repository/no-identity",
            "git does not know who commits.",
            remedy='Run `git config user.name "Your Name"` and `git config user.email you@example.com`.',
        )
    return UncheckableError("repository/git-failed", f"The commit can't be made: {outcome.reason}.")
