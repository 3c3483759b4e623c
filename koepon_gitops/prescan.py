"""What a kustomization would read, found before kustomize runs, so that it reads nothing else.

kustomize follows URLs wherever it takes a path (`api/internal/loader/fileloader.go`, `git.NewRepoSpecFromURL`). Here
every field that holds a path is looked at, and what is not a file or folder of this repository is refused by name.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from koepon_gitops.errors import ManifestError, UncheckableError
from koepon_gitops.manifests import read
from koepon_gitops.model import Json
from koepon_gitops.tree import Files, Kind, Place

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
"""The file names kustomize knows, in its order."""
DEEPEST = 50
"""Kustomizations inside kustomizations."""

_REMOTE = re.compile(
    r"^(?:[a-z][a-z0-9+.-]*:/|git::|gh:|github\.com[:/]|[^/:]+@[^/]+[:/])|[?&](?:ref|version|timeout)=", re.IGNORECASE
)
"""What `NewRepoSpecFromURL` and the HTTP loader take for something elsewhere, and a little more."""

_FOLDERS_OR_FILES = ("resources", "bases", "components")
_FILES = ("crds", "configurations", "patchesStrategicMerge")
_PLUGINS = ("generators", "transformers", "validators")
_ENTRIES = ("patches", "patchesJson6902", "replacements")
_GENERATORS = ("configMapGenerator", "secretGenerator")
_HELM = ("helmCharts", "helmChartInflationGenerator", "helmGlobals")


@dataclass(frozen=True, slots=True)
class Kustomization:
    """One kustomization of a closure: its folder, its file, and the other files it names itself, in order.

    `data`: what generators and plugins take in, which need not be YAML.
    """

    folder: str
    file: str
    content: Mapping[str, Any]
    patches: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


@dataclass(slots=True)
class Closure:
    """Everything a build reads: kustomizations from the outermost inwards, and the links that lead to them."""

    kustomizations: list[Kustomization] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    @property
    def files(self) -> tuple[str, ...]:
        """Every file once, nearest overlay first."""
        found: dict[str, None] = {}
        for each in self.kustomizations:
            found.update(dict.fromkeys((each.file, *each.patches, *each.data, *each.resources)))
        return tuple(found)


def scan(files: Files, folder: str) -> Closure:
    """The closure of the kustomization in `folder`, relative to the root.

    Raises ManifestError kustomize/{remote-reference,option-injection,outside-root,missing,cycle,ambiguous,invalid} and
    what `manifests` says of a kustomization that can't be read; UncheckableError kustomize/unsupported for Helm
    inflation, which needs the network.
    """
    closure = Closure()
    pending = [(folder, "", 0)]
    seen: set[str] = set()
    while pending:
        here, referrer, depth = pending.pop(0)
        place = _located(files, here, referrer or here, closure)
        if place.path in seen:
            continue
        seen.add(place.path)
        if depth > DEEPEST:
            raise ManifestError("kustomize/cycle", "Kustomizations are nested without end.", where=referrer)
        inner = _Scan(files, closure).kustomization(place.path, referrer)
        pending += [(child, closure.kustomizations[-1].file, depth + 1) for child in inner]
    return closure


def kustomization_file(files: Files, folder: str) -> str | None:
    """The kustomization in a folder that `Files.locate` has found. Raises ManifestError kustomize/ambiguous."""
    listing = files.listing(folder)
    found = [name for name in NAMES if name in listing]
    if len(found) > 1:
        what = f"The folder holds {found[0]} and {found[1]}."
        raise ManifestError("kustomize/ambiguous", what, where=folder, remedy="Keep kustomization.yaml.")
    return posixpath.normpath(f"{folder}/{found[0]}") if found else None


class _Scan:
    """Reads the references of one kustomization."""

    def __init__(self, files: Files, closure: Closure) -> None:
        self.files, self.closure = files, closure
        self.folder = self.file = ""

    def kustomization(self, folder: str, referrer: str) -> list[str]:
        """Add the kustomization in `folder` to the closure; the folders it builds on."""
        self.folder = folder
        self.file = self.own_file(folder, referrer)
        content = self.files.data(self.file)
        if not isinstance(content, dict):
            what = "The kustomization is empty." if content is None else "This is not a kustomization."
            remedy = "List the files it is made of under `resources`, or remove it."
            raise ManifestError("kustomize/invalid", what, where=self.file, remedy=remedy)
        if found := next((key for key in _HELM if content.get(key)), None):
            what = f"{found} inflates a chart, which needs helm and the network."
            remedy = "Make the chart a source of its own Application."
            raise UncheckableError("kustomize/unsupported", what, where=self.file, remedy=remedy)
        inner, resources = self.referred(content, _FOLDERS_OR_FILES)
        plugin_folders, plugins = self.referred(content, _PLUGINS)
        patches = (*self.named_files(content), *plugins)
        data = (*self.generator_files(content), *self.of_plugins(content, plugins))
        self.closure.kustomizations.append(Kustomization(folder, self.file, content, patches, data, tuple(resources)))
        return [*inner, *plugin_folders]

    def own_file(self, folder: str, referrer: str) -> str:
        if (file := kustomization_file(self.files, folder)) is None:
            what = f"{folder} holds no kustomization.yaml."
            raise ManifestError(
                "kustomize/missing", what, where=referrer or folder, remedy="Add one, or refer to files."
            )
        return _located(self.files, file, referrer or folder, self.closure).path

    def referred(self, content: Json, fields: Iterable[str]) -> tuple[list[str], list[str]]:
        """The folders and the files that a list field names; what is written in place of a name is skipped."""
        folders: list[str] = []
        named: list[str] = []
        for name in fields:
            for entry in self.texts(content.get(name), name):
                if name in _PLUGINS and "\n" in entry:
                    continue
                place = self.path(entry)
                (folders if place.kind is Kind.FOLDER else named).append(place.path)
        return folders, named

    def named_files(self, content: Json) -> Iterator[str]:
        for name in _FILES:
            for entry in self.texts(content.get(name), name):
                if not (name == "patchesStrategicMerge" and "\n" in entry):
                    yield self.file_path(entry)
        for name in _ENTRIES:
            for given in self.mappings(content.get(name), name):
                if path := given.get("path"):
                    yield self.file_path(self.text(path, name))
        if isinstance(openapi := content.get("openapi"), dict) and (path := openapi.get("path")):
            yield self.file_path(self.text(path, "openapi"))

    def generator_files(self, content: Json) -> Iterator[str]:
        for name in _GENERATORS:
            for given in self.mappings(content.get(name), name):
                yield from self.generated(given, name)

    def generated(self, entry: Json, name: str) -> Iterator[str]:
        """The files of one configMapGenerator or secretGenerator: `files` as `key=path`, `envs` and `env` as paths."""
        for given in self.texts(entry.get("files"), name):
            yield self.file_path(given.rpartition("=")[2])
        for given in [*self.texts(entry.get("envs"), name), *filter(None, [entry.get("env")])]:
            yield self.file_path(self.text(given, name))

    def of_plugins(self, content: Json, plugins: Iterable[str]) -> Iterator[str]:
        """The files that generators, transformers and validators name: objects with path fields of their own."""
        for file in plugins:
            for plugin in self.files.objects(file):
                yield from self.of_plugin(plugin)
        for name in _PLUGINS:
            for entry in self.texts(content.get(name), name):
                if "\n" in entry:
                    for plugin in read(entry.encode(), self.file):
                        yield from self.of_plugin(plugin)

    def of_plugin(self, plugin: Json) -> Iterator[str]:
        if "HelmChart" in str(plugin.get("kind")):
            what = f"{plugin['kind']} inflates a chart, which needs helm and the network."
            raise UncheckableError("kustomize/unsupported", what, where=self.file)
        for name in ("path", "paths"):
            given = plugin.get(name)
            for entry in [given] if isinstance(given, str) else self.texts(given, name):
                if "\n" not in entry:
                    yield self.file_path(entry)
        for replacement in self.mappings(plugin.get("replacements"), "replacements"):
            if path := replacement.get("path"):
                yield self.file_path(self.text(path, "replacements"))
        yield from self.generated(plugin, str(plugin.get("kind")))

    def file_path(self, entry: str) -> str:
        place = self.path(entry)
        if place.kind is not Kind.FILE:
            what = f"{entry} is a folder, and a file is wanted."
            raise ManifestError("kustomize/invalid", what, where=self.place(entry))
        return place.path

    def path(self, entry: str) -> Place:
        if entry.startswith("-") or any(ord(each) < 32 for each in entry):
            what = f"The path {entry[:80]!r} could be taken for an option."
            raise ManifestError("kustomize/option-injection", what, where=self.place(entry), remedy="Rename it.")
        if _REMOTE.search(entry):
            raise ManifestError(
                "kustomize/remote-reference",
                f"{entry} is fetched from elsewhere: what is applied would not be what was reviewed.",
                where=self.place(entry),
                remedy="Copy what it points to into the repository.",
            )
        if entry.startswith("/"):
            what = f"{entry} is an absolute path."
            remedy = "Refer to a file inside the repository, with a relative path."
            raise ManifestError("kustomize/outside-root", what, where=self.place(entry), remedy=remedy)
        return _located(self.files, f"{self.folder}/{entry}", self.place(entry), self.closure, entry)

    def place(self, entry: str) -> str:
        """The line that names it, for people; the file alone when it is written in a way that can't be searched for."""
        head, found, _ = self.files.content(self.file).partition(entry.encode(errors="surrogateescape"))
        return f"{self.file}:{head.count(b'\n') + 1}" if found and self.file else self.file

    def texts(self, value: Any, name: str) -> list[str]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise ManifestError("kustomize/invalid", f"`{name}` is not a list.", where=self.file)
        return [self.text(each, name) for each in value]

    def text(self, value: Any, name: str) -> str:
        if not isinstance(value, str) or not value:
            raise ManifestError("kustomize/invalid", f"`{name}` holds something that is not a path.", where=self.file)
        return value

    def mappings(self, value: Any, name: str) -> list[dict[str, Any]]:
        if not isinstance(value, list | None) or not all(isinstance(each, dict) for each in value or ()):
            raise ManifestError("kustomize/invalid", f"`{name}` is not a list of mappings.", where=self.file)
        return value or []


def _located(files: Files, path: str, referrer: str, closure: Closure, entry: str = "") -> Place:
    """Where a path leads, with the file that refers to it in every complaint."""
    try:
        place = files.locate(path)
    except ManifestError as error:
        what = error.what if not entry else f"{entry}: {error.what}"
        name = error.rule.replace("tree/", "kustomize/")
        raise ManifestError(name, what, where=referrer, remedy=error.remedy) from error
    if place is None:
        what = f"{entry or path} is not there."
        remedy = "Correct the path, or add the file."
        raise ManifestError("kustomize/missing", what, where=referrer, remedy=remedy)
    closure.links += place.links
    return place
