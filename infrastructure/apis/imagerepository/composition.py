"""An ImageRepository: a repository of ECR, and its replica from which another region is rebuilt.

Kubernetes names are the claim's, with `-replica` for what is in the other region.
"""

import json
from typing import Any

from composite import Composite, Resources

PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
"""What a node does to get an image."""


class ImageRepository(Composite):
    """Composed region by region: ECR replicates images, and none of a repository's settings."""

    @staticmethod
    def build(resources: Resources) -> None:
        """Add the repository, its replica, and what copies images from one to the other."""
        spec, name = resources.claim.spec, resources.claim.name
        add_repository(resources, name, spec["region"])
        if "replicaRegion" in spec:
            add_repository(resources, f"{name}-replica", spec["replicaRegion"])
            add_replication(resources)


def add_repository(resources: Resources, name: str, region: str) -> None:
    """A repository in one region, with what is deleted from it and who may pull."""
    spec = resources.claim.spec
    parameters: dict[str, Any] = {
        "region": region,
        "imageTagMutability": "IMMUTABLE",
        "imageScanningConfiguration": {"scanOnPush": True},
        "encryptionConfiguration": [{"encryptionType": "AES256"}],
        "forceDelete": False,
    }
    if spec["mutableTags"]:
        parameters["imageTagMutability"] = "IMMUTABLE_WITH_EXCLUSION"
        parameters["imageTagMutabilityExclusionFilter"] = [
            {"filter": tag, "filterType": "WILDCARD"} for tag in spec["mutableTags"]
        ]
    resources.aws("ecr/Repository", name, parameters, external_name=spec["repository"], stateful=True)
    of_repository = {"region": region, "repositoryRef": {"name": name}}
    resources.aws("ecr/LifecyclePolicy", name, {**of_repository, "policy": expiry(resources)})
    resources.aws("ecr/RepositoryPolicy", name, {**of_repository, "policy": access(resources)})


def expiry(resources: Resources) -> str:
    """What ECR deletes: leftovers of builds after days, tagged images when newer ones are many."""
    spec = resources.claim.spec
    untagged = {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": spec["untaggedDays"],
    }
    tagged = {
        "tagStatus": "tagged",
        "tagPatternList": ["*"],
        "countType": "imageCountMoreThan",
        "countNumber": spec["keepTagged"],
    }
    rules = [
        {"rulePriority": priority, "description": description, "selection": selection, "action": {"type": "expire"}}
        for priority, description, selection in (
            (1, f"Untagged images go after {spec['untaggedDays']} days", untagged),
            (2, f"The last {spec['keepTagged']} tagged images stay", tagged),
        )
    ]
    return json.dumps({"rules": rules})


def access(resources: Resources) -> str:
    """Who may pull. Roles are asked for by a condition: as a principal, one that is not made yet would be refused."""
    account = resources.claim.spec["account"]
    pullers = [f"arn:aws:iam::{account}:role/{role}" for role in resources.claim.spec["pullers"]]
    statement = {
        "Sid": "Pull",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": PULL,
        "Condition": {"ArnEquals": {"aws:PrincipalArn": pullers}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def add_replication(resources: Resources) -> None:
    """The registry's order to copy what is pushed, of this repository alone."""
    spec = resources.claim.spec
    rule = {
        "destination": [{"region": spec["replicaRegion"], "registryId": spec["account"]}],
        "repositoryFilter": [{"filter": spec["repository"], "filterType": "PREFIX_MATCH"}],
    }
    parameters = {"region": spec["region"], "replicationConfiguration": {"rule": [rule]}}
    resources.aws("ecr/ReplicationConfiguration", resources.claim.name, parameters)
