"""An ObjectStore: a bucket, who gets at it and how, what becomes of old objects, and its copy in another region.

All resources are called like the claim; the bucket in AWS and the role that copies are called as `bucket` says.
"""

import json
from typing import Any

from composite import Composite, Json, Resources

ABANDONED_UPLOAD_DAYS = 7
REPLICATION_MINUTES = 15
"""Within what time S3 promises to copy an object, and reports those that take longer. It offers no other."""


class ObjectStore(Composite):
    """Composed from the bucket to its copy."""

    @staticmethod
    def build(resources: Resources) -> None:
        """Add the bucket with everything that S3 keeps apart from it."""
        add_bucket(resources)
        add_protection(resources)
        add_policy(resources)
        add_lifecycle(resources)
        if "logs" in resources.claim.spec:
            add_logging(resources)
        if "replica" in resources.claim.spec:
            add_replication_role(resources)
            add_replication(resources)


def add(resources: Resources, kind: str, parameters: Json) -> None:
    """Add what S3 keeps about the bucket."""
    name = resources.claim.name
    whole = {"region": resources.claim.spec["region"], "bucketRef": {"name": name}, **parameters}
    resources.aws(f"s3/{kind}", name, whole)


def arn(bucket: str, keys: str = "") -> str:
    """A bucket, or the objects in it whose keys fit the pattern `keys`."""
    return f"arn:aws:s3:::{bucket}/{keys}" if keys else f"arn:aws:s3:::{bucket}"


def document(*statements: Json) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def add_bucket(resources: Resources) -> None:
    """The bucket: nothing in it is deleted with it."""
    spec = resources.claim.spec
    parameters = {"region": spec["region"], "forceDestroy": False}
    resources.aws("s3/Bucket", resources.claim.name, parameters, external_name=spec["bucket"], stateful=True)


def add_protection(resources: Resources) -> None:
    """Previous versions stay, everything is encrypted, nothing is public."""
    add(resources, "BucketVersioning", {"versioningConfiguration": {"status": "Enabled"}})
    encryption = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
    add(resources, "BucketServerSideEncryptionConfiguration", {"rule": [encryption]})
    blocked = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    add(resources, "BucketPublicAccessBlock", dict.fromkeys(blocked, True))
    # CloudFront writes its logs as another account, which an ACL has to let in.
    ownership = "BucketOwnerPreferred" if resources.claim.spec["receivesLogs"] else "BucketOwnerEnforced"
    add(resources, "BucketOwnershipControls", {"rule": {"objectOwnership": ownership}})


def add_policy(resources: Resources) -> None:
    """Nobody without TLS 1.2; CloudFront to what is served, S3 to its logs. The application has a role of its own."""
    spec = resources.claim.spec
    bucket = spec["bucket"]
    everybody = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [arn(bucket), arn(bucket, "*")]}
    statements: list[Json] = [
        {"Sid": "OnlyTls", **everybody, "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {"Sid": "OnlyTls12", **everybody, "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
    ]
    if "servedPrefix" in spec:
        # AWS makes up a distribution's id: any of the account is as near as another claim can say.
        distributions = f"arn:aws:cloudfront::{spec['account']}:distribution/*"
        served = arn(bucket, f"{spec['servedPrefix']}*")
        condition = {"ArnLike": {"aws:SourceArn": distributions}}
        statements.append(allow("Serve", "cloudfront.amazonaws.com", "s3:GetObject", served, condition))
    if spec["receivesLogs"]:
        condition = {"StringEquals": {"aws:SourceAccount": spec["account"]}}
        statements.append(allow("Log", "logging.s3.amazonaws.com", "s3:PutObject", arn(bucket, "access/*"), condition))
    add(resources, "BucketPolicy", {"policy": document(*statements)})


def allow(sid: str, service: str, action: str, resource: str, condition: Json) -> Json:
    """A statement that lets a service of AWS do one thing."""
    principal = {"Service": service}
    parts = {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource}
    return {"Sid": sid, **parts, "Condition": condition}


def add_lifecycle(resources: Resources) -> None:
    """What gets cheaper, what expires, and for how long a deletion can be undone."""
    spec = resources.claim.spec
    undone = {
        "noncurrentVersionExpiration": [{"noncurrentDays": spec["previousVersionsDays"]}],
        "expiration": [{"expiredObjectDeleteMarker": True}],
        "abortIncompleteMultipartUpload": [{"daysAfterInitiation": ABANDONED_UPLOAD_DAYS}],
    }
    rules = [rule("previous-versions", "", undone)]
    transitions = [
        {"days": spec[field], "storageClass": storage_class}
        for field, storage_class in (("infrequentAccessDays", "STANDARD_IA"), ("glacierDays", "GLACIER_IR"))
        if field in spec
    ]
    if transitions:
        rules.append(rule("cheaper-with-age", "", {"transition": transitions}))
    for each in spec["expirations"]:
        name = f"expire-{each['prefix'].strip('/').replace('/', '-')}"
        rules.append(rule(name, each["prefix"], {"expiration": [{"days": each["days"]}]}))
    add(resources, "BucketLifecycleConfiguration", {"rule": rules})


def rule(name: str, prefix: str, what: Json) -> dict[str, Any]:
    """A rule of the lifecycle for the objects under a prefix."""
    return {"id": name, "status": "Enabled", "filter": [{"prefix": prefix}], **what}


def add_logging(resources: Resources) -> None:
    """The log of accesses, in another bucket."""
    target = {"targetBucketRef": {"name": resources.claim.spec["logs"]}}
    add(resources, "BucketLogging", {**target, "targetPrefix": f"access/{resources.claim.spec['bucket']}/"})


def add_replication_role(resources: Resources) -> None:
    """What S3 copies as: it reads here and writes there, and that is all."""
    spec, name = resources.claim.spec, f"{resources.claim.name}-replication"
    source, target = spec["bucket"], spec["replica"]["bucket"]
    trust = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}
    allowed = (
        (["s3:GetReplicationConfiguration", "s3:ListBucket"], arn(source)),
        (
            ["s3:GetObjectVersionAcl", "s3:GetObjectVersionForReplication", "s3:GetObjectVersionTagging"],
            arn(source, "*"),
        ),
        (["s3:ReplicateDelete", "s3:ReplicateObject", "s3:ReplicateTags"], arn(target, "*")),
    )
    policy = document(*({"Effect": "Allow", "Action": actions, "Resource": on} for actions, on in allowed))
    external_name = f"{source}-replication"
    resources.aws("iam/Role", name, {"assumeRolePolicy": document(trust)}, external_name=external_name)
    resources.aws("iam/Policy", name, {"policy": policy}, external_name=external_name)
    attachment = {"roleRef": {"name": name}, "policyArnRef": {"name": name}}
    resources.aws("iam/RolePolicyAttachment", name, attachment)


def add_replication(resources: Resources) -> None:
    """Every object, as soon as it is written. Deletions too: they hide objects here and there, and can be undone."""
    within = {"minutes": REPLICATION_MINUTES}
    copied = {
        "id": "everything",
        "priority": 1,
        "status": "Enabled",
        "filter": {"prefix": ""},
        "deleteMarkerReplication": {"status": "Enabled"},
        "destination": {
            "bucket": arn(resources.claim.spec["replica"]["bucket"]),
            "replicationTime": {"status": "Enabled", "time": within},
            "metrics": {"status": "Enabled", "eventThreshold": within},
        },
    }
    role = {"roleRef": {"name": f"{resources.claim.name}-replication"}}
    add(resources, "BucketReplicationConfiguration", {**role, "rule": [copied]})
