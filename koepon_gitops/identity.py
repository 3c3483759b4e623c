"""Identity on one page: every role, who may take it, and each action with each resource that it may do."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from koepon_gitops import iam
from koepon_gitops.iam import Condition, Statement
from koepon_gitops.model import Manifest, Value

EXTERNAL_NAME = "crossplane.io/external-name"
AWS_KEEPS = ":iam::aws:policy/"
UNREADABLE = "a document that can't be read"

type _Key = tuple[str, str, str, str]
"""Cluster, namespace, kind and name of an object."""


class Grant(Value):
    """One thing that a role may do; `not s3:DeleteObject` is denied. `taken_by`: everybody who may take it."""

    role: str
    taken_by: tuple[str, ...]
    action: str
    resource: str


def grants(manifests: Sequence[Manifest]) -> tuple[Grant, ...]:
    """What every role of IAM may do, in the order of names. A role that may do nothing has one grant of nothing."""
    objects = {_key(each, each.id.kind, each.id.name): each for each in manifests if iam.is_iam(each)}
    named = {_name_in_aws(each): key for key, each in objects.items() if each.id.kind == "Role"}
    rights: dict[_Key, set[tuple[str, str]]] = defaultdict(set)
    for each in objects.values():
        if each.id.kind == "Role":
            rights[_key(each, "Role", each.id.name)] |= _rights(each, objects)
        elif role := _of_role(each, named):
            rights[role] |= _rights(each, objects)
    found = (
        Grant(role=_role_name(role, objects), taken_by=_takers(objects.get(role)), action=action, resource=resource)
        for role, allowed in rights.items()
        for action, resource in allowed or {("nothing", "")}
    )
    return tuple(sorted(found, key=lambda each: (each.role, each.action, each.resource)))


def _key(around: Manifest, kind: str, name: str) -> _Key:
    return around.cluster, around.id.namespace, kind, name


def _name_in_aws(manifest: Manifest) -> str:
    annotations = _mapping(_mapping(manifest.content, "metadata"), "annotations")
    return str(annotations.get(EXTERNAL_NAME) or manifest.id.name)


def _role_name(role: _Key, objects: Mapping[_Key, Manifest]) -> str:
    return _name_in_aws(objects[role]) if role in objects else role[-1]


def _of_role(manifest: Manifest, named: Mapping[str, _Key]) -> _Key | None:
    """The role that a RolePolicy or a RolePolicyAttachment is about: by reference, else by its name in AWS."""
    given = _mapping(_mapping(manifest.content, "spec"), "forProvider")
    if reference := _mapping(given, "roleRef").get("name"):
        return _key(manifest, "Role", str(reference))
    if role := given.get("role"):
        return named.get(str(role), _key(manifest, "Role", str(role)))
    return None


def _rights(manifest: Manifest, objects: Mapping[_Key, Manifest]) -> set[tuple[str, str]]:
    """What an object gives to its role: its own documents, and those of the policies it attaches."""
    sources = [manifest]
    found = set()
    for policy in _attached(manifest, objects):
        if isinstance(policy, Manifest):
            sources.append(policy)
        else:
            found.add((_last(policy), "as AWS defines it" if AWS_KEEPS in policy else "not defined here"))
    for document in (document for source in sources for document in iam.documents(source)):
        if not document.is_trust:
            found |= _allowed(document)
    return found


def _attached(manifest: Manifest, objects: Mapping[_Key, Manifest]) -> Iterator[Manifest | str]:
    """The policies that an object attaches, by reference or by ARN; the ARN of one that is not among the objects."""
    given = _mapping(_mapping(manifest.content, "spec"), "forProvider")
    reference = _mapping(given, "policyArnRef").get("name")
    if policy := objects.get(_key(manifest, "Policy", str(reference))):
        yield policy
    for _, arn in iam.attached(manifest):
        own = (each for each in objects.values() if each.id.kind == "Policy" and _name_in_aws(each) == _last(arn))
        yield arn if AWS_KEEPS in arn else next(own, arn)


def _last(arn: str) -> str:
    return arn.rpartition("/")[2]


def _allowed(document: iam.Document) -> set[tuple[str, str]]:
    try:
        statements = document.statements
    except ValueError:
        return {(UNREADABLE, "")}
    return {
        (f"{'' if statement.allows else 'not '}{action}{_provided(statement.conditions)}", resource)
        for statement in statements
        for action in (*statement.actions, *(f"all but {each}" for each in statement.other_than_actions))
        for resource in (*statement.resources, *(f"all but {each}" for each in statement.other_than_resources))
    }


def _takers(role: Manifest | None) -> tuple[str, ...]:
    """Who may take a role, in words; nobody as long as it is not there."""
    documents = [each for each in iam.documents(role) if each.is_trust] if role else []
    found: set[str] = set()
    for document in documents:
        try:
            statements = document.statements
        except ValueError:
            return (UNREADABLE,)
        found |= {taker for statement in statements if statement.allows for taker in _principals(statement)}
    return tuple(sorted(found))


def _principals(statement: Statement) -> Iterator[str]:
    if statement.other_than_principals:
        yield "everybody but some"
    for _, name in statement.principals:
        provider = name.partition("oidc-provider/")[2]
        conditions = tuple(
            each.model_copy(update={"key": each.key.removeprefix(f"{provider}:")}) if provider else each
            for each in statement.conditions
        )
        yield f"{'everybody' if name == '*' else provider or name}{_provided(conditions)}"


def _provided(conditions: Sequence[Condition]) -> str:
    """Conditions in words; `is` stands for StringEquals."""
    words = [
        f"{each.key} {'is' if each.operator == 'StringEquals' else each.operator} {' or '.join(each.values)}"
        for each in conditions
    ]
    return f" if {' and '.join(words)}" if words else ""


def _mapping(content: Any, key: str) -> Mapping[str, Any]:
    found = content.get(key) if isinstance(content, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def markdown(listed: Sequence[Grant]) -> str:
    """The grants as a table, a role and its takers only where they begin."""
    rows = ["| role | taken by | may | on |", "| --- | --- | --- | --- |"]
    before: tuple[str, tuple[str, ...]] = ("", ())
    for each in listed:
        who = each.role, each.taken_by
        shown = ("", "") if who == before else (_cell(each.role), "<br>".join(map(_cell, each.taken_by)) or "nobody")
        rows.append(f"| {shown[0]} | {shown[1]} | {_cell(each.action)} | {_cell(each.resource)} |")
        before = who
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    """Text as code that ends neither its cell nor its row, whatever it holds; nothing for nothing."""
    plain = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`" if plain else ""
