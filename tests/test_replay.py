"""The Requests of Database and Cache against the services they are for: made, watched, repaired, changed, removed.

Crossplane is played by `Estate`: it composes the claim again from what is observed, and lets the provider reconcile.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests import estate
from tests.http_services import Supabase, Upstash, basic, served
from tests.replay import Provider, Secrets, over_http

TOKEN, KEY, PASSWORD = "sbp-token-of-the-platform", "upstash-key-of-the-platform", "generated-database-password"


class Estate:
    """A claim in the cluster, with the provider of each of its Requests."""

    def __init__(self, claim: dict[str, Any], secrets: Secrets, base: str) -> None:
        self.claim, self.secrets, self.send = copy.deepcopy(claim), secrets, over_http(base)
        self.providers: dict[str, Provider] = {}
        self.resources: dict[str, dict[str, Any]] = {}

    def reconcile(self, times: int = 1) -> None:
        """Compose, then let every Request reconcile once."""
        for _ in range(times):
            observed = {key: dict(each) for key, each in self.resources.items()}
            observed |= {key: provider.observed for key, provider in self.providers.items()}
            self.resources = estate.resources(self.claim, observed)
            for key, manifest in self.resources.items():
                if manifest["kind"] == "Request":
                    self.providers.setdefault(key, Provider(manifest, self.secrets, self.send)).manifest = manifest
            for provider in self.providers.values():
                provider.poll()

    def settle(self) -> None:
        """Long enough for every gate to open, one after the other; then nothing may be sent but what only looks."""
        self.reconcile(12)
        for provider in self.providers.values():
            provider.log.clear()
        self.reconcile()
        assert all(set(provider.log) <= {"OBSERVE"} for provider in self.providers.values())

    @property
    def shown(self) -> str:
        """Everything that somebody who may not read Secrets could read: objects and their status."""
        observed = [provider.observed for provider in self.providers.values()]
        return json.dumps([self.claim, self.resources, observed])


@pytest.fixture
def supabase() -> Iterator[tuple[Supabase, str]]:
    service = Supabase(f"Bearer {TOKEN}")
    with served(service) as base:
        yield service, base


@pytest.fixture
def upstash() -> Iterator[tuple[Upstash, str]]:
    service = Upstash(basic("ops@koepon.com", KEY))
    with served(service) as base:
        yield service, base


def database(base: str, **spec: Any) -> Estate:
    claim = estate.claim("Database", "production")
    secrets: Secrets = {
        ("production", "koepon-supabase-api"): {"authorization": f"Bearer {TOKEN}"},
        ("production", "koepon-database-password"): {"password": PASSWORD},
    }
    return Estate({**claim, "spec": {**claim["spec"], **spec}}, secrets, base)


def cache(base: str, **spec: Any) -> Estate:
    claim = estate.claim("Cache", "production")
    authorization = basic("ops@koepon.com", KEY)
    secrets: Secrets = {("production", "koepon-upstash-api"): {"authorization": authorization}}
    return Estate({**claim, "spec": {**claim["spec"], **spec}}, secrets, base)


def test_a_project_is_made_once_and_set_up_as_the_requirements_say(supabase: tuple[Supabase, str]) -> None:
    service, base = supabase
    made = database(base)
    made.reconcile()
    assert [each.asked for each in service.projects] == [
        {
            "name": "koepon-production",
            "organization_slug": "koepon",
            "region_selection": {"type": "specific", "code": "ap-northeast-1"},
            "desired_instance_size": "medium",
            "postgres_engine": "15",
            "db_pass": PASSWORD,
        }
    ]
    assert set(made.providers) == {"request/project"}, "nothing is set up before the project is healthy"
    made.settle()
    [project] = service.projects
    assert project.addons == {"compute_instance": "ci_medium", "pitr": "pitr_28", "custom_domain": "cd_default"}
    assert project.pool == {"default_pool_size": 40, "pool_mode": "transaction"}
    assert (project.ssl, project.cidrs, project.cidrs_v6) == (True, ["0.0.0.0/0"], [])
    assert (project.open_tables, project.unpublished) == (0, 0)
    assert (project.hostname, project.hostname_state) == ("db.koepon.com", "5_services_reconfigured")
    changes = len(service.changes)
    made.reconcile(3)
    assert len(service.changes) == changes, "what is as wanted is left alone"


def test_the_address_of_the_database_and_its_dns_records_follow_from_the_answers(
    supabase: tuple[Supabase, str],
) -> None:
    _, base = supabase
    made = database(base)
    made.settle()
    [url] = made.resources["externalsecret/koepon-database"]["spec"]["target"]["template"]["data"].values()
    reference = "abcdefghijklmnopqrs0"
    pooler = "aws-0-ap-northeast-1.pooler.supabase.com:6543"
    assert url == f"postgresql://postgres.{reference}:{{{{ .password }}}}@{pooler}/postgres?sslmode=require"
    records = {
        each["spec"]["forProvider"]["type"]: each["spec"]["forProvider"]
        for each in made.resources.values()
        if each["kind"] == "Record"
    }
    assert (records["CNAME"]["name"], records["CNAME"]["records"]) == ("db.koepon.com", [f"{reference}.supabase.co"])
    assert (records["TXT"]["name"], records["TXT"]["records"]) == ("_acme-challenge.db.koepon.com", ["ca3-proof"])


@pytest.mark.parametrize(
    ("spoilt", "change"),
    [
        ({"addons": {"compute_instance": "ci_large", "pitr": "pitr_28", "custom_domain": "cd_default"}}, "addons"),
        ({"addons": {"compute_instance": "ci_medium", "custom_domain": "cd_default"}}, "addons"),
        ({"pool": {"default_pool_size": 100, "pool_mode": "transaction"}}, "pooler"),
        ({"pool": {"default_pool_size": 40, "pool_mode": "session"}}, "pooler"),
        ({"ssl": False}, "ssl-enforcement"),
        ({"cidrs": ["198.51.100.0/24"]}, "network-restrictions/apply"),
        ({"cidrs_v6": ["::/0"]}, "network-restrictions/apply"),
        ({"hostname": "db.example.com"}, "custom-hostname/initialize"),
        ({"open_tables": 1}, "database/query"),
        ({"unpublished": 1}, "database/query"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_drift_is_repaired_by_one_kind_of_call(
    supabase: tuple[Supabase, str], spoilt: dict[str, Any], change: str
) -> None:
    service, base = supabase
    made = database(base)
    made.settle()
    [project] = service.projects
    before = copy.deepcopy(project)
    for name, value in spoilt.items():
        setattr(project, name, value)
    service.changes.clear()
    made.reconcile(5)
    assert project == before
    assert service.changes[0].endswith(change)


def test_a_changed_claim_changes_the_project(supabase: tuple[Supabase, str]) -> None:
    service, base = supabase
    made = database(base)
    made.settle()
    made.claim["spec"]["size"] = "large"
    made.claim["spec"]["supabase"] = {**made.claim["spec"]["supabase"], "allowedCidrs": ["203.0.113.7/32"]}
    made.settle()
    [project] = service.projects
    assert (project.addons["compute_instance"], project.cidrs) == ("ci_large", ["203.0.113.7/32"])


@pytest.mark.parametrize("outage", ["down", "blind"])
def test_an_outage_makes_no_second_project_and_changes_nothing(supabase: tuple[Supabase, str], outage: str) -> None:
    service, base = supabase
    made = database(base)
    made.settle()
    before = set(made.resources)
    service.changes.clear()
    setattr(service, outage, True)
    made.reconcile(3)
    setattr(service, outage, False)
    assert set(made.resources) == before, "what can't be seen is not dropped"
    made.reconcile(2)
    assert (len(service.projects), service.changes) == (1, [])


def test_a_hub_that_is_built_anew_takes_the_old_project_over(supabase: tuple[Supabase, str]) -> None:
    service, base = supabase
    database(base).settle()
    service.changes.clear()
    rebuilt = database(base)
    rebuilt.settle()
    assert (len(service.projects), service.changes) == (1, [])
    assert "externalsecret/koepon-database" in rebuilt.resources


def test_a_project_of_another_version_is_not_set_up(supabase: tuple[Supabase, str]) -> None:
    service, base = supabase
    service.engine = "17"
    made = database(base)
    made.reconcile(8)
    assert len(service.projects) == 1
    assert set(made.providers) == {"request/project"}
    assert "externalsecret/koepon-database" not in made.resources


def test_nothing_is_asked_for_before_the_secrets_are_there(supabase: tuple[Supabase, str]) -> None:
    service, base = supabase
    made = database(base)
    password = made.secrets.pop(("production", "koepon-database-password"))
    made.reconcile(2)
    assert service.changes == []
    made.secrets["production", "koepon-database-password"] = password
    made.reconcile()
    assert service.changes == ["POST /v1/projects"]


@pytest.mark.parametrize("retain", [True, False])
def test_a_project_goes_with_its_claim_only_where_the_claim_says_so(
    supabase: tuple[Supabase, str], retain: bool
) -> None:
    service, base = supabase
    made = database(base, retain=retain)
    made.settle()
    for _ in range(3):
        for provider in made.providers.values():
            if provider.exists:
                provider.delete()
    assert not any(provider.exists for provider in made.providers.values())
    assert len(service.projects) == int(retain)
    assert [change for change in service.changes if change.startswith("DELETE")] == (
        [] if retain else ["DELETE /v1/projects/abcdefghijklmnopqrs0"]
    )


def test_supabase_s_secrets_are_in_no_object_and_no_status(supabase: tuple[Supabase, str]) -> None:
    _, base = supabase
    made = database(base)
    made.settle()
    for secret in (TOKEN, PASSWORD):
        assert secret not in made.shown
    assert set(made.secrets) == {
        ("production", "koepon-supabase-api"),
        ("production", "koepon-database-password"),
    }


def test_a_redis_is_made_once_with_its_replica_and_its_backup(upstash: tuple[Upstash, str]) -> None:
    service, base = upstash
    made = cache(base)
    made.settle()
    [found] = service.databases.values()
    assert {name: found[name] for name in ("database_name", "primary_region", "read_regions", "tls", "eviction")} == {
        "database_name": "koepon-production-redis",
        "primary_region": "ap-northeast-1",
        "read_regions": ["ap-southeast-1"],
        "tls": True,
        "eviction": True,
    }
    assert found["db_disk_threshold"] == 5 * 2**30
    assert found["daily_backup_enabled"]
    changes = len(service.changes)
    made.reconcile(3)
    assert len(service.changes) == changes


@pytest.mark.parametrize(
    "spoilt",
    [{"db_disk_threshold": 2**30}, {"read_regions": []}, {"daily_backup_enabled": False}],
    ids=lambda each: next(iter(each)),
)
def test_a_redis_that_drifts_is_repaired(upstash: tuple[Upstash, str], spoilt: dict[str, Any]) -> None:
    service, base = upstash
    made = cache(base)
    made.settle()
    [found] = service.databases.values()
    before = copy.deepcopy(found)
    found |= spoilt
    made.settle()
    assert found == before


@pytest.mark.parametrize("endpoint", ["fine-heron-12345", "fine-heron-12345.upstash.io"])
def test_upstash_s_secrets_land_in_the_named_secret_and_nowhere_else(
    upstash: tuple[Upstash, str], endpoint: str
) -> None:
    service, base = upstash
    service.endpoint = endpoint
    made = cache(base)
    made.settle()
    assert made.secrets["production", "koepon-cache"] == {
        "password": "upstash-password-0",
        "rest-token": "upstash-rest-token-0",
        "read-only-rest-token": "upstash-read-only-token-0",
        "redis-url": "rediss://default:upstash-password-0@fine-heron-12345.upstash.io:6379",
    }
    assert set(made.secrets) == {("production", "koepon-upstash-api"), ("production", "koepon-cache")}
    for secret in (KEY, *(each for name, each in made.secrets["production", "koepon-cache"].items())):
        assert secret not in made.shown
    [found] = service.databases.values()
    found["password"] = "changed-by-hand"
    made.reconcile()
    assert made.secrets["production", "koepon-cache"]["redis-url"].startswith("rediss://default:changed-by-hand@")
    assert "changed-by-hand" not in made.shown


def test_an_answer_without_credentials_keeps_those_that_are_known(upstash: tuple[Upstash, str]) -> None:
    service, base = upstash
    made = cache(base)
    made.settle()
    before = copy.deepcopy(made.secrets)
    [found] = service.databases.values()
    found["db_disk_threshold"] = 2**30
    made.reconcile()
    assert made.providers["request/database"].status["response"]["body"] == '"OK"', "that is what change-plan answers"
    made.reconcile()
    assert made.secrets == before
    assert len(service.databases) == 1
    for name in ("password", "rest_token", "read_only_rest_token"):
        del found[name]
    made.reconcile()
    assert made.secrets == before


@pytest.mark.parametrize("outage", ["down", "blind"])
def test_an_outage_makes_no_second_redis(upstash: tuple[Upstash, str], outage: str) -> None:
    service, base = upstash
    made = cache(base)
    made.settle()
    service.changes.clear()
    setattr(service, outage, True)
    made.reconcile(3)
    setattr(service, outage, False)
    made.reconcile(2)
    assert (len(service.databases), service.changes) == (1, [])


def test_a_redis_that_is_there_is_taken_over_by_its_id(upstash: tuple[Upstash, str]) -> None:
    service, base = upstash
    cache(base).settle()
    [identity] = service.databases
    service.changes.clear()
    rebuilt = cache(base, upstash={"readRegions": ["ap-southeast-1"], "databaseId": identity})
    rebuilt.settle()
    assert (len(service.databases), service.changes) == (1, [])
    assert rebuilt.secrets["production", "koepon-cache"]["password"] == "upstash-password-0"


@pytest.mark.parametrize("retain", [True, False])
def test_a_redis_goes_with_its_claim_only_where_the_claim_says_so(upstash: tuple[Upstash, str], retain: bool) -> None:
    service, base = upstash
    made = cache(base, retain=retain)
    made.settle()
    for _ in range(3):
        for provider in made.providers.values():
            if provider.exists:
                provider.delete()
    assert not any(provider.exists for provider in made.providers.values())
    assert len(service.databases) == int(retain)


def test_nothing_that_a_person_reads_of_production_has_a_secret_in_it() -> None:
    """What is in git is composed with nothing observed: no value can be there but what git has."""
    for kind in ("Database", "Cache"):
        for environment in ("staging", "production", "dr"):
            made = json.dumps(estate.namespaced(estate.claim(kind, environment)))
            assert not any(word in made for word in ('"Secret"', "stringData", "sbp_", "eyJ"))
