"""Identity: what roles may do, who may take them, and how long the cluster that vouches for them is looked after.

`policies/versions.yaml` has `eks`: {<minor version>: <last day of standard support>}.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from koepon_gitops import iam
from koepon_gitops.checks import data
from koepon_gitops.checks.registration import Fault, check
from koepon_gitops.checks.workloads import part
from koepon_gitops.iam import Document, Statement
from koepon_gitops.model import Manifest, Value

READING = re.compile(r"[a-z0-9-]+:(get|list|describe|batchget)[a-z0-9]*\*?", re.ASCII)
NAMED = re.compile(r"[a-z0-9-]+:[a-z0-9]+", re.ASCII)
"""Actions in lower case: AWS does not tell capitals apart."""

WITHOUT_RESOURCES = (
    "acm:listcertificates",
    "autoscaling:describe*",
    "cloudwatch:getmetricdata",
    "cloudwatch:getmetricstatistics",
    "cloudwatch:listmetrics",
    "cloudwatch:putmetricdata",
    "ec2:describe*",
    "ecr:getauthorizationtoken",
    "eks:listclusters",
    "elasticloadbalancing:describe*",
    "kms:listaliases",
    "kms:listkeys",
    "route53:listhostedzones",
    "route53:listhostedzonesbyname",
    "s3:listallmybuckets",
    "ssm:describeparameters",
    "sts:getcalleridentity",
    "tag:getresources",
    "xray:puttelemetryrecords",
    "xray:puttracesegments",
)
"""Actions for which AWS knows no resources (Service Authorization Reference), so that * is all that can be written."""

WEB_IDENTITY = "sts:assumerolewithwebidentity"


@check(
    requirement="IAM・アクセス制御",
    remedy="Name the actions and the ARNs that are needed; tie a role for web identities to one aud and to its subs by "
    "StringEquals.",
)
def iam_least_privilege(manifests: Sequence[Manifest]) -> Iterator[Fault]:
    """A role may do what is named, to what is named, and is taken by whom it names.

    What a pattern allows grows with every action AWS invents and every bucket somebody makes. A role that trusts an
    identity provider without asking for the subject is everybody's who can get a token there: with GitHub, the world's.
    """
    for manifest in manifests:
        if not iam.is_iam(manifest):
            continue
        for document in iam.documents(manifest):
            yield from _document(document)
        for field, arn in iam.attached(manifest):
            name = arn.rpartition("/")[2]
            if arn.startswith("arn:aws:iam::aws:") and _is_wide(name):
                yield Fault(manifest, f"{name} allows everything in a service or in all of them", field)


def _is_wide(name: str) -> bool:
    return name.endswith("FullAccess") or name in ("AdministratorAccess", "PowerUserAccess", "SystemAdministrator")


def _document(document: Document) -> Iterator[Fault]:
    try:
        statements = document.statements
    except ValueError as error:
        yield Fault(document.manifest, f"it is no policy document: {error}", document.field)
        return
    for statement in statements:
        if statement.allows:
            for message in (*_actions(statement), *(_taken if document.is_trust else _done)(statement)):
                yield Fault(document.manifest, message, document.field)


def _actions(statement: Statement) -> Iterator[str]:
    if statement.other_than_actions:
        yield "it allows all actions but some"
    for action in statement.actions:
        if not (NAMED.fullmatch(action.lower()) or READING.fullmatch(action.lower())):
            yield f"{action} is not the name of an action"


def _done(statement: Statement) -> Iterator[str]:
    if statement.other_than_resources:
        yield "it allows its actions on all resources but some"
    elif not statement.resources:
        yield "it does not say on what it allows its actions"
    for resource in statement.resources:
        if _names_nothing(resource):
            for action in statement.actions:
                if not any(fnmatchcase(action.lower(), pattern) for pattern in WITHOUT_RESOURCES):
                    yield f"{action} is allowed on {resource}, and AWS lets its resources be named"


def _names_nothing(resource: str) -> bool:
    """Whether the part of an ARN that says which resource it is says nothing."""
    *_, last = resource.split(":", 5)
    return not last.strip("*?/:")


def _taken(statement: Statement) -> Iterator[str]:
    if statement.other_than_principals:
        yield "everybody but some may take it"
    for kind, name in statement.principals:
        if kind in ("*", "AWS") and name == "*" and not statement.conditions:
            yield "everybody may take it"
        if kind == "Federated" and any(fnmatchcase(WEB_IDENTITY, action.lower()) for action in statement.actions):
            provider = name.partition("oidc-provider/")[2] or name
            asked = {each.key.lower() for each in statement.conditions if each.operator == "StringEquals"}
            for claim in ("aud", "sub"):
                if f"{provider}:{claim}".lower() not in asked:
                    yield f"it does not ask {provider} for one {claim}, by StringEquals"


NOTICE = timedelta(days=60)
"""How long before the end of support an upgrade has to be in sight."""


class Versions(Value):
    """`policies/versions.yaml`."""

    eks: dict[str, date]


@check(
    requirement="NFR-301",
    remedy="Raise spec.version of the Cluster claim by one minor version, staging first; add a new version's last day "
    "to policies/versions.yaml.",
)
def eks_support(manifests: Sequence[Manifest], policies: Path, today: date) -> Iterator[Fault]:
    """Clusters run a version of Kubernetes that EKS supports for two months yet.

    On the day after, EKS upgrades the cluster by itself, or charges six times as much for it, as its claim says. Two
    months are enough to upgrade staging, look at it for a while, and upgrade production.
    """
    clusters = [each for each in manifests if _is_cluster(each)]
    versions = data.read(policies, "versions.yaml", Versions) if clusters else None
    for cluster in clusters:
        field = "spec.forProvider.version"
        version = str(part(cluster.content, "spec", "forProvider", "version") or "")
        last = versions.eks.get(version) if versions else None
        if not version:
            yield Fault(cluster, "it names no version, and EKS takes the one it likes", "spec.forProvider")
        elif last is None:
            yield Fault(cluster, f"versions.yaml does not say until when EKS supports {version}", field)
        elif today > last:
            yield Fault(cluster, f"EKS has not supported {version} since {last}", field)
        elif today >= last - NOTICE:
            yield Fault(cluster, f"EKS supports {version} until {last}, which is in {(last - today).days} days", field)


def _is_cluster(manifest: Manifest) -> bool:
    group, policies = manifest.id.group, part(manifest.content, "spec", "managementPolicies")
    managed = group.startswith("eks.aws.") and group.endswith(".upbound.io") and policies != ["Observe"]
    return managed and manifest.id.kind == "Cluster"
