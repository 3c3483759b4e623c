"""What is recorded of the account, where nobody changes it, and who hears of findings; claims without sense."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests import estate

TRAIL = "arn:aws:cloudtrail:ap-northeast-1:123456789012:trail/koepon-audit"
BUCKET = "arn:aws:s3:::koepon-audit-prod"

type Made = dict[str, dict[str, Any]]


def claim() -> dict[str, Any]:
    return copy.deepcopy(estate.claim("AuditTrail", "production"))


def made() -> Made:
    return estate.resources(claim())


def parameters(key: str) -> dict[str, Any]:
    return made()[key]["spec"]["forProvider"]


def statements(key: str) -> dict[str, dict[str, Any]]:
    return {each["Sid"]: each for each in json.loads(parameters(key)["policy"])["Statement"]}


def test_aws_takes_every_resource_of_the_claim() -> None:
    assert estate.problems(claim()) == []
    whole = estate.namespaced(claim())
    for each in whole:
        assert estate.problems(each) == []
    identities = [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in whole]
    assert len(set(identities)) == len(identities)


def test_nothing_depends_on_what_is_observed() -> None:
    seen = {key: {**each, "status": {"atProvider": {}}} for key, each in made().items()}
    assert estate.resources(claim(), seen) == made()


def test_the_trail_records_all_regions_in_files_that_can_be_verified() -> None:
    trail = parameters("trail/koepon-audit")
    wanted = ("isMultiRegionTrail", "includeGlobalServiceEvents", "enableLogging", "enableLogFileValidation")
    assert all(trail[each] is True for each in wanted)
    assert trail["kmsKeyIdRef"] == trail["s3BucketNameRef"] == {"name": "koepon-audit"}
    assert made()["trail/koepon-audit"]["metadata"]["annotations"]["crossplane.io/external-name"] == "koepon-audit"


def test_only_this_trail_writes_and_nobody_comes_without_tls() -> None:
    found = statements("bucketpolicy/koepon-audit")
    for sid in ("TrailLooks", "TrailWrites"):
        assert found[sid]["Principal"] == {"Service": "cloudtrail.amazonaws.com"}
        assert found[sid]["Condition"]["StringEquals"]["aws:SourceArn"] == TRAIL
    assert found["TrailWrites"]["Resource"] == f"{BUCKET}/AWSLogs/123456789012/*"
    assert [found[sid]["Action"] for sid in ("TrailLooks", "TrailWrites")] == ["s3:GetBucketAcl", "s3:PutObject"]
    tls = found["TlsOnly"]
    assert (tls["Effect"], tls["Principal"], tls["Action"]) == ("Deny", "*", "s3:*")
    assert tls["Resource"] == [BUCKET, f"{BUCKET}/*"]
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_only_this_trail_encrypts_with_the_key() -> None:
    found = statements("key/koepon-audit")
    for sid, action in (("Encrypt", "kms:GenerateDataKey*"), ("Describe", "kms:DescribeKey")):
        assert found[sid]["Action"] == action
        assert found[sid]["Condition"]["StringEquals"] == {"aws:SourceArn": TRAIL}
    assert parameters("key/koepon-audit")["enableKeyRotation"] is True


def test_the_bucket_is_private_encrypted_versioned_locked_and_logged() -> None:
    block = parameters("bucketpublicaccessblock/koepon-audit")
    assert [value for name, value in block.items() if name not in ("region", "bucketRef")] == [True] * 4
    [rule] = parameters("bucketserversideencryptionconfiguration/koepon-audit")["rule"]
    assert rule["applyServerSideEncryptionByDefault"] == {
        "sseAlgorithm": "aws:kms",
        "kmsMasterKeyIdRef": {"name": "koepon-audit"},
    }
    assert parameters("bucketversioning/koepon-audit")["versioningConfiguration"] == {"status": "Enabled"}
    assert parameters("bucket/koepon-audit")["objectLockEnabled"] is True
    lock = parameters("bucketobjectlockconfiguration/koepon-audit")["rule"]
    assert lock == {"defaultRetention": {"mode": "GOVERNANCE", "days": 365}}
    logging = parameters("bucketlogging/koepon-audit")
    assert (logging["targetBucket"], logging["targetPrefix"]) == ("koepon-logs-prod", "access/koepon-audit-prod/")
    [expiry] = parameters("bucketlifecycleconfiguration/koepon-audit")["rule"]
    assert expiry["expiration"] == [{"days": 400}]


def test_records_and_what_guards_them_outlive_the_claim() -> None:
    guards = [key for key in made() if key.startswith(("bucket", "key/", "trail/"))]
    assert len(guards) == 11
    for key in guards:
        assert "Delete" not in made()[key]["spec"]["managementPolicies"]
        assert f"usage/{key}" in made()


@pytest.mark.parametrize(
    ("region", "topic"), [("ap-northeast-1", "koepon-alerts"), ("ap-southeast-1", "koepon-dr-alerts")]
)
def test_guardduty_tells_of_grave_findings_in_both_regions(region: str, topic: str) -> None:
    detector = parameters(f"detector/koepon-{region}")
    assert (detector["region"], detector["enable"]) == (region, True)
    assert detector["datasources"]["kubernetes"] == {"auditLogs": {"enable": True}}
    pattern = json.loads(parameters(f"rule/koepon-findings-{region}")["eventPattern"])
    assert pattern["detail"] == {"severity": [{"numeric": [">=", 7]}]}
    target = parameters(f"target/koepon-findings-{region}")
    assert target["arn"] == f"arn:aws:sns:{region}:123456789012:{topic}"
    assert target["ruleRef"] == {"name": f"koepon-findings-{region}"}


NONSENSE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "gone before the lock is": (lambda spec: spec.update(retentionDays=365), "expire before their lock"),
    "into itself": (lambda spec: spec["accessLogs"].update(bucket="koepon-audit-prod"), "into itself"),
    "looking elsewhere": (lambda spec: spec["guardDuty"].pop(0), "own region"),
    "nobody looks": (lambda spec: spec.update(guardDuty=[]), "guardDuty"),
    "no lock": (lambda spec: spec["lock"].update(mode="NONE"), "mode"),
    "a short lock": (lambda spec: spec["lock"].update(days=1), "lock.days"),
    "nobody sees who reads": (lambda spec: spec.pop("accessLogs"), "accessLogs"),
    "no account": (lambda spec: spec.update(account="koepon"), "account"),
    "an unknown field": (lambda spec: spec.update(lake=True), "lake"),
}


@pytest.mark.parametrize(("spoil", "said"), NONSENSE.values(), ids=list(NONSENSE))
def test_a_claim_without_sense_is_refused(spoil: Callable[[dict[str, Any]], object], said: str) -> None:
    estate.assert_refused(claim(), spoil, said)
