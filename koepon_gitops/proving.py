"""The proof that a change of images does what it says: rendered before and after, compared, and validated."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from koepon_gitops import changes, validation
from koepon_gitops.changes import Change, Difference
from koepon_gitops.errors import RequestError
from koepon_gitops.model import Image, Report, Value
from koepon_gitops.overlays import Overlay
from koepon_gitops.rendering import Rendered
from koepon_gitops.repository import Repository
from koepon_gitops.validation import Question, Step


class Switch(Value):
    """An overlay and the image it is to run."""

    overlay: Overlay
    image: Image

    @property
    def content(self) -> bytes:
        """The overlay's file with the image."""
        return self.overlay.running(self.image)


class Proof(Value):
    """What changes on the clusters, and what `validate` says of the tree with the change."""

    difference: Difference
    report: Report


def prove(
    repository: Repository, before: Path, after: Path, switches: Sequence[Switch], now: datetime, step: Step
) -> Proof:
    """Render both trees: exactly the images wanted change, in workloads of every overlay, and nothing else does.

    checkov is not asked: it judges the form of an image reference, which stays. Raises RequestError
    proving/{not-synced,no-effect,other-changes}.
    """
    step("Rendering before and after", 0, 2)
    difference = compare(changes.rendered(before, repository), changes.rendered(after, repository), switches)
    step("Validating", 1, 2)
    question = Question(remotes=repository.remotes(), baseline=False, today=now.date())
    return Proof(difference=difference, report=validation.answer(after, question, step=step))


def compare(old: Sequence[Rendered], new: Sequence[Rendered], switches: Sequence[Switch]) -> Difference:
    """What differs, if it is the images wanted and nothing else. Raises RequestError as `prove` does."""
    difference = changes.compare(old, new)
    for switch in switches:
        _check_effect(switch, new, difference)
    for change in difference.changes:
        _check_intended(change, switches, new)
    return difference


def synced(switch: Switch, tree: Sequence[Rendered]) -> set[str]:
    """The names of the Applications that sync the overlay."""
    folder = switch.overlay.folder
    return {each.application.name for each in tree if any(source.path == folder for source in each.application.sources)}


def _check_effect(switch: Switch, tree: Sequence[Rendered], difference: Difference) -> None:
    overlay, names = switch.overlay, synced(switch, tree)
    if not names:
        what = f"No Application syncs {overlay.folder}, so {overlay.environment} would not change."
        raise RequestError("proving/not-synced", what, remedy="Declare one under clusters/.")
    if not any(change.application in names for change in difference.changes):
        raise RequestError(
            "proving/no-effect",
            f"Writing {switch.image} changes nothing that {' and '.join(sorted(names))} would sync.",
            where=overlay.file,
            remedy=f"Check that a container of the base uses the image {overlay.entry}.",
        )


def _check_intended(change: Change, switches: Sequence[Switch], tree: Sequence[Rendered]) -> None:
    pairs: Mapping[str, str] = {
        str(switch.overlay.image): str(switch.image)
        for switch in switches
        if change.application in synced(switch, tree)
    }
    for field in change.fields:
        if _CONTAINER_IMAGE.search(field.field) and pairs.get(str(field.before)) == field.after:
            continue
        raise _other(change, f"{field.field} from {field.before!r} to {field.after!r}")
    if not change.fields:
        raise _other(change, "the whole object")


_CONTAINER_IMAGE = re.compile(r"\.(?:init|ephemeral)?[cC]ontainers\[[^]]+\]\.image$")


def _other(change: Change, what: str) -> RequestError:
    return RequestError(
        "proving/other-changes",
        f"More than the image would change: {change.object} of {change.application}, {what}.",
        remedy="Something else in the tree follows from the image's tag; mend that first, in a commit of its own.",
    )
