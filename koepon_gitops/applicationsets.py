"""ApplicationSets to Applications: list, git-directory and cluster generators, and both kinds of template.

What is not known here raises: an Application that is not expanded is one that is not checked.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from koepon_gitops.configuration import Cluster
from koepon_gitops.errors import ManifestError, UncheckableError
from koepon_gitops.labels import selects
from koepon_gitops.model import Json
from koepon_gitops.tree import Files, Kind

type Parameters = dict[str, Any]


def expand(
    content: Json, files: Files, clusters: Mapping[str, Cluster], local: frozenset[str], file: str
) -> Iterator[dict[str, Any]]:
    """The Applications an ApplicationSet stands for, in the order of its generators.

    `clusters`: those Argo CD knows, by name; `local`: places of this repository, which git generators must name.
    """
    specification = content.get("spec") or {}
    template = specification.get("template")
    if not isinstance(template, Mapping) or not isinstance(specification.get("generators"), list):
        raise ManifestError("applications/invalid", "The ApplicationSet lacks template or generators.", where=file)
    if specification.get("templatePatch"):
        raise _unsupported("templatePatch", file)
    go = bool(specification.get("goTemplate"))
    generators = _Generators(files, clusters, go=go, file=file)
    for generator in specification["generators"]:
        for parameters in generators.parameters(generator):
            filled = _filled(template, _GoTemplate(parameters, file) if go else _FastTemplate(parameters, file))
            metadata = {"namespace": content["metadata"].get("namespace", "argocd"), **(filled.get("metadata") or {})}
            yield {"apiVersion": content["apiVersion"], "kind": "Application", **filled, "metadata": metadata}


def _unsupported(what: str, file: str) -> UncheckableError:
    return UncheckableError(
        "applications/unsupported-generator",
        f"An ApplicationSet uses {what}, which is not evaluated here.",
        where=file,
        remedy="Use a list, git-directory or cluster generator, or write the Applications out.",
    )


class _Generators:
    """Turns one generator into its sets of parameters."""

    def __init__(self, files: Files, clusters: Mapping[str, Cluster], *, go: bool, file: str) -> None:
        self.files, self.clusters, self.go, self.file = files, clusters, go, file

    def parameters(self, generator: Json) -> Iterator[Parameters]:
        known: dict[str, Callable[[Json], Iterator[Parameters]]] = {
            "list": self.elements,
            "git": self.directories,
            "clusters": self.declared_clusters,
        }
        kinds = [name for name, value in generator.items() if value is not None]
        if len(kinds) != 1 or kinds[0] not in known:
            raise _unsupported(f"the generator {' with '.join(sorted(kinds)) or 'nothing'}", self.file)
        settings = generator[kinds[0]]
        if unknown := sorted(settings.keys() - _SETTINGS[kinds[0]]):
            raise _unsupported(f"`{unknown[0]}` of the {kinds[0]} generator", self.file)
        yield from known[kinds[0]](settings)

    def elements(self, settings: Json) -> Iterator[Parameters]:
        for element in settings.get("elements") or ():
            yield dict(element) if self.go else _flat(element)

    def directories(self, settings: Json) -> Iterator[Parameters]:
        patterns = settings.get("directories")
        if not patterns:
            raise _unsupported("`files` of the git generator", self.file)
        for folder in self.folders("."):
            if _matches(folder, patterns, exclude=False) and not _matches(folder, patterns, exclude=True):
                yield {**self.of_path(folder), **self.values(settings)}

    def folders(self, here: str) -> Iterator[str]:
        for name, kind in sorted(self.files.listing(here).items()):
            if kind is Kind.FOLDER and not name.startswith("."):
                path = name if here == "." else f"{here}/{name}"
                yield path
                yield from self.folders(path)

    def of_path(self, folder: str) -> Parameters:
        segments = folder.split("/")
        basename = segments[-1]
        if self.go:
            inner = {"path": folder, "basename": basename, "segments": segments}
            return {"path": {**inner, "basenameNormalized": _normalised(basename)}}
        indexed = {f"path[{index}]": segment for index, segment in enumerate(segments)}
        return {"path": folder, "path.basename": basename, "path.basenameNormalized": _normalised(basename), **indexed}

    def declared_clusters(self, settings: Json) -> Iterator[Parameters]:
        if not self.clusters:
            raise UncheckableError(
                "applications/unknown-clusters",
                "A cluster generator selects clusters, and their labels are not in the tree.",
                where=self.file,
                remedy="List them in [tool.koepon_gitops.cluster.NAME] of pyproject.toml: server and labels.",
            )
        for name, cluster in sorted(self.clusters.items()):
            if selects(settings.get("selector") or {}, cluster.labels):
                yield {**self.of_cluster(name, cluster), **self.values(settings)}

    def of_cluster(self, name: str, cluster: Cluster) -> Parameters:
        plain = {"name": name, "nameNormalized": _normalised(name), "server": cluster.server}
        if self.go:
            return {**plain, "metadata": {"labels": dict(cluster.labels), "annotations": {}}}
        return {**plain, **{f"metadata.labels.{key}": value for key, value in cluster.labels.items()}}

    def values(self, settings: Json) -> Parameters:
        given = settings.get("values") or {}
        return {"values": dict(given)} if self.go else {f"values.{key}": value for key, value in given.items()}


_SETTINGS = {
    "list": {"elements"},
    "git": {"repoURL", "revision", "directories", "requeueAfterSeconds", "values", "files"},
    "clusters": {"selector", "values"},
}


def _flat(element: Json) -> Parameters:
    """A list element for the simple template: text as it is, a nested `values` with dots."""
    result: Parameters = {}
    for key, value in element.items():
        if isinstance(value, Mapping):
            result |= {f"{key}.{inner}": str(each) for inner, each in value.items()}
        else:
            result[key] = value
    return result


def _matches(folder: str, patterns: Sequence[Json], *, exclude: bool) -> bool:
    """Go's `path.Match`: `*` stays within one segment."""
    for pattern in patterns:
        segments = str(pattern.get("path")).split("/")
        fits = bool(pattern.get("exclude")) == exclude and len(segments) == folder.count("/") + 1
        if fits and all(map(fnmatchcase, folder.split("/"), segments)):
            return True
    return False


def _normalised(name: str) -> str:
    """Argo CD's `SanitizeName`: a valid DNS name."""
    return re.sub(r"[^-a-z0-9.]", "-", name.lower())[:253].strip("-.")


def _filled(value: Any, fill: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return fill(value)
    if isinstance(value, Mapping):
        return {fill(key): _filled(inner, fill) for key, inner in value.items()}
    return [_filled(inner, fill) for inner in value] if isinstance(value, list) else value


class _Template:
    """Replaces what stands in double braces; what can't be replaced raises."""

    def __init__(self, parameters: Parameters, file: str) -> None:
        self.parameters, self.file = parameters, file

    def __call__(self, text: str) -> str:
        return (
            re.sub(r"\{\{-?\s*(.*?)\s*-?\}\}", lambda match: str(self.value(match[1])), text) if "{{" in text else text
        )

    def value(self, expression: str) -> Any:
        raise NotImplementedError


class _FastTemplate(_Template):
    """`{{name}}`, `{{path.basename}}`, `{{metadata.labels.x}}`."""

    def value(self, expression: str) -> Any:
        if expression not in self.parameters:
            what = f"The template's {{{{{expression}}}}} is no parameter of its generator."
            raise ManifestError("applications/unknown-parameter", what, where=self.file, remedy="Correct the name.")
        return self.parameters[expression]


class _GoTemplate(_Template):
    """`{{.name}}`, `{{ .path.basename }}`, `{{ index .path.segments 1 }}`; other actions are not evaluated here."""

    def value(self, expression: str) -> Any:
        if match := re.fullmatch(r"index\s+(\.[\w.-]+)\s+(?:(\d+)|\"([^\"]+)\")", expression):
            inner = self.at(match[1])
            return self.item(inner, int(match[2]) if match[2] else match[3], expression)
        if not re.fullmatch(r"\.[\w.-]+", expression):
            raise _unsupported(f"the template action {{{{{expression}}}}}", self.file)
        return self.at(expression)

    def at(self, path: str) -> Any:
        value: Any = self.parameters
        for step in path[1:].split("."):
            value = self.item(value, step, path)
        return value

    def item(self, value: Any, step: str | int, expression: str) -> Any:
        try:
            return value[step]
        except (KeyError, IndexError, TypeError) as error:
            what = f"The template's {expression} is no parameter of its generator."
            raise ManifestError(
                "applications/unknown-parameter", what, where=self.file, remedy="Correct it."
            ) from error
