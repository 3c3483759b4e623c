"""Caches as claimed: the document's figures in what they stand for, what waits for what, claims that make no sense."""

import copy
import json
from typing import Any

import pytest

from tests import estate
from tests.test_database import answered

ENVIRONMENTS = ("staging", "production", "dr")
IDENTITY = "96ad0856-03b1-4ee7-9666-e81abd030000"

type Claim = dict[str, Any]


def claim(environment: str = "production", section: str = "", **spec: Any) -> Claim:
    """A committed claim with changes, of its spec or of one section of it; None removes a field."""
    found = copy.deepcopy(estate.claim("Cache", environment))
    changed = found["spec"][section] if section else found["spec"]
    changed |= spec
    for name in [name for name, value in changed.items() if value is None]:
        del changed[name]
    return found


def everything(content: Claim) -> dict[str, dict[str, Any]]:
    """The resources once everything is observed."""
    observed: dict[str, dict[str, Any]] = {}
    while True:
        made = estate.resources(content, observed)
        if set(made) == set(observed):
            return observed
        observed = {
            key: answered(each, {"database_id": IDENTITY, "state": "active"})
            if each["kind"] == "Request"
            else {
                **each,
                "status": {"atProvider": {"primaryEndpointAddress": "master.koepon-dr-redis.cache.amazonaws.com"}},
            }
            for key, each in made.items()
        }


def body(made: dict[str, dict[str, Any]], key: str) -> dict[str, Any]:
    """What a Request sends."""
    sent: dict[str, Any] = json.loads(made[key]["spec"]["forProvider"]["payload"]["body"])
    return sent


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_api_server_takes_every_resource_whatever_is_observed(environment: str) -> None:
    content = claim(environment)
    assert estate.problems(content) == []
    for observed in ({}, everything(content)):
        made = estate.namespaced(content, observed)
        assert [problem for each in made for problem in estate.problems(each)] == []
        assert len({(each["kind"], each["metadata"]["name"]) for each in made}) == len(made)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_second_build_gives_the_same_and_drops_nothing_while_a_status_is_away(environment: str) -> None:
    content = claim(environment)
    whole = everything(content)
    bare = {key: {name: part for name, part in each.items() if name != "status"} for key, each in whole.items()}
    assert estate.resources(content, whole) == bare
    assert set(estate.resources(content, bare)) == set(whole)


@pytest.mark.parametrize(
    "expected",
    [
        pytest.param({"database_name": "koepon-production-redis"}, id="Instance: koepon-production-redis"),
        pytest.param({"primary_region": "ap-northeast-1"}, id="Region: ap-northeast-1"),
        pytest.param({"plan": "fixed_5gb"}, id="Memory: 2GB"),
        pytest.param({"tls": True}, id="TLS: Enabled"),
        pytest.param({"read_regions": ["ap-southeast-1"]}, id="Failover: Multi-region backup"),
    ],
)
def test_the_document_s_upstash(expected: dict[str, Any]) -> None:
    assert expected.items() <= body(estate.resources(claim()), "request/database").items()


def test_the_daily_backup_is_asked_for_where_the_claim_has_it() -> None:
    made = everything(claim())
    [update] = [each for each in mappings(made, "request/backup") if each["action"] == "UPDATE"]
    assert (update["method"], f"enable-dailybackup/{IDENTITY}" in update["url"]) == ("PATCH", True)
    assert "request/backup" not in everything(claim(dailyBackup=False))


def mappings(made: dict[str, dict[str, Any]], key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = made[key]["spec"]["forProvider"]["mappings"]
    return found


def test_only_the_request_that_hands_credentials_to_their_secret_sees_them() -> None:
    for key, each in everything(claim()).items():
        if each["kind"] == "Request":
            parameters = each["spec"]["forProvider"]
            [observe] = [mapping for mapping in mappings({key: each}, key) if mapping["action"] == "OBSERVE"]
            assert ("credentials=hide" in observe["url"]) != ("secretInjectionConfigs" in parameters)
            for config in parameters.get("secretInjectionConfigs", []):
                assert config["secretRef"] == {"name": "koepon-cache", "namespace": "production"}


@pytest.mark.parametrize(
    ("memory", "plan", "node"),
    [
        ("250MB", "fixed_250mb", "cache.t4g.micro"),
        ("1GB", "fixed_1gb", "cache.t4g.small"),
        ("2GB", "fixed_5gb", "cache.t4g.medium"),
        ("5GB", "fixed_5gb", "cache.m7g.large"),
        ("10GB", "fixed_10gb", "cache.r7g.large"),
    ],
)
def test_the_smallest_plan_and_node_that_hold_it(memory: str, plan: str, node: str) -> None:
    assert body(estate.resources(claim(memory=memory)), "request/database")["plan"] == plan
    group = estate.resources(claim("dr", memory=memory))["replicationgroup/koepon-dr-redis"]
    assert group["spec"]["forProvider"]["nodeType"] == node


def test_elasticache_is_encrypted_fails_over_and_is_reached_by_the_application_only() -> None:
    group = estate.resources(claim("dr"))["replicationgroup/koepon-dr-redis"]["spec"]
    expected = {
        "multiAzEnabled": True,
        "automaticFailoverEnabled": True,
        "numCacheClusters": 2,
        "transitEncryptionEnabled": True,
        "transitEncryptionMode": "required",
        "atRestEncryptionEnabled": "true",
        "snapshotRetentionLimit": 3,
        "snapshotWindow": "18:00-19:00",
        "port": 6379,
        "securityGroupIdRefs": [{"name": "koepon-redis-sg"}],
        "authTokenSecretRef": {"name": "koepon-cache-password", "key": "password"},
    }
    assert expected.items() <= group["forProvider"].items()
    alone = estate.resources(claim("dr", section="elasticache", nodes=1))["replicationgroup/koepon-dr-redis"]["spec"]
    assert not alone["forProvider"]["multiAzEnabled"], "AWS refuses it for a single node"
    bare = estate.resources(claim("dr", dailyBackup=False))["replicationgroup/koepon-dr-redis"]["spec"]
    assert bare["forProvider"]["snapshotRetentionLimit"] == 0


def test_the_application_s_url_names_the_primary() -> None:
    made = everything(claim("dr"))
    assert made["externalsecret/koepon-cache"]["spec"]["target"]["template"]["data"] == {
        "redis-url": "rediss://:{{ .password }}@master.koepon-dr-redis.cache.amazonaws.com:6379"
    }
    [only] = made["pushsecret/koepon-cache"]["spec"]["data"]
    assert only["match"] == {"secretKey": "redis-url", "remoteRef": {"remoteKey": "/koepon/dr/redis-url"}}
    assert only["metadata"]["spec"]["secretType"] == "SecureString"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_cache_outlives_its_claim_and_can_not_be_deleted_by_mistake(environment: str) -> None:
    data = "replicationgroup/koepon-dr-redis" if environment == "dr" else "request/database"
    made = estate.resources(claim(environment))
    assert "Delete" not in made[data]["spec"]["managementPolicies"]
    assert f"usage/{data}" in made
    thrown = estate.resources(claim(environment, retain=False))
    assert "managementPolicies" not in thrown[data]["spec"]
    assert f"usage/{data}" not in thrown


@pytest.mark.parametrize("state", ["suspended", "passive"])
def test_nothing_is_set_in_a_database_that_is_not_active(state: str) -> None:
    request = estate.resources(claim())["request/database"]
    observed = {"request/database": answered(request, {"database_id": IDENTITY, "state": state})}
    assert "request/regions" not in estate.resources(claim(), observed)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (claim(service="memcached"), "service"),
        (claim(service="elasticache"), "give the section of the service that is named, and no other"),
        (claim(upstash=None), "give the section of the service that is named, and no other"),
        (claim("dr", upstash={}), "give the section of the service that is named, and no other"),
        (claim(section="upstash", readRegions=["ap-northeast-1"]), "the region itself needs no replica"),
        (claim(section="upstash", databaseId="1"), "databaseId"),
        (claim("dr", section="elasticache", zones=["1a", "1d"]), "ap-southeast-1 has 1a, 1b and 1c"),
        (claim("dr", section="elasticache", nodes=0), "nodes"),
        (claim(memory="3GB"), "memory"),
        (claim(region="eu-west-1"), "region"),
        (claim(name=None), "name"),
        (claim(tls=False), "tls"),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused(content: Claim, message: str) -> None:
    assert [problem for problem in estate.problems(content) if message in problem]
