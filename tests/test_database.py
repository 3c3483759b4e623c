"""Databases as claimed: the document's figures in what they stand for, what waits for what, claims without sense."""

import copy
import json
from typing import Any

import pytest

from tests import estate

ENVIRONMENTS = ("staging", "production", "dr")
REFERENCE = "abcdefghijklmnopqrst"

type Claim = dict[str, Any]


def claim(environment: str = "production", section: str = "", **spec: Any) -> Claim:
    """A committed claim with changes, of its spec or of one section of it; None removes a field."""
    found = copy.deepcopy(estate.claim("Database", environment))
    changed = found["spec"][section] if section else found["spec"]
    changed |= spec
    for name in [name for name, value in changed.items() if value is None]:
        del changed[name]
    return found


def answered(manifest: dict[str, Any], body: Any, code: int = 200) -> dict[str, Any]:
    """A Request as Crossplane sees it after an answer."""
    return {**manifest, "status": {"response": {"statusCode": code, "body": json.dumps(body)}}}


def listed(name: str = "koepon-production", **changes: Any) -> dict[str, Any]:
    """A project in the list of projects."""
    database = {"version": "15.8.1.121", "postgres_engine": "15"}
    return {
        "ref": REFERENCE,
        "name": name,
        "region": "ap-northeast-1",
        "created_at": "2026-11-01",
        "status": "ACTIVE_HEALTHY",
        "database": database,
        **changes,
    }


ANSWERS: dict[str, Any] = {
    "request/domain": {"selected_addons": [{"type": "custom_domain", "variant": {"id": "cd_default"}}]},
    "request/hostname": {
        "custom_hostname": "db.koepon.com",
        "status": "2_initiated",
        "data": {"result": {"ssl": {"validation_records": [{"txt_name": "_acme.db.koepon.com", "txt_value": "x"}]}}},
    },
    "request/pooler": [
        {"database_type": "PRIMARY", "db_user": "u", "db_host": "pooler", "db_port": 6543, "db_name": "postgres"}
    ],
}


def everything(content: Claim) -> dict[str, dict[str, Any]]:
    """The resources once everything is observed: of Requests answers as above, of RDS what AWS says."""
    observed: dict[str, dict[str, Any]] = {}
    while True:
        made = estate.resources(content, observed)
        if set(made) == set(observed):
            return observed
        observed = {key: seen(key, each, content) for key, each in made.items()}


def seen(key: str, manifest: dict[str, Any], content: Claim) -> dict[str, Any]:
    if key == "request/project":
        return answered(manifest, [listed(content["spec"]["name"])])
    if manifest["kind"] == "Request":
        return answered(manifest, ANSWERS.get(key, {}))
    master = [{"secretArn": "arn:aws:secretsmanager:ap-southeast-1:123456789012:secret:rds!db-1"}]
    return {
        **manifest,
        "status": {"atProvider": {"address": "koepon-db.rds.amazonaws.com", "masterUserSecret": master}},
    }


def requests(content: Claim) -> dict[str, Any]:
    """What the Requests of a claim send, by their names."""
    return {
        each["metadata"]["name"]: json.loads(each["spec"]["forProvider"]["payload"]["body"])
        for each in everything(content).values()
        if each["kind"] == "Request"
    }


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
    if "request/project" in bare:
        whole["request/project"] = answered(bare["request/project"], [listed(status="RESIZING")])
        assert set(estate.resources(content, whole)) == set(bare)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("koepon-production", {"postgres_engine": "15"}, id="Database: PostgreSQL 15"),
        pytest.param(
            "koepon-production",
            {"region_selection": {"type": "specific", "code": "ap-northeast-1"}},
            id="Region: ap-northeast-1 (Tokyo)",
        ),
        pytest.param("koepon-production-pitr", {"addon_variant": "pitr_28"}, id="Point-in-Time Recovery: 30 days"),
        pytest.param("koepon-production-compute", {"addon_variant": "ci_medium"}, id="Max 500 connections"),
        pytest.param("koepon-production-pooler", {"default_pool_size": 40}, id="Connection Pooling: Enabled"),
        pytest.param("koepon-production-domain", {"addon_type": "custom_domain"}, id="Custom Domain"),
        pytest.param(
            "koepon-production-hostname", {"custom_hostname": "db.koepon.com"}, id="Custom Domain: db.koepon.com"
        ),
        pytest.param(
            "koepon-production-ssl", {"requestedConfig": {"database": True}}, id="すべての通信がHTTPS化されている"
        ),
    ],
)
def test_the_document_s_supabase(name: str, expected: dict[str, Any]) -> None:
    assert expected.items() <= requests(claim())[name].items()


def test_row_level_security_and_realtime_are_sql_without_the_word_that_voids_a_request() -> None:
    sent = requests(claim())
    assert "enable row level security" in sent["koepon-production-rls"]["apply"]
    for table in claim()["spec"]["supabase"]["realtimeTables"]:
        assert f"'{table}'" in sent["koepon-production-realtime"]["apply"]
    assert "null" not in json.dumps(sent)


DOCUMENT: dict[str, dict[str, Any]] = {
    "Database: PostgreSQL 15": {"engine": "postgres", "engineVersion": "15"},
    "RDS Automated Backups: Retention: 30 days": {"backupRetentionPeriod": 30},
    "Backup Window: 03:00-04:00 JST": {"backupWindow": "18:00-19:00"},
    "Multi-AZ: true": {"multiAz": True},
    "データベースが暗号化されている": {"storageEncrypted": True, "kmsKeyIdRef": {"name": "koepon-db"}},
    "/aws/rds/instance/koepon-db/postgresql": {"enabledCloudwatchLogsExports": ["postgresql"]},
    "koepon-db-sg": {"vpcSecurityGroupIdRefs": [{"name": "koepon-db-sg"}], "publiclyAccessible": False},
    "Transaction data: 5 minutes (via Multi-AZ)": {"multiAz": True, "deleteAutomatedBackups": False},
    "自動生成されたパスワード": {"manageMasterUserPassword": True},
    "deletion": {"deletionProtection": True, "skipFinalSnapshot": False, "finalSnapshotIdentifier": "koepon-db-final"},
}


@pytest.mark.parametrize("words", DOCUMENT)
def test_the_document_s_rds(words: str) -> None:
    made = estate.resources(claim("dr"))["instance/koepon-db"]
    assert DOCUMENT[words].items() <= made["spec"]["forProvider"].items()
    assert made["metadata"]["name"] == "koepon-db"
    assert "Delete" not in made["spec"]["managementPolicies"]


def test_rds_lies_in_the_private_subnets_and_takes_500_connections_by_tls_only() -> None:
    made = estate.resources(claim("dr"))
    subnets = made["subnetgroup/koepon-db"]["spec"]["forProvider"]["subnetIdRefs"]
    assert [each["name"] for each in subnets] == ["koepon-private-1a", "koepon-private-1b", "koepon-private-1c"]
    parameters = made["parametergroup/koepon-db-postgres15"]["spec"]["forProvider"]
    assert parameters["family"] == "postgres15"
    assert {each["name"]: each["value"] for each in parameters["parameter"]} == {
        "max_connections": "500",
        "rds.force_ssl": "1",
    }


def test_the_application_s_url_is_made_of_what_secrets_manager_holds() -> None:
    made = everything(claim("dr"))["externalsecret/koepon-database"]["spec"]
    address = "koepon-db.rds.amazonaws.com:5432"
    assert made["target"]["template"]["data"] == {
        "database-url": f"postgresql://koepon:{{{{ .password | urlquery }}}}@{address}/koepon?sslmode=require"
    }
    [only] = made["data"]
    assert only["remoteRef"] == {
        "key": "arn:aws:secretsmanager:ap-southeast-1:123456789012:secret:rds!db-1",
        "property": "password",
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_url_goes_where_the_application_reads_and_the_platform_s_secrets_do_not(environment: str) -> None:
    made = everything(claim(environment))
    pushed = [
        match["match"]["remoteRef"]["remoteKey"]
        for each in made.values()
        if each["kind"] == "PushSecret"
        for match in each["spec"]["data"]
    ]
    readable = [each for each in pushed if each.startswith("/koepon/")]
    assert readable == [f"/koepon/{environment}/database-url"]
    pulled = [
        each["remoteRef"]["key"]
        for found in made.values()
        if found["kind"] == "ExternalSecret"
        for each in found["spec"]["data"]
    ]
    assert not [each for each in pulled if each.startswith("/koepon/")]


def test_the_password_is_generated_once_and_never_overwritten() -> None:
    made = estate.resources(claim())
    push = made["pushsecret/koepon-database-password"]["spec"]
    assert push["updatePolicy"] == "IfNotExists"
    assert push["selector"]["generatorRef"]["name"] == made["password/koepon-database-password"]["metadata"]["name"]
    assert made["password/koepon-database-password"]["spec"]["symbols"] == 0, "it becomes a part of a URL"


@pytest.mark.parametrize(
    "found",
    [
        pytest.param([], id="no project"),
        pytest.param([listed("koepon-staging")], id="another name"),
        pytest.param([listed(region="ap-southeast-1")], id="another region"),
        pytest.param([listed(status="COMING_UP")], id="not yet healthy"),
        pytest.param([listed(database={"postgres_engine": "17"})], id="another version"),
        pytest.param([listed(database={"version": "17.4.1"})], id="another version, in full"),
        pytest.param([listed(status="COMING_UP", created_at="2026-10-01"), listed()], id="the older of two"),
        pytest.param({"message": "error"}, id="no list"),
    ],
)
def test_nothing_is_set_up_in_a_project_that_is_not_ours_or_not_ready(found: Any) -> None:
    content = claim()
    project = estate.resources(content)["request/project"]
    made = estate.resources(content, {"request/project": answered(project, found)})
    assert [key for key in made if key.startswith("request/")] == ["request/project"]


def test_the_full_version_stands_in_for_the_undocumented_field() -> None:
    content = claim()
    project = estate.resources(content)["request/project"]
    made = estate.resources(content, {"request/project": answered(project, [listed(database={"version": "15.8"})])})
    assert "request/rls" in made


@pytest.mark.parametrize(
    ("days", "variant"),
    [(7, "pitr_7"), (13, "pitr_7"), (14, "pitr_14"), (28, "pitr_28"), (35, "pitr_28"), (3, "pitr_7")],
)
def test_recovery_goes_back_as_far_as_asked_and_supabase_can(days: int, variant: str) -> None:
    sent = requests(claim(backupRetentionDays=days))
    assert sent["koepon-production-pitr"]["addon_variant"] == variant


def test_staging_pays_for_no_recovery_and_no_domain() -> None:
    assert set(requests(claim("staging"))) == {
        f"koepon-staging{suffix}" for suffix in ("", "-compute", "-pooler", "-ssl", "-network", "-rls", "-realtime")
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_data_outlives_its_claim_and_can_not_be_deleted_by_mistake(environment: str) -> None:
    data = "instance/koepon-db" if environment == "dr" else "request/project"
    made = estate.resources(claim(environment))
    assert "Delete" not in made[data]["spec"]["managementPolicies"]
    assert made[f"usage/{data}"]["spec"]["of"]["resourceRef"]["name"] == made[data]["metadata"]["name"]
    thrown = estate.resources(claim(environment, retain=False))
    assert "managementPolicies" not in thrown[data]["spec"]
    assert not [key for key in thrown if key.startswith("usage/")]


def test_what_is_set_in_a_project_is_not_undone_when_its_request_goes() -> None:
    """A Request with Delete but without REMOVE would be asked for ever whether it is gone."""
    for each in everything(claim(retain=False)).values():
        if each["kind"] == "Request":
            actions = {mapping["action"] for mapping in each["spec"]["forProvider"]["mappings"]}
            assert ("managementPolicies" in each["spec"]) == ("REMOVE" not in actions)


RDS = {"zones": ["1a", "1c"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (claim(service="aurora"), "service"),
        (claim(service="rds"), "give the section of the service that is named, and no other"),
        (claim(rds=RDS), "give the section of the service that is named, and no other"),
        (claim(supabase=None), "give the section of the service that is named, and no other"),
        (
            claim(backupRetentionDays=29),
            "what is more than small serves users, and keeps backups for 30 days (NFR-301)",
        ),
        (claim("dr", backupRetentionDays=7), "keeps backups for 30 days"),
        (claim(backupRetentionDays=36), "backupRetentionDays"),
        (claim(maxConnections=601), "at most 400 connections with size small, 600 with medium"),
        (claim("staging", maxConnections=500), "at most 400 connections with size small, 600 with medium"),
        (claim(section="supabase", poolSize=61), "poolSize may be half of the connections of the database"),
        (claim("staging", section="supabase", customDomain={"hostname": "a.koepon.com", "zone": "z"}), "custom domain"),
        (claim(section="supabase", allowedCidrs=["10.0.0.1/8"]), "it has to be an IPv4 network"),
        (claim(section="supabase", allowedCidrs=[]), "allowedCidrs"),
        (claim(section="supabase", realtimeTables=["public.x'; drop table y"]), "realtimeTables"),
        (claim("dr", section="rds", zones=["1a", "1d"]), "ap-southeast-1 has 1a, 1b and 1c"),
        (claim("dr", section="rds", zones=["1a"]), "zones"),
        (claim("dr", section="rds", maxStorageGiB=20), "maxStorageGiB can't be less than storageGiB"),
        (claim("dr", section="rds", backupWindow="3am"), "backupWindow"),
        (claim(region="mars-1"), "region"),
        (claim(version="14"), "version"),
        (claim(size="gigantic"), "size"),
        (claim(connectionSecret=None), "connectionSecret"),
        (claim(versoin="15"), "versoin"),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused(content: Claim, message: str) -> None:
    assert [problem for problem in estate.problems(content) if message in problem]
