"""IAM's policy documents as values, and where managed resources of provider-aws carry them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from koepon_gitops.model import Manifest, Value

TRUST = "assumeRolePolicy"
"""The field of a Role with the document that says who may take it."""


class Condition(Value):
    """What has to hold: one of `values` compares with the request's `key` as `operator` says."""

    operator: str
    key: str
    values: tuple[str, ...]


class Statement(Value):
    """One statement of a policy document; a single string of the document is a tuple of one here."""

    allows: bool
    actions: tuple[str, ...] = ()
    other_than_actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    other_than_resources: tuple[str, ...] = ()
    principals: tuple[tuple[str, str], ...] = ()
    """Pairs such as ("Service", "ec2.amazonaws.com"); everybody is ("*", "*")."""
    other_than_principals: bool = False
    conditions: tuple[Condition, ...] = ()


class Document(Value):
    """A policy document as written, at `field` of an object."""

    manifest: Manifest
    field: str
    text: str

    @property
    def is_trust(self) -> bool:
        """Whether it says who may take a role, and not what a role may do."""
        return self.field.endswith(TRUST)

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Raises ValueError when AWS could not read it either."""
        content = orjson.loads(self.text)
        if not isinstance(content, dict):
            raise ValueError("it is not an object")
        written = content.get("Statement")
        statements = written if isinstance(written, list) else [written]
        return tuple(_statement(each) for each in statements)


def _statement(written: Any) -> Statement:
    if not isinstance(written, dict) or written.get("Effect") not in ("Allow", "Deny"):
        raise ValueError("a statement has no Effect of Allow or Deny")
    if "Action" not in written and "NotAction" not in written:
        raise ValueError("a statement has no Action")
    return Statement(
        allows=written["Effect"] == "Allow",
        actions=_strings(written.get("Action", [])),
        other_than_actions=_strings(written.get("NotAction", [])),
        resources=_strings(written.get("Resource", [])),
        other_than_resources=_strings(written.get("NotResource", [])),
        principals=tuple(_principals(written.get("Principal", {}))),
        other_than_principals="NotPrincipal" in written,
        conditions=tuple(_conditions(written.get("Condition", {}))),
    )


def _strings(written: Any) -> tuple[str, ...]:
    values = written if isinstance(written, list) else [written]
    if not all(isinstance(each, str) for each in values):
        raise ValueError("a statement has something else where names belong")
    return tuple(values)


def _principals(written: Any) -> Iterator[tuple[str, str]]:
    if written == "*":
        yield "*", "*"
    elif not isinstance(written, dict):
        raise ValueError("a statement has a Principal of no kind")
    else:
        yield from ((kind, name) for kind, names in written.items() for name in _strings(names))


def _conditions(written: Any) -> Iterator[Condition]:
    if not isinstance(written, dict) or not all(isinstance(each, dict) for each in written.values()):
        raise ValueError("a statement has a Condition that compares nothing")
    for operator, comparisons in written.items():
        for key, values in comparisons.items():
            listed = values if isinstance(values, list) else [values]
            yield Condition(operator=operator, key=key, values=tuple(_value(each) for each in listed))


def _value(written: Any) -> str:
    """A value of a condition: JSON's booleans and numbers mean the same as in quotation marks."""
    if isinstance(written, str):
        return written
    if isinstance(written, (dict, list)):
        raise ValueError("a statement has a Condition with something else where values belong")
    return orjson.dumps(written).decode()


def is_iam(manifest: Manifest) -> bool:
    """Whether an object makes something in IAM. What is only observed is somebody else's."""
    group = manifest.id.group
    policies = _part(manifest.content, "spec").get("managementPolicies")
    return group.startswith("iam.aws.") and group.endswith(".upbound.io") and policies != ["Observe"]


def documents(manifest: Manifest) -> Iterator[Document]:
    """The policy documents that an object of IAM carries."""
    for part, given in _given(manifest):
        for name in (TRUST, "policy"):
            yield from _document(manifest, f"spec.{part}.{name}", given.get(name))
        inline = given.get("inlinePolicy")
        for index, each in enumerate(inline if isinstance(inline, list) else []):
            if isinstance(each, Mapping):
                yield from _document(manifest, f"spec.{part}.inlinePolicy[{index}].policy", each.get("policy"))


def _document(manifest: Manifest, field: str, text: Any) -> Iterator[Document]:
    """A field that holds no text is for the schema to object to."""
    if isinstance(text, str):
        yield Document(manifest=manifest, field=field, text=text)


def attached(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """The ARNs of policies that an object of IAM attaches, each with its field."""
    for part, given in _given(manifest):
        arns = given.get("managedPolicyArns")
        fields: Sequence[tuple[str, Any]] = [("policyArn", given.get("policyArn"))]
        if isinstance(arns, list):
            fields = [*fields, *((f"managedPolicyArns[{index}]", arn) for index, arn in enumerate(arns))]
        yield from ((f"spec.{part}.{name}", arn) for name, arn in fields if isinstance(arn, str))


def _given(manifest: Manifest) -> Iterator[tuple[str, Mapping[str, Any]]]:
    spec = _part(manifest.content, "spec")
    for part in ("forProvider", "initProvider"):
        yield part, _part(spec, part)


def _part(content: Any, key: str) -> Mapping[str, Any]:
    found = content.get(key) if isinstance(content, Mapping) else None
    return found if isinstance(found, Mapping) else {}
