"""Argo CD's AppProjects, enforced offline: a sync that the project would refuse is a finding before it is merged.

The rules are those of `argo-cd/pkg/apis/application/v1alpha1/app_project_types.go` and `controller/sync.go`.
"""

import glob
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, Protocol

from koepon_gitops.applications import normalised
from koepon_gitops.configuration import Cluster
from koepon_gitops.errors import UncheckableError
from koepon_gitops.model import Application, Finding, Json, Manifest, Severity
from koepon_gitops.spelling import did_you_mean

IN_CLUSTER, IN_CLUSTER_SERVER = "in-cluster", "https://kubernetes.default.svc"
"""The name Argo CD gives the cluster it runs on, and the same place as a server."""


class Scopes(Protocol):
    """What this module needs of the schemas: whether a kind lives in a namespace. Unknown ones: UncheckableError."""

    def is_namespaced(self, api_version: str, kind: str) -> bool: ...


def violations(
    application: Application,
    projects: Mapping[str, Json],
    manifests: Sequence[Manifest],
    scopes: Scopes,
    clusters: Mapping[str, Cluster],
) -> Iterator[Finding]:
    """What Argo CD would refuse about this Application and its objects.

    `projects`: AppProject objects by name; `clusters`: what is known of them by name, for projects that list servers.
    Objects of unknown kinds are passed over: `evaluation` says that they can't be checked.
    """
    project = projects.get(application.project)
    if project is None:
        if application.project != "default":
            yield _missing(application, projects)
        return
    spec = project.get("spec") or {}
    name = application.project
    for index, source in enumerate(application.sources):
        if not _source_permitted(source.repo_url, spec.get("sourceRepos") or ()):
            what = f"AppProject {name} does not list the source {source.repo_url}"
            remedy = f"Correct repoURL. If it is meant, list it in sourceRepos of AppProject {name}."
            holder = f"spec.sources[{index}]" if "sources" in application.content.get("spec", {}) else "spec.source"
            yield _refused(application, "source", what, remedy, f"{holder}.repoURL")
    place = _place(application.cluster, clusters)
    if not _destination_permitted(spec, place, application.destination_namespace):
        what = f"AppProject {name} does not list the destination {_destination(application)}"
        yield _refused(application, "destination", what, _correct_destination(name, spec), "spec.destination.namespace")
    for manifest in manifests:
        if not _is_itself(manifest, application):
            yield from _object_violations(application, spec, place, manifest, scopes)


def _is_itself(manifest: Manifest, application: Application) -> bool:
    """Whether the object is the Application as a person applies it: no project is asked then."""
    named = (manifest.id.group, manifest.id.kind, manifest.id.name) == ("argoproj.io", "Application", application.name)
    return named and manifest.files == (application.file,)


def _missing(application: Application, projects: Collection[str]) -> Finding:
    known = f", or name another: {', '.join(sorted(projects))}" if projects else ""
    return _refused(
        application,
        "missing",
        f"AppProject {application.project} is not declared in this tree",
        f"{did_you_mean(application.project, projects)}Declare it among what is synced to {IN_CLUSTER}{known}.",
        "spec.project",
    )


def _correct_destination(project: str, spec: Json) -> str:
    """Where the objects may go comes first: a project is seldom too narrow, and a name often wrong."""
    listed = [
        f"{entry.get('name') or entry.get('server')}/{entry.get('namespace')}"
        for entry in spec.get("destinations") or ()
    ]
    lists = f"AppProject {project} lists {', '.join(listed) or 'none'}"
    return f"Correct the cluster or the namespace: {lists}. If it is meant, list it there."


def _object_violations(
    application: Application, spec: Json, place: "_Place", manifest: Manifest, scopes: Scopes
) -> Iterator[Finding]:
    try:
        namespaced = scopes.is_namespaced(manifest.id.apiVersion, manifest.id.kind)
    except UncheckableError:
        return
    if not _kind_permitted(spec, manifest, namespaced=namespaced):
        scope = "namespaced" if namespaced else "cluster-scoped"
        group = manifest.id.group or "core"
        what = f"AppProject {application.project} does not permit the {scope} kind {manifest.id.kind} ({group})"
        remedy = (
            f"Move it to an Application whose project permits it. If AppProject {application.project} is meant to, "
            "list the kind there."
        )
        yield _refused(application, "kind", what, remedy, "kind", manifest)
    own = manifest.id.namespace == application.destination_namespace  # The Application itself has been asked about it.
    if namespaced and not own and not _destination_permitted(spec, place, manifest.id.namespace):
        what = f"AppProject {application.project} does not permit objects in namespace {manifest.id.namespace}"
        remedy = _correct_destination(application.project, spec)
        yield _refused(application, "destination", what, remedy, "metadata.namespace", manifest)


def _refused(
    application: Application, what: str, message: str, remedy: str, field: str, manifest: Manifest | None = None
) -> Finding:
    """`field`: of the Application, or of the object when there is one."""
    return Finding(
        rule=f"projects/{what}",
        severity=Severity.ERROR,
        application=application.name,
        object=manifest.id if manifest else None,
        path="" if manifest else application.file,
        line=0 if manifest else application.line,
        message=f"{message}; Argo CD would refuse the sync.",
        remedy=remedy,
        field=field,
    )


class _Place(NamedTuple):
    """A cluster by name and by server; empty where the tree and its settings do not say."""

    name: str
    server: str


def _place(destination: str, clusters: Mapping[str, Cluster]) -> _Place:
    servers = {name: each.server.rstrip("/") for name, each in clusters.items()} | {IN_CLUSTER: IN_CLUSTER_SERVER}
    if "://" not in destination:
        return _Place(destination, servers.get(destination, ""))
    server = destination.rstrip("/")
    return _Place(next((name for name, each in servers.items() if each == server), ""), server)


def _destination_permitted(spec: Json, place: _Place, namespace: str) -> bool:
    """As `AppProject.isDestinationMatched`: any entry allows; one with `!` that does not match forbids."""
    allowed = False
    for entry in spec.get("destinations") or ():
        name, server, wanted = (str(entry.get(key) or "") for key in ("name", "server", "namespace"))
        named, served = _surely_matches(place.name, name), _surely_matches(place.server, server.rstrip("/"))
        inside = _matches(namespace, wanted)
        if (named or served) and inside:
            allowed = True
            continue
        forbidden = (
            (not named and name.startswith("!"))
            or (not served and server.startswith("!") and inside)
            or (served and not inside and wanted.startswith("!"))
        )
        if forbidden:
            return False
    return allowed


def _surely_matches(value: str, pattern: str) -> bool:
    """`_matches`; of what is not known only `*` is certain, so that in doubt the answer is no."""
    return _matches(value, pattern) if value else pattern == "*"


def _matches(value: str, pattern: str) -> bool:
    """Argo CD's `globMatch` with negation: `!x` matches everything but x."""
    if pattern.startswith("!"):
        return not fnmatchcase(value, pattern[1:])
    return fnmatchcase(value, pattern)


def cluster_name(destination: str) -> str:
    """One name per cluster, whichever way the destination names the cluster Argo CD itself runs on."""
    return IN_CLUSTER if destination.rstrip("/") == IN_CLUSTER_SERVER else destination


def _destination(application: Application) -> str:
    return f"{application.cluster}/{application.destination_namespace or '(no namespace)'}"


def _source_permitted(url: str, patterns: Iterable[str]) -> bool:
    """As `AppProject.IsSourcePermitted`: `*` stays within one path segment, `**` does not, a failed `!` forbids."""
    allowed = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        expression = glob.translate(normalised(wanted), recursive=True, include_hidden=True, seps="/")
        matched = (wanted == "*" or re.match(expression, normalised(url)) is not None) != pattern.startswith("!")
        if not matched and pattern.startswith("!"):
            return False
        allowed = allowed or matched
    return allowed


def _kind_permitted(spec: Json, manifest: Manifest, *, namespaced: bool) -> bool:
    if namespaced:
        listed = spec.get("namespaceResourceWhitelist")
        return not _lists(spec.get("namespaceResourceBlacklist"), manifest) and (
            listed is None or _lists(listed, manifest)
        )
    return not _lists(spec.get("clusterResourceBlacklist"), manifest) and _lists(
        spec.get("clusterResourceWhitelist"), manifest
    )


def _lists(entries: Sequence[Mapping[str, Any]] | None, manifest: Manifest) -> bool:
    return any(
        fnmatchcase(manifest.id.group, str(entry.get("group", "")))
        and fnmatchcase(manifest.id.kind, str(entry.get("kind", "")))
        and fnmatchcase(manifest.id.name, str(entry.get("name") or "*"))
        for entry in entries or ()
    )
