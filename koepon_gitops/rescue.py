"""The proof of a rollback: what `proving` asks, as far as a tree that is broken elsewhere can answer it.

Whatever was wrong before stays as it was and stands in nobody's way: an Application that can't be rendered, a policy
that can't be read, schemas that were not fetched. What the image itself does has to be seen all the same.
"""

from collections.abc import Sequence
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
    unjudged: str = ""
    """Why the tree could not be validated, neither before nor after."""

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
    difference = proving.compare(_tree(before, repository, switches), _tree(after, repository, switches), switches)
    step("Validating", 1, 2)
    question = Question(remotes=repository.remotes(), baseline=False, today=now.date())
    try:
        present = validation.answer(before, question, step=step)
    except GitOpsError as error:
        return Rescue(difference=difference, unjudged=str(error))
    return Rescue(difference=difference, fresh=_fresh(present, validation.answer(after, question, step=step)))


def _tree(root: Path, repository: Repository, switches: Sequence[Switch]) -> tuple[Rendered, ...]:
    """The Applications that can be rendered, and the overlays that none of them syncs in place of theirs."""
    try:
        tree = changes.renderable(root, repository)
    except GitOpsError:
        tree = ()
    return (*tree, *(_alone(root, switch) for switch in switches if not proving.synced(switch, tree)))


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
