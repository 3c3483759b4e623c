"""Structural schemas against the behaviour that the Kubernetes CRD reference describes."""

from typing import Any

import pytest

from koepon_gitops import schemas
from koepon_gitops.schemas import Schemas


def definition(spec: dict[str, Any], **root: Any) -> dict[str, Any]:
    """A CustomResourceDefinition of `Widget` (example.com/v1) whose spec has this structural schema."""
    schema = {"type": "object", "properties": {"spec": spec, "status": {"type": "object"}}, **root}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [version],
        },
    }


def fields(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def widget(spec: Any, **other: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec, **other}


def messages(library: Schemas, content: dict[str, Any]) -> list[str]:
    return [problem.message for problem in library.validate(content)]


def said(spec_schema: dict[str, Any], spec: Any, **root: Any) -> list[str]:
    return messages(schemas.load([definition(spec_schema, **root)]), widget(spec))


INTEGER = {"type": "integer"}
STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "value", "accepted"),
    [
        ({"x-kubernetes-int-or-string": True}, 1, True),
        ({"x-kubernetes-int-or-string": True}, "25%", True),
        ({"x-kubernetes-int-or-string": True, "anyOf": [INTEGER, STRING]}, "25%", True),
        ({"x-kubernetes-int-or-string": True}, True, False),
        (INTEGER, 3.0, True),
        (INTEGER, 3.5, False),
        ({"type": "integer", "format": "int32"}, 2**31, False),
        ({"type": "integer", "format": "int32"}, 2**31 - 1, True),
        (INTEGER, 2**63, False),
        ({"type": "string", "format": "date-time"}, "2026-01-31T12:00:00Z", True),
        ({"type": "string", "format": "date-time"}, "yesterday", False),
        ({"type": "string", "format": "byte"}, "aGk=", True),
        ({"type": "string", "format": "byte"}, "?", False),
        ({"type": "string", "format": "duration"}, "5m30s", True),
        ({"type": "string", "format": "duration"}, "soon", False),
        ({"type": "string", "format": "made-up"}, "anything", True),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, 1, False),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": False}, 1, True),
        ({"type": "string", "pattern": r"^\d+$"}, "12", True),
        ({"type": "string", "pattern": r"^\d+$"}, "٣", False),
        ({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, {"any": [1]}, True),
        ({"type": "object"}, {"any": 1}, False),
        ({"type": "object", "additionalProperties": STRING}, {"any": "x"}, True),
        ({"type": "object", "additionalProperties": STRING}, {"any": 1}, False),
        ({"type": "array", "items": STRING}, ["x", None], False),
        ({"type": "array", "items": {**STRING, "nullable": True}}, ["x", None], True),
    ],
)
def test_values(schema: dict[str, Any], value: Any, accepted: bool) -> None:
    assert (said(fields(x=schema), {"x": value}) == []) is accepted


def test_a_null_counts_as_absent_unless_the_field_is_required() -> None:
    schema = {**fields(a=STRING, b=STRING, c={**STRING, "nullable": True}), "required": ["b"]}
    assert said(schema, {"a": None, "b": "x", "c": None}) == []
    assert said(schema, {"b": None}) == ["spec.b must be a string, not null."]


def test_a_null_does_not_count_among_the_properties() -> None:
    one = {**fields(a=STRING, b=STRING, c={**STRING, "nullable": True}), "minProperties": 1, "maxProperties": 1}
    assert said(one, {"a": None}) == ["spec must not be empty."]
    assert said(one, {"a": None, "b": "x"}) == []
    assert said(one, {"c": None}) == []
    assert said(one, {"b": "x", "c": None}) == ["spec must be an object of at most 1 fields, not 2."]


def test_what_is_unknown_does_not_count_among_the_properties() -> None:
    one = {**fields(a=STRING, b=STRING), "maxProperties": 1}
    assert said(one, {"a": "x", "c": "y"}) == ["`c` is not a field of Widget.spec."]
    assert said(one, {"a": "x", "b": "y", "c": "z"}) == [
        "spec must be an object of at most 1 fields, not 2.",
        "`c` is not a field of Widget.spec.",
    ]


def test_a_default_makes_a_required_field_optional() -> None:
    schema = {**fields(a={**STRING, "default": "x"}, b=STRING), "required": ["a", "b"]}
    assert said(schema, {}) == ["spec.b is required."]
    assert said(schema, {"a": None, "b": "x"}) == []


def test_an_unknown_field_is_named_with_what_was_probably_meant() -> None:
    assert said(fields(replicas=INTEGER), {"replcias": 1}) == [
        "`replcias` is not a field of Widget.spec; did you mean `replicas`?"
    ]


def test_the_keys_of_a_preserving_object_are_still_checked() -> None:
    schema = {**fields(known=INTEGER), "x-kubernetes-preserve-unknown-fields": True}
    assert said(schema, {"known": "x", "other": 1}) == ['spec.known must be an integer, not the string "x".']


def test_an_embedded_resource_has_a_kind_and_metadata_of_its_own() -> None:
    schema = {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": fields()}}
    inner = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x", "lables": {}}, "spec": {}}
    assert said(fields(template=schema), {"template": inner}) == [
        "`lables` is not a field of Widget.spec.template.metadata; did you mean `labels`?"
    ]
    assert said(fields(template=schema), {"template": {"spec": {}}}) == [
        "spec.template.apiVersion is required.",
        "spec.template.kind is required.",
    ]


def test_lists_with_keys_have_each_key_once() -> None:
    port = fields(port=INTEGER, protocol={**STRING, "default": "TCP"})
    listed = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"]}
    schema = fields(
        ports={**listed, "items": port}, tags={"type": "array", "x-kubernetes-list-type": "set", "items": STRING}
    )
    spec = {"ports": [{"port": 1}, {"port": 1, "protocol": "TCP"}, {"port": 1, "protocol": "UDP"}], "tags": ["a", "a"]}
    assert said(schema, spec) == [
        'spec.ports[1] has the same port 1 and protocol "TCP" as spec.ports[0]; each may be there once.',
        "spec.tags[1] has the same value as spec.tags[0]; each may be there once.",
    ]


def test_one_of_names_the_choice() -> None:
    schema = {**fields(a=STRING, b=STRING), "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert said(schema, {"a": "x"}) == []
    assert said(schema, {}) == ["spec must have exactly one of a, b."]


def test_the_status_of_a_kind_with_that_subresource_is_not_looked_at() -> None:
    made = definition(fields())
    made["spec"]["versions"][0]["subresources"] = {"status": {}}
    assert schemas.load([made]).validate(widget({}, status={"any": 1})) == ()


def test_a_version_that_is_not_served_is_unknown() -> None:
    made = definition(fields())
    made["spec"]["versions"][0]["served"] = False
    assert not schemas.load([made]).knows("example.com/v1", "Widget")


def test_a_malformed_definition_adds_nothing() -> None:
    assert not schemas.load([{"kind": "CustomResourceDefinition", "spec": 3}]).knows("example.com/v1", "Widget")


def test_metadata_is_that_of_every_object() -> None:
    library = schemas.load([definition(fields())])
    assert messages(library, widget({}) | {"metadata": {"name": "W", "namespace": 3}}) == [
        "metadata.name must be a DNS name (labels of lower case letters, digits and '-', beginning and ending with a "
        'letter or digit, joined by dots), not the string "W".',
        "metadata.namespace must be a string, not the number 3.",
    ]


XRD = {
    "apiVersion": "apiextensions.crossplane.io/v2",
    "kind": "CompositeResourceDefinition",
    "metadata": {"name": "databases.koepon.com"},
    "spec": {
        "group": "koepon.com",
        "scope": "Namespaced",
        "names": {"kind": "Database", "plural": "databases"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "referenceable": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {**fields(size={**STRING, "enum": ["small"]}), "required": ["size"]}},
                    }
                },
            }
        ],
    },
}


def claim(spec: dict[str, Any], name: str = "d") -> dict[str, Any]:
    return {"apiVersion": "koepon.com/v1", "kind": "Database", "metadata": {"name": name}, "spec": spec}


def test_a_composite_resource_definition_makes_a_kind_with_crossplanes_own_fields() -> None:
    library = schemas.load([XRD])
    assert library.plural("koepon.com/v1", "Database") == "databases"
    assert library.is_namespaced("koepon.com/v1", "Database")
    assert messages(library, claim({"size": "small", "crossplane": {"compositionUpdatePolicy": "Manual"}})) == []
    assert messages(library, claim({"size": "huge", "crossplane": {"compositionUpdatePolicy": "Never"}}, "d" * 64)) == [
        "metadata.name must be at most 63 characters long, not 64.",
        'spec.crossplane.compositionUpdatePolicy must be one of "Automatic", "Manual", not the string "Never".',
        'spec.size must be "small", not the string "huge".',
    ]


def test_legacy_composites_and_their_claims() -> None:
    legacy = {**XRD, "apiVersion": "apiextensions.crossplane.io/v1"}
    legacy["spec"] = {**XRD["spec"], "scope": "LegacyCluster", "claimNames": {"kind": "Claim", "plural": "claims"}}
    library = schemas.load([legacy])
    assert not library.is_namespaced("koepon.com/v1", "Database")
    assert library.is_namespaced("koepon.com/v1", "Claim")
    assert messages(library, claim({"size": "small", "compositionRef": {"name": "x"}})) == []


def test_the_form_of_a_status_is_kept_beside_the_schema() -> None:
    status = fields(ready={"type": "boolean", "description": "Whether."}, ids={"type": "array", "items": STRING})
    crd = definition(fields())
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"] = status
    library = schemas.load([crd])
    assert library.status("example.com/v1", "Widget") == fields(
        ready={"type": "boolean"}, ids={"type": "array", "items": STRING}
    )
    assert (
        library.status("ec2.aws.m.upbound.io/v1beta1", "VPC")["properties"]["atProvider"]["properties"]["arn"] == STRING
    )
    assert library.status("v1", "Pod") == {}
