"""Every rule by its fixtures: tests/policies/<rule>/{pass,fail}-<what>.yaml, each a small cluster with its Namespaces.

A fixture's first line says what it shows; `# finds: <message>` lines are all that the rule has to say about it.
"""

import copy
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from koepon_gitops import checks, evaluation, manifests, policies, schemas
from koepon_gitops.model import Finding, Manifest, ObjectId, Rule
from koepon_gitops.policies import PolicySet
from koepon_gitops.schemas import Schemas
from tests import estate

ROOT = Path(__file__).parents[1]
POLICIES = ROOT / "policies" / "admission"
FIXTURES = Path(__file__).parent / "policies"
CLUSTER = "cluster"
TODAY = date(2026, 11, 24)

INSTALLED = policies.load(POLICIES, ROOT)
RULES = {rule.id: rule for rule in (*INSTALLED.rules, *checks.RULES)}
FOUND = sorted(FIXTURES.glob("*/*.yaml"))
PASSING = [fixture for fixture in FOUND if fixture.name.startswith("pass-")]
FAILING = [fixture for fixture in FOUND if fixture.name.startswith("fail-")]


@pytest.fixture(scope="module")
def library() -> Schemas:
    return schemas.load()


def cluster(objects: list[dict[str, Any]]) -> list[Manifest]:
    return [Manifest(application="web", cluster=CLUSTER, id=ObjectId.of(each), content=each) for each in objects]


def read(fixture: Path) -> list[Manifest]:
    return cluster(list(manifests.read(fixture.read_bytes(), fixture.name)))


def judged(objects: list[Manifest], rules: PolicySet, library: Schemas) -> list[Finding]:
    """What schemas, policies and checks say, as the pipeline asks them."""
    judge = evaluation.Judge(library, rules, {CLUSTER: objects})
    return [*judge.findings(objects), *checks.run(objects, ROOT / "policies", TODAY)]


def expected(fixture: Path) -> list[str]:
    prefix = "# finds: "
    lines = fixture.read_text("utf-8").splitlines()
    return sorted(line.removeprefix(prefix) for line in lines if line.startswith(prefix))


def named(fixture: Path) -> str:
    return f"{fixture.parent.name}/{fixture.stem}"


@pytest.mark.parametrize("fixture", FOUND, ids=named)
def test_a_rule_says_of_a_fixture_exactly_what_the_fixture_expects(fixture: Path, library: Schemas) -> None:
    rule = RULES[fixture.parent.name]
    findings = judged(read(fixture), INSTALLED, library)
    mine = [finding for finding in findings if finding.rule == rule.id]

    assert sorted(finding.message for finding in mine) == expected(fixture)
    for finding in mine:
        assert (finding.severity, finding.requirement, finding.remedy, finding.unchecked) == (
            rule.severity,
            rule.requirement,
            rule.remedy,
            False,
        )
    assert [finding for finding in findings if "/" in finding.rule] == [], "a schema or the pipeline itself objects"


@pytest.mark.parametrize("fixture", FOUND, ids=named)
def test_a_fixture_explains_itself(fixture: Path) -> None:
    first, *rest = fixture.read_text("utf-8").splitlines()
    assert first.startswith("# ") and not first.startswith("# finds:")
    assert bool(expected(fixture)) == fixture.name.startswith("fail-")
    assert [line for line in rest if "finds" in line and not line.startswith("# finds: ")] == []


def test_every_rule_has_fixtures_and_every_fixture_a_rule() -> None:
    assert {fixture.parent.name for fixture in PASSING} == set(RULES)
    assert {fixture.parent.name for fixture in FAILING} == set(RULES)
    assert set(FOUND) == {*PASSING, *FAILING} == {file for file in FIXTURES.rglob("*") if file.is_file()}


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_a_rule_tells_people_everything(rule: Rule) -> None:
    assert all((rule.title, rule.requirement, rule.reason, rule.remedy))
    assert (ROOT / rule.file).is_file()
    assert not rule.title.endswith(".")
    assert rule.reason.endswith(".") and rule.remedy.endswith(".")


def expressions() -> Iterator[Any]:
    for file in sorted(POLICIES.glob("*.yaml")):
        policy, *_ = yaml.safe_load_all(file.read_text("utf-8"))
        for index in range(len(policy["spec"]["validations"])):
            yield pytest.param(file, index, id=f"{file.stem}-{index}")


@pytest.mark.parametrize(("file", "index"), list(expressions()))
def test_every_expression_of_a_policy_fails_a_fixture_by_itself(
    file: Path, index: int, tmp_path: Path, library: Schemas
) -> None:
    """With no other expression in the policy, one fixture still finds all that it expects."""
    policy, *bindings = yaml.safe_load_all(file.read_text("utf-8"))
    policy["spec"]["validations"] = [policy["spec"]["validations"][index]]
    (tmp_path / file.name).write_text(yaml.safe_dump_all([policy, *bindings], allow_unicode=True), "utf-8")
    alone = policies.load(tmp_path)

    assert any(
        [finding.message for finding in judged(read(fixture), alone, library) if finding.rule == file.stem]
        == expected(fixture)
        for fixture in FAILING
        if fixture.parent.name == file.stem
    )


type Objects = dict[str, dict[str, Any]]
"""The objects of production by kind/name; by kind as well, the last of each."""

MUTATIONS: dict[str, Callable[[Objects], object]] = {
    "eks-support": lambda it: parameters(it, "Cluster/koepon").update(version="1.34"),
    "iam-least-privilege": lambda it: parameters(it, "Role/koepon-promotion-role").update(
        assumeRolePolicy=parameters(it, "Role/koepon-promotion-role")["assumeRolePolicy"].replace("Equals", "Like")
    ),
    "network-addresses": lambda it: parameters(it, "Subnet/koepon-public-1d").update(cidrBlock="10.0.2.128/25"),
    "network-egress": lambda it: it["Route/koepon-private-1d-internet"]["metadata"].pop("annotations"),
    "network-reachability": lambda it: parameters(it, "SecurityGroupIngressRule/koepon-db-from-app-5432").update(
        fromPort=5433, toPort=5433
    ),
}
"""For each rule on AWS one slip of the pen in production that it alone has to catch."""


def parameters(objects: Objects, name: str) -> dict[str, Any]:
    return objects[name]["spec"]["forProvider"]


@pytest.fixture(scope="module")
def production() -> list[dict[str, Any]]:
    """What some claims of production are composed into."""
    key = {"key/koepon-eks-key": {"status": {"atProvider": {"arn": "arn:aws:kms:ap-northeast-1:123456789012:key/1"}}}}
    return [
        *estate.namespaced(estate.claim("Network", "production")),
        *estate.namespaced(estate.claim("Cluster", "production"), key),
        *estate.namespaced(estate.claim("WorkloadIdentity", "production", "koepon-promotion")),
    ]


def test_production_is_clean(production: list[dict[str, Any]], library: Schemas) -> None:
    assert judged(cluster(production), INSTALLED, library) == []


@pytest.mark.parametrize("rule", MUTATIONS)
def test_a_slip_in_production_is_caught_by_its_rule_alone(
    rule: str, production: list[dict[str, Any]], library: Schemas
) -> None:
    objects = copy.deepcopy(production)
    named = {f"{each['kind']}/{each['metadata']['name']}": each for each in objects}
    MUTATIONS[rule]({each["kind"]: each for each in objects} | named)
    assert {finding.rule for finding in judged(cluster(objects), INSTALLED, library)} == {rule}
