"""What a run has not looked at, and what Argo CD would not: said aloud, because silence reads as approval."""

import posixpath
from collections.abc import Collection, Sequence

from koepon_gitops.applications import Surroundings, is_ours
from koepon_gitops.configuration import FILE
from koepon_gitops.model import Application, Finding, Severity, Source
from koepon_gitops.prescan import NAMES


def not_rendered(application: Application, source: Source, reason: str) -> Finding:
    """A source that was passed over, and why."""
    what = source.chart or source.path or "."
    return Finding(
        rule="applications/not-rendered",
        severity=Severity.INFO,
        application=application.name,
        path=application.file,
        line=application.line,
        message=f"{source.repo_url} {what} was not rendered: {reason}.",
        remedy="Its objects are not covered by this run.",
    )


def none_rendered(sources: Sequence[Source], around: Surroundings) -> Finding:
    """A tree of which every source was passed over has not been checked."""
    remedy = "The remarks on the Applications say why."
    configured = around.configuration.repository
    if not any(is_ours(source, around) for source in sources):
        urls = ", ".join(sorted({source.repo_url for source in sources}))
        known = configured or " and ".join(around.remotes) or "nothing, having no remote"
        remedy = (
            f"Set `repository` in [tool.koepon_gitops] of {FILE} to the URL by which the Applications name this "
            f"repository. They name {urls}; it is known by {known}."
        )
    return Finding(
        rule="applications/none-rendered",
        severity=Severity.ERROR,
        path=FILE if configured else "",
        message="No Application was rendered, so nothing was checked.",
        remedy=remedy,
        unchecked=True,
    )


def is_unlisted(application: Application, synced: Collection[str], own: Collection[str]) -> bool:
    """Whether the kustomization beside an Application is synced without it: a file that was forgotten there.

    `synced`: the files that any Application syncs; `own`: those that this one does. A root syncs what it stands in.
    """
    folder = posixpath.dirname(application.file)
    beside = {posixpath.join(folder, name) for name in NAMES}.intersection(synced)
    return bool(application.file) and application.file not in synced and bool(beside) and beside.isdisjoint(own)


def unlisted(application: Application) -> Finding:
    """An Application in a file that everybody will believe to be synced."""
    return Finding(
        rule="applications/unlisted",
        severity=Severity.ERROR,
        application=application.name,
        path=application.file,
        line=application.line,
        message="No kustomization lists this file: Argo CD would not apply it.",
        remedy=f"List {posixpath.basename(application.file)} under `resources` of the kustomization beside it, "
        "or remove it.",
    )


def incomplete(application: Application) -> Finding:
    """An Application without a source: a patch that nothing uses, or a mistake."""
    return Finding(
        rule="applications/incomplete",
        severity=Severity.ERROR,
        application=application.name,
        path=application.file,
        line=application.line,
        message=f"Application {application.name} has no source, and no kustomization uses it as a patch.",
        remedy="Give it spec.source and spec.destination, or remove the file.",
    )
