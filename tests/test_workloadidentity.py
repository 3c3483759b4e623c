"""The identities as claimed: who takes a role, what it may do to the letter, and claims without sense."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests import estate
from tests.estate import parameters

ENVIRONMENTS = ("staging", "production", "dr")
ISSUER = "https://oidc.eks.ap-northeast-1.amazonaws.com/id/5F1F4F4B2A111B9D5C0E"
PROVIDER = ISSUER.removeprefix("https://")
GITHUB = "token.actions.githubusercontent.com"
ROLE = "role/koepon-app-role"
ACCOUNT = "123456789012"

type Claim = dict[str, Any]
type Made = dict[str, dict[str, Any]]


def claim(environment: str = "production", name: str = "koepon-app") -> Claim:
    return copy.deepcopy(estate.claim("WorkloadIdentity", environment, name))


def observed(made: Made, issuer: str = ISSUER) -> Made:
    """What Crossplane sees once AWS has made the resources, and the cluster gives its issuer."""
    status = {"identity": [{"oidc": [{"issuer": issuer}] if issuer else []}]}
    return {
        key: {**each, "status": {"atProvider": status if each["kind"] == "Cluster" else {}}}
        for key, each in made.items()
    }


def settled(content: Claim) -> Made:
    """The resources once nothing waits any more."""
    return estate.resources(content, observed(estate.resources(content)))


def trust(made: Made, key: str) -> dict[str, Any]:
    [found] = json.loads(parameters(made, key)["assumeRolePolicy"])["Statement"]
    return found


def allowed(made: Made, name: str = "koepon-app") -> set[tuple[str, str]]:
    """Every action with every resource that the policy allows."""
    statements = json.loads(parameters(made, f"policy/{name}-policy")["policy"])["Statement"]
    assert {each["Effect"] for each in statements} == {"Allow"}
    return {(action, to) for each in statements for action in each["Action"] for to in each["Resource"]}


CLAIMS = [(environment, "koepon-app") for environment in ENVIRONMENTS] + [("production", "koepon-promotion")]


@pytest.mark.parametrize(("environment", "name"), CLAIMS)
def test_aws_takes_every_resource_of_a_claim(environment: str, name: str) -> None:
    content = claim(environment, name)
    assert estate.problems(content) == []
    for each in settled(content).values():
        whole = {**each, "metadata": {**each["metadata"], "namespace": environment}}
        assert estate.problems(whole) == []


ASSETS = {"staging": "koepon-assets-staging", "production": "koepon-assets-prod", "dr": "koepon-assets-dr"}
PREFIXES = {"staging": "koepon-staging", "production": "koepon", "dr": "koepon-dr"}
REGIONS = {"staging": "ap-northeast-1", "production": "ap-northeast-1", "dr": "ap-southeast-1"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_application_may_do_what_the_document_says_and_nothing_else(environment: str) -> None:
    """S3 read/write for assets bucket, CloudWatch logs write, Parameter Store read."""
    bucket = f"arn:aws:s3:::{ASSETS[environment]}"
    here = f"{REGIONS[environment]}:{ACCOUNT}"
    log = f"arn:aws:logs:{here}:log-group:/{PREFIXES[environment]}/application:*"
    parameter = f"arn:aws:ssm:{here}:parameter/koepon/{environment}/*"
    assert allowed(settled(claim(environment))) == {
        ("s3:GetObject", f"{bucket}/*"),
        ("s3:PutObject", f"{bucket}/*"),
        ("s3:AbortMultipartUpload", f"{bucket}/*"),
        ("s3:ListBucket", bucket),
        ("logs:CreateLogStream", log),
        ("logs:PutLogEvents", log),
        ("ssm:GetParameter", parameter),
        ("ssm:GetParameters", parameter),
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_role_is_the_one_that_the_service_account_names(environment: str) -> None:
    overlay = estate.ROOT / "apps" / "koepon-app" / "overlays" / environment / "kustomization.yaml"
    name = settled(claim(environment))[ROLE]["metadata"]["annotations"]["crossplane.io/external-name"]
    assert name == f"{PREFIXES[environment]}-app-role"
    assert f"eks.amazonaws.com/role-arn: arn:aws:iam::{ACCOUNT}:role/{name}\n" in overlay.read_text()


@pytest.mark.parametrize(
    ("environment", "namespace"), [("staging", "staging"), ("production", "production"), ("dr", "production")]
)
def test_one_service_account_takes_the_role(environment: str, namespace: str) -> None:
    found = trust(settled(claim(environment)), ROLE)
    assert found["Principal"] == {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{PROVIDER}"}
    assert found["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert found["Condition"] == {
        "StringEquals": {
            f"{PROVIDER}:aud": "sts.amazonaws.com",
            f"{PROVIDER}:sub": f"system:serviceaccount:{namespace}:koepon-app-sa",
        }
    }


def test_there_is_no_role_before_the_cluster_has_an_issuer() -> None:
    made = estate.resources(claim())
    assert ROLE not in made
    assert ROLE not in estate.resources(claim(), observed(made, issuer=""))
    assert set(settled(claim())) - set(made) == {ROLE}


def test_the_cluster_is_looked_at_and_left_alone() -> None:
    cluster = settled(claim())["cluster/koepon-app-cluster"]
    assert cluster["spec"]["managementPolicies"] == ["Observe"]
    assert cluster["metadata"]["annotations"]["crossplane.io/external-name"] == "koepon-production"


@pytest.mark.parametrize(("environment", "name"), CLAIMS)
def test_nothing_goes_away_while_a_status_is_away(environment: str, name: str) -> None:
    content = claim(environment, name)
    made = settled(content)
    assert estate.resources(content, observed(made)) == made
    assert estate.resources(content, observed(made, issuer="")) == made


def test_the_policy_is_the_role_s() -> None:
    made = settled(claim())
    attachment = parameters(made, "rolepolicyattachment/koepon-app-policy")
    assert attachment == {"roleRef": {"name": "koepon-app-role"}, "policyArnRef": {"name": "koepon-app-policy"}}
    name = made["policy/koepon-app-policy"]["metadata"]["annotations"]["crossplane.io/external-name"]
    assert name == "koepon-app-policy"


def test_promotion_on_main_finds_images_and_does_nothing_else() -> None:
    made = settled(claim(name="koepon-promotion"))
    repository = f"arn:aws:ecr:ap-northeast-1:{ACCOUNT}:repository/koepon/app"
    assert allowed(made, "koepon-promotion") == {("ecr:DescribeImages", repository)}
    found = trust(made, "role/koepon-promotion-role")
    assert found["Principal"] == {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{GITHUB}"}
    assert found["Condition"] == {
        "StringEquals": {
            f"{GITHUB}:aud": "sts.amazonaws.com",
            f"{GITHUB}:sub": [
                "repo:koepon/koepon-gitops:environment:staging",
                "repo:koepon/koepon-gitops:environment:production",
            ],
            f"{GITHUB}:ref": "refs/heads/main",
        }
    }


def test_workflows_without_an_environment_are_known_by_their_branch() -> None:
    content = claim(name="koepon-promotion")
    content["spec"]["github"] = {"repository": "koepon/koepon"}
    wanted = trust(settled(content), "role/koepon-promotion-role")["Condition"]["StringEquals"]
    assert wanted[f"{GITHUB}:sub"] == "repo:koepon/koepon:ref:refs/heads/main"


def test_the_account_s_word_of_github_outlives_the_claim() -> None:
    made = settled(claim(name="koepon-promotion"))
    provider = made["openidconnectprovider/github-oidc"]["spec"]
    assert provider["forProvider"]["url"] == f"https://{GITHUB}"
    assert "Delete" not in provider["managementPolicies"]
    assert "usage/openidconnectprovider/github-oidc" in made


def test_a_statement_may_have_conditions() -> None:
    content = claim()
    content["spec"]["statements"] = [
        {
            "sid": "Scale",
            "actions": ["autoscaling:SetDesiredCapacity"],
            "resources": [
                f"arn:aws:autoscaling:ap-northeast-1:{ACCOUNT}:autoScalingGroup:*:autoScalingGroupName/eks-*"
            ],
            "conditions": [
                {"operator": "StringEquals", "key": "aws:ResourceTag/Environment", "values": ["production"]},
                {"operator": "StringEquals", "key": "aws:ResourceTag/Service", "values": ["koepon"]},
                {"operator": "Bool", "key": "aws:SecureTransport", "values": ["true"]},
            ],
        }
    ]
    assert estate.problems(content) == []
    [statement] = json.loads(parameters(settled(content), "policy/koepon-app-policy")["policy"])["Statement"]
    assert statement["Condition"] == {
        "StringEquals": {"aws:ResourceTag/Environment": ["production"], "aws:ResourceTag/Service": ["koepon"]},
        "Bool": {"aws:SecureTransport": ["true"]},
    }


WORKFLOWS = {"repository": "koepon/koepon-gitops"}

NONSENSE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "nobody's identity": (lambda spec: spec.pop("kubernetes"), "either of a service account"),
    "two identities": (lambda spec: spec.update(github=WORKFLOWS), "either of a service account"),
    "every action": (lambda spec: spec["statements"][0].update(actions=["*"]), "actions"),
    "every action of a service": (lambda spec: spec["statements"][0].update(actions=["s3:*"]), "actions"),
    "many actions": (lambda spec: spec["statements"][0].update(actions=["s3:Get*"]), "actions"),
    "every bucket": (lambda spec: spec["statements"][0].update(resources=["arn:aws:s3:::*"]), "which resource"),
    "a bucket's name": (lambda spec: spec["statements"][0].update(resources=["koepon-assets-prod"]), "resources"),
    "a resource beside all": (
        lambda spec: spec["statements"][0].update(resources=["*", "arn:aws:s3:::koepon-assets-prod"]),
        "mean nothing",
    ),
    "no statement": (lambda spec: spec.update(statements=[]), "statements"),
    "no actions": (lambda spec: spec["statements"][0].update(actions=[]), "actions"),
    "any service account": (lambda spec: spec["kubernetes"].update(serviceAccount="*"), "serviceAccount"),
    "any namespace": (lambda spec: spec["kubernetes"].update(namespace="*"), "namespace"),
    "an unknown region": (lambda spec: spec["kubernetes"].update(region="mars-1"), "region"),
    "an unknown field": (lambda spec: spec.update(roleName="koepon-app-role"), "roleName"),
}


@pytest.mark.parametrize(("spoil", "said"), NONSENSE.values(), ids=list(NONSENSE))
def test_a_claim_without_sense_is_refused(spoil: Callable[[dict[str, Any]], object], said: str) -> None:
    estate.assert_refused(claim(), spoil, said)


@pytest.mark.parametrize(
    ("field", "value"), [("repository", "koepon/*"), ("repository", "koepon"), ("branch", "*"), ("environments", ["*"])]
)
def test_any_repository_branch_or_environment_is_refused(field: str, value: Any) -> None:
    content = claim(name="koepon-promotion")
    content["spec"]["github"][field] = value
    assert any(field in problem for problem in estate.problems(content))
