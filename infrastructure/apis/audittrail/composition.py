"""An AuditTrail: who did what in the account, in a bucket where nobody changes it, and GuardDuty's eye on it.

One trail records all regions; GuardDuty looks at one region at a time.
"""

import json

from composite import Composite, Json, Resources


class AuditTrail(Composite):
    """Composed as: the key, the bucket, the trail that writes there, the detectors."""

    @staticmethod
    def build(resources: Resources) -> None:
        """Add everything."""
        add_key(resources)
        add_bucket(resources)
        add_bucket_policy(resources)
        add_trail(resources)
        for detector in resources.claim.spec["guardDuty"]:
            add_detector(resources, detector)


def audit(resources: Resources) -> dict[str, str]:
    """A reference to key, bucket or trail: all have the same name."""
    return {"name": f"{resources.claim.name}-audit"}


def trail(resources: Resources) -> str:
    """The ARN of the trail."""
    spec = resources.claim.spec
    return f"arn:aws:cloudtrail:{spec['region']}:{spec['account']}:trail/{spec['trail']}"


def document(*statements: Json) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def add_key(resources: Resources) -> None:
    """The key of the records: the trail encrypts with it, the account reads with it."""
    spec = resources.claim.spec
    cloudtrail = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}, "Resource": "*"}
    ours = {"StringEquals": {"aws:SourceArn": trail(resources)}}
    records = f"arn:aws:cloudtrail:*:{spec['account']}:trail/*"
    policy = document(
        {
            "Sid": "Account",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{spec['account']}:root"},
            "Action": "kms:*",
            "Resource": "*",
        },
        {
            "Sid": "Encrypt",
            **cloudtrail,
            "Action": "kms:GenerateDataKey*",
            "Condition": {**ours, "StringLike": {"kms:EncryptionContext:aws:cloudtrail:arn": records}},
        },
        {"Sid": "Describe", **cloudtrail, "Action": "kms:DescribeKey", "Condition": ours},
    )
    key = {
        "region": spec["region"],
        "description": "What CloudTrail records.",
        "enableKeyRotation": True,
        "deletionWindowInDays": 30,
        "policy": policy,
    }
    name = audit(resources)["name"]
    resources.aws("kms/Key", name, key, stateful=True)
    alias = {"region": spec["region"], "targetKeyIdRef": audit(resources)}
    resources.aws("kms/Alias", name, alias, external_name=f"alias/{spec['trail']}")


def add_bucket(resources: Resources) -> None:
    """A bucket that is private, encrypted, locked and watched, and forgets only when the claim says so."""
    spec, name = resources.claim.spec, audit(resources)["name"]
    bucket = {"region": spec["region"], "objectLockEnabled": True}
    resources.aws("s3/Bucket", name, bucket, external_name=spec["bucket"], stateful=True)
    closed = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    encryption = {"sseAlgorithm": "aws:kms", "kmsMasterKeyIdRef": audit(resources)}
    lock = {"mode": spec["lock"]["mode"], "days": spec["lock"]["days"]}
    expiry = {
        "id": "old-records",
        "status": "Enabled",
        "filter": [{"prefix": ""}],
        "transition": [{"days": 90, "storageClass": "GLACIER_IR"}],
        "expiration": [{"days": spec["retentionDays"]}],
        "noncurrentVersionExpiration": [{"noncurrentDays": 30}],
        "abortIncompleteMultipartUpload": [{"daysAfterInitiation": 7}],
    }
    settings: dict[str, Json] = {
        "PublicAccessBlock": dict.fromkeys(closed, True),
        "OwnershipControls": {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
        "Versioning": {"versioningConfiguration": {"status": "Enabled"}},
        "ServerSideEncryptionConfiguration": {
            "rule": [{"applyServerSideEncryptionByDefault": encryption, "bucketKeyEnabled": True}]
        },
        "ObjectLockConfiguration": {"rule": {"defaultRetention": lock}},
        "LifecycleConfiguration": {"rule": [expiry]},
        "Logging": {"targetBucket": spec["accessLogs"]["bucket"], "targetPrefix": spec["accessLogs"]["prefix"]},
    }
    for setting, parameters in settings.items():
        whole = {"region": spec["region"], "bucketRef": audit(resources), **parameters}
        # Whoever takes the claim away leaves the bucket as closed as it was.
        resources.aws(f"s3/Bucket{setting}", name, whole, stateful=True)


def add_bucket_policy(resources: Resources) -> None:
    """Only the trail writes, and nobody comes without TLS."""
    spec = resources.claim.spec
    bucket = f"arn:aws:s3:::{spec['bucket']}"
    cloudtrail = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}
    ours = {"aws:SourceArn": trail(resources)}
    policy = document(
        {
            "Sid": "TrailLooks",
            **cloudtrail,
            "Action": "s3:GetBucketAcl",
            "Resource": bucket,
            "Condition": {"StringEquals": ours},
        },
        {
            "Sid": "TrailWrites",
            **cloudtrail,
            "Action": "s3:PutObject",
            "Resource": f"{bucket}/AWSLogs/{spec['account']}/*",
            "Condition": {"StringEquals": {**ours, "s3:x-amz-acl": "bucket-owner-full-control"}},
        },
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket, f"{bucket}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    )
    parameters = {"region": spec["region"], "bucketRef": audit(resources), "policy": policy}
    resources.aws("s3/BucketPolicy", audit(resources)["name"], parameters, stateful=True)


def add_trail(resources: Resources) -> None:
    """Every region and the services that have none, in files whose digests show whether they were changed."""
    spec = resources.claim.spec
    parameters = {
        "region": spec["region"],
        "isMultiRegionTrail": True,
        "includeGlobalServiceEvents": True,
        "enableLogging": True,
        "enableLogFileValidation": True,
        "kmsKeyIdRef": audit(resources),
        "s3BucketNameRef": audit(resources),
    }
    resources.aws("cloudtrail/Trail", audit(resources)["name"], parameters, external_name=spec["trail"], stateful=True)


def add_detector(resources: Resources, detector: Json) -> None:
    """GuardDuty in one region, whose grave findings go to the topic of that region."""
    region, account = detector["region"], resources.claim.spec["account"]
    name = f"{resources.claim.name}-{region}"
    watched = {
        "s3Logs": {"enable": True},
        "kubernetes": {"auditLogs": {"enable": True}},
        "malwareProtection": {"scanEc2InstanceWithFindings": {"ebsVolumes": {"enable": True}}},
    }
    parameters = {
        "region": region,
        "enable": True,
        "findingPublishingFrequency": "FIFTEEN_MINUTES",
        "datasources": watched,
    }
    resources.aws("guardduty/Detector", name, parameters)
    findings = {
        "source": ["aws.guardduty"],
        "detail-type": ["GuardDuty Finding"],
        "detail": {"severity": [{"numeric": [">=", detector["fromSeverity"]]}]},
    }
    rule = f"{resources.claim.name}-findings-{region}"
    resources.aws("cloudwatchevents/Rule", rule, {"region": region, "eventPattern": json.dumps(findings)})
    topic = f"arn:aws:sns:{region}:{account}:{detector['topic']}"
    resources.aws("cloudwatchevents/Target", rule, {"region": region, "ruleRef": {"name": rule}, "arn": topic})
