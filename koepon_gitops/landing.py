"""From a proven change to the remote branch: one commit, pushed by compare-and-swap, tried anew after a race."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from koepon_gitops.errors import ManifestError, PushRaceError, RequestError
from koepon_gitops.model import Value
from koepon_gitops.repository import Repository

ATTEMPTS = 30
"""How often a push is tried: ten promoters that race need ten, and each has luck of its own."""
LONGEST_PAUSE = 3.0
"""Seconds between two attempts, at most; the pause is random so that those who collided do not collide again."""


@contextmanager
def served() -> Iterator[None]:
    """What is wrong with the tree is a finding to `validate`; here it means that the request can't be served."""
    try:
        yield
    except ManifestError as error:
        raise RequestError(error.rule, error.what, where=error.where, remedy=error.remedy) from error


class Outcome(Value):
    """What `promote` or `rollback` did, in words; `commit` is empty when nothing was pushed."""

    text: str
    exit_code: int = 0
    commit: str = ""

    def __str__(self) -> str:
        return self.text


class Proposal(Value):
    """A change that has been proven on top of one commit: new contents by path, and the commit's message."""

    changes: Mapping[str, bytes]
    message: str
    text: str
    """What to say once it has landed; `{commit}` and `{place}` are filled in."""


def land(
    repository: Repository,
    branch: str,
    propose: Callable[[str], Proposal | Outcome],
    pause: Callable[[float], None],
) -> Outcome:
    """Propose on the remote's tip, commit, push; when the branch has moved meanwhile, begin again.

    An Outcome in place of a Proposal ends it: there is nothing to push. Raises RequestError landing/raced after
    ATTEMPTS races, and what `propose` and the push raise. Until the push succeeds
    nothing but unreachable objects is written.
    """
    for attempt in range(ATTEMPTS):
        tip = repository.fetch(branch)
        with served():
            proposal = propose(tip)
        if isinstance(proposal, Outcome):
            return proposal
        commit = repository.commit(tip, proposal.changes, proposal.message)
        try:
            repository.push(commit, branch, tip)
        except PushRaceError:
            pause(random.uniform(0, min(LONGEST_PAUSE, 0.05 * 2**attempt)))  # noqa: S311 - jitter is no secret
            continue
        place = f"{branch} of {repository.remote}"
        if not repository.advance_local(branch, commit):
            place += "; this clone was left alone, `git pull` brings it"
        text = proposal.text.replace("{commit}", commit).replace("{place}", place)
        return Outcome(text=text, commit=commit)
    raise RequestError(
        "landing/raced",
        f"{branch} moved {ATTEMPTS} times while this was pushed, and nothing was pushed.",
        remedy="Try again when the others have finished.",
    )
