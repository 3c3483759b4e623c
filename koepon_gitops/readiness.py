"""Whether what policies/promotion.yaml names could be promoted and rolled back: asked before anybody has to."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from koepon_gitops import gates, overlays
from koepon_gitops.errors import GitOpsError
from koepon_gitops.gates import PromotionPolicy
from koepon_gitops.model import Finding, Severity
from koepon_gitops.overlays import Overlay
from koepon_gitops.rendering import Rendered


def findings(root: Path, policies: Path, tree: Sequence[Rendered]) -> Iterator[Finding]:
    """What is wrong with the promotion policy itself, and with the overlays it names; nothing where there is none."""
    file = policies / gates.FILE
    if not file.exists(follow_symlinks=False):
        return
    try:
        policy = gates.load(file, root)
    except GitOpsError as error:
        yield Finding.of_error(error)
        return
    found: dict[tuple[str, str], Overlay] = {}
    folders = {source.path for each in tree for source in each.application.sources}
    for name in policy.applications:
        target = policy.application(name)
        for environment, folder in target.overlays.items():
            place = _Place(file, root, ("applications", name, "overlays", environment))
            try:
                found[name, environment] = overlays.read(root, target, environment)
            except GitOpsError as error:
                yield place.finding(error.rule, f"{folder}: {error.what}", error.remedy)
                continue
            if folder not in folders:
                what = f"No Application syncs {folder}: a promotion to {environment} would change nothing."
                yield place.finding("readiness/not-synced", what, "Declare one under clusters/, or correct the folder.")
    yield from _followers(policy, found)


class _Place:
    """A key of the promotion policy."""

    def __init__(self, file: Path, root: Path, key: gates.Key) -> None:
        self.name = gates.name_of(file, root)
        self.line = gates.line_of(file.read_bytes(), self.name, key)

    def finding(self, rule: str, message: str, remedy: str) -> Finding:
        return Finding(
            rule=rule, severity=Severity.ERROR, path=self.name, line=self.line, message=message, remedy=remedy
        )


def _followers(policy: PromotionPolicy, found: dict[tuple[str, str], Overlay]) -> Iterator[Finding]:
    """A follower gets its image in the same commit as the environment it follows; an edit by hand forgets it."""
    for (name, environment), overlay in found.items():
        for follower in policy.followers(environment):
            other = found.get((name, follower))
            if other is not None and _version(other) != _version(overlay):
                yield Finding(
                    rule="readiness/follower-differs",
                    severity=Severity.WARNING,
                    path=other.file,
                    message=f"{follower} follows {environment} and has another image: {other.image.tag}, "
                    f"where {environment} has {overlay.image.tag}.",
                    remedy=f"Promote {overlay.image.tag or 'a commit'} to {environment}: both are written at once.",
                )


def _version(overlay: Overlay) -> tuple[str, str]:
    """Without the name: another region has a registry of its own."""
    return overlay.image.tag, overlay.image.digest
