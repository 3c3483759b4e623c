"""Backups as claimed: the document's figures, where copies go, what nobody may delete, claims without sense."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests import estate
from tests.estate import parameters

ENVIRONMENTS = ("staging", "production", "dr")
PREFIXES = {"staging": "koepon-staging", "production": "koepon", "dr": "koepon-dr"}
REGIONS = {"staging": "ap-northeast-1", "production": "ap-northeast-1", "dr": "ap-southeast-1"}
ACCOUNT = "123456789012"

type Made = dict[str, dict[str, Any]]


def claim(environment: str = "production") -> dict[str, Any]:
    return copy.deepcopy(estate.claim("Backup", environment))


def rule(made: Made) -> dict[str, Any]:
    [found] = parameters(made, "plan/koepon-daily")["rule"]
    return found


def vaults(made: Made) -> dict[str, tuple[str, str, int]]:
    """Region, name in AWS, and the days that each vault keeps what is in it."""
    return {
        each["metadata"]["name"]: (
            parameters(made, key)["region"],
            each["metadata"]["annotations"]["crossplane.io/external-name"],
            parameters(made, f"vaultlockconfiguration/{each['metadata']['name']}")["minRetentionDays"],
        )
        for key, each in made.items()
        if key.startswith("vault/")
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_aws_takes_every_resource_of_a_claim(environment: str) -> None:
    content = claim(environment)
    assert estate.problems(content) == []
    made = estate.namespaced(content)
    for each in made:
        assert estate.problems(each) == []
    identities = [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in made]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_depends_on_what_is_observed(environment: str) -> None:
    made = estate.resources(claim(environment))
    seen = {key: {**each, "status": {"atProvider": {}}} for key, each in made.items()}
    assert estate.resources(claim(environment), seen) == made


DOCUMENT: dict[str, Callable[[Made], bool]] = {
    "Retention: 30 days": lambda made: rule(made)["lifecycle"] == {"deleteAfter": 30},
    "Backup Window: 03:00-04:00 JST": lambda made: (
        (rule(made)["schedule"], rule(made)["scheduleExpressionTimezone"], rule(made)["startWindow"])
        == ("cron(0 18 * * ? *)", "Etc/UTC", 60)
    ),
    "Manual Snapshots: Retention: 90 days": lambda made: (
        vaults(made)["koepon-major"] == ("ap-northeast-1", "koepon-major", 90)
    ),
    "Frequency: Daily": lambda made: rule(made)["schedule"].endswith(" * * ? *)"),
    "Cross-region replication: ap-southeast-1": lambda made: (
        rule(made)["copyAction"]
        == [
            {
                "destinationVaultArn": f"arn:aws:backup:ap-southeast-1:{ACCOUNT}:backup-vault:koepon-daily-copy",
                "lifecycle": {"deleteAfter": 30},
            }
        ]
    ),
}


@pytest.mark.parametrize("holds", DOCUMENT.values(), ids=list(DOCUMENT))
def test_the_document_to_the_letter(holds: Callable[[Made], bool]) -> None:
    assert holds(estate.resources(claim()))


def test_the_vault_of_the_copies_is_the_one_that_the_plan_names() -> None:
    region, name, days = vaults(estate.resources(claim()))["koepon-daily-copy"]
    assert (
        f"arn:aws:backup:{region}:{ACCOUNT}:backup-vault:{name}"
        == (rule(estate.resources(claim()))["copyAction"][0]["destinationVaultArn"])
    )
    assert days == 30


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ("production", {"koepon-daily": 30, "koepon-major": 90, "koepon-daily-copy": 30}),
        ("dr", {"koepon-daily": 30, "koepon-major": 90}),
        ("staging", {"koepon-daily": 7}),
    ],
)
def test_vaults_are_locked_for_as_long_as_backups_are_kept(environment: str, expected: dict[str, int]) -> None:
    made = estate.resources(claim(environment))
    assert {name: days for name, (_, _, days) in vaults(made).items()} == expected
    prefix = PREFIXES[environment]
    assert all(aws == name.replace("koepon", prefix, 1) for name, (_, aws, _) in vaults(made).items())
    assert rule(made)["lifecycle"]["deleteAfter"] == expected["koepon-daily"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_vault_has_a_key_of_its_region_and_outlives_the_claim(environment: str) -> None:
    made = estate.resources(claim(environment))
    for name, (region, _, _) in vaults(made).items():
        vault = made[f"vault/{name}"]["spec"]
        key = f"key/{vault['forProvider']['kmsKeyArnRef']['name']}"
        assert parameters(made, key)["region"] == region
        assert parameters(made, key)["enableKeyRotation"] is True
        for stateful in (f"vault/{name}", key, f"vaultlockconfiguration/{name}", f"vaultpolicy/{name}"):
            assert "Delete" not in made[stateful]["spec"]["managementPolicies"]
            assert f"usage/{stateful}" in made


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nobody_deletes_a_recovery_point(environment: str) -> None:
    made = estate.resources(claim(environment))
    for name in vaults(made):
        [statement] = json.loads(parameters(made, f"vaultpolicy/{name}")["policy"])["Statement"]
        assert (statement["Effect"], statement["Principal"]) == ("Deny", {"AWS": "*"})
        assert set(statement["Action"]) == {"backup:DeleteRecoveryPoint", "backup:UpdateRecoveryPointLifecycle"}


def test_a_lock_becomes_irrevocable_only_when_the_claim_says_so() -> None:
    lock = "vaultlockconfiguration/koepon-daily"
    assert "changeableForDays" not in parameters(estate.resources(claim()), lock)
    content = claim()
    content["spec"]["lockIrrevocableAfterDays"] = 30
    assert parameters(estate.resources(content), lock)["changeableForDays"] == 30


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_this_environment_s_tagged_resources_are_taken(environment: str) -> None:
    selection = parameters(estate.resources(claim(environment)), "selection/koepon-daily")
    [condition] = selection["condition"]
    assert condition == {
        "stringEquals": [
            {"key": "aws:ResourceTag/Backup", "value": "daily"},
            {"key": "aws:ResourceTag/Environment", "value": environment},
        ]
    }
    assert selection["resources"] == ["*"]
    assert not {"selectionTag", "resourcesRefs"} & set(selection)


def test_only_aws_backup_of_this_account_takes_the_role() -> None:
    made = estate.resources(claim())
    [trust] = json.loads(parameters(made, "role/koepon-backup-role")["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "backup.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    policies = {parameters(made, key)["policyArn"] for key in made if key.startswith("rolepolicyattachment/")}
    assert policies == {
        "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup",
        "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForRestores",
        "arn:aws:iam::aws:policy/AWSBackupServiceRolePolicyForS3Backup",
        "arn:aws:iam::aws:policy/AWSBackupServiceRolePolicyForS3Restore",
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_failed_jobs_are_told_of(environment: str) -> None:
    made = estate.resources(claim(environment))
    for name in {"koepon-daily", "koepon-major"} & set(vaults(made)):
        told = parameters(made, f"vaultnotifications/{name}")
        region, prefix = REGIONS[environment], PREFIXES[environment]
        assert told["snsTopicArn"] == f"arn:aws:sns:{region}:{ACCOUNT}:{prefix}-alerts"
        assert {"BACKUP_JOB_FAILED", "COPY_JOB_FAILED"} <= set(told["backupVaultEvents"])


NONSENSE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a copy beside the original": (lambda spec: spec["copy"].update(region="ap-northeast-1"), "another region"),
    "a copy kept for less": (lambda spec: spec["copy"].update(retentionDays=7), "or longer"),
    "snapshots kept for less": (lambda spec: spec.update(majorRetentionDays=10), "as long as daily ones"),
    "no hour": (lambda spec: spec.update(startUtc="25:00"), "startUtc"),
    "an hour with a zone": (lambda spec: spec.update(startUtc="03:00 JST"), "startUtc"),
    "kept for no time": (lambda spec: spec.update(retentionDays=0), "retentionDays"),
    "a lock at once": (lambda spec: spec.update(lockIrrevocableAfterDays=1), "lockIrrevocableAfterDays"),
    "nobody hears of failures": (lambda spec: spec.pop("topic"), "topic"),
    "an unknown region": (lambda spec: spec.update(region="mars-1"), "region"),
    "an unknown field": (lambda spec: spec.update(weekly=True), "weekly"),
}


@pytest.mark.parametrize(("spoil", "said"), NONSENSE.values(), ids=list(NONSENSE))
def test_a_claim_without_sense_is_refused(spoil: Callable[[dict[str, Any]], object], said: str) -> None:
    estate.assert_refused(claim(), spoil, said)


def test_the_database_of_dr_is_taken_by_the_plan_which_starts_before_maintenance_may() -> None:
    """AWS starts no backup of a database in its maintenance window or the hour before."""
    made = estate.namespaced(estate.claim("Database", "dr"))
    [instance] = [each["spec"]["forProvider"] for each in made if each["kind"] == "Instance"]
    assert (instance["tags"]["Backup"], instance["tags"]["Environment"]) == ("daily", "dr")
    assert instance["backupRetentionPeriod"] == rule(estate.resources(claim("dr")))["lifecycle"]["deleteAfter"]
    hours, minutes = instance["maintenanceWindow"].split("-")[0].split(":")[1:]
    assert int(hours) * 60 + int(minutes) - 60 >= 18 * 60
