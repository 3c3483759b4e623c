"""The git repository around a folder. Reading has no side effect; writing makes objects, and one push moves one branch.

Revisions and paths come from people and pull requests: none is taken for an option, and paths are names, not patterns.
Paths are relative to the root, which may be a folder inside the repository.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from os import fsdecode, fsencode
from pathlib import Path
from typing import Self

from koepon_gitops import commits, harmless, remotes, trees
from koepon_gitops.errors import RequestError
from koepon_gitops.log import Commit, log
from koepon_gitops.plumbing import Outcome, Plumbing


class Repository:
    """One repository. Every method may raise UncheckableError repository/git-failed when git itself fails."""

    def __init__(self, root: Path, git: Plumbing, prefix: str, common: Path, *, is_shallow: bool) -> None:
        self.root = root
        """The folder all paths are relative to."""
        self.is_shallow = is_shallow
        """Whether old commits are missing, as in `git clone --depth`."""
        self._git, self._prefix, self._common = git, prefix, common

    @classmethod
    def open(cls, root: Path) -> Self:
        """The repository that holds the folder `root`.

        Raises RequestError repository/{not-found,git-missing,unsafe}.
        """
        if not root.is_dir():
            raise _not_found(root)
        question = ("--show-toplevel", "--git-common-dir", "--is-shallow-repository", "--show-prefix")
        outcome = Plumbing(root).attempt("rev-parse", *question)
        if outcome.status:
            raise _not_opened(root, outcome)
        top, common, shallow, prefix = fsdecode(outcome.output).split("\n")[:4]
        return cls(root, Plumbing(Path(top)), prefix, root / common, is_shallow=shallow == "true")

    def remotes(self) -> tuple[str, ...]:
        """Every URL of every remote, as configured and as `insteadOf` rewrites it."""
        return remotes.urls(self._git)

    @cached_property
    def remote(self) -> str:
        """The name of the remote to push to: the branch's upstream, else `origin`, else the only one.

        Raises RequestError repository/no-remote.
        """
        return remotes.chosen(self._git)

    def resolve(self, revision: str) -> str:
        """The commit that `revision` names, as 40 hex digits.

        Raises RequestError repository/{unknown-revision,unborn}.
        """
        return self._object(revision, "commit")

    def tree(self, revision: str) -> str:
        """The id of the tree of a commit, or of a tree's own id. Raises RequestError as `resolve` does."""
        return self._object(revision, "tree")

    def _object(self, revision: str, kind: str) -> str:
        if revision.startswith("-") or not revision.isprintable() or not revision:
            raise RequestError(
                "repository/unknown-revision",
                f"{harmless.exact(revision)!r} is not a revision: it is empty, begins with `-` or does not print.",
                remedy="Name a commit, a branch or a tag.",
            )
        outcome = self._git.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{{kind}}}")
        found = outcome.output.decode(errors="replace").strip()
        if outcome.status or not _ID.fullmatch(found):
            raise self._unknown(revision)
        return found

    def _unknown(self, revision: str) -> RequestError:
        if self._git.attempt("rev-parse", "--verify", "--quiet", "HEAD").status:
            branch = harmless.exact(remotes.current_branch(self._git))
            what = f"The branch {branch} has no commit yet."
            return RequestError("repository/unborn", what, remedy="Commit something first.")
        fetch = "git fetch --unshallow" if self.is_shallow else "git fetch"
        return RequestError(
            "repository/unknown-revision",
            f"{harmless.exact(revision)!r} names no commit of this repository.",
            remedy=f"If it is new, run `{fetch}` first.",
        )

    def export(self, revision: str, folder: Path) -> None:
        """Write the files of a commit (or tree id) below `folder`, byte for byte: no filter, attribute or hook.

        Symlinks are written as symlinks, submodules as empty folders.
        Raises ManifestError repository/hostile-path, UncheckableError repository/unwritable.
        """
        trees.export(self._git, self._subtree(revision), folder)

    def _subtree(self, revision: str) -> str:
        tree = self.tree(revision)
        if not self._prefix:
            return tree
        folder = self._prefix.removesuffix("/")
        outcome = self._git.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", f"{tree}:{folder}")
        if outcome.status:
            raise _no_such_file(revision, folder)
        return outcome.output.decode().strip()

    def read(self, revision: str, path: str) -> bytes:
        """The content of one file of a commit (or tree id). Raises RequestError repository/unknown-path."""
        name = f"{self.tree(revision)}:{self._inside(path)}"
        outcome = self._git.attempt("cat-file", "blob", name)
        if outcome.status:
            raise _no_such_file(revision, path)
        return outcome.output

    def blobs(self, ids: Iterable[str]) -> Mapping[str, bytes]:
        """The contents of blobs by their ids, in one run of git."""
        return trees.blobs(self._git, ids)

    def changed_files(self, since: str, until: str | None) -> tuple[str, ...]:
        """What a pull request changes: files that differ between `until` and its merge base with `since`; sorted.

        `until` None is the work tree: staged, unstaged, and untracked unless ignored. A rename is both names. Bytes
        are compared. Raises RequestError repository/{unknown-revision,unborn,unrelated}.
        """
        base = self._merge_base(self.resolve(since), self.resolve(until or "HEAD"))
        if until is not None:
            difference = ("diff-tree", "-r", "-z", "--no-renames", "--name-only", base, self.resolve(until))
            found = {fsdecode(path) for path in self._git.run(*difference).split(b"\0") if path}
        else:
            found = self._differing(base)
        return tuple(sorted(path.removeprefix(self._prefix) for path in found if path.startswith(self._prefix)))

    def _merge_base(self, one: str, other: str) -> str:
        outcome = self._git.attempt("merge-base", one, other)
        if outcome.status:
            remedy = "Run `git fetch --unshallow`." if self.is_shallow else "Name a commit of the same history."
            why = f"The commits {one[:12]} and {other[:12]} have no common ancestor here."
            raise RequestError("repository/unrelated", why, remedy=remedy)
        return outcome.output.decode().strip()

    def _differing(self, base: str) -> set[str]:
        """Files of the work tree that differ from `base`. git names the candidates by their dates; we compare bytes."""
        raw = self._git.run(*self._no_filters(), "diff-index", *_RAW, "--ignore-submodules", base)
        fields = fsdecode(raw).split("\0")
        found = {
            path
            for facts, path in zip(fields[::2], fields[1::2], strict=False)
            if not self._is_same(path, *facts.split(" "))
        }
        others = self._git.run("ls-files", "-z", "--others", "--exclude-standard")
        return found | {fsdecode(path) for path in others.split(b"\0") if path}

    def _no_filters(self) -> list[str]:
        """Options that switch off the clean filters of the user's configuration, which attributes in the tree call."""
        pattern = r"^filter\..*\.(clean|process|required)$"
        names = self._git.attempt("config", "-z", "--name-only", "--get-regexp", pattern).output.decode().split("\0")
        return [word for name in names if name for word in ("-c", f"{name}=")]

    def _is_same(self, path: str, old_mode: str, new_mode: str, old: str, _new: str, status: str) -> bool:
        if status != "M" or old_mode != f":{new_mode}":
            return False
        file = self._git.folder / path
        try:
            content = fsencode(file.readlink()) if file.is_symlink() else file.read_bytes()
        except OSError:
            return False
        header = b"blob %d\0" % len(content)
        return hashlib.sha1(header + content, usedforsecurity=False).hexdigest() == old

    def fetch(self, branch: str) -> str:
        """The tip of the remote's branch, its objects brought here. No ref, tag or FETCH_HEAD changes.

        Raises RequestError repository/{no-remote,unreachable,no-branch,invalid-branch}.
        """
        return remotes.fetch(self._git, self.remote, branch)

    def changed_tree(self, parent: str, changes: Mapping[str, bytes]) -> str:
        """The id of the parent's tree with the files `changes` in place of its own; file modes are kept.

        Raises RequestError repository/not-a-file for symlinks, submodules, folders and paths out of the root.
        """
        inside = {self._inside(path): content for path, content in changes.items()}
        return commits.changed_tree(self._git, self.resolve(parent), inside)

    def commit(self, parent: str, changes: Mapping[str, bytes], message: str) -> str:
        """The id of a new commit on top of `parent`. Work tree, index and refs stay as they are.

        Raises RequestError repository/{no-identity,not-a-file,invalid-message}.
        """
        return commits.commit_tree(self._git, self.changed_tree(parent, changes), self.resolve(parent), message)

    def push(self, commit: str, branch: str, expected: str) -> None:
        """Make `commit` the tip of the remote's branch if `expected` still is, and stands below it.

        Raises PushRaceError when the branch has moved; RequestError
        repository/{refused,unreachable,no-remote,not-a-fast-forward,invalid-branch}.
        """
        remotes.push(self._git, self.remote, self.resolve(commit), branch, self.resolve(expected))

    def advance_local(self, branch: str, commit: str) -> bool:
        """Fast-forward the local branch, and the work tree if it is checked out, as `git merge --ff-only` would.

        False when it was left alone: detached HEAD, own commits, a dirty file that would change, no such branch.
        """
        return remotes.advance(self._git, branch, self.resolve(commit))

    def log(
        self,
        tip: str | Sequence[str],
        paths: Iterable[str] = (),
        *,
        first_parent: bool = False,
        grep: Sequence[str] = (),
        walk: bool = True,
    ) -> tuple[Commit, ...]:
        """The commits below `tip` that changed any of `paths` (none: all), no parent before its children.

        `grep` keeps those whose message has a line that matches one of the extended regular expressions, in any case.
        Without `walk`, `tip` is the commits themselves, and those missing here are left out.
        """
        tips = [tip] if isinstance(tip, str) else list(tip)
        known = [self.resolve(each) for each in tips] if walk else self._present(tips)
        inside = [self._inside(path) for path in paths]
        if not known:
            return ()
        found = log(self._git, known, inside, first_parent=first_parent, grep=grep, walk=walk)
        return tuple(each.relative_to(self._prefix) for each in found) if self._prefix else found

    def _present(self, ids: Sequence[str]) -> list[str]:
        names = "".join(f"{each}^{{commit}}\n" for each in ids if _ID.fullmatch(each))
        answers = self._git.run("cat-file", "--batch-check=%(objectname)", stdin=names.encode()).decode()
        return [line for line in answers.splitlines() if _ID.fullmatch(line)]

    def first_parents(self, tip: str) -> tuple[str, ...]:
        """The commits of the branch itself, newest first: what was merged into it is left out."""
        return self._listed(tip, "--first-parent")

    def roots(self, tip: str) -> tuple[str, ...]:
        """The commits below `tip` that have no parent here."""
        return self._listed(tip, "--max-parents=0")

    def _listed(self, tip: str, option: str) -> tuple[str, ...]:
        return tuple(self._git.run("rev-list", option, self.resolve(tip)).decode().split())

    def boundary(self) -> frozenset[str]:
        """The commits at which a shallow clone ends: their parents exist, but not here."""
        file = self._common / "shallow"
        return frozenset(file.read_text("ascii").split()) if self.is_shallow and file.is_file() else frozenset()

    def _inside(self, path: str) -> str:
        if not all(map(trees.is_harmless, path.split("/"))) or "\0" in path:
            raise RequestError(
                "repository/not-a-file",
                "That is not the path of a file in the repository.",
                where=harmless.exact(path),
                remedy="Name it relative to the root, without `.` and `..`.",
            )
        return self._prefix + path


_ID = re.compile("[0-9a-f]{40}")
_RAW = ("-z", "--raw", "--no-abbrev", "--no-renames")


def _no_such_file(revision: str, path: str) -> RequestError:
    what, where = f"{harmless.exact(revision)} has no such file.", harmless.exact(path)
    return RequestError("repository/unknown-path", what, where=where, remedy="Check the path and the commit.")


def _not_found(root: Path) -> RequestError:
    remedy = "Change to a clone, or name one with --root."
    return RequestError("repository/not-found", "This is not in a git repository.", where=str(root), remedy=remedy)


def _not_opened(root: Path, outcome: Outcome) -> RequestError:
    if "not a git repository" in outcome.errors:
        return _not_found(root)
    return RequestError(
        "repository/unsafe",
        f"git refuses to work here: {outcome.reason.rstrip('.')}.",
        where=str(root),
        remedy="Look at who owns the folder. If you trust it: git config --global --add safe.directory DIR.",
    )
