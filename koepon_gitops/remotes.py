"""What goes over the wire: a branch's tip comes in, a commit goes out, and never over somebody else's commit."""

import re

from koepon_gitops import harmless
from koepon_gitops.errors import PushRaceError, RequestError
from koepon_gitops.plumbing import Outcome, Plumbing


def urls(git: Plumbing) -> tuple[str, ...]:
    """Every URL of every remote, as configured and as `insteadOf` rewrites it; sorted."""
    configured = git.attempt("config", "-z", "--get-regexp", r"^remote\..*\.(push)?url$").output
    found = {record.partition("\n")[2] for record in configured.decode(errors="replace").split("\0")}
    for line in git.run("remote", "-v").decode(errors="replace").splitlines():
        found.add(line.partition("\t")[2].rpartition(" (")[0])
    return tuple(sorted(found - {""}))


def chosen(git: Plumbing) -> str:
    """The name of the remote to push to: the current branch's upstream, else `origin`, else the only one.

    Raises RequestError repository/no-remote.
    """
    names = git.run("remote").decode().split()
    if not names:
        raise RequestError(
            "repository/no-remote",
            "The repository has no remote to push to.",
            remedy="Add one: git remote add origin URL.",
        )
    branch = current_branch(git)
    upstream = git.attempt("config", f"branch.{branch}.remote").output.decode().strip() if branch else ""
    if name := next((each for each in (upstream, "origin") if each in names), names[0] if len(names) == 1 else ""):
        return name
    raise RequestError(
        "repository/no-remote",
        f"None of the remotes {', '.join(names)} is the one to push to.",
        remedy="Choose one: git branch --set-upstream-to REMOTE/BRANCH.",
    )


def current_branch(git: Plumbing) -> str:
    """The branch that is checked out; empty when HEAD is detached."""
    reference = git.attempt("symbolic-ref", "--quiet", "HEAD").output.decode(errors="surrogateescape").strip()
    return reference.removeprefix("refs/heads/")


def reference(git: Plumbing, branch: str) -> str:
    """`refs/heads/<branch>`. Raises RequestError repository/invalid-branch when git allows no such name."""
    full = f"refs/heads/{branch}"
    if "\0" in branch or branch.startswith("-") or git.attempt("check-ref-format", full).status:
        shown = harmless.exact(branch)
        raise RequestError("repository/invalid-branch", f"No branch can be named {shown!r}.", remedy="Name another.")
    return full


def fetch(git: Plumbing, remote: str, branch: str) -> str:
    """The tip of the remote's branch, its objects brought here. No ref, tag or FETCH_HEAD changes.

    Raises RequestError repository/{unreachable,no-branch,invalid-branch}.
    """
    full = reference(git, branch)
    for _attempt in range(3):
        tip = _advertised(git, remote, full)
        if _is_complete(git, tip):
            return tip
        outcome = git.attempt("fetch", "--quiet", *_OBJECTS_ONLY, "--", remote, full)
        if outcome.status:
            raise _unreachable(remote, outcome)
        if _is_complete(git, tip):
            return tip
    raise RequestError(
        "repository/unreachable",
        f"The branch {branch} of {remote} is rewritten faster than it can be fetched.",
        remedy="Try again when nobody force-pushes.",
    )


_OBJECTS_ONLY = (
    "--no-tags",
    "--no-prune",
    "--no-write-fetch-head",
    "--refmap=",
    "--no-recurse-submodules",
    "--no-write-commit-graph",
)


def _advertised(git: Plumbing, remote: str, full: str) -> str:
    outcome = git.attempt("ls-remote", "--", remote, full)
    if outcome.status:
        raise _unreachable(remote, outcome)
    for line in outcome.output.decode(errors="replace").splitlines():
        tip, _, name = line.partition("\t")
        if name == full:
            return tip
    raise RequestError(
        "repository/no-branch",
        f"The remote {remote} has no branch {full.removeprefix('refs/heads/')}.",
        remedy="Push it once by hand, or name the branch in [tool.koepon_gitops] of pyproject.toml.",
    )


def _is_complete(git: Plumbing, tip: str) -> bool:
    """Whether the commit and all it stands on are here: what `git fetch` asks itself before it asks the remote."""
    question = ("rev-list", "--objects", "--quiet", "--stdin", "--not", "--all")
    return git.attempt(*question, stdin=f"{tip}\n".encode()).status == 0


def _unreachable(remote: str, outcome: Outcome, rider: str = "") -> RequestError:
    return RequestError(
        "repository/unreachable",
        f"The remote {remote} can't be reached: {outcome.reason.rstrip('.')}.{rider}",
        remedy=f"See what `git ls-remote {remote}` says: the network, the URL or the credentials.",
    )


def push(git: Plumbing, remote: str, commit: str, branch: str, expected: str) -> None:
    """Make `commit` the tip of the remote's branch if `expected` still is, and stands below it.

    Raises PushRaceError when the branch has moved, RequestError repository/{refused,unreachable,not-a-fast-forward}.
    """
    full = reference(git, branch)
    if git.attempt("merge-base", "--is-ancestor", expected, commit).status:
        why = f"Commit {commit[:12]} does not stand on {expected[:12]}; pushing it would drop commits."
        raise RequestError("repository/not-a-fast-forward", why, remedy="Fetch, and make the commit anew.")
    lease = f"--force-with-lease={full}:{expected}"
    arguments = ("push", "--porcelain", "--no-verify", lease, "--", remote, f"{commit}:{full}")
    outcome = git.attempt(*arguments, detached=_is_folder(git, remote))
    if outcome.status:
        _explain(git, remote, outcome, commit, full)


def _is_folder(git: Plumbing, remote: str) -> bool:
    """Whether the remote is a folder here. Its side of the push then runs as our child, and killed would leave locks.

    Over a network the push stays in the foreground: ssh may have to ask for a passphrase.
    """
    url = git.attempt("remote", "get-url", "--push", "--", remote).output.decode(errors="replace").strip()
    return url.startswith(("/", ".", "file://"))


def _explain(git: Plumbing, remote: str, outcome: Outcome, commit: str, full: str) -> None:
    """Raise what a failed push means; return when the commit has arrived although the connection broke."""
    status = _REJECTED.search(outcome.output.decode(errors="replace"))
    if not status or status["kind"] == "remote failure":
        rider = " Whether the commit has arrived is not known."
        landed = git.attempt("ls-remote", "--", remote, full)
        if landed.status == 0:
            if landed.output.startswith(commit.encode()):
                return
            rider = ""
        raise _unreachable(remote, outcome, rider)
    branch, reason = full.removeprefix("refs/heads/"), harmless.sentence(status["reason"])
    if status["kind"] == "rejected" or _RACE.search(status["reason"]):
        raise PushRaceError(
            "repository/race",
            f"The branch {branch} of {remote} has moved meanwhile ({reason}).",
            remedy="Nothing was pushed. Try again.",
        )
    said = [line.removeprefix("remote:").strip() for line in outcome.errors.splitlines() if line.startswith("remote:")]
    words = harmless.sentence(" ".join(said)).rstrip(".")
    raise RequestError(
        "repository/refused",
        f"The remote {remote} refuses the push to {branch} ({reason}){': ' if words else ''}{words}.",
        remedy="Nothing was pushed. Ask for the right to push to that branch, or go through a pull request.",
    )


_REJECTED = re.compile(
    r"^!\t[^\t\n]*\t\[(?P<kind>rejected|remote rejected|remote failure)\] \(?(?P<reason>.*?)\)?$", re.M
)
_RACE = re.compile(
    "failed to update ref|cannot lock ref|failed to lock|incorrect old value|stale info|fetch first", re.I
)


def advance(git: Plumbing, branch: str, commit: str) -> bool:
    """Fast-forward the local branch to `commit` as `git merge --ff-only` would; False when it was left alone.

    Left alone: HEAD is detached, the branch is not there or has commits of its own, is checked out in another work
    tree, or a file that would change is dirty.
    """
    current = current_branch(git)
    facts = git.attempt("for-each-ref", "--format=%(objectname) %(worktreepath)", reference(git, branch))
    old, _, checked_out = facts.output.decode(errors="replace").strip().partition(" ")
    if not current or not old or git.attempt("merge-base", "--is-ancestor", old, commit).status:
        return False
    if current == branch:
        # In a session of its own: killed half-way it would leave an index.lock behind.
        merge = ("merge", "--ff-only", "--quiet", "--no-stat", "--no-autostash", commit)
        return git.attempt(*merge, detached=True).status == 0
    if checked_out:
        return False
    update = ("update-ref", "-m", "koepon-gitops: fast-forward", reference(git, branch), commit, old)
    return git.attempt(*update, detached=True).status == 0
