"""IAM beyond its fixtures: the days of eks-support, documents of any shape, and the page that lists who may do what."""

import json
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from koepon_gitops import checks, identity
from koepon_gitops.model import Finding, Manifest, ObjectId
from tests import estate

POLICIES = estate.ROOT / "policies"
TODAY = date(2026, 11, 24)
ISSUER = "oidc.eks.ap-northeast-1.amazonaws.com/id/5F1F"


def manifest(kind: str, given: Any, name: str = "web", *, service: str = "iam", **metadata: Any) -> Manifest:
    content = {
        "apiVersion": f"{service}.aws.m.upbound.io/v1beta1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "production", **metadata},
        "spec": {"forProvider": given},
    }
    return Manifest(application="claims", cluster="hub", id=ObjectId.of(content), content=content)


def found(rule: str, objects: Iterable[Manifest], *, policies: Path = POLICIES, today: date = TODAY) -> list[Finding]:
    return [each for each in checks.run(list(objects), policies, today) if each.rule == rule]


def eks(version: str = "1.34") -> Manifest:
    return manifest("Cluster", {"region": "ap-northeast-1", "version": version}, service="eks")


LAST = date(2026, 12, 2)


@pytest.mark.parametrize(
    ("today", "said"),
    [
        (LAST - timedelta(days=61), None),
        (LAST - timedelta(days=60), "EKS supports 1.34 until 2026-12-02, which is in 60 days"),
        (LAST, "EKS supports 1.34 until 2026-12-02, which is in 0 days"),
        (LAST + timedelta(days=1), "EKS has not supported 1.34 since 2026-12-02"),
    ],
)
def test_two_months_before_the_end_of_support_it_is_said(today: date, said: str | None) -> None:
    assert [each.message for each in found("eks-support", [eks()], today=today)] == ([said] if said else [])


@pytest.mark.parametrize(
    ("version", "last"), [("1.36", date(2027, 8, 2)), ("1.35", date(2027, 3, 27)), ("1.34", date(2026, 12, 2))]
)
def test_the_days_that_aws_published(version: str, last: date) -> None:
    assert [each.message for each in found("eks-support", [eks(version)], today=last + timedelta(days=1))] == [
        f"EKS has not supported {version} since {last}"
    ]
    assert found("eks-support", [eks(version)], today=last - timedelta(days=61)) == []


def test_every_claimed_cluster_is_supported_today() -> None:
    for environment in ("staging", "production", "dr"):
        assert found("eks-support", [eks(estate.claim("Cluster", environment)["spec"]["version"])]) == []


@pytest.mark.parametrize(
    ("text", "unchecked"), [(None, False), ("eks: {}", False), ("eks: {1.36: soon}", True), ("aks: {}", True)]
)
def test_without_a_last_day_nothing_passes(tmp_path: Path, text: str | None, unchecked: bool) -> None:
    if text is not None:
        (tmp_path / "versions.yaml").write_text(text)
    [finding] = found("eks-support", [eks("1.36")], policies=tmp_path)
    assert finding.unchecked is unchecked
    assert found("eks-support", [manifest("Role", {})], policies=tmp_path) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**30) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["s3:GetObject", "s3:*", "*", "arn:aws:s3:::b", "arn:aws:s3:::*", ""])
STATEMENT = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny"]) | JSON},
    optional={
        "Action": NAMES | st.lists(NAMES) | JSON,
        "NotAction": NAMES | JSON,
        "Resource": NAMES | st.lists(NAMES) | JSON,
        "NotResource": NAMES | JSON,
        "Principal": st.just("*") | st.dictionaries(st.sampled_from(["AWS", "Federated"]), NAMES | JSON) | JSON,
        "Condition": st.dictionaries(st.just("StringEquals"), st.dictionaries(NAMES, NAMES | JSON) | JSON) | JSON,
    },
)
DOCUMENT = (JSON | st.fixed_dictionaries({"Statement": STATEMENT | st.lists(STATEMENT)})).map(json.dumps)
NESTED = st.sampled_from(["[" * 5000, '{"Statement":' * 900 + "1" + "}" * 900, "\ud800", "NaN", ""])
FIELDS = [
    "assumeRolePolicy",
    "policy",
    "inlinePolicy",
    "managedPolicyArns",
    "policyArn",
    "roleRef",
    "role",
    "policyArnRef",
]
GIVEN = st.dictionaries(st.sampled_from(FIELDS), DOCUMENT | NESTED | JSON | st.just({"name": "web"})) | JSON


@given(
    st.lists(st.tuples(st.sampled_from(["Role", "Policy", "RolePolicy", "RolePolicyAttachment"]), GIVEN), max_size=4)
)
def test_an_object_of_any_shape_is_judged_and_listed(objects: list[tuple[str, Any]]) -> None:
    manifests = [manifest(kind, given) for kind, given in objects]
    assert not any(each.unchecked for each in found("iam-least-privilege", manifests))
    table = identity.markdown(identity.grants(manifests))
    assert all(line.count("|") - line.count("\\|") == 5 for line in table.splitlines())


def trusting(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allowing(action: Any, resource: Any, **more: Any) -> str:
    return json.dumps({"Statement": {"Effect": "Allow", "Action": action, "Resource": resource, **more}})


EC2 = trusting({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})


def test_rights_come_by_every_way_that_leads_to_a_role() -> None:
    inline = {"name": "a", "policy": allowing("s3:GetObject", "arn:aws:s3:::a/*")}
    role = manifest(
        "Role",
        {"assumeRolePolicy": EC2, "inlinePolicy": [inline], "managedPolicyArns": ["arn:aws:iam::aws:policy/ReadOnly"]},
        annotations={"crossplane.io/external-name": "web-in-aws"},
    )
    others = [
        manifest("Policy", {"policy": allowing("s3:ListBucket", "arn:aws:s3:::b")}, "listing"),
        manifest("RolePolicyAttachment", {"roleRef": {"name": "web"}, "policyArnRef": {"name": "listing"}}),
        manifest("RolePolicy", {"role": "web-in-aws", "policy": allowing(["sqs:SendMessage"], ["arn:q1", "arn:q2"])}),
        manifest("Policy", {"policy": allowing("sns:Publish", "arn:t")}, "telling"),
        manifest(
            "RolePolicyAttachment",
            {"role": "web-in-aws", "policyArn": "arn:aws:iam::123456789012:policy/telling"},
            "tell",
        ),
        manifest(
            "RolePolicyAttachment", {"role": "web-in-aws", "policyArn": "arn:aws:iam::123456789012:policy/away"}, "go"
        ),
        manifest("Policy", {"policy": allowing("iam:PassRole", "arn:unattached")}, "unattached"),
    ]
    listed = identity.grants([*others, role])
    assert {(each.role, each.taken_by) for each in listed} == {("web-in-aws", ("ec2.amazonaws.com",))}
    assert [(each.action, each.resource) for each in listed] == [
        ("ReadOnly", "as AWS defines it"),
        ("away", "not defined here"),
        ("s3:GetObject", "arn:aws:s3:::a/*"),
        ("s3:ListBucket", "arn:aws:s3:::b"),
        ("sns:Publish", "arn:t"),
        ("sqs:SendMessage", "arn:q1"),
        ("sqs:SendMessage", "arn:q2"),
    ]


def test_what_narrows_a_right_is_listed_with_it() -> None:
    only = {"StringEquals": {"aws:ResourceTag/Service": "koepon"}, "Bool": {"aws:SecureTransport": True}}
    document = trusting(
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn:b", "Condition": only},
        {"Effect": "Deny", "Action": "s3:DeleteObject", "NotResource": "arn:b"},
    )
    listed = identity.grants([manifest("RolePolicy", {"roleRef": {"name": "away"}, "policy": document})])
    assert [(each.role, each.taken_by, each.action, each.resource) for each in listed] == [
        (
            "away",
            (),
            "all but iam:* if aws:ResourceTag/Service is koepon and aws:SecureTransport Bool true",
            "arn:b",
        ),
        ("away", (), "not s3:DeleteObject", "all but arn:b"),
    ]


def test_a_role_that_may_do_nothing_is_listed() -> None:
    everybody = trusting({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"})
    [grant] = identity.grants([manifest("Role", {"assumeRolePolicy": everybody})])
    assert (grant.taken_by, grant.action, grant.resource) == (("everybody",), "nothing", "")


def test_roles_of_one_name_in_two_namespaces_are_two() -> None:
    objects = [
        manifest("Role", {"assumeRolePolicy": EC2}, namespace="staging"),
        manifest("Role", {"assumeRolePolicy": EC2}),
        manifest("RolePolicy", {"roleRef": {"name": "web"}, "policy": allowing("s3:GetObject", "arn:b")}),
    ]
    assert sorted(each.action for each in identity.grants(objects)) == ["nothing", "s3:GetObject"]


def test_a_cell_ends_neither_its_cell_nor_its_row() -> None:
    hostile = allowing("s3:Get|`Object\n| x", "arn:b")
    table = identity.markdown(identity.grants([manifest("RolePolicy", {"roleRef": {"name": "w"}, "policy": hostile})]))
    assert table.splitlines()[2:] == ["| `w` | nobody | `s3:Get\\|'Object \\| x` | `arn:b` |"]


def test_who_may_do_what_in_production(snapshot: SnapshotAssertion) -> None:
    issuer = {"identity": [{"oidc": [{"issuer": f"https://{ISSUER}"}]}]}
    objects = []
    for kind, name in (("Cluster", ""), ("WorkloadIdentity", "koepon-app"), ("WorkloadIdentity", "koepon-promotion")):
        claim = estate.claim(kind, "production", name)
        seen = {"cluster/koepon-app-cluster": {"status": {"atProvider": issuer}}} if name == "koepon-app" else {}
        made = {**estate.resources(claim)}
        seen = {key: {**made[key], **each} for key, each in seen.items()}
        objects += estate.namespaced(claim, seen)
    manifests = [Manifest(application="claims", cluster="hub", id=ObjectId.of(each), content=each) for each in objects]
    assert identity.markdown(identity.grants(manifests)) == snapshot
