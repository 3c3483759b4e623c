"""A Backup: a vault that nobody empties, a plan that fills it every day, and a copy of it in another region.

Taken is what carries the tag `Backup: daily` in the claim's environment. Snapshots before major deployments are made on
demand, in a vault of their own: a plan's rule needs a time of day.
"""

import json
from typing import Any

from composite import Composite, Json, Resources

WINDOW_MINUTES = 60
"""How long after its hour a job may start; AWS takes no less."""

SERVICE_ROLE = "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyFor"
S3_ROLE = "arn:aws:iam::aws:policy/AWSBackupServiceRolePolicyForS3"

FAILURES = ("BACKUP_JOB_FAILED", "COPY_JOB_FAILED", "RESTORE_JOB_FAILED")


class Backup(Composite):
    """Composed as: where backups are kept, who makes them, when, and of what."""

    @staticmethod
    def build(resources: Resources) -> None:
        """Add the vaults, the role, the plan and its selection."""
        spec = resources.claim.spec
        add_key(resources, spec["region"], "backup")
        add_vault(resources, spec["region"], "daily", "backup", spec["retentionDays"])
        add_notifications(resources, "daily")
        if major := spec.get("majorRetentionDays"):
            add_vault(resources, spec["region"], "major", "backup", major)
            add_notifications(resources, "major")
        if copy := spec.get("copy"):
            add_key(resources, copy["region"], "backup-copy")
            add_vault(resources, copy["region"], "daily-copy", "backup-copy", copy["retentionDays"])
        add_role(resources)
        add_plan(resources)
        add_selection(resources)


def name(resources: Resources, suffix: str) -> str:
    """What a resource is called in Kubernetes."""
    return f"{resources.claim.name}-{suffix}"


def aws_name(resources: Resources, suffix: str) -> str:
    """What a resource is called in AWS."""
    return f"{resources.claim.spec['namePrefix']}-{suffix}"


def to(resources: Resources, suffix: str) -> dict[str, str]:
    """A reference to a resource of this claim."""
    return {"name": name(resources, suffix)}


def add_key(resources: Resources, region: str, suffix: str) -> None:
    """The key of a region's vaults. Without it nothing can be restored: it outlives the claim."""
    parameters = {
        "region": region,
        "description": f"Backups of {resources.claim.namespace} in {region}.",
        "enableKeyRotation": True,
        "deletionWindowInDays": 30,
    }
    resources.aws("kms/Key", name(resources, suffix), parameters, stateful=True)
    resources.aws(
        "kms/Alias",
        name(resources, suffix),
        {"region": region, "targetKeyIdRef": to(resources, suffix)},
        external_name=f"alias/{aws_name(resources, suffix)}",
    )


def add_vault(resources: Resources, region: str, suffix: str, key: str, days: int) -> None:
    """A vault that keeps everything for at least `days`, whoever asks otherwise."""
    vault, where = to(resources, suffix), {"region": region}
    resources.aws(
        "backup/Vault",
        vault["name"],
        {**where, "kmsKeyArnRef": to(resources, key)},
        external_name=aws_name(resources, suffix),
        stateful=True,
    )
    lock: dict[str, Any] = {**where, "backupVaultNameRef": vault, "minRetentionDays": days}
    if grace := resources.claim.spec.get("lockIrrevocableAfterDays"):
        lock["changeableForDays"] = grace
    # Lock and policy stay as long as the vault: without its claim it would be a vault that anybody empties.
    resources.aws("backup/VaultLockConfiguration", vault["name"], lock, stateful=True)
    denied = {
        "Sid": "NobodyEmptiesIt",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": ["backup:DeleteRecoveryPoint", "backup:UpdateRecoveryPointLifecycle"],
        "Resource": "*",
    }
    policy = {**where, "backupVaultNameRef": vault, "policy": document(denied)}
    resources.aws("backup/VaultPolicy", vault["name"], policy, stateful=True)


def add_notifications(resources: Resources, suffix: str) -> None:
    """A job that failed is told of. Only vaults beside the topic: a vault writes to topics of its own region."""
    spec = resources.claim.spec
    parameters = {
        "region": spec["region"],
        "backupVaultNameRef": to(resources, suffix),
        "backupVaultEvents": list(FAILURES),
        "snsTopicArn": f"arn:aws:sns:{spec['region']}:{spec['account']}:{spec['topic']}",
    }
    resources.aws("backup/VaultNotifications", name(resources, suffix), parameters)


def add_role(resources: Resources) -> None:
    """The role in which AWS Backup reads what it saves, and writes what it restores."""
    account = resources.claim.spec["account"]
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "backup.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }
    role = to(resources, "backup-role")
    parameters = {"description": "Lets AWS Backup save and restore.", "assumeRolePolicy": document(trust)}
    resources.aws("iam/Role", role["name"], parameters, external_name=aws_name(resources, "backup-role"))
    policies = {
        "backup": f"{SERVICE_ROLE}Backup",
        "restore": f"{SERVICE_ROLE}Restores",
        "s3-backup": f"{S3_ROLE}Backup",
        "s3-restore": f"{S3_ROLE}Restore",
    }
    for what, arn in policies.items():
        attachment = {"roleRef": role, "policyArn": arn}
        resources.aws("iam/RolePolicyAttachment", f"{role['name']}-{what}", attachment)


def add_plan(resources: Resources) -> None:
    """Every day at the claim's hour, and from there to the other region."""
    spec = resources.claim.spec
    hour, minute = spec["startUtc"].split(":")
    rule: dict[str, Any] = {
        "ruleName": "daily",
        "targetVaultNameRef": to(resources, "daily"),
        "schedule": f"cron({int(minute)} {int(hour)} * * ? *)",
        "scheduleExpressionTimezone": "Etc/UTC",
        "startWindow": WINDOW_MINUTES,
        "completionWindow": spec["completionMinutes"],
        "lifecycle": {"deleteAfter": spec["retentionDays"]},
        "recoveryPointTags": resources.claim.tags,
    }
    if copy := spec.get("copy"):
        vault = f"arn:aws:backup:{copy['region']}:{spec['account']}:backup-vault:{aws_name(resources, 'daily-copy')}"
        rule["copyAction"] = [
            {"destinationVaultArn": vault, "lifecycle": {"deleteAfter": copy["retentionDays"]}},
        ]
    plan = {"region": spec["region"], "name": aws_name(resources, "daily"), "rule": [rule]}
    resources.aws("backup/Plan", name(resources, "daily"), plan)


def add_selection(resources: Resources) -> None:
    """What is tagged, of this environment: its neighbours in the account carry the same tag."""
    wanted = {"Backup": "daily", "Environment": resources.claim.namespace}
    parameters = {
        "region": resources.claim.spec["region"],
        "name": aws_name(resources, "daily"),
        "planIdRef": to(resources, "daily"),
        "iamRoleArnRef": to(resources, "backup-role"),
        "resources": ["*"],
        # Conditions all have to hold; of selectionTag one would be enough.
        "condition": [
            {"stringEquals": [{"key": f"aws:ResourceTag/{key}", "value": value} for key, value in wanted.items()]}
        ],
    }
    resources.aws("backup/Selection", name(resources, "daily"), parameters)


def document(statement: Json) -> str:
    """A policy document of one statement."""
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
