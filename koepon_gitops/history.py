"""git is the database: which image ran when, and which may not run again, read from commits and their trailers."""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import NamedTuple

from koepon_gitops import messages
from koepon_gitops.errors import RequestError
from koepon_gitops.log import Change, Commit
from koepon_gitops.model import Image, Value
from koepon_gitops.pins import images
from koepon_gitops.prescan import NAMES
from koepon_gitops.repository import Repository


class Action(StrEnum):
    """How an image came to run: by our two commands, by a hand-made `git revert`, or by any other commit."""

    PROMOTION = "promotion"
    ROLLBACK = "rollback"
    REVERT = "revert"
    EDIT = "edit"


class Deployment(Value):
    """A commit from which on an environment ran another image. `time` is the committer's, in UTC."""

    commit: str
    time: datetime
    image: Image
    action: Action
    reverts: str = ""
    """The commit it undoes: 40 hex digits."""
    quarantined: str = ""
    """The tag that may not run again because of this commit."""
    author: str
    subject: str


class Quarantine(Value):
    """A tag that may not be promoted: since which commit, and why in that commit's words."""

    tag: str
    reason: str
    commit: str
    time: datetime


def timeline(repository: Repository, tip: str, file: str, image_name: str) -> tuple[Deployment, ...]:
    """What ran in the environment of the kustomization `file`, newest first: each change of the tag or digest of the
    `images:` entry named `image_name`.

    Along first parents: a merged pull request is one commit, its merge. The file may have had any of the names
    kustomize accepts. Commits at which it can't be read or pins nothing are passed over.
    Raises RequestError history/shallow when the clone is too shallow to tell.
    """
    folder = PurePosixPath(file).parent
    names = dict.fromkeys((file, *(str(folder / name) for name in NAMES)))
    commits = repository.log(tip, names, first_parent=True)
    _check_depth(repository, (commit.id for commit in commits))
    pinned = _pinned(repository, (change for commit in commits for change in commit.changes))
    found: list[Deployment] = []
    current: dict[str, str] = {}
    for commit in reversed(commits):
        current |= {change.path: change.new for change in commit.changes}
        blob = next((blob for blob in current.values() if blob), "")
        image = pinned[blob].get(image_name) if blob else None
        if image and _pin(image) != ("", "") and (not found or _pin(image) != _pin(found[-1].image)):
            found.append(_deployment(commit, image, found))
    return tuple(reversed(found))


def lineage(line: Sequence[Deployment]) -> tuple[Deployment, ...]:
    """The deployments that led to what runs now, newest first, out of a timeline.

    An image stands where it first ran: whoever goes back to it, by whatever kind of commit, leaves all that first ran
    later. So nothing in it is newer than what runs now.
    """
    found: list[Deployment] = []
    first: dict[tuple[str, str], int] = {}
    for each in reversed(line):
        place = first.setdefault(_pin(each.image), len(first))
        while found and first[_pin(found[-1].image)] > place:
            found.pop()
        if not found or first[_pin(found[-1].image)] < place:
            found.append(each)
    return tuple(reversed(found))


def _pin(image: Image) -> tuple[str, str]:
    return image.tag, image.digest


def _deployment(commit: Commit, image: Image, earlier: Sequence[Deployment]) -> Deployment:
    given = _lowered(commit.message)
    undone = next(iter(messages.reverted(commit.message)), "")
    action = _action(given, undone)
    quarantined = given.get("koepon-quarantine", "")
    if action is Action.REVERT and earlier:
        introduced = next((each for each in earlier if each.commit == undone), None)
        is_fresh = introduced is not None and introduced.action in {Action.PROMOTION, Action.EDIT}
        gone = earlier[-1].image.tag
        if introduced and is_fresh and introduced.image.tag == gone != image.tag:
            quarantined = gone
    return Deployment(
        commit=commit.id,
        time=commit.time,
        image=image,
        action=action,
        reverts=undone,
        quarantined=quarantined,
        author=commit.author,
        subject=commit.subject,
    )


def _action(given: Mapping[str, str], undone: str) -> Action:
    for action in (Action.PROMOTION, Action.ROLLBACK):
        if given.get("koepon-action") == action:
            return action
    return Action.REVERT if undone else Action.EDIT


def _lowered(message: str) -> dict[str, str]:
    """The trailers, by their keys in lower case: git takes no notice of case, and people write them by hand."""
    return {key.lower(): value for key, value in messages.trailers(message).items()}


def _pinned(repository: Repository, changes: Iterable[Change]) -> Mapping[str, Mapping[str, Image]]:
    """What each kustomization pins, by blob id and entry name."""
    ids = {blob for change in changes for blob in (change.old, change.new) if blob}
    return {blob: images(text) or {} for blob, text in repository.blobs(sorted(ids)).items()}


def _check_depth(repository: Repository, ids: Iterable[str]) -> None:
    if not repository.boundary().isdisjoint(ids):
        raise RequestError(
            "history/shallow",
            "This clone lacks the old commits that say what ran before.",
            remedy="Run `git fetch --unshallow`; in GitHub Actions check out with `fetch-depth: 0`.",
        )


def quarantine(
    repository: Repository, tip: str, application: str, files: Sequence[str], image_name: str
) -> Mapping[str, Quarantine]:
    """The tags of an application that may not be promoted, by tag. `files` are the kustomizations of its overlays.

    A tag gets here by a commit with the trailer `Koepon-Quarantine: TAG` (of this application, or of none named), and
    by a hand-made `git revert` of a commit that brought the tag into one of the files, if the tag left that file by it.
    It leaves by a later commit with `Koepon-Lift-Quarantine: TAG` on the branch's own line of first parents, so that no
    commit inside a pull request can lift it unseen. Undoing a revert or a rollback lifts nothing, for nobody has said
    that the tag is good again; nor does it quarantine what ran between.
    Raises RequestError history/shallow when the clone is shallow.
    """
    if repository.is_shallow:
        _check_depth(repository, repository.roots(tip))
    events = repository.log(tip, grep=_EVENTS)
    hand_made = _reverted_tags(repository, events, files, image_name)
    is_lifted = any(_LIFT in _lowered(each.message) for each in events)
    line = frozenset(repository.first_parents(tip)) if is_lifted else frozenset()
    found: dict[str, Quarantine] = {}
    for commit in reversed(events):
        given = _lowered(commit.message)
        if given.get("koepon-application", application) != application:
            continue
        if (lifted := given.get(_LIFT)) and commit.id in line:
            found.pop(lifted, None)
        named = given.get("koepon-quarantine")
        for tag in (*((named,) if named else ()), *sorted(hand_made.get(commit.id, ()))):
            reason = given.get("koepon-reason") or commit.subject
            found[tag] = Quarantine(tag=tag, reason=reason, commit=commit.id, time=commit.time)
    return found


_LIFT = "koepon-lift-quarantine"
_EVENTS = ("^Koepon-(Lift-)?Quarantine[ \t]*:", "this reverts commit [0-9a-f]{40}")


def _reverted_tags(
    repository: Repository, events: Iterable[Commit], files: Sequence[str], image_name: str
) -> Mapping[str, set[str]]:
    """By the id of each hand-made revert: the tags it took away and the commits it undoes had brought.

    A commit that is not here any more (rebased away) is taken at the revert's word.
    """
    reverts = [each for each in events if messages.reverted(each.message) and not _is_ours(each)]
    undone = {each.id: messages.reverted(each.message) for each in reverts}
    named = sorted({identity for ids in undone.values() for identity in ids})
    originals = {each.id: each for each in repository.log(named, walk=False)}
    folders = {PurePosixPath(file).parent for file in files}
    moves = _moves(repository, {each.id: each for each in (*reverts, *originals.values())}, folders, image_name)
    found: dict[str, set[str]] = {}
    for identity, ids in undone.items():
        gone = moves[identity].gone
        known = [originals[each] for each in ids if each in originals]
        brought = [moves[each.id].brought for each in known if not _is_undoing(each)]
        suspects = gone if len(known) < len(ids) else gone & set().union(*brought)
        found[identity] = {tag for _folder, tag in suspects}
    return found


def _is_ours(commit: Commit) -> bool:
    return "koepon-action" in _lowered(commit.message)


def _is_undoing(commit: Commit) -> bool:
    return _lowered(commit.message).get("koepon-action") == Action.ROLLBACK or bool(messages.reverted(commit.message))


class _Move(NamedTuple):
    """The tags that came and went with a commit, each with the folder of its overlay."""

    brought: set[tuple[PurePosixPath, str]]
    gone: set[tuple[PurePosixPath, str]]


def _moves(
    repository: Repository, commits: Mapping[str, Commit], folders: Container[PurePosixPath], image_name: str
) -> Mapping[str, _Move]:
    concerned = {
        identity: [change for change in commit.changes if _is_overlay(PurePosixPath(change.path), folders)]
        for identity, commit in commits.items()
    }
    pinned = _pinned(repository, (change for changes in concerned.values() for change in changes))
    found = {}
    for identity, changes in concerned.items():
        before, after = (
            {
                (PurePosixPath(change.path).parent, pinned[blob][image_name].tag)
                for change in changes
                if (blob := getattr(change, side)) and image_name in pinned[blob]
            }
            for side in ("old", "new")
        )
        found[identity] = _Move(after - before, before - after)
    return found


def _is_overlay(path: PurePosixPath, folders: Container[PurePosixPath]) -> bool:
    return path.name in NAMES and path.parent in folders
