"""A WorkloadIdentity: a role for one service account of a cluster or for workflows of a repository, and what it may do.

Kubernetes names begin with the claim's name, those in AWS with `awsName`.
"""

import json
from typing import Any

from composite import Composite, Json, Resources

AUDIENCE = "sts.amazonaws.com"
"""Whom a token has to be made out to."""

GITHUB = "token.actions.githubusercontent.com"


class WorkloadIdentity(Composite):
    """Composed as: who it is, what it may do."""

    @staticmethod
    def build(resources: Resources) -> None:
        """Add the role with its policy."""
        if "kubernetes" in resources.claim.spec:
            add_role_of_service_account(resources)
        else:
            add_role_of_workflows(resources)
        add_policy(resources)


def add_role_of_service_account(resources: Resources) -> None:
    """The role, as soon as the cluster says under which address it vouches for its service accounts.

    Another claim keeps the cluster: here it is looked at and no more.
    """
    spec = resources.claim.spec["kubernetes"]
    cluster = resources.aws(
        "eks/Cluster",
        f"{resources.claim.name}-cluster",
        {"region": spec["region"]},
        external_name=spec["clusterName"],
    )
    resources.manifests[cluster]["spec"]["managementPolicies"] = ["Observe"]
    issuer = resources.claim.seen(cluster, "identity", 0, "oidc", 0, "issuer")
    subject = f"system:serviceaccount:{spec['namespace']}:{spec['serviceAccount']}"
    key = f"role/{resources.claim.name}-role"
    resources.once(issuer, key, lambda: add_role(resources, issuer.removeprefix("https://"), {"sub": subject}))


def add_role_of_workflows(resources: Resources) -> None:
    """GitHub's word as the account takes it, and the role of a repository's branch and of what it deploys to."""
    spec = resources.claim.spec["github"]
    repository, branch = spec["repository"], f"refs/heads/{spec['branch']}"
    # The account has one provider for all of GitHub: it outlives this claim.
    resources.aws(
        "iam/OpenIDConnectProvider",
        "github-oidc",
        {"url": f"https://{GITHUB}", "clientIdList": [AUDIENCE]},
        stateful=True,
    )
    # A job that names an environment has a subject without a branch: the branch is asked for by itself.
    subjects = [f"repo:{repository}:environment:{name}" for name in spec["environments"]]
    add_role(resources, GITHUB, {"sub": subjects or f"repo:{repository}:ref:{branch}", "ref": branch})


def add_role(resources: Resources, provider: str, claims: Json) -> None:
    """A role for whoever brings a token of `provider` that says exactly this."""
    principal = f"arn:aws:iam::{resources.claim.spec['account']}:oidc-provider/{provider}"
    wanted = {"aud": AUDIENCE, **claims}
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": principal},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{provider}:{claim}": value for claim, value in wanted.items()}},
    }
    resources.aws(
        "iam/Role",
        f"{resources.claim.name}-role",
        {"description": resources.claim.spec["description"], "assumeRolePolicy": document(trust)},
        external_name=f"{resources.claim.spec['awsName']}-role",
    )


def add_policy(resources: Resources) -> None:
    """What it may do, and nothing that the claim does not list."""
    spec, name = resources.claim.spec, resources.claim.name
    policy = document(*(statement(each) for each in spec["statements"]))
    external_name = f"{spec['awsName']}-policy"
    resources.aws(
        "iam/Policy",
        f"{name}-policy",
        {"description": spec["description"], "policy": policy},
        external_name=external_name,
    )
    attachment = {"roleRef": {"name": f"{name}-role"}, "policyArnRef": {"name": f"{name}-policy"}}
    resources.aws("iam/RolePolicyAttachment", f"{name}-policy", attachment)


def statement(written: Json) -> Json:
    """A statement of the claim in IAM's words."""
    allowed: dict[str, Any] = {
        "Sid": written["sid"],
        "Effect": "Allow",
        "Action": written["actions"],
        "Resource": written["resources"],
    }
    conditions: dict[str, dict[str, Any]] = {}
    for condition in written["conditions"]:
        conditions.setdefault(condition["operator"], {})[condition["key"]] = condition["values"]
    return {**allowed, "Condition": conditions} if conditions else allowed


def document(*statements: Json) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
