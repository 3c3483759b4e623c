"""What a tree declares to Argo CD: Applications, and ApplicationSets expanded into the Applications they stand for."""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from koepon_gitops import applicationsets, places
from koepon_gitops.configuration import FILE, Configuration
from koepon_gitops.errors import GitOpsError, ManifestError, RequestError, UncheckableError
from koepon_gitops.model import Application, Finding, Json, ObjectId, Source, SourceKind, Value
from koepon_gitops.prescan import NAMES, kustomization_file
from koepon_gitops.spelling import did_you_mean
from koepon_gitops.tree import Files, Kind

GROUP = "argoproj.io"
_SUFFIXES = (".yaml", ".yml", ".json")
_OPTIONS = (SourceKind.KUSTOMIZE, SourceKind.DIRECTORY, SourceKind.HELM, SourceKind.PLUGIN)
"""Kinds of source whose options, under the same name, say that a source is of that kind."""


class Declared(Value):
    """The Applications of a tree, in the order of their files, and what is wrong with files that may hold one."""

    applications: tuple[Application, ...]
    findings: tuple[Finding, ...] = ()


class Surroundings(Value):
    """What expanding and placing Applications needs to know besides the objects."""

    configuration: Configuration
    remotes: tuple[str, ...] = ()
    """The URLs by which the tree's own repository is known."""


def declared(files: Files, around: Surroundings) -> Declared:
    """Every Application written as plain YAML under the configured folder (none configured: `clusters`, or everywhere).

    One that lacks its destination or sources is a patch, or a mistake: it has no `sources`. Raises RequestError
    configuration/missing-folder.
    """
    found: list[Application] = []
    findings: list[Finding] = []
    for name in _candidates(files, _start(files, around.configuration), frozenset(around.configuration.exempt)):
        try:
            found += _in_file(files, name, around)
        except GitOpsError as error:
            findings.append(Finding.of_error(error))
    return Declared(applications=tuple(found), findings=tuple(findings))


def _start(files: Files, configuration: Configuration) -> str:
    place = files.locate(configuration.clusters)
    if place and place.kind is Kind.FOLDER:
        return configuration.clusters
    if "clusters" not in configuration.model_fields_set:
        return "."
    folders = [name for name, kind in files.listing(".").items() if kind is Kind.FOLDER]
    raise RequestError(
        "configuration/missing-folder",
        f"`clusters` names {configuration.clusters}, and there is no such folder.",
        where=FILE,
        remedy=f"{did_you_mean(configuration.clusters, folders)}Name the folder that holds the Applications.",
    )


def _candidates(files: Files, folder: str, exempt: frozenset[str]) -> Iterator[str]:
    """Files that mention Argo CD's API group; a look at the bytes spares parsing the rest."""
    for name, kind in sorted(files.listing(folder).items()):
        path = posixpath.normpath(f"{folder}/{name}")
        if kind is Kind.FOLDER:
            if not name.startswith(".") and name != "__pycache__" and path not in exempt:
                yield from _candidates(files, path, exempt)
        elif kind is Kind.FILE and name.endswith(_SUFFIXES) and name not in NAMES and _mentions(files, path):
            yield path


def _mentions(files: Files, path: str) -> bool:
    return GROUP.encode() in files.content(path)


def _in_file(files: Files, name: str, around: Surroundings) -> Iterator[Application]:
    objects = files.objects(name)
    written = places.objects(files.content(name))
    lines = {(each.kind, each.name): each.first_line + each.node.line for each in written}
    for application in from_objects(objects, files, around, file=name):
        named = application.content.get("metadata", {}).get("name")
        line = lines.get(("Application", str(named))) or min(lines.values(), default=1)
        yield application.model_copy(update={"line": line})


def from_objects(
    objects: Iterable[Json], files: Files, around: Surroundings, *, file: str = ""
) -> Iterator[Application]:
    """The Applications among objects, those of ApplicationSets included.

    Raises ManifestError applications/invalid; UncheckableError applications/unsupported-generator.
    """
    for content in objects:
        identity = ObjectId.of(content)
        if identity.group != GROUP:
            continue
        if identity.kind == "Application":
            yield _application(content, file)
        elif identity.kind == "ApplicationSet":
            local = _urls(around)
            for expanded in applicationsets.expand(content, files, around.configuration.cluster, local, file):
                yield _application(expanded, file)


def _application(content: Json, file: str) -> Application:
    specification = _mapping(content.get("spec"), "spec", content, file)
    destination = _mapping(specification.get("destination"), "spec.destination", content, file)
    metadata = content["metadata"]
    written = specification.get("sources") or ([specification["source"]] if specification.get("source") else [])
    if not isinstance(written, list):
        raise _invalid("spec.sources is not a list", content, file)
    return Application(
        name=str(metadata["name"]),
        namespace=str(metadata.get("namespace") or "argocd"),
        project=str(specification.get("project") or "default"),
        cluster=str(destination.get("name") or destination.get("server") or ""),
        destination_namespace=str(destination.get("namespace") or ""),
        sources=tuple(_source(_mapping(each, "source", content, file), content, file) for each in written),
        file=file,
        content=dict(content),
    )


def _source(written: Json, content: Json, file: str) -> Source:
    path = str(written.get("path") or "")
    if path.startswith(("/", "-")) or ".." in path.split("/"):
        raise _invalid(f"the source's path {path!r} does not stay in the repository", content, file)
    options = {kind.value: dict(_mapping(written.get(kind), f"source.{kind}", content, file)) for kind in _OPTIONS}
    if written.get("plugin") == {}:
        options["plugin"] = {"name": ""}
    return Source(
        repo_url=str(written.get("repoURL") or ""),
        path=posixpath.normpath(path) if path else "",
        revision=str(written.get("targetRevision") or ""),
        chart=str(written.get("chart") or ""),
        ref=str(written.get("ref") or ""),
        **options,
    )


def _mapping(value: Any, name: str, content: Json, file: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping | None):
        raise _invalid(f"{name} is not a mapping", content, file)
    return value or {}


def _invalid(what: str, content: Json, file: str) -> ManifestError:
    return ManifestError("applications/invalid", f"{ObjectId.of(content)}: {what}.", where=file, remedy="Correct it.")


def kind_of(source: Source, files: Files) -> SourceKind:
    """How Argo CD would render a source: by what it declares, else by what the folder holds.

    Raises ManifestError applications/{missing-path,ambiguous-source}.
    """
    declared = [kind for kind in _OPTIONS if getattr(source, kind)]
    if len(declared) > 1:
        what = f"The source has options for {' and '.join(declared)}; Argo CD refuses more than one."
        raise ManifestError("applications/ambiguous-source", what, remedy="Keep one of them.")
    if source.ref and not source.path:
        return SourceKind.REFERENCE
    place = files.locate(source.path or ".")
    if place is None or place.kind is not Kind.FOLDER:
        raise ManifestError(
            "applications/missing-path",
            f"The Application's path {source.path} is not a folder of the repository.",
            remedy=f"{_near(source.path, files)}Correct spec.source.path, or add the folder.",
        )
    if declared:
        return declared[0]
    if "Chart.yaml" in files.listing(place.path):
        return SourceKind.HELM
    return SourceKind.KUSTOMIZE if kustomization_file(files, place.path) else SourceKind.DIRECTORY


def _near(path: str, files: Files) -> str:
    """A guess which folder was meant: one beside it."""
    parent, _, name = path.rpartition("/")
    place = files.locate(parent or ".")
    if place is None or place.kind is not Kind.FOLDER:
        return ""
    return did_you_mean(name, [each for each, kind in files.listing(place.path).items() if kind is Kind.FOLDER])


def elsewhere(source: Source, files: Files, around: Surroundings) -> str:
    """Why a source is not of this tree, in words; empty when it is."""
    if source.chart:
        return "it is a chart of another repository"
    known = _urls(around)
    if known and not is_ours(source, around):
        return "it lives in another repository"
    if not known and files.locate(source.path or ".") is None:
        return "it lives in another repository (no remote says which this one is)"
    branch = source.revision.removeprefix("refs/heads/")
    if branch not in ("", "HEAD", around.configuration.branch):
        return f"it follows {source.revision}, and this tree becomes {around.configuration.branch}"
    return ""


def is_ours(source: Source, around: Surroundings) -> bool:
    """Whether a source names this repository."""
    return _place(source.repo_url) in _urls(around)


def _urls(around: Surroundings) -> frozenset[str]:
    """The places this repository is known by: as configured, else as git's remotes say."""
    given = (around.configuration.repository,) if around.configuration.repository else around.remotes
    return frozenset(_place(url) for url in given)


def _place(url: str) -> str:
    """Host and path: a repository is the same over https and ssh."""
    return re.sub(r"^[a-z+]+://(?:[^@/]*@)?", "", normalised(url))


def normalised(url: str) -> str:
    """Argo CD's `git.NormalizeGitURL`: lower case, `git@host:path` as ssh, no `.git`, no trailing slash."""
    text = url.strip().lower()
    if "://" not in text and (match := re.match(r"^([^/@]+@[^/:]+):(.*)$", text)):
        text = f"ssh://{match[1]}/{match[2].lstrip('/')}"
    return text.rstrip("/").removesuffix(".git")


def unsupported(application: Application, kind: SourceKind) -> UncheckableError:
    """The error for a source that can't be rendered without running its code."""
    return UncheckableError(
        "applications/unsupported-source",
        f"A {kind} source can't be rendered without running its code.",
        where=f"{application.file}:{application.line}",
        remedy="Use Kustomize, plain manifests or Helm.",
    )
