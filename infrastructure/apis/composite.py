"""What all compositions share: a claim goes in, the resources it stands for come out.

A composition is a plain function of a `Claim`; `Composite` is the thin shell that Crossplane's function protocol sees.
Nothing here knows the time, chance, the network or the disk: the same claim and the same observed resources always give
the same resources, under the same names.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from crossplane.pythonic import BaseComposite

type Json = Mapping[str, Any]

ORPHAN = ("Create", "Observe", "Update", "LateInitialize")
"""Management policies without Delete: what is in AWS outlives its claim."""

UNTAGGED = frozenset(
    {
        *("acm/CertificateValidation",),
        *("autoscaling/Policy",),
        *("backup/Selection", "backup/VaultLockConfiguration", "backup/VaultNotifications", "backup/VaultPolicy"),
        *(
            "cloudfront/CachePolicy",
            "cloudfront/Function",
            "cloudfront/OriginAccessControl",
            "cloudfront/OriginRequestPolicy",
            "cloudfront/ResponseHeadersPolicy",
        ),
        *("cloudcontrol/Resource",),
        *("cloudwatch/Dashboard",),
        *("cloudwatchevents/APIDestination", "cloudwatchevents/Connection", "cloudwatchevents/Target"),
        *("cloudwatchlogs/MetricFilter", "cloudwatchlogs/ResourcePolicy"),
        *("ec2/NetworkACLRule", "ec2/Route", "ec2/RouteTableAssociation", "ec2/VPCEndpointRouteTableAssociation"),
        *(
            "ecr/LifecyclePolicy",
            "ecr/RegistryScanningConfiguration",
            "ecr/ReplicationConfiguration",
            "ecr/RepositoryPolicy",
        ),
        *("eks/AccessPolicyAssociation", "eks/ClusterAuth"),
        *("iam/RolePolicy", "iam/RolePolicyAttachment"),
        *("kms/Alias",),
        *("route53/Record",),
        *(
            "s3/BucketLifecycleConfiguration",
            "s3/BucketLogging",
            "s3/BucketObjectLockConfiguration",
            "s3/BucketOwnershipControls",
            "s3/BucketPolicy",
            "s3/BucketPublicAccessBlock",
            "s3/BucketReplicationConfiguration",
            "s3/BucketServerSideEncryptionConfiguration",
            "s3/BucketVersioning",
        ),
        *("secretsmanager/SecretVersion",),
        *("sns/TopicPolicy", "sns/TopicSubscription"),
        *("wafv2/WebACLAssociation",),
    }
)
"""Kinds that AWS keeps no tags of; a test compares this list with the definitions of provider-aws."""


@dataclass(frozen=True)
class Claim:
    """A composite resource as a team commits it, defaults filled in. `observed`: what Crossplane sees, by key."""

    kind: str
    name: str
    namespace: str
    spec: Json
    observed: Mapping[str, Json] = field(default_factory=dict)

    def seen(self, key: str, *path: str | int) -> Any:
        """A value below `status.atProvider` of an observed resource; None as long as it is not there."""
        value: Any = (self.observed.get(key) or {}).get("status", {}).get("atProvider")
        for step in path:
            if isinstance(step, str) and isinstance(value, Mapping):
                value = value.get(step)
            elif isinstance(step, int) and isinstance(value, list) and step < len(value):
                value = value[step]
            else:
                return None
        return value

    @property
    def tags(self) -> dict[str, str]:
        """Who is billed for it, and which claim to look at."""
        return {
            "Service": "koepon",
            "Environment": self.namespace,
            "ManagedBy": "crossplane",
            "Claim": f"{self.kind}/{self.name}",
        }


class Resources:
    """The resources of one claim, by a key that never changes."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.manifests: dict[str, dict[str, Any]] = {}
        self.status: dict[str, Any] = {}
        self.waiting: list[str] = []

    def aws(
        self,
        kind: str,
        name: str,
        for_provider: Json,
        *,
        key: str = "",
        external_name: str = "",
        labels: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        stateful: bool = False,
    ) -> str:
        """Add a managed resource of provider-aws: `kind` as `ec2/VPC`, `name` unique for its kind in the namespace.

        `for_provider` names the region, where the kind has one. `tags` come on top of the claim's. What is `stateful`
        stays in AWS when its claim goes, and can't be deleted by mistake: a Usage protects it. Returns the key.
        """
        group, _, bare = kind.partition("/")
        parameters = dict(for_provider)
        if kind not in UNTAGGED:
            parameters["tags"] = {**self.claim.tags, **(tags or {})}
        spec: dict[str, Any] = {
            "forProvider": parameters,
            "providerConfigRef": {"kind": "ClusterProviderConfig", "name": "aws"},
        }
        if stateful:
            spec["managementPolicies"] = list(ORPHAN)
        metadata: dict[str, Any] = {"name": name}
        if labels:
            metadata["labels"] = dict(labels)
        if external_name:
            metadata["annotations"] = {"crossplane.io/external-name": external_name}
        api_version = f"{group}.aws.m.upbound.io/v1beta1"
        added = self.add(
            key or f"{bare}/{name}".lower(),
            {"apiVersion": api_version, "kind": bare, "metadata": metadata, "spec": spec},
        )
        if stateful:
            self.protect(added)
        return added

    def add(self, key: str, manifest: Json) -> str:
        """Add any resource. Raises ValueError when the key is taken. Returns the key."""
        if key in self.manifests:
            raise ValueError(f"two resources have the key {key}")
        self.manifests[key] = dict(manifest)
        return key

    def protect(self, key: str) -> None:
        """Refuse to delete a resource: whoever means it deletes the Usage first."""
        manifest = self.manifests[key]
        name = f"{manifest['kind'].lower()}-{manifest['metadata']['name']}"
        self.add(
            f"usage/{key}",
            {
                "apiVersion": "protection.crossplane.io/v1beta1",
                "kind": "Usage",
                "metadata": {"name": name},
                "spec": {
                    "of": {
                        "apiVersion": manifest["apiVersion"],
                        "kind": manifest["kind"],
                        "resourceRef": {"name": manifest["metadata"]["name"]},
                    },
                    "reason": f"{self.claim.kind} {self.claim.name} keeps state in it.",
                },
            },
        )

    def once(self, known: object, key: str, add: Callable[[], object]) -> None:
        """Add resources as soon as what they need is `known`: not None, not empty.

        A resource that is there already stays as it is while the value is away: an incomplete status must not delete.
        """
        if known:
            add()
            return
        self.waiting.append(key)
        if seen := self.claim.observed.get(key):
            self.manifests[key] = _desired(seen)


def _desired(observed: Json) -> dict[str, Any]:
    """An observed resource as it would be asked for."""
    metadata = {
        name: observed["metadata"][name] for name in ("name", "labels", "annotations") if name in observed["metadata"]
    }
    return {**{name: value for name, value in observed.items() if name != "status"}, "metadata": metadata}


class Composite(BaseComposite):
    """The shell: protocol messages to plain values and back."""

    @staticmethod
    def build(resources: Resources) -> None:
        """Add to `resources` what its claim stands for."""
        raise NotImplementedError

    async def compose(self) -> None:
        """Called by the function's runner. An exception becomes a fatal result, which changes nothing in AWS."""
        whole = _plain(self.observed)
        claim = Claim(
            kind=whole["kind"],
            name=whole["metadata"]["name"],
            namespace=whole["metadata"].get("namespace", ""),
            spec=whole["spec"],
            observed=_Observed(self.request.observed.resources),
        )
        resources = Resources(claim)
        self.build(resources)
        for key in sorted(resources.manifests):
            self.resources[key] = resources.manifests[key]
        for name, value in resources.status.items():
            self.status[name] = value


class _Observed(Mapping[str, Json]):
    """What Crossplane sees, each resource read when it is asked for: most never are, and reading is what takes time."""

    def __init__(self, resources: Any) -> None:
        self._resources = {name: resource for name, resource in resources}  # noqa: C416 - dict() would ask it for keys
        self._read: dict[str, Json] = {}

    def __getitem__(self, key: str) -> Json:
        if key not in self._read:
            self._read[key] = _plain(self._resources[key].resource)
        return self._read[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._resources)

    def __len__(self) -> int:
        return len(self._resources)


def _plain(struct: Any) -> dict[str, Any]:
    """An object of the protocol as plain JSON values: its own value types are truthy when they hold false."""
    return {name: json.loads(format(value, "jsonc")) for name, value in struct}
