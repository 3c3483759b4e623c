"""CustomResourceDefinitions as JSON Schema: what the API server does with a structural schema, ahead of time.

Sources: k8s.io/apiextensions-apiserver v0.36 `pkg/apiserver/{schema,validation}` and k8s.io/kube-openapi
`pkg/validation`; for composite resources github.com/crossplane/crossplane-runtime/v2 v2.3 `pkg/xcrd`.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from koepon_gitops import structure
from koepon_gitops.model import Json

METADATA = {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
"""`schemas` supplies the definition: it is the same for custom and built-in kinds."""


class Kind(NamedTuple):
    """One served version of one kind, ready to be stored: plain JSON values only."""

    apiVersion: str
    kind: str
    plural: str
    namespaced: bool
    schema: dict[str, Any]
    """JSON Schema 2020-12. `x-must` beside a constraint is the sentence for people, `x-nullable` says that a null stays
    (`decoding`); they have no other effect."""
    plan: structure.Node | None
    """What JSON Schema cannot say; None when there is nothing of the kind."""
    status: dict[str, Any]
    """The form of `status`, which the API server does not take from a manifest: a structural schema without prose."""


def compiled(crd: Json) -> Iterator[Kind]:
    """The served versions of a definition. Raises KeyError, TypeError or AttributeError on a malformed one."""
    specification = crd["spec"]
    for version in specification["versions"]:
        if not version.get("served", True):
            continue
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {"x-kubernetes-preserve-unknown-fields": True}
        status = _form((schema.get("properties") or {}).get("status") or {})
        if "status" in (version.get("subresources") or {}):
            schema = _without_status(schema)
        yield Kind(
            apiVersion=f"{specification['group']}/{version['name']}",
            kind=specification["names"]["kind"],
            plural=specification["names"]["plural"],
            namespaced=specification["scope"] == "Namespaced",
            schema=_root(_scaled(schema, version)),
            plan=structure.plan(schema),
            status=status,
        )


_FORM = ("type", "format", "enum", "default", "minimum", "x-kubernetes-int-or-string")


def _form(schema: Json) -> dict[str, Any]:
    form: dict[str, Any] = {name: schema[name] for name in _FORM if name in schema}
    if properties := schema.get("properties"):
        form["properties"] = {name: _form(part) for name, part in properties.items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            form[name] = _form(schema[name])
    return form


def _without_status(schema: Json) -> Json:
    """With the status subresource, the API server drops `status` from what is applied before it validates."""
    properties = dict(schema.get("properties") or {})
    properties["status"] = {"x-kubernetes-preserve-unknown-fields": True, "nullable": True}
    required = [name for name in schema.get("required") or () if name != "status"]
    return {**schema, "properties": properties, "required": required}


def _scaled(schema: Json, version: Json) -> Json:
    """With the scale subresource, the number of replicas must not be negative (`customResourceStrategy.Validate`)."""
    scale = (version.get("subresources") or {}).get("scale") or {}
    return _at_least_zero(schema, str(scale.get("specReplicasPath") or "").strip(".").split("."))


def _at_least_zero(schema: Json, path: Sequence[str]) -> Json:
    properties = schema.get("properties") or {}
    if path[0] not in properties:
        return schema
    inner = properties[path[0]]
    inner = _at_least_zero(inner, path[1:]) if len(path) > 1 else {"minimum": 0, **inner}
    return {**schema, "properties": {**properties, path[0]: inner}}


def _root(schema: Json) -> dict[str, Any]:
    converted = _structural(schema, optional=False)
    converted["type"] = "object"
    properties = converted.setdefault("properties", {})
    own = properties.get("metadata", {}).get("properties")
    properties["metadata"] = {"allOf": [METADATA, {"properties": own}]} if own else METADATA
    properties["apiVersion"] = properties["kind"] = {"type": "string"}
    return converted


def _structural(schema: Json, *, optional: bool) -> dict[str, Any]:
    """`optional`: an explicit null counts as absent (`PruneNonNullableNullsWithoutDefaults` and `Default`)."""
    kinds = _types(schema)
    converted = _constraints(schema)
    if schema.get("nullable"):
        converted["x-nullable"] = True
    if schema.get("nullable") or optional:
        kinds = kinds and [*kinds, "null"]
        if None not in converted.get("enum", [None]):
            converted["enum"] = [*converted["enum"], None]
    if kinds:
        converted["type"] = kinds[0] if len(kinds) == 1 else kinds
    if "items" in schema:
        converted["items"] = _structural(schema["items"], optional=False)
    if "object" in kinds or "properties" in schema:
        converted |= _members(schema)
    return converted


def _types(schema: Json) -> list[str]:
    if schema.get("x-kubernetes-int-or-string"):
        return ["integer", "string"]
    return [schema["type"]] if schema.get("type") else []


def _members(schema: Json) -> dict[str, Any]:
    properties: Json = schema.get("properties") or {}
    required = [name for name in schema.get("required") or () if (properties.get(name) or {}).get("default") is None]
    members: dict[str, Any] = {
        "properties": {
            name: _structural(property_, optional=name not in required) for name, property_ in properties.items()
        }
    }
    if schema.get("x-kubernetes-embedded-resource"):
        members["properties"] |= {"apiVersion": {"type": "string", "minLength": 1}, "kind": _KIND, "metadata": METADATA}
        required += [name for name in ("apiVersion", "kind") if name not in required]
    if required:
        members["required"] = required
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        members["additionalProperties"] = _structural(others, optional=True)
    elif not others and not schema.get("x-kubernetes-preserve-unknown-fields"):
        members["additionalProperties"] = False
    return members


_KIND = {"type": "string", "pattern": "(?i)^[a-z]([-a-z0-9]*[a-z0-9])?$", "x-must": "be the name of a kind"}
"""apiextensions-apiserver `schema/objectmeta.validateEmbeddedResource`."""

_SAME = (
    *("enum", "pattern", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("multipleOf", "uniqueItems"),
)


def _constraints(schema: Json) -> dict[str, Any]:
    """The value validations of one level. OpenAPI 3.0 has boolean `exclusiveMinimum`; JSON Schema has the number."""
    converted: dict[str, Any] = {name: schema[name] for name in _SAME if schema.get(name) is not None}
    for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if limit in schema:
            converted[exclusive if schema.get(exclusive) is True else limit] = schema[limit]
    _add_format(schema, converted)
    for joint in ("allOf", "anyOf", "oneOf"):
        # the one anyOf an int-or-string may have says what its type already says
        if joint in schema and not schema.get("x-kubernetes-int-or-string"):
            converted[joint] = [_condition(part) for part in schema[joint]]
    if "not" in schema:
        converted["not"] = _condition(schema["not"])
    return converted


def _condition(schema: Json) -> dict[str, Any]:
    """A schema below a logical junctor: it constrains values and never makes a field unknown."""
    converted = _constraints(schema)
    if schema.get("required"):
        converted["required"] = schema["required"]
    if schema.get("properties"):
        converted["properties"] = {name: _condition(part) for name, part in schema["properties"].items()}
    if isinstance(schema.get("items"), dict):
        converted["items"] = _condition(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        converted["additionalProperties"] = _condition(schema["additionalProperties"])
    return converted


_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_UUID = r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?%s[0-9a-f]{3}-?%s[0-9a-f]{3}-?[0-9a-f]{12}$"
_BASE64 = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$"
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_UNIT = r"(ns|us|µs|ms|s|m|h|d|w|nano\w*|micro\w*|milli\w*|sec\w*|min\w*|hr|hour\w*|day\w*|wk|week\w*)"

FORMATS: dict[str, tuple[str, str]] = {
    "byte": (_BASE64, "be base64"),
    "cidr": (r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$", "be a CIDR such as 10.0.0.0/16"),
    "date": (rf"^{_DATE}$", "be a date such as 2026-01-31"),
    "datetime": (
        rf"(?i)^{_DATE}t([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](.[0-9]+)?(z|[+-][0-9]{{2}}:[0-9]{{2}})$",
        "be a time such as 2026-01-31T12:00:00Z",
    ),
    "duration": (rf"(?i)^[-+]?0$|[0-9]\s*{_UNIT}", "be a duration such as 5m30s"),
    "hexcolor": (r"^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$", "be a colour such as #FFFFFF"),
    "k8slongname": (rf"^{_LABEL}(\.{_LABEL})*$", "be a DNS subdomain"),
    "k8sshortname": (rf"^{_LABEL}$", "be a DNS label"),
    "uuid": (_UUID % ("[0-9a-f]", "[0-9a-f]"), "be a UUID"),
    "uuid3": (_UUID % ("3", "[0-9a-f]"), "be a version 3 UUID"),
    "uuid4": (_UUID % ("4", "[89ab]"), "be a version 4 UUID"),
    "uuid5": (_UUID % ("5", "[89ab]"), "be a version 5 UUID"),
}
"""kube-openapi `pkg/validation/strfmt`; names as it normalises them (without hyphens). Those it knows and that are not
here (uri, email, hostname, ipv4, ipv6 are jsonschema-rs's own; isbn, creditcard, ssn, mac ...) constrain nothing."""

_NATIVE = frozenset({"email", "ipv4", "ipv6"})
_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


def _add_format(schema: Json, converted: dict[str, Any]) -> None:
    """`StripUnsupportedFormatsPostProcessorForVersion`: a format counts only with the type it belongs to."""
    name = str(schema.get("format") or "").replace("-", "")
    if schema.get("type") == "integer":
        low, high = _RANGES.get(name, _RANGES["int64"])
        converted.setdefault("minimum", low)
        converted.setdefault("maximum", high)
    elif schema.get("type", "string") != "string":
        return
    elif name in FORMATS:
        pattern, words = FORMATS[name]
        converted.setdefault("allOf", []).append({"pattern": pattern, "x-must": words})
    elif name in _NATIVE:
        converted["format"] = name


def of_composite(definition: Json) -> Iterator[dict[str, Any]]:
    """The definitions that Crossplane makes of a CompositeResourceDefinition (`xcrd.ForCompositeResource`).

    Raises KeyError, TypeError or AttributeError on a malformed one.
    """
    specification = definition["spec"]
    scope = specification.get("scope") or (
        "Namespaced" if definition["apiVersion"].endswith("/v2") else "LegacyCluster"
    )
    yield _crd(
        specification,
        specification["names"],
        "Namespaced" if scope == "Namespaced" else "Cluster",
        _composite_fields(scope, specification.get("defaultCompositionUpdatePolicy")),
    )
    if claim := specification.get("claimNames"):
        yield _crd(specification, claim, "Namespaced", _CLAIM_FIELDS)


def _crd(specification: Json, names: Json, scope: str, fields: Json) -> dict[str, Any]:
    versions = [
        {
            "name": version["name"],
            "served": version.get("served", True),
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": _with_machinery(version["schema"]["openAPIV3Schema"], fields)},
        }
        for version in specification["versions"]
    ]
    group = specification["group"]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{group}"},
        "spec": {"group": group, "names": names, "scope": scope, "versions": versions},
    }


def _with_machinery(schema: Json, fields: Json) -> dict[str, Any]:
    """`genCrdVersion`: the author's spec, Crossplane's fields, and a name short enough to be a label value."""
    own = schema.get("properties") or {}
    name = (own.get("metadata") or {}).get("properties", {}).get("name", {})
    kept = ("required", "oneOf", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations")
    spec = {key: value for key, value in (own.get("spec") or {}).items() if key in kept}
    spec |= {"type": "object", "properties": {**((own.get("spec") or {}).get("properties") or {}), **fields}}
    return {
        "type": "object",
        "required": ["spec"],
        **{key: schema[key] for key in ("x-kubernetes-validations",) if key in schema},
        "properties": {
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": min(63, name.get("maxLength", 63))}},
            },
            "spec": spec,
        },
    }


def _object(*required: str, **properties: Json) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


_STRING = {"type": "string"}
_LABELS = _object("matchLabels", matchLabels={"type": "object", "additionalProperties": _STRING})
_COMPOSITION_FIELDS: dict[str, Any] = {
    "compositionRef": _object("name", name=_STRING),
    "compositionSelector": _LABELS,
    "compositionRevisionRef": _object("name", name=_STRING),
    "compositionRevisionSelector": _LABELS,
    "compositionUpdatePolicy": {"type": "string", "enum": ["Automatic", "Manual"]},
}
_CLAIM_FIELDS: dict[str, Any] = {
    **_COMPOSITION_FIELDS,
    "compositeDeletePolicy": {"type": "string", "enum": ["Background", "Foreground"]},
    "resourceRef": _object("apiVersion", "kind", "name", apiVersion=_STRING, kind=_STRING, name=_STRING),
    "writeConnectionSecretToRef": _object("name", name=_STRING),
}


def _composite_fields(scope: str, update_policy: str | None) -> dict[str, Any]:
    """`CompositeResourceSpecProps`: beside the author's fields for legacy scope, below `crossplane` otherwise."""
    fields = copy.deepcopy(_COMPOSITION_FIELDS)
    if update_policy:
        fields["compositionUpdatePolicy"]["default"] = update_policy
    names = {"apiVersion": _STRING, "kind": _STRING, "name": _STRING}
    if scope != "Namespaced":
        names["namespace"] = _STRING
    fields["resourceRefs"] = {"type": "array", "items": _object("apiVersion", "kind", **names)}
    if scope != "LegacyCluster":
        return {"crossplane": {"type": "object", "properties": fields}}
    claim = ("apiVersion", "kind", "namespace", "name")
    fields["claimRef"] = _object(*claim, **dict.fromkeys(claim, _STRING))
    fields["writeConnectionSecretToRef"] = _object("name", "namespace", name=_STRING, namespace=_STRING)
    return fields
