"""The repository of images as claimed: tags that stay, what is kept, who pulls, and the replica."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests import estate
from tests.estate import parameters

ACCOUNT = "123456789012"
REPOSITORY, REPLICA = "repository/koepon-app", "repository/koepon-app-replica"
REGIONS = {"koepon-app": "ap-northeast-1", "koepon-app-replica": "ap-southeast-1"}

type Claim = dict[str, Any]
type Made = dict[str, dict[str, Any]]


def claim(**spec: Any) -> Claim:
    found = copy.deepcopy(estate.claim("ImageRepository", "production"))
    found["spec"] |= spec
    return found


def policy(made: Made, key: str) -> dict[str, Any]:
    return json.loads(parameters(made, key)["policy"])


@pytest.mark.parametrize("content", [claim(), claim(mutableTags=[])], ids=["as committed", "without a moving tag"])
def test_aws_takes_every_resource_of_a_claim(content: Claim) -> None:
    assert estate.problems(content) == []
    for each in estate.namespaced(content):
        assert estate.problems(each) == []


def test_images_are_where_every_environment_pulls_them() -> None:
    made = estate.resources(claim())
    for environment, key in (("staging", REPOSITORY), ("production", REPOSITORY), ("dr", REPLICA)):
        region = parameters(made, key)["region"]
        name = made[key]["metadata"]["annotations"]["crossplane.io/external-name"]
        overlay = estate.ROOT / "apps" / "koepon-app" / "overlays" / environment / "kustomization.yaml"
        assert f"newName: {ACCOUNT}.dkr.ecr.{region}.amazonaws.com/{name}\n" in overlay.read_text()


@pytest.mark.parametrize("name", REGIONS)
def test_a_repository_is_the_same_in_both_regions(name: str) -> None:
    made = estate.resources(claim())
    repository = parameters(made, f"repository/{name}")
    assert repository["region"] == REGIONS[name]
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert repository["encryptionConfiguration"] == [{"encryptionType": "AES256"}]
    assert repository["forceDelete"] is False
    for kind in ("lifecyclepolicy", "repositorypolicy"):
        attached = parameters(made, f"{kind}/{name}")
        assert (attached["region"], attached["repositoryRef"]) == (REGIONS[name], {"name": name})
        assert attached["policy"] == parameters(made, f"{kind}/koepon-app")["policy"]


@pytest.mark.parametrize("key", [REPOSITORY, REPLICA])
def test_only_the_tag_that_a_build_moves_can_be_pushed_again(key: str) -> None:
    moving = parameters(estate.resources(claim()), key)
    assert moving["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert moving["imageTagMutabilityExclusionFilter"] == [{"filter": "latest", "filterType": "WILDCARD"}]
    fixed = parameters(estate.resources(claim(mutableTags=[])), key)
    assert fixed["imageTagMutability"] == "IMMUTABLE"
    assert "imageTagMutabilityExclusionFilter" not in fixed


def test_a_rollback_finds_its_image_and_leftovers_go() -> None:
    untagged, tagged = policy(estate.resources(claim()), "lifecyclepolicy/koepon-app")["rules"]
    assert untagged["selection"] == {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": 7,
    }
    assert tagged["selection"] == {
        "tagStatus": "tagged",
        "tagPatternList": ["*"],
        "countType": "imageCountMoreThan",
        "countNumber": 100,
    }
    assert (untagged["rulePriority"], tagged["rulePriority"]) == (1, 2)
    assert {each["action"]["type"] for each in (untagged, tagged)} == {"expire"}


def test_the_nodes_of_every_environment_pull_and_nobody_pushes() -> None:
    [statement] = policy(estate.resources(claim()), "repositorypolicy/koepon-app")["Statement"]
    nodes = set()
    for environment in ("production", "staging", "dr"):
        role = estate.resources(estate.claim("Cluster", environment))["role/koepon-eks-node-role"]
        nodes.add(f"arn:aws:iam::{ACCOUNT}:role/{role['metadata']['annotations']['crossplane.io/external-name']}")
    assert set(statement["Condition"]["ArnEquals"]["aws:PrincipalArn"]) == nodes
    assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    assert statement["Effect"] == "Allow"
    assert statement["Action"] == ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


def test_what_is_pushed_is_copied_to_the_region_of_dr() -> None:
    replication = parameters(estate.resources(claim()), "replicationconfiguration/koepon-app")
    assert replication["region"] == "ap-northeast-1"
    [rule] = replication["replicationConfiguration"]["rule"]
    assert rule["destination"] == [{"region": "ap-southeast-1", "registryId": ACCOUNT}]
    assert rule["repositoryFilter"] == [{"filter": "koepon/app", "filterType": "PREFIX_MATCH"}]


def test_without_a_replica_nothing_is_in_another_region() -> None:
    content = claim()
    del content["spec"]["replicaRegion"]
    assert estate.problems(content) == []
    made = estate.resources(content)
    assert {parameters(made, key)["region"] for key in made if not key.startswith("usage/")} == {"ap-northeast-1"}
    assert set(estate.resources(claim())) - set(made) == {
        REPLICA,
        f"usage/{REPLICA}",
        "lifecyclepolicy/koepon-app-replica",
        "repositorypolicy/koepon-app-replica",
        "replicationconfiguration/koepon-app",
    }


@pytest.mark.parametrize("key", [REPOSITORY, REPLICA])
def test_images_outlive_the_claim(key: str) -> None:
    made = estate.resources(claim())
    assert "Delete" not in made[key]["spec"]["managementPolicies"]
    assert made[f"usage/{key}"]["spec"]["of"]["resourceRef"] == {"name": made[key]["metadata"]["name"]}


def test_what_is_observed_changes_nothing() -> None:
    made = estate.resources(claim())
    seen = {key: {**each, "status": {"atProvider": {}}} for key, each in made.items()}
    assert estate.resources(claim(), seen) == made


NONSENSE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a replica at home": (lambda spec: spec.update(replicaRegion="ap-northeast-1"), "lost with it"),
    "an unknown region": (lambda spec: spec.update(region="mars-1"), "region"),
    "capitals": (lambda spec: spec.update(repository="Koepon/App"), "repository"),
    "a trailing slash": (lambda spec: spec.update(repository="koepon/"), "repository"),
    "any tag": (lambda spec: spec.update(mutableTags=["*"]), "mutableTags"),
    "too few for a rollback": (lambda spec: spec.update(keepTagged=29), "keepTagged"),
    "leftovers for no day": (lambda spec: spec.update(untaggedDays=0), "untaggedDays"),
    "nobody pulls": (lambda spec: spec.update(pullers=[]), "pullers"),
    "everybody pulls": (lambda spec: spec.update(pullers=["*"]), "pullers"),
    "no account": (lambda spec: spec.update(account="koepon"), "account"),
    "an unknown field": (lambda spec: spec.update(scan=False), "scan"),
}


@pytest.mark.parametrize(("spoil", "said"), NONSENSE.values(), ids=list(NONSENSE))
def test_a_claim_without_sense_is_refused(spoil: Callable[[dict[str, Any]], object], said: str) -> None:
    estate.assert_refused(claim(), spoil, said)
