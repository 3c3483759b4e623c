"""Applications to objects: everything Argo CD would sync, and what those objects declare in turn (app of apps)."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from koepon_gitops import applications, directory, helm, kustomize
from koepon_gitops.cache import Cache, key
from koepon_gitops.configuration import Configuration
from koepon_gitops.errors import GitOpsError, UncheckableError
from koepon_gitops.model import (
    Application,
    Finding,
    Json,
    Manifest,
    ObjectId,
    Rendering,
    Severity,
    Source,
    SourceKind,
    Value,
)
from koepon_gitops.projects import Scopes, cluster_name
from koepon_gitops.tree import Files

DEEPEST_NESTING = 10
"""Rounds of Applications that declare Applications before a tree is called endless."""


class Rendered(Value):
    """One Application and what it became. `digest` keys every result computed from its objects."""

    application: Application
    manifests: tuple[Manifest, ...]
    digest: str
    renders: int
    """How many of its sources had to be rendered because no cache held them."""
    files: frozenset[str] = frozenset()
    """Every repository file that was read for it."""
    findings: tuple[Finding, ...] = ()


class Renderer:
    """Renders the Applications of one tree. `remotes`: the URLs by which the tree's own repository is known."""

    def __init__(
        self,
        root: Path,
        configuration: Configuration,
        *,
        remotes: tuple[str, ...] = (),
        cache: Cache,
        step: Callable[[str, int, int], None] = lambda _what, _done, _total: None,
    ) -> None:
        self.root, self.cache, self.step = root, cache, step
        self.around = applications.Surroundings(configuration=configuration, remotes=remotes)
        self.files = Files(root)
        self.findings: list[Finding] = []
        """What is wrong with files that may declare an Application, and belongs to none."""
        self._results: dict[str, _Result] = {}

    def tree(self) -> tuple[Rendered, ...]:
        """Every Application of the tree with its objects as written, sorted by name; `placed` gives them namespaces.

        Raises UncheckableError when there is no Application, or when Applications declare Applications without end.
        """
        declared = applications.declared(self.files, self.around)
        self.findings = list(declared.findings)
        written = {_name(each): each for each in declared.applications}
        known = dict(written)
        for _ in range(DEEPEST_NESTING):
            self._render(known.values())
            found = self._declared_by(known, written)
            if _identities(found) == _identities(known):
                break
            known = found
        else:
            what = "Applications declare Applications without end"
            raise UncheckableError("applications/endless", f"{what} ({DEEPEST_NESTING} rounds).", where=str(self.root))
        if not known:
            raise UncheckableError(
                "applications/none-found",
                "No Argo CD Application was found, so nothing was checked.",
                where=self.around.configuration.clusters,
                remedy="Name the folder that holds them in [tool.koepon_gitops] clusters, or pass --root.",
            )
        bare = _undeclared(known, written, self._results)
        self.findings += map(_incomplete, (each for each in known.values() if not each.sources))
        return tuple(self._rendered(known[name], bare) for name in sorted(known))

    def _render(self, known: Iterable[Application]) -> None:
        todo = {_identity(each): each for each in known if _identity(each) not in self._results}
        with ThreadPoolExecutor(os.process_cpu_count()) as pool:
            for done, (identity, result) in enumerate(
                zip(todo, pool.map(self._sources_of, todo.values()), strict=True), start=1
            ):
                self._results[identity] = result
                self.step("Rendering", done, len(todo))

    def _sources_of(self, application: Application) -> "_Result":
        result = _Result()
        for source in application.sources:
            try:
                rendering = self._source(application, source, result)
            except GitOpsError as error:
                result.findings.append(_placed(Finding.of_error(error, application.name), application))
            else:
                if rendering is not None:
                    result.renderings.append(rendering)
        return result

    def _source(self, application: Application, source: Source, result: "_Result") -> Rendering | None:
        if reason := applications.elsewhere(source, self.files, self.around):
            result.findings.append(_not_rendered(application, source, reason))
            return None
        match applications.kind_of(source, self.files):
            case SourceKind.REFERENCE:
                return None
            case SourceKind.KUSTOMIZE:
                return kustomize.build(source, self.cache, self.files)
            case SourceKind.DIRECTORY:
                return directory.render(source, self.files)
            case SourceKind.HELM:
                if not helm.available():
                    result.findings.append(_not_rendered(application, source, "helm is not on PATH"))
                    return None
                return helm.render(source, application, self.cache, self.files)
            case kind:
                raise applications.unsupported(application, kind)

    def _declared_by(
        self, known: Mapping[str, Application], written: Mapping[str, Application]
    ) -> dict[str, Application]:
        """The Applications that exist once the known ones are synced: a rendered one replaces the file it came from."""
        children: dict[str, Application] = {}
        covered: set[str] = set()
        for application in known.values():
            for rendering in self._results[_identity(application)].renderings:
                covered.update(rendering.files)
                first = rendering.files[0] if rendering.files else ""
                for child in applications.from_objects(rendering.objects, self.files, self.around, file=first):
                    source = written.get(_name(child))
                    place = {"file": source.file, "line": source.line} if source else {}
                    children[_name(child)] = child.model_copy(update=place)
        own = {name: each for name, each in written.items() if each.file not in covered}
        return own | children

    def _rendered(self, application: Application, bare: Mapping[str, Manifest]) -> Rendered:
        result = self._results[_identity(application)]
        manifests = [each for rendering in result.renderings for each in _manifests(application, rendering)]
        if own := bare.get(_name(application)):
            manifests.append(own)
        place = (application.name, application.cluster, application.destination_namespace, application.project)
        return Rendered(
            application=application,
            manifests=tuple(manifests),
            digest=key(
                *place, *(each.digest for each in result.renderings), *(str(own.content) for own in [own] if own)
            ),
            renders=sum(not each.cached for each in result.renderings),
            files=frozenset(file for each in result.renderings for file in each.files),
            findings=tuple(result.findings),
        )


class _Result:
    """What rendering the sources of one Application gave, before its objects get their Application's namespace."""

    def __init__(self) -> None:
        self.renderings: list[Rendering] = []
        self.findings: list[Finding] = []


def _manifests(application: Application, rendering: Rendering) -> Iterator[Manifest]:
    for content in rendering.objects:
        yield Manifest.model_construct(
            application=application.name,
            cluster=cluster_name(application.cluster),
            id=ObjectId.of(content),
            content=content,
            files=rendering.files,
        )


def _undeclared(
    known: Mapping[str, Application], written: Mapping[str, Application], results: Mapping[str, _Result]
) -> dict[str, Manifest]:
    """Applications that no other Application syncs, as objects: a person applies them once, so they are checked too."""
    covered = {
        file
        for application in known.values()
        for rendering in results[_identity(application)].renderings
        for file in rendering.files
    }
    return {
        name: Manifest(
            application=application.name,
            cluster="in-cluster",
            id=ObjectId.of(application.content),
            content=application.content,
            files=(application.file,),
        )
        for name, application in written.items()
        if name in known and application.file not in covered and application.content
    }


def _not_rendered(application: Application, source: Source, reason: str) -> Finding:
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


def _incomplete(application: Application) -> Finding:
    return Finding(
        rule="applications/incomplete",
        severity=Severity.ERROR,
        application=application.name,
        path=application.file,
        line=application.line,
        message=f"Application {application.name} has no source, and no kustomization uses it as a patch.",
        remedy="Give it spec.source and spec.destination, or remove the file.",
    )


def _placed(finding: Finding, application: Application) -> Finding:
    if finding.path:
        return finding
    return finding.model_copy(update={"path": application.file, "line": application.line})


def _name(application: Application) -> str:
    return f"{application.namespace}/{application.name}"


def _identity(application: Application) -> str:
    return key(_name(application), *(source.model_dump_json() for source in application.sources))


def _identities(known: Mapping[str, Application]) -> set[str]:
    return {each.model_dump_json() for each in known.values()}


def placed(tree: Iterable[Rendered], scopes: Scopes) -> tuple[Rendered, ...]:
    """Argo CD puts a namespaced object that names no namespace into its Application's destination; so do we."""
    return tuple(
        rendered.model_copy(
            update={
                "manifests": tuple(
                    _in_namespace(manifest, rendered.application.destination_namespace, scopes)
                    for manifest in rendered.manifests
                )
            }
        )
        for rendered in tree
    )


def _in_namespace(manifest: Manifest, namespace: str, scopes: Scopes) -> Manifest:
    identity = manifest.id
    if not namespace or identity.namespace or not scopes.is_namespaced(identity.apiVersion, identity.kind):
        return manifest
    metadata = {**manifest.content["metadata"], "namespace": namespace}
    return Manifest.model_construct(
        application=manifest.application,
        cluster=manifest.cluster,
        id=identity.model_copy(update={"namespace": namespace}),
        content={**manifest.content, "metadata": metadata},
        files=manifest.files,
    )


def by_cluster(rendered: Iterable[Rendered]) -> dict[str, list[Manifest]]:
    """All objects, grouped by the cluster they are synced to."""
    clusters: dict[str, list[Manifest]] = {}
    for each in rendered:
        for manifest in each.manifests:
            clusters.setdefault(manifest.cluster, []).append(manifest)
    return clusters


def duplicates(rendered: Iterable[Rendered]) -> Iterator[Finding]:
    """Objects declared twice on one cluster: two owners would undo each other's changes for ever."""
    owners: dict[tuple[str, str, str, str, str], str] = {}
    for each in rendered:
        for manifest in each.manifests:
            identity = manifest.id
            place = (manifest.cluster, identity.group, identity.kind, identity.namespace, identity.name)
            if not identity.name:
                continue
            if place not in owners:
                owners[place] = manifest.application
                continue
            yield Finding(
                rule="applications/duplicate-object",
                severity=Severity.ERROR,
                application=manifest.application,
                object=identity,
                message=f"{identity} on cluster {manifest.cluster} is already declared by Application {owners[place]}.",
                remedy="Keep it in one of the two: with selfHeal on, each undoes what the other applies.",
            )


def projects_of(rendered: Iterable[Rendered]) -> dict[str, Json]:
    """AppProjects by name, from the objects synced to the cluster Argo CD runs on."""
    return {
        manifest.id.name: manifest.content
        for each in rendered
        for manifest in each.manifests
        if manifest.id.kind == "AppProject" and manifest.id.group == "argoproj.io"
    }


def definitions(tree: Iterable[Rendered]) -> Iterator[Json]:
    """The kinds the tree itself declares: CustomResourceDefinitions and Crossplane's CompositeResourceDefinitions."""
    for manifest in (each for rendered in tree for each in rendered.manifests):
        if manifest.id.kind in {"CustomResourceDefinition", "CompositeResourceDefinition"}:
            yield manifest.content
