"""What the tests of `infrastructure/` share: claims as a team commits them, and the resources they stand for."""

import importlib
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from koepon_gitops import schemas
from koepon_gitops.defaults import defaulted

ROOT = Path(__file__).parents[1]
APIS = ROOT / "infrastructure" / "apis"
if str(APIS) not in sys.path:
    sys.path.insert(0, str(APIS))


@cache
def definition(kind: str) -> dict[str, Any]:
    """The CompositeResourceDefinition of a kind."""
    return yaml.safe_load((APIS / kind.lower() / "definition.yaml").read_text())


@cache
def _schemas() -> schemas.Schemas:
    definitions = [definition(folder.parent.name) for folder in sorted(APIS.glob("*/definition.yaml"))]
    return schemas.load(definitions, exempt=schemas.exemptions(ROOT / "policies" / "schemas.yaml"))


def claim(kind: str, environment: str, name: str = "") -> dict[str, Any]:
    """A claim that this repository commits, with its namespace."""
    for file in sorted((ROOT / "infrastructure" / "claims" / environment).glob("*.yaml")):
        content = yaml.safe_load(file.read_text())
        if content.get("kind") == kind and name in ("", content["metadata"]["name"]):
            content["metadata"]["namespace"] = environment
            return content
    raise LookupError(f"no {kind} {name} in {environment}")


def resources(content: Mapping[str, Any], observed: Mapping[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """The resources of a claim by their keys. `observed`: what Crossplane sees, by key."""
    composite = importlib.import_module("composite")
    kind = content["kind"]
    module = importlib.import_module(f"{kind.lower()}.composition")
    schema = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    whole = defaulted(dict(content), schema)
    made = composite.Resources(
        composite.Claim(
            kind=kind,
            name=whole["metadata"]["name"],
            namespace=whole["metadata"].get("namespace", ""),
            spec=whole["spec"],
            observed=dict(observed or {}),
        )
    )
    getattr(module, kind).build(made)
    return made.manifests


def namespaced(content: Mapping[str, Any], observed: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The resources of a claim as Crossplane makes them: in the claim's namespace."""
    namespace, made = content["metadata"]["namespace"], resources(content, observed)
    return [{**each, "metadata": {**each["metadata"], "namespace": namespace}} for each in made.values()]


def observed(made: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What Crossplane sees of resources once AWS has made them: by key, what it says of each in `status.atProvider`."""
    return {key: {**each, "status": {"atProvider": status.get(key, {})}} for key, each in made.items()}


def settled(content: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The resources once nothing waits any more."""
    made: dict[str, dict[str, Any]] = {}
    while (again := resources(content, observed(made, status))) != made:
        made = again
    return made


def parameters(made: Mapping[str, Any], key: str) -> dict[str, Any]:
    """What a resource asks AWS for."""
    found: dict[str, Any] = made[key]["spec"]["forProvider"]
    return found


def assert_refused(content: dict[str, Any], spoil: Callable[[dict[str, Any]], object], said: str) -> None:
    """A claim whose spec is spoilt is refused, with a sentence that has `said` in it."""
    spoil(content["spec"])
    found = problems(content)
    assert found and any(said in problem for problem in found), found


def problems(content: Mapping[str, Any]) -> list[str]:
    """What the API server would object to: a claim against its definition, a resource against provider-aws."""
    return [problem.message for problem in _schemas().validate(content)]
