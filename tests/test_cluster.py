"""The clusters as claimed: the document's figures, what waits for what, and claims without sense."""

import copy
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from koepon_gitops import checks
from koepon_gitops.model import Finding, Manifest, ObjectId
from tests import estate
from tests.estate import parameters

ENVIRONMENTS = ("staging", "production", "dr")
REGIONS = {"staging": "ap-northeast-1", "production": "ap-northeast-1", "dr": "ap-southeast-1"}
KEY = "arn:aws:kms:ap-northeast-1:123456789012:key/1b9d5c0e-0000-4000-8000-5f1f4f4b2a11"
ISSUER = "https://oidc.eks.ap-northeast-1.amazonaws.com/id/5F1F4F4B2A111B9D5C0E"
ENDPOINT = "https://5F1F4F4B2A11.gr7.ap-northeast-1.eks.amazonaws.com"

type Claim = dict[str, Any]
type Made = dict[str, dict[str, Any]]


def claim(environment: str = "production", **spec: Any) -> Claim:
    found = copy.deepcopy(estate.claim("Cluster", environment))
    found["spec"] |= spec
    return found


STATUS: dict[str, dict[str, Any]] = {
    "key/koepon-eks-key": {"arn": KEY},
    "cluster/koepon": {
        "endpoint": ENDPOINT,
        "certificateAuthority": [{"data": "LS0tLS1CRUdJTg=="}],
        "identity": [{"oidc": [{"issuer": ISSUER}]}],
    },
    "launchtemplate/koepon-app-nodes": {"latestVersion": 7},
    "launchtemplate/koepon-db-nodes": {"latestVersion": 3},
    "launchtemplate/koepon-batch-nodes": {"latestVersion": 1},
}


def observed(made: Made, status: dict[str, dict[str, Any]] = STATUS) -> Made:
    return estate.observed(made, status)


def settled(content: Claim) -> Made:
    return estate.settled(content, STATUS)


def sizes(made: Made) -> dict[str, tuple[str, int, int, int]]:
    """Capacity type, min, max and desired of each node group."""
    groups = {}
    for key, each in made.items():
        if key.startswith("nodegroup/"):
            scaling = each["spec"]["forProvider"]["scalingConfig"]
            desired = each["spec"]["initProvider"]["scalingConfig"]["desiredSize"]
            capacity = each["spec"]["forProvider"]["capacityType"]
            groups[each["metadata"]["name"]] = (capacity, scaling["minSize"], scaling["maxSize"], desired)
    return groups


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_aws_takes_every_resource_of_a_claim(environment: str) -> None:
    content = claim(environment)
    assert estate.problems(content) == []
    made = settled(content)
    for each in made.values():
        whole = {**each, "metadata": {**each["metadata"], "namespace": environment}}
        assert estate.problems(whole) == []
    identities = [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in made.values()]
    assert len(set(identities)) == len(identities)
    regions = {
        each["spec"]["forProvider"].get("region") for each in made.values() if "forProvider" in each.get("spec", {})
    }
    assert regions == {None, REGIONS[environment]}


CLUSTER, APP, DB = "cluster/koepon", "nodegroup/koepon-app-nodes", "nodegroup/koepon-db-nodes"

DOCUMENT: dict[str, Callable[[Made], bool]] = {
    "EKS Cluster: koepon-production": lambda made: (
        made[CLUSTER]["metadata"]["annotations"]["crossplane.io/external-name"] == "koepon-production"
    ),
    "Endpoint: Private": lambda made: parameters(made, CLUSTER)["vpcConfig"]["endpointPrivateAccess"] is True,
    "Endpoint: + Public": lambda made: parameters(made, CLUSTER)["vpcConfig"]["endpointPublicAccess"] is True,
    "Logging: API server, Audit, Authenticator": lambda made: (
        parameters(made, CLUSTER)["enabledClusterLogTypes"] == ["api", "audit", "authenticator"]
    ),
    "koepon-app-nodes Instance Type: t3.medium": lambda made: parameters(made, APP)["instanceTypes"] == ["t3.medium"],
    "koepon-app-nodes Min Size: 2": lambda made: sizes(made)["koepon-app-nodes"][1] == 2,
    "koepon-app-nodes Max Size: 10": lambda made: sizes(made)["koepon-app-nodes"][2] == 10,
    "koepon-app-nodes Desired: 3": lambda made: sizes(made)["koepon-app-nodes"][3] == 3,
    "koepon-app-nodes Subnets: Private subnets": lambda made: (
        parameters(made, APP)["subnetIdRefs"] == [{"name": f"koepon-private-{zone}"} for zone in ("1a", "1c", "1d")]
    ),
    "koepon-db-nodes Instance Type: r5.large": lambda made: parameters(made, DB)["instanceTypes"] == ["r5.large"],
    "koepon-db-nodes Min Size: 1": lambda made: sizes(made)["koepon-db-nodes"][1] == 1,
    "koepon-db-nodes Max Size: 3": lambda made: sizes(made)["koepon-db-nodes"][2] == 3,
    "koepon-db-nodes Desired: 2": lambda made: sizes(made)["koepon-db-nodes"][3] == 2,
    "koepon-db-nodes Subnets: Private subnets": lambda made: (
        parameters(made, DB)["subnetIdRefs"] == [{"name": f"koepon-private-{zone}"} for zone in ("1a", "1c", "1d")]
    ),
    "koepon-eks-cluster-role Policies: [AmazonEKSClusterPolicy]": lambda made: (
        attached(made, "koepon-eks-cluster-role") == ["AmazonEKSClusterPolicy"]
    ),
    "koepon-eks-node-role Policies: three of AWS": lambda made: (
        attached(made, "koepon-eks-node-role")
        == ["AmazonEC2ContainerRegistryReadOnly", "AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy"]
    ),
    "Non-critical workloads: 50% spot instances": lambda made: (
        (sizes(made)["koepon-batch-nodes"], sizes(made)["koepon-batch-nodes-spot"])
        == (("ON_DEMAND", 0, 2, 0), ("SPOT", 0, 2, 0))
    ),
}


def attached(made: Made, role: str) -> list[str]:
    attachments = (parameters(made, key) for key in made if key.startswith("rolepolicyattachment/"))
    return sorted(each["policyArn"].rpartition("/")[2] for each in attachments if each["roleRef"]["name"] == role)


@pytest.mark.parametrize("holds", DOCUMENT.values(), ids=list(DOCUMENT))
def test_the_document_to_the_letter(holds: Callable[[Made], bool]) -> None:
    assert holds(settled(claim()))


def test_the_document_s_node_groups_are_bought_on_demand() -> None:
    made = sizes(settled(claim()))
    assert {name for name, (capacity, *_) in made.items() if capacity == "SPOT"} == {"koepon-batch-nodes-spot"}
    assert set(made) == {"koepon-app-nodes", "koepon-db-nodes", "koepon-batch-nodes", "koepon-batch-nodes-spot"}


def test_development_environments_are_80_percent_spot() -> None:
    assert sizes(settled(claim("staging"))) == {
        "koepon-app-nodes": ("ON_DEMAND", 1, 1, 1),
        "koepon-app-nodes-spot": ("SPOT", 1, 4, 1),
        "koepon-db-nodes": ("ON_DEMAND", 0, 1, 0),
        "koepon-db-nodes-spot": ("SPOT", 0, 4, 0),
    }


def test_dr_takes_the_place_of_production() -> None:
    assert sizes(settled(claim("dr"))) == sizes(settled(claim()))
    assert claim("dr")["spec"]["version"] == claim()["spec"]["version"]


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        (100, {"koepon-x-spot": ("SPOT", 1, 10, 3)}),
        (50, {"koepon-x": ("ON_DEMAND", 1, 5, 2), "koepon-x-spot": ("SPOT", 0, 5, 1)}),
        (30, {"koepon-x": ("ON_DEMAND", 1, 7, 3), "koepon-x-spot": ("SPOT", 0, 3, 0)}),
    ],
)
def test_a_spot_share_is_whole_nodes_and_never_more_than_asked(percent: int, expected: Any) -> None:
    group = {"name": "koepon-x", "instanceType": "t3.large", "min": 1, "max": 10, "desired": 3}
    content = claim(nodeGroups=[{**group, "spot": {"percent": percent, "alternatives": ["t3a.large"]}}])
    made = estate.resources(content, observed({}) | {"launchtemplate/koepon-x": _seen({"latestVersion": 1})})
    assert sizes(made) == expected
    assert parameters(made, "nodegroup/koepon-x-spot")["instanceTypes"] == ["t3.large", "t3a.large"]


def _seen(status: dict[str, Any]) -> dict[str, Any]:
    return {"status": {"atProvider": status}}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_names_in_aws_tell_environments_apart(environment: str) -> None:
    prefix = {"staging": "koepon-staging", "production": "koepon", "dr": "koepon-dr"}[environment]
    made = settled(claim(environment))
    roles = {
        key: each["metadata"]["annotations"]["crossplane.io/external-name"]
        for key, each in made.items()
        if each["kind"] == "Role"
    }
    names = ("eks-cluster-role", "eks-node-role", "ebs-csi-role")
    assert roles == {f"role/koepon-{name}": f"{prefix}-{name}" for name in names}
    assert parameters(made, "launchtemplate/koepon-app-nodes")["name"] == f"{prefix}-app-nodes"
    assert parameters(made, "securitygroup/koepon-node-sg")["name"] == f"{prefix}-node-sg"
    alias = made["alias/koepon-eks-key"]["metadata"]["annotations"]["crossplane.io/external-name"]
    assert alias == f"alias/koepon-{environment}-secrets"


def test_nothing_is_made_before_what_it_needs_is_known() -> None:
    first = estate.resources(claim())
    assert not any(key.startswith(("cluster/", "nodegroup/", "openid", "secret/")) for key in first)

    with_key = estate.resources(claim(), {"key/koepon-eks-key": _seen({"arn": KEY})})
    assert set(with_key) - set(first) == {CLUSTER}
    assert parameters(with_key, CLUSTER)["encryptionConfig"] == {"provider": {"keyArn": KEY}, "resources": ["secrets"]}


@pytest.mark.parametrize(
    ("away", "missing"),
    [
        ({"identity": [{"oidc": []}]}, "openidconnectprovider/koepon-oidc"),
        ({"endpoint": None}, "secret/koepon-argocd-cluster"),
        ({"certificateAuthority": []}, "secret/koepon-argocd-cluster"),
    ],
)
def test_who_needs_the_issuer_and_who_the_endpoint(away: dict[str, Any], missing: str) -> None:
    made = settled(claim())
    there = {key: each for key, each in made.items() if not key.startswith(("openid", "secret/"))}
    status = STATUS | {CLUSTER: STATUS[CLUSTER] | away}
    assert set(made) - set(estate.resources(claim(), observed(there, status))) == {missing}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_goes_away_while_a_status_is_away(environment: str) -> None:
    made = settled(claim(environment))
    assert estate.resources(claim(environment), observed(made)) == made
    assert estate.resources(claim(environment), observed(made, {})) == made


def test_a_node_group_begins_as_claimed_and_is_the_autoscaler_s_from_then_on() -> None:
    group = settled(claim())[APP]["spec"]
    assert group["initProvider"] == {"scalingConfig": {"desiredSize": 3}}
    assert "desiredSize" not in group["forProvider"]["scalingConfig"]
    assert group["managementPolicies"] == ["Create", "Observe", "Update", "Delete"]


def test_a_new_launch_template_replaces_nodes_one_at_a_time() -> None:
    group = parameters(settled(claim()), APP)
    assert group["launchTemplate"] == {"name": "koepon-app-nodes", "version": "7"}
    assert group["updateConfig"] == {"maxUnavailable": 1}
    assert group["version"] == claim()["spec"]["version"]


@pytest.mark.parametrize("name", ["koepon-app-nodes", "koepon-db-nodes", "koepon-batch-nodes"])
def test_every_node_is_encrypted_billed_and_keeps_its_credentials(name: str) -> None:
    template = parameters(settled(claim()), f"launchtemplate/{name}")
    assert template["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }
    [disk] = template["blockDeviceMappings"]
    assert disk["ebs"] == {
        "encrypted": "true",
        "volumeType": "gp3",
        "volumeSize": 50,
        "deleteOnTermination": "true",
    }
    assert template["vpcSecurityGroupIdRefs"] == [{"name": "koepon-app-sg"}, {"name": "koepon-node-sg"}]
    tagged = {each["resourceType"]: each["tags"] for each in template["tagSpecifications"]}
    assert set(tagged) == {"instance", "volume", "network-interface"}
    assert all(tags["Environment"] == "production" and tags["Service"] == "koepon" for tags in tagged.values())


def test_only_what_tolerates_it_runs_beside_the_database() -> None:
    made = settled(claim())
    assert "taint" not in parameters(made, APP)
    assert parameters(made, DB)["labels"] == {"koepon.com/workload": "database"}
    taint = {"key": "koepon.com/workload", "value": "database", "effect": "NO_SCHEDULE"}
    assert parameters(made, DB)["taint"] == [taint]


def test_the_add_ons_are_all_there_is_and_network_policies_are_enforced() -> None:
    made = settled(claim(addons=[{"name": "vpc-cni", "version": "v1.20.4-eksbuild.1"}, {"name": "kube-proxy"}]))
    assert parameters(made, CLUSTER)["bootstrapSelfManagedAddons"] is False
    addons = {each["addonName"]: each for each in (parameters(made, key) for key in made if key.startswith("addon/"))}
    assert set(addons) == {"vpc-cni", "kube-proxy"}
    assert addons["vpc-cni"]["addonVersion"] == "v1.20.4-eksbuild.1" and "addonVersion" not in addons["kube-proxy"]
    assert json.loads(addons["vpc-cni"]["configurationValues"]) == {"enableNetworkPolicy": "true"}
    for each in addons.values():
        assert each["resolveConflictsOnCreate"] == each["resolveConflictsOnUpdate"] == "OVERWRITE"
    assert not [key for key in made if "ebs-csi" in key]


def test_the_usual_add_ons() -> None:
    made = settled(claim())
    assert sorted(parameters(made, key)["addonName"] for key in made if key.startswith("addon/")) == [
        "aws-ebs-csi-driver",
        "coredns",
        "eks-pod-identity-agent",
        "kube-proxy",
        "vpc-cni",
    ]
    association = parameters(made, "podidentityassociation/koepon-ebs-csi")
    assert association["roleArnRef"] == {"name": "koepon-ebs-csi-role"}
    assert (association["namespace"], association["serviceAccount"]) == ("kube-system", "ebs-csi-controller-sa")
    [trust] = json.loads(parameters(made, "role/koepon-ebs-csi-role")["assumeRolePolicy"])["Statement"]
    assert trust["Condition"]["StringEquals"] == {
        "aws:RequestTag/eks-cluster-name": "koepon-production",
        "aws:RequestTag/kubernetes-namespace": "kube-system",
        "aws:RequestTag/kubernetes-service-account": "ebs-csi-controller-sa",
    }


def test_nobody_enters_but_who_is_listed() -> None:
    viewer = {
        "name": "support",
        "role": "koepon-support-role",
        "policy": "AmazonEKSViewPolicy",
        "namespaces": ["production"],
    }
    content = claim()
    content["spec"]["access"].append(viewer)
    assert estate.problems(content) == []
    made = settled(content)
    config = parameters(made, CLUSTER)["accessConfig"]
    assert config == {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}
    argocd, support = (parameters(made, f"accesspolicyassociation/koepon-{name}") for name in ("argocd", "support"))
    assert argocd["principalArn"] == "arn:aws:iam::123456789012:role/koepon-argocd-role"
    assert argocd["policyArn"] == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    assert argocd["accessScope"] == {"type": "cluster"}
    assert support["accessScope"] == {"type": "namespace", "namespaces": ["production"]}
    entries = [each for each in made.values() if each["kind"] == "AccessEntry"]
    assert len(entries) == 2 and "kubernetesGroups" not in json.dumps(entries)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_argocd_finds_the_cluster_and_no_credential(environment: str) -> None:
    secret = settled(claim(environment))["secret/koepon-argocd-cluster"]
    assert secret["metadata"]["labels"] == {"argocd.argoproj.io/secret-type": "cluster"}
    assert (secret["stringData"]["name"], secret["stringData"]["server"]) == (environment, ENDPOINT)
    assert json.loads(secret["stringData"]["config"]) == {
        "awsAuthConfig": {"clusterName": f"koepon-{environment}"},
        "tlsClientConfig": {"insecure": False, "caData": "LS0tLS1CRUdJTg=="},
    }


def test_iam_believes_the_cluster_s_issuer() -> None:
    provider = parameters(settled(claim()), "openidconnectprovider/koepon-oidc")
    assert (provider["url"], provider["clientIdList"]) == (ISSUER, ["sts.amazonaws.com"])


def test_only_this_cluster_takes_its_role() -> None:
    [trust] = json.loads(parameters(settled(claim()), "role/koepon-eks-cluster-role")["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "eks.amazonaws.com"}
    arn = "arn:aws:eks:ap-northeast-1:123456789012:cluster/koepon-production"
    assert trust["Condition"] == {"ArnLike": {"aws:SourceArn": arn}}


def test_a_lost_claim_loses_neither_the_key_nor_by_mistake_the_cluster() -> None:
    made = settled(claim())
    assert "Delete" not in made["key/koepon-eks-key"]["spec"]["managementPolicies"]
    assert "usage/key/koepon-eks-key" in made
    assert parameters(made, "key/koepon-eks-key")["enableKeyRotation"] is True
    assert parameters(made, CLUSTER)["deletionProtection"] is True
    assert parameters(settled(claim(deletionProtection=False)), CLUSTER)["deletionProtection"] is False
    assert parameters(made, CLUSTER)["upgradePolicy"] == {"supportType": "STANDARD"}


def reached(*contents: Claim, without: str = "") -> list[Finding]:
    """What the checks say of the networks that claims make together, one of the resources left out."""
    objects = [
        each for content in contents for each in estate.namespaced(content) if each["metadata"]["name"] != without
    ]
    manifests = [Manifest(application="estate", cluster="hub", id=ObjectId.of(each), content=each) for each in objects]
    return list(checks.run(manifests, estate.ROOT / "policies", date(2026, 11, 24)))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nodes_and_api_reach_each_other_and_nothing_more_than_the_table_says(environment: str) -> None:
    network = estate.claim("Network", environment)
    assert reached(network, claim(environment)) == []
    [cut] = reached(network, claim(environment), without="koepon-node-from-eks-tcp-10250")
    assert cut.message.startswith("eks can't reach node at tcp 10250")


NONSENSE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "more desired than max": (lambda spec: spec["nodeGroups"][0].update(desired=11), "desired has to lie between"),
    "less desired than min": (lambda spec: spec["nodeGroups"][0].update(desired=1), "desired has to lie between"),
    "min over max": (lambda spec: spec["nodeGroups"][0].update(min=11), "desired has to lie between"),
    "half a spot node": (lambda spec: spec["nodeGroups"][0].update(spot={"percent": 55}), "whole number of nodes"),
    "unknown instance type": (lambda spec: spec["nodeGroups"][0].update(instanceType="t3.huge"), "instanceType"),
    "ARM instance type": (lambda spec: spec["nodeGroups"][0].update(instanceType="t4g.medium"), "instanceType"),
    "a node group of another name": (
        lambda spec: spec["nodeGroups"][0].update(name="app-nodes"),
        "begin with the claim",
    ),
    "version with a patch": (lambda spec: spec.update(version="1.36.2"), "version"),
    "version as AWS writes none": (lambda spec: spec.update(version="v1.36"), "version"),
    "a zone of another region": (lambda spec: spec.update(zones=["1a", "1b"]), "1a, 1c and 1d"),
    "one zone": (lambda spec: spec.update(zones=["1a"]), "zones"),
    "unknown region": (lambda spec: spec.update(region="mars-1"), "region"),
    "no audit log": (lambda spec: spec.update(logTypes=["api"]), "audit"),
    "an address in place of a network": (lambda spec: spec.update(publicAccessCidrs=["203.0.113.7"]), "IPv4 network"),
    "no network for pods": (lambda spec: spec.update(addons=[{"name": "coredns"}]), "no node becomes ready"),
    "volumes without identity": (
        lambda spec: spec.update(
            addons=[{"name": name} for name in ("vpc-cni", "kube-proxy", "coredns", "aws-ebs-csi-driver")]
        ),
        "eks-pod-identity-agent",
    ),
    "an add-on that EKS has not": (lambda spec: spec.update(addons=[{"name": "kube-dns"}]), "addons"),
    "an administrator of one namespace": (
        lambda spec: spec["access"][0].update(namespaces=["production"]),
        "whole cluster",
    ),
    "a policy of its own": (lambda spec: spec["access"][0].update(policy="system:masters"), "policy"),
    "a role twice": (
        lambda spec: spec["access"].append({**spec["access"][0], "name": "again"}),
        "a role has one entry",
    ),
    "nobody": (lambda spec: spec.update(access=[]), "access"),
    "an unknown field": (lambda spec: spec.update(kubernetesVersion="1.36"), "kubernetesVersion"),
    "no version": (lambda spec: spec.pop("version"), "version"),
    "an account's name": (lambda spec: spec.update(account="koepon"), "account"),
}


@pytest.mark.parametrize(("spoil", "said"), NONSENSE.values(), ids=list(NONSENSE))
def test_a_claim_without_sense_is_refused(spoil: Callable[[dict[str, Any]], object], said: str) -> None:
    estate.assert_refused(claim(), spoil, said)
