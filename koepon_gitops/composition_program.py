"""What Crossplane would run for a claim: definition, Composition, function and the modules mounted into it.

Everything is looked up among the objects of the claim's own cluster, as Crossplane does there: the modules are those of
the ConfigMap that kustomize generated, not files that happen to lie beside it.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any, NamedTuple

from koepon_gitops import crds
from koepon_gitops.defaults import defaulted
from koepon_gitops.model import Json, Manifest

NAMESPACE = "crossplane-system"
"""Where Crossplane and the pods of its functions run."""
INSTALLED = version("crossplane-function-pythonic")
"""Version of the function that composes here."""


class Gap(Exception):
    """Why a claim can't be composed: `what` is wrong with `manifest`, at `field` of it."""

    def __init__(self, rule: str, what: str, manifest: Manifest, field: str = "", *, unchecked: bool = True) -> None:
        self.rule, self.what, self.manifest, self.field, self.unchecked = rule, what, manifest, field, unchecked
        super().__init__(what)


class Definition(NamedTuple):
    """A served version of a composite kind, as a CompositeResourceDefinition defines it."""

    manifest: Manifest
    schema: Json
    is_legacy: bool
    """Whether Crossplane's own fields are those of version 1, beside the author's."""
    is_claim: bool
    """Whether it is the claim of version 1, for which Crossplane makes the composite resource."""


class Program(NamedTuple):
    """What runs for one claim. `inputs`: one for each step; `origins`: the ConfigMap that each module comes from."""

    composite: dict[str, Any]
    composition: Manifest
    inputs: tuple[Json, ...]
    package: str
    modules: dict[str, str]
    origins: dict[str, Manifest]
    files: frozenset[str]
    """Every repository file that the answer depends on, beside the claim's own."""

    @property
    def scripts(self) -> dict[str, str]:
        """Python that is written in the Composition itself, by the step that runs it."""
        texts = (str(given.get("composite", "")) for given in self.inputs)
        return {
            f"step {index} of {self.composition.id.name}": text for index, text in enumerate(texts, 1) if "\n" in text
        }


class Apis:
    """The composite kinds of one cluster and what composes them."""

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self._objects: dict[tuple[str, str, str], list[Manifest]] = {}
        for manifest in manifests:
            identity = manifest.id
            if identity.group in _GROUPS or identity.kind == "ConfigMap":
                self._objects.setdefault((identity.group, identity.kind, identity.name), []).append(manifest)
        self._mounts: dict[str, tuple[dict[str, str], dict[str, Manifest], frozenset[str]]] = {}

    @cached_property
    def definitions(self) -> dict[tuple[str, str], Definition]:
        """By apiVersion and kind; a malformed definition is left out, and `schemas` says what is wrong with it."""
        found: dict[tuple[str, str], Definition] = {}
        for manifest in self._of("apiextensions.crossplane.io", "CompositeResourceDefinition"):
            try:
                for served, definition in _served(manifest):
                    found[served] = definition
            except (KeyError, TypeError, AttributeError):
                continue
        return found

    def _of(self, group: str, kind: str) -> Iterator[Manifest]:
        for (one, other, _), manifests in self._objects.items():
            if (one, other) == (group, kind):
                yield from manifests

    def _named(self, group: str, kind: str, name: str) -> Manifest | None:
        return next(iter(self._objects.get((group, kind, name), ())), None)

    def program(self, claim: Manifest) -> Program:
        """What runs for a claim of one of the definitions. Raises Gap."""
        definition = self.definitions[claim.id.apiVersion, claim.id.kind]
        if definition.is_claim:
            raise Gap("unsupported", f"{claim.id.kind} is a claim of Crossplane 1, which makes another object", claim)
        composite = defaulted(claim.content, definition.schema)
        composition = self._composition(claim, composite, definition)
        steps = composition.content["spec"].get("pipeline") or []
        _support(composition, steps)
        function = self._function(composition, steps[0]["functionRef"]["name"])
        modules, origins, files = self._mounted(function)
        return Program(
            composite=_labelled(composite),
            composition=composition,
            inputs=tuple(step["input"] for step in steps),
            package=str(function.content["spec"]["package"]),
            modules=modules,
            origins=origins,
            files=files.union(definition.manifest.files, composition.files),
        )

    def _composition(self, claim: Manifest, composite: Json, definition: Definition) -> Manifest:
        """crossplane `composite/api.go`: enforced by the definition, named, its default, selected by label, any."""
        spec = composite.get("spec") or {}
        asked = spec if definition.is_legacy else spec.get("crossplane") or {}
        if asked.get("compositionRevisionRef") or asked.get("compositionRevisionSelector"):
            raise Gap("unsupported", "it asks for a revision of its Composition, which only the cluster knows", claim)
        fitting = [each for each in self._of("apiextensions.crossplane.io", "Composition") if _fits(each, claim)]
        wanted = definition.manifest.content["spec"]
        name = _name(wanted.get("enforcedCompositionRef")) or _name(asked.get("compositionRef"))
        selector = (asked.get("compositionSelector") or {}).get("matchLabels")
        if not name and not selector:
            name = _name(wanted.get("defaultCompositionRef"))
        if name:
            fitting = [each for each in fitting if each.id.name == name]
        elif selector:
            fitting = [
                each for each in fitting if selector.items() <= (each.content["metadata"].get("labels") or {}).items()
            ]
        kind = f"{claim.id.kind} ({claim.id.apiVersion})"
        if not fitting:
            named = f"is named {name} and " if name else ""
            what = f"no Composition {named}composes {kind}{' with the labels asked for' if selector else ''}"
            raise Gap("missing-composition", what, definition.manifest)
        if len(fitting) > 1:
            names = " and ".join(sorted(each.id.name for each in fitting))
            what = f"{names} all compose {kind}, and Crossplane picks any: name one in spec.crossplane.compositionRef"
            raise Gap("ambiguous-composition", what, fitting[-1], "spec.compositeTypeRef", unchecked=False)
        return fitting[0]

    def _function(self, composition: Manifest, name: str) -> Manifest:
        function = self._named("pkg.crossplane.io", "Function", name)
        place = "spec.pipeline[0].functionRef.name"
        if function is None:
            raise Gap("missing-function", f"the cluster has no Function {name}", composition, place)
        package = str(function.content["spec"].get("package"))
        match = re.fullmatch(r"(?:.*/)?function-pythonic(?::v?(?P<version>[^@]+))?(?:@.*)?", package)
        if match is None:
            raise Gap("unsupported", f"the Function {name} ({package}) is not function-pythonic", composition, place)
        if match["version"] != INSTALLED:
            what = f"the cluster runs {package}, and what composes here is version {INSTALLED}"
            raise Gap("other-version", what, function, "spec.package")
        return function

    def _mounted(self, function: Manifest) -> tuple[dict[str, str], dict[str, Manifest], frozenset[str]]:
        """The modules on the function's path, where they come from, and the files that decide it."""
        if (known := self._mounts.get(function.id.name)) is not None:
            return known
        files = frozenset(function.files)
        modules: dict[str, str] = {}
        origins: dict[str, Manifest] = {}
        if name := _name(function.content["spec"].get("runtimeConfigRef")):
            runtime = self._named("pkg.crossplane.io", "DeploymentRuntimeConfig", name)
            if runtime is None:
                what = f"the cluster has no DeploymentRuntimeConfig {name}"
                raise Gap("missing-runtime-config", what, function, "spec.runtimeConfigRef.name")
            files = files.union(runtime.files)
            for config in _config_maps(runtime):
                source = self._config_map(runtime, config)
                files = files.union(source.files)
                for key, text in (source.content.get("data") or {}).items():
                    module = key.removesuffix(".py")
                    if key.endswith(".py") and module.isidentifier():
                        modules.setdefault(module, text)
                        origins.setdefault(module, source)
        self._mounts[function.id.name] = modules, origins, files
        return self._mounts[function.id.name]

    def _config_map(self, runtime: Manifest, name: str) -> Manifest:
        for each in self._objects.get(("", "ConfigMap", name), ()):
            if each.id.namespace == NAMESPACE:
                return each
        what = f"the cluster has no ConfigMap {NAMESPACE}/{name}, which is mounted into the function"
        raise Gap("missing-modules", what, runtime, "spec.deploymentTemplate.spec.template.spec.volumes")


_GROUPS = ("apiextensions.crossplane.io", "pkg.crossplane.io")


def _served(manifest: Manifest) -> Iterator[tuple[tuple[str, str], Definition]]:
    is_legacy = (
        manifest.id.apiVersion.endswith("/v1")
        and manifest.content["spec"].get("scope", "LegacyCluster") == "LegacyCluster"
    )
    for index, crd in enumerate(crds.of_composite(manifest.content)):
        spec = crd["spec"]
        for each in spec["versions"]:
            if each["served"]:
                schema = each["schema"]["openAPIV3Schema"]
                yield (
                    (f"{spec['group']}/{each['name']}", spec["names"]["kind"]),
                    Definition(manifest, schema, is_legacy, is_claim=index > 0),
                )


def _name(reference: Json | None) -> str:
    return str((reference or {}).get("name") or "")


def _fits(composition: Manifest, claim: Manifest) -> bool:
    reference = composition.content["spec"].get("compositeTypeRef") or {}
    return (reference.get("apiVersion"), reference.get("kind")) == (claim.id.apiVersion, claim.id.kind)


def _labelled(composite: Json) -> dict[str, Any]:
    """Crossplane labels a composite resource with its own name before it composes it."""
    metadata = composite["metadata"]
    labels = {**(metadata.get("labels") or {}), "crossplane.io/composite": metadata["name"]}
    return {**composite, "metadata": {**metadata, "labels": labels}}


def _support(composition: Manifest, steps: Sequence[Json]) -> None:
    def gap(what: str, field: str) -> Gap:
        return Gap("unsupported", what, composition, field)

    if not steps or composition.content["spec"].get("mode", "Pipeline") != "Pipeline":
        raise gap("it is not a pipeline of functions", "spec.mode")
    for index, step in enumerate(steps):
        place = f"spec.pipeline[{index}]"
        if step["functionRef"]["name"] != steps[0]["functionRef"]["name"]:
            raise gap("its steps run different functions", f"{place}.functionRef.name")
        if step.get("credentials") or step.get("requirements"):
            raise gap("it hands a step credentials or other objects of the cluster", place)
        given = step.get("input") or {}
        if not given.get("composite") or given.get("inlined"):
            raise gap("a step does not say what is to be run as `composite`", f"{place}.input")


_QUIET = ("--debug", "-d")
_QUIET_WITH_VALUE = ("--log-name-width", "--logger-level")
_TEMPLATE = "spec.deploymentTemplate.spec.template.spec"


def _config_maps(runtime: Manifest) -> Iterator[str]:
    """The names of the ConfigMaps on the path, first found first. Raises Gap for whatever else decides what is run."""
    template = runtime.content["spec"].get("deploymentTemplate") or {}
    pod = ((template.get("spec") or {}).get("template") or {}).get("spec") or {}
    container: Json = next((each for each in pod.get("containers") or () if each.get("name") == "package-runtime"), {})
    for name in ("command", "env", "envFrom", "image"):
        if container.get(name):
            raise Gap(
                "unsupported", f"it sets `{name}` of the function's container", runtime, f"{_TEMPLATE}.containers"
            )
    for path in _paths(runtime, container.get("args") or ()):
        yield _config_map_at(runtime, path, container, {each["name"]: each for each in pod.get("volumes") or ()})


def _paths(runtime: Manifest, arguments: Sequence[str]) -> Iterator[str]:
    pending = iter(arguments)
    for argument in pending:
        name, _, value = argument.partition("=")
        if name == "--python-path":
            yield posixpath.normpath(value or next(pending, ""))
        elif name in _QUIET_WITH_VALUE:
            value or next(pending, "")
        elif argument not in _QUIET:
            what = f"it starts the function with {argument}, which is not understood here"
            raise Gap("unsupported", what, runtime, f"{_TEMPLATE}.containers")


def _config_map_at(runtime: Manifest, path: str, container: Json, volumes: Mapping[str, Json]) -> str:
    for mount in container.get("volumeMounts") or ():
        if posixpath.normpath(mount["mountPath"]) == path:
            config = (volumes.get(mount["name"]) or {}).get("configMap") or {}
            if not config.get("name") or config.get("items") or mount.get("subPath") or mount.get("subPathExpr"):
                what = f"what it mounts at {path} is not a whole ConfigMap"
                raise Gap("unsupported", what, runtime, f"{_TEMPLATE}.volumes")
            return str(config["name"])
    raise Gap(
        "missing-modules",
        f"nothing is mounted at {path}, where modules are looked for",
        runtime,
        f"{_TEMPLATE}.containers",
    )
