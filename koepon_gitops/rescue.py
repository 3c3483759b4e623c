"""The proof of a rollback: what `proving` asks, as far as a tree that is broken elsewhere can answer it.

Whatever was wrong before stays as it was and stands in nobody's way: an Application that can't be rendered, a policy
that can't be read, schemas that were not fetched. What the image itself does has to be seen all the same.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from koepon_gitops import changes, kustomize, proving, validation
from koepon_gitops.cache import Cache
from koepon_gitops.changes import Difference
from koepon_gitops.errors import GitOpsError
from koepon_gitops.model import Application, Finding, Manifest, ObjectId, Report, Severity, Source, Value, in_order
from koepon_gitops.proving import Switch
from koepon_gitops.rendering import Rendered
from koepon_gitops.repository import Repository
from koepon_gitops.tree import Files
from koepon_gitops.validation import Question, Step


class Rescue(Value):
    """What changes on the clusters, and what `validate` says of the tree after and did not say before."""

    difference: Difference
    fresh: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    """What could not be looked at, or was wrong before: sentences."""

    @property
    def is_refused(self) -> bool:
        """Deny in a cluster is what an error is: Argo CD would push the old version and the API server refuse it."""
        return any(finding.unchecked or finding.severity is Severity.ERROR for finding in self.fresh)


def prove(
    repository: Repository, before: Path, after: Path, switches: Sequence[Switch], now: datetime, step: Step
) -> Rescue:
    """Render both trees as far as they can be: exactly the images wanted change, in every overlay, and nothing else.

    Raises RequestError proving/{no-effect,other-changes} and what keeps an overlay itself from being rendered.
    """
    step("Rendering before and after", 0, 2)
    old, new = _applications(before, repository), _applications(after, repository)
    alone = [each for each in switches if not (proving.synced(each, old) and proving.synced(each, new))]
    difference = proving.compare(_with(old, alone, before), _with(new, alone, after), switches)
    notes = [
        f"No Application that can be read syncs {each.overlay.folder}: what kustomize builds of it was compared."
        for each in alone
    ]
    step("Validating", 1, 2)
    question = Question(remotes=repository.remotes(), baseline=False, today=now.date())
    try:
        present = validation.answer(before, question, step=step)
    except GitOpsError as error:
        return Rescue(difference=difference, notes=(*notes, f"Not validated, before or after: {error}"))
    notes += _existing(present)
    fresh = _fresh(present, validation.answer(after, question, step=step))
    return Rescue(difference=difference, fresh=fresh, notes=tuple(notes))


def _existing(before: Report) -> Iterator[str]:
    if count := sum(finding.severity is Severity.ERROR for finding in before.findings):
        were = "1 error was" if count == 1 else f"{count} errors were"
        yield f"{were} there before; `validate` names what is wrong."


def _applications(root: Path, repository: Repository) -> tuple[Rendered, ...]:
    """The Applications that can be rendered; none when they can't even be found."""
    try:
        return changes.renderable(root, repository)
    except GitOpsError:
        return ()


def _with(tree: Sequence[Rendered], alone: Sequence[Switch], root: Path) -> tuple[Rendered, ...]:
    """The tree, with the overlays alone in place of the Applications that would sync them."""
    names = {name for switch in alone for name in proving.synced(switch, tree)}
    return (*(each for each in tree if each.application.name not in names), *(_alone(root, each) for each in alone))


def _alone(root: Path, switch: Switch) -> Rendered:
    """An overlay as kustomize builds it, without an Application."""
    source = Source(repo_url="", path=switch.overlay.folder)
    built = kustomize.build(source, Cache("renders"), Files(root))
    name = switch.overlay.folder
    return Rendered(
        application=Application(name=name, sources=(source,)),
        manifests=tuple(
            Manifest(application=name, cluster="", id=ObjectId.of(content), content=content)
            for content in built.objects
        ),
        digest=built.digest,
        renders=int(not built.cached),
    )


def _fresh(before: Report, after: Report) -> tuple[Finding, ...]:
    """Lines may have moved: a finding is known by everything else."""
    known = {_identity(finding) for finding in before.findings}
    return tuple(finding for finding in in_order(after.findings) if _identity(finding) not in known)


def _identity(finding: Finding) -> tuple[object, ...]:
    return finding.rule, finding.application, finding.object, finding.field, finding.path, finding.message
