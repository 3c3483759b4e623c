"""Applications to objects: everything Argo CD would sync, and what those objects declare in turn (app of apps)."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from koepon_gitops import applications, directory, helm, kustomize, omissions
from koepon_gitops.cache import Cache, key
from koepon_gitops.configuration import Configuration
from koepon_gitops.errors import GitOpsError, UncheckableError
from koepon_gitops.model import (
    Application,
    Finding,
    Manifest,
    ObjectId,
    Rendering,
    Severity,
    Source,
    SourceKind,
    Value,
)
from koepon_gitops.projects import IN_CLUSTER, cluster_name
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
    claims: int = 0
    """How many of the manifests are claims that `composition` has looked at."""


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
        self.unlisted: list[Finding] = []
        """Applications that nothing syncs by mistake; what is synced is rendered all the same."""
        self._results: dict[str, _Result] = {}
        self._twice: list[tuple[Application, Application]] = []

    def tree(self) -> tuple[Rendered, ...]:
        """Every Application of the tree with its objects as written, sorted by name; `placement` gives them namespaces.

        Raises UncheckableError when there is no Application, or when Applications declare Applications without end.
        """
        declared = applications.declared(self.files, self.around)
        self.findings = list(declared.findings)
        written = self._by_name(declared.applications)
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
            error = UncheckableError(
                "applications/none-found",
                "No Argo CD Application was found, so nothing was checked.",
                where=self.around.configuration.clusters,
                remedy="Name the folder that holds them in [tool.koepon_gitops] clusters, or pass --root.",
            )
            if not self.findings:
                raise error
            self.findings.append(Finding.of_error(error))
        synced = frozenset().union(*(self._covered(each) for each in known.values()))
        forgotten = {
            name
            for name, each in known.items()
            if each.sources and omissions.is_unlisted(each, synced, self._covered(each))
        }
        bare = self._applied_by_hand(known.keys() - forgotten, written, synced)
        self.unlisted = [omissions.unlisted(known[name]) for name in sorted(forgotten)]
        self.findings += self._passed_over(known.values())
        self.findings += map(omissions.incomplete, (each for each in known.values() if not each.sources))
        self.findings += self._duplicates(synced)
        return tuple(self._rendered(known[name], bare) for name in sorted(known))

    def _passed_over(self, known: Iterable[Application]) -> Iterator[Finding]:
        """That nothing was rendered, where no failure says so already."""
        asked = [each for each in known if each.sources]
        results = [self._results[_identity(each)] for each in asked]
        if asked and not any(each.renderings or each.has_failed for each in results):
            yield omissions.none_rendered([source for each in asked for source in each.sources], self.around)

    def _by_name(self, found: Iterable[Application]) -> dict[str, Application]:
        """The Applications as written; of two with one name, that with sources (the other is a patch of it)."""
        written: dict[str, Application] = {}
        for each in found:
            other = written.setdefault(_name(each), each)
            if not other.sources:
                written[_name(each)] = each
            elif other is not each and each.sources:
                self._twice.append((other, each))
        return written

    def _duplicates(self, covered: frozenset[str]) -> Iterator[Finding]:
        for one, other in self._twice:
            if covered.isdisjoint({one.file, other.file}):
                yield _declared_twice(one, other)

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
        for index, source in enumerate(application.sources):
            try:
                rendering = self._source(application, source, result)
            except GitOpsError as error:
                result.findings.append(_placed(Finding.of_error(error, application.name), application, index))
            else:
                if rendering is not None:
                    result.renderings.append(rendering)
        return result

    def _source(self, application: Application, source: Source, result: "_Result") -> Rendering | None:
        if reason := applications.elsewhere(source, self.files, self.around):
            result.findings.append(omissions.not_rendered(application, source, reason))
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
                    result.findings.append(omissions.not_rendered(application, source, "helm is not on PATH"))
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
            covered |= self._covered(application)
            for rendering in self._results[_identity(application)].renderings:
                first = rendering.files[0] if rendering.files else ""
                for child in applications.from_objects(rendering.objects, self.files, self.around, file=first):
                    source = written.get(_name(child))
                    place = {"file": source.file, "line": source.line} if source else {}
                    children[_name(child)] = child.model_copy(update=place)
        own = {name: each for name, each in written.items() if each.file not in covered}
        return own | children

    @staticmethod
    def _applied_by_hand(
        names: Collection[str], written: Mapping[str, Application], synced: Collection[str]
    ) -> dict[str, Manifest]:
        """Applications no other one syncs, as objects: a person applies them once, so they are checked too."""
        return {
            name: _as_object(application)
            for name, application in written.items()
            if name in names and application.file not in synced and application.content
        }

    def _covered(self, application: Application) -> frozenset[str]:
        """The files its objects come from: an Application written there is declared by this one."""
        renderings = self._results[_identity(application)].renderings
        return frozenset(file for rendering in renderings for file in rendering.files)

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

    @property
    def has_failed(self) -> bool:
        return any(finding.severity is Severity.ERROR for finding in self.findings)


def _manifests(application: Application, rendering: Rendering) -> Iterator[Manifest]:
    for content in rendering.objects:
        yield Manifest.model_construct(
            application=application.name,
            cluster=cluster_name(application.cluster),
            id=ObjectId.of(content),
            content=content,
            files=rendering.files,
        )


def _as_object(application: Application) -> Manifest:
    content = {**application.content}
    content["metadata"] = {**content["metadata"], "namespace": application.namespace}
    return Manifest(
        application=application.name,
        cluster=IN_CLUSTER,
        id=ObjectId.of(content),
        content=content,
        files=(application.file,),
    )


def _declared_twice(one: Application, other: Application) -> Finding:
    return Finding(
        rule="applications/duplicate-application",
        severity=Severity.ERROR,
        application=other.name,
        path=other.file,
        line=other.line,
        message=f"Application {other.name} is declared in {one.file}:{one.line} as well; one overwrites the other.",
        remedy="Rename one of the two.",
    )


def _placed(finding: Finding, application: Application, index: int) -> Finding:
    """What is wrong with no file in particular is wrong with the source that leads there."""
    if finding.path:
        return finding
    several = "sources" in application.content.get("spec", {})
    field = f"spec.sources[{index}].path" if several else "spec.source.path"
    return finding.model_copy(update={"path": application.file, "line": application.line, "field": field})


def _name(application: Application) -> str:
    return f"{application.namespace}/{application.name}"


def _identity(application: Application) -> str:
    return key(_name(application), *(source.model_dump_json() for source in application.sources))


def _identities(known: Mapping[str, Application]) -> set[str]:
    return {each.model_dump_json() for each in known.values()}
