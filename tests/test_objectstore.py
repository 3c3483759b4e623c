"""The buckets as claimed: the document's figures, who gets in, what expires, where copies are, and nonsense."""

import copy
import json
from typing import Any

import pytest

from tests import estate

ENVIRONMENTS = ("staging", "production", "dr")
STORES = ("koepon-assets", "koepon-backups", "koepon-logs")
CLAIMS = [(environment, store) for environment in ENVIRONMENTS for store in STORES]
REGIONS = {"staging": "ap-northeast-1", "production": "ap-northeast-1", "dr": "ap-southeast-1"}
SUFFIXES = {"staging": "staging", "production": "prod", "dr": "dr"}
ACCOUNT = "123456789012"

type Claim = dict[str, Any]
type Made = dict[str, dict[str, Any]]


def claim(store: str = "koepon-assets", environment: str = "production", **spec: Any) -> Claim:
    found = copy.deepcopy(estate.claim("ObjectStore", environment, store))
    found["spec"] |= spec
    return found


def parameters(content: Claim, kind: str) -> dict[str, Any]:
    made = estate.resources(content)
    return made[f"{kind}/{content['metadata']['name']}".lower()]["spec"]["forProvider"]


def rules(content: Claim) -> dict[str, dict[str, Any]]:
    """The rules of the lifecycle by their names."""
    return {each["id"]: each for each in parameters(content, "BucketLifecycleConfiguration")["rule"]}


def statements(content: Claim) -> dict[str, dict[str, Any]]:
    """What the bucket's policy says, by name."""
    return {each["Sid"]: each for each in json.loads(parameters(content, "BucketPolicy")["policy"])["Statement"]}


@pytest.mark.parametrize(("environment", "store"), CLAIMS)
def test_aws_takes_every_resource_of_a_claim(environment: str, store: str) -> None:
    content = claim(store, environment)
    assert estate.problems(content) == []
    for each in estate.namespaced(content):
        assert estate.problems(each) == []
        if each["apiVersion"].startswith("s3."):
            assert each["spec"]["forProvider"]["region"] == REGIONS[environment]


@pytest.mark.parametrize(("environment", "store"), CLAIMS)
def test_every_bucket_has_its_name_and_is_versioned_encrypted_and_private(environment: str, store: str) -> None:
    """Versioning: enabled; Encryption: AES-256."""
    content = claim(store, environment)
    bucket = estate.resources(content)[f"bucket/{store}"]
    assert bucket["metadata"]["annotations"]["crossplane.io/external-name"] == f"{store}-{SUFFIXES[environment]}"
    assert bucket["spec"]["forProvider"]["forceDestroy"] is False
    assert parameters(content, "BucketVersioning")["versioningConfiguration"] == {"status": "Enabled"}
    [encryption] = parameters(content, "BucketServerSideEncryptionConfiguration")["rule"]
    assert encryption == {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
    block = parameters(content, "BucketPublicAccessBlock")
    for field in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        assert block[field] is True


@pytest.mark.parametrize(("environment", "store"), CLAIMS)
def test_everything_is_kept_about_the_claim_s_own_bucket(environment: str, store: str) -> None:
    made = estate.resources(claim(store, environment))
    kinds = [each for each in made.values() if each["kind"].startswith("Bucket") and each["kind"] != "Bucket"]
    assert len(kinds) >= 6
    assert {each["spec"]["forProvider"]["bucketRef"]["name"] for each in kinds} == {store}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_assets_come_to_infrequent_access_after_30_days_and_to_glacier_after_90(environment: str) -> None:
    """Lifecycle: IA after 30 days, Glacier after 90 days. Instant Retrieval: what is served has to be read at once."""
    rule = rules(claim(environment=environment))["cheaper-with-age"]
    assert rule["transition"] == [
        {"days": 30, "storageClass": "STANDARD_IA"},
        {"days": 90, "storageClass": "GLACIER_IR"},
    ]
    assert (rule["status"], rule["filter"]) == ("Enabled", [{"prefix": ""}])
    assert set(rules(claim(environment=environment))) == {"previous-versions", "cheaper-with-age"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_daily_backups_are_kept_30_days_and_manual_snapshots_90(environment: str) -> None:
    found = rules(claim("koepon-backups", environment))
    assert set(found) == {"previous-versions", "expire-daily", "expire-snapshots"}
    kept = {
        each["filter"][0]["prefix"]: each["expiration"] for name, each in found.items() if name != "previous-versions"
    }
    assert kept == {"daily/": [{"days": 30}], "snapshots/": [{"days": 90}]}


@pytest.mark.parametrize(("store", "days"), [("koepon-assets", 90), ("koepon-backups", 30), ("koepon-logs", 30)])
def test_deletions_can_be_undone_for_a_while(store: str, days: int) -> None:
    rule = rules(claim(store))["previous-versions"]
    assert rule["status"] == "Enabled"
    assert rule["filter"] == [{"prefix": ""}]
    assert rule["noncurrentVersionExpiration"] == [{"noncurrentDays": days}]
    assert rule["expiration"] == [{"expiredObjectDeleteMarker": True}]
    assert rule["abortIncompleteMultipartUpload"] == [{"daysAfterInitiation": 7}]


@pytest.mark.parametrize("store", STORES)
def test_nobody_gets_in_without_tls_1_2(store: str) -> None:
    bucket = f"arn:aws:s3:::{store}-prod"
    conditions = {
        "OnlyTls": {"Bool": {"aws:SecureTransport": "false"}},
        "OnlyTls12": {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    }
    for sid, condition in conditions.items():
        statement = statements(claim(store))[sid]
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
        assert statement["Resource"] == [bucket, f"{bucket}/*"]
        assert statement["Condition"] == condition


def test_cloudfront_reads_what_is_served_and_no_upload() -> None:
    assert statements(claim())["Serve"] == {
        "Sid": "Serve",
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::koepon-assets-prod/assets/*",
        "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:cloudfront::{ACCOUNT}:distribution/*"}},
    }
    assert set(statements(claim("koepon-backups"))) == {"OnlyTls", "OnlyTls12"}


def test_only_the_bucket_for_logs_takes_logs() -> None:
    assert statements(claim("koepon-logs"))["Log"] == {
        "Sid": "Log",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::koepon-logs-prod/access/*",
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
    }
    ownership = {store: parameters(claim(store), "BucketOwnershipControls")["rule"] for store in STORES}
    assert ownership == {
        "koepon-assets": {"objectOwnership": "BucketOwnerEnforced"},
        "koepon-backups": {"objectOwnership": "BucketOwnerEnforced"},
        "koepon-logs": {"objectOwnership": "BucketOwnerPreferred"},
    }


@pytest.mark.parametrize("store", ["koepon-assets", "koepon-backups"])
def test_accesses_are_logged_where_logs_go(store: str) -> None:
    logging = parameters(claim(store), "BucketLogging")
    assert logging["targetBucketRef"] == {"name": "koepon-logs"}
    assert logging["targetPrefix"] == f"access/{store}-prod/"
    prefixes = [each["prefix"] for each in claim("koepon-logs")["spec"]["expirations"]]
    assert any(logging["targetPrefix"].startswith(prefix) for prefix in prefixes)


@pytest.mark.parametrize("store", ["koepon-assets", "koepon-backups"])
def test_production_is_copied_to_dr_within_15_minutes(store: str) -> None:
    """Cross-region replication: ap-southeast-1; RPO Static content: 1 hour."""
    target = estate.resources(claim(store, "dr"))[f"bucket/{store}"]
    name = target["metadata"]["annotations"]["crossplane.io/external-name"]
    assert claim(store)["spec"]["replica"] == {"bucket": name, "region": target["spec"]["forProvider"]["region"]}
    replication = parameters(claim(store), "BucketReplicationConfiguration")
    assert replication["roleRef"] == {"name": f"{store}-replication"}
    assert replication["rule"] == [
        {
            "id": "everything",
            "priority": 1,
            "status": "Enabled",
            "filter": {"prefix": ""},
            "deleteMarkerReplication": {"status": "Enabled"},
            "destination": {
                "bucket": f"arn:aws:s3:::{name}",
                "replicationTime": {"status": "Enabled", "time": {"minutes": 15}},
                "metrics": {"status": "Enabled", "eventThreshold": {"minutes": 15}},
            },
        }
    ]


@pytest.mark.parametrize("store", ["koepon-assets", "koepon-backups"])
def test_the_role_that_copies_reads_here_and_writes_there(store: str) -> None:
    made, name = estate.resources(claim(store)), f"{store}-replication"
    for kind in ("role", "policy"):
        annotations = made[f"{kind}/{name}"]["metadata"]["annotations"]
        assert annotations["crossplane.io/external-name"] == f"{store}-prod-replication"
    [trust] = json.loads(made[f"role/{name}"]["spec"]["forProvider"]["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "s3.amazonaws.com"}
    policy = json.loads(made[f"policy/{name}"]["spec"]["forProvider"]["policy"])["Statement"]
    source, target = f"arn:aws:s3:::{store}-prod", f"arn:aws:s3:::{store}-dr"
    assert {(action, each["Resource"]) for each in policy for action in each["Action"]} == {
        ("s3:GetReplicationConfiguration", source),
        ("s3:ListBucket", source),
        ("s3:GetObjectVersionAcl", f"{source}/*"),
        ("s3:GetObjectVersionForReplication", f"{source}/*"),
        ("s3:GetObjectVersionTagging", f"{source}/*"),
        ("s3:ReplicateDelete", f"{target}/*"),
        ("s3:ReplicateObject", f"{target}/*"),
        ("s3:ReplicateTags", f"{target}/*"),
    }
    assert made[f"rolepolicyattachment/{name}"]["spec"]["forProvider"] == {
        "roleRef": {"name": name},
        "policyArnRef": {"name": name},
    }


@pytest.mark.parametrize(
    ("environment", "store"), [each for each in CLAIMS if each[0] != "production" or each[1] == "koepon-logs"]
)
def test_what_has_no_replica_has_no_role(environment: str, store: str) -> None:
    kinds = {each["kind"] for each in estate.resources(claim(store, environment)).values()}
    assert kinds.isdisjoint({"BucketReplicationConfiguration", "Role", "Policy", "RolePolicyAttachment"})


@pytest.mark.parametrize(("environment", "store"), CLAIMS)
def test_objects_outlive_the_claim_and_what_is_observed_changes_nothing(environment: str, store: str) -> None:
    content = claim(store, environment)
    made = estate.resources(content)
    assert "Delete" not in made[f"bucket/{store}"]["spec"]["managementPolicies"]
    assert made[f"usage/bucket/{store}"]["spec"]["of"]["resourceRef"] == {"name": store}
    seen = {key: {**each, "status": {"atProvider": {}}} for key, each in made.items()}
    assert estate.resources(content, seen) == made


HOME = {"bucket": "koepon-assets-dr", "region": "ap-northeast-1"}
ITSELF = {"bucket": "koepon-assets-prod", "region": "ap-southeast-1"}

NONSENSE: dict[str, tuple[dict[str, Any], str]] = {
    "a replica at home": ({"replica": HOME}, "lost with it"),
    "its own replica": ({"replica": ITSELF}, "its own replica"),
    "Glacier at once after Infrequent Access": ({"glacierDays": 60, "infrequentAccessDays": 31}, "30 days after"),
    "Infrequent Access after Glacier": ({"infrequentAccessDays": 120}, "30 days after"),
    "Infrequent Access too early": ({"infrequentAccessDays": 29}, "infrequentAccessDays"),
    "expired before Glacier": ({"expirations": [{"prefix": "daily/", "days": 90}]}, "expire later"),
    "backups for less than 30 days": ({"expirations": [{"prefix": "daily/", "days": 29}]}, "days"),
    "everything expires": ({"expirations": [{"prefix": "", "days": 100}]}, "prefix"),
    "a log of logging": ({"receivesLogs": True}, "never stop"),
    "deletions for good": ({"previousVersionsDays": 1}, "previousVersionsDays"),
    "everything served": ({"servedPrefix": "/"}, "servedPrefix"),
    "capitals": ({"bucket": "Koepon-Assets"}, "bucket"),
    "dots": ({"bucket": "assets.koepon.com"}, "bucket"),
    "a short name": ({"bucket": "ab"}, "bucket"),
    "a name of S3's": ({"bucket": "xn--koepon"}, "for itself"),
    "an access point's name": ({"bucket": "koepon-s3alias"}, "for itself"),
    "an unknown region": ({"region": "mars-1"}, "region"),
    "no account": ({"account": "koepon"}, "account"),
    "an unknown field": ({"public": True}, "public"),
}


@pytest.mark.parametrize(("spec", "said"), NONSENSE.values(), ids=list(NONSENSE))
def test_a_claim_without_sense_is_refused(spec: dict[str, Any], said: str) -> None:
    found = estate.problems(claim(**spec))
    assert found and any(said in problem for problem in found), found


@pytest.mark.parametrize("field", ["region", "account", "bucket"])
def test_what_a_bucket_needs_has_to_be_said(field: str) -> None:
    content = claim()
    del content["spec"][field]
    assert any(field in problem for problem in estate.problems(content))


def test_glacier_without_infrequent_access_is_refused() -> None:
    content = claim()
    del content["spec"]["infrequentAccessDays"]
    assert any("30 days after" in problem for problem in estate.problems(content))
