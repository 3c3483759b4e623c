"""A Cluster: EKS, its key and roles, its nodes and who reaches them, add-ons, who may enter, and Argo CD's view of it.

It is in the network that `network` names. Kubernetes names begin with the claim's name, names of roles and templates in
AWS with `namePrefix`; node groups are called as in the claim.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from composite import Composite, Json, Resources

MANAGED = "arn:aws:iam::aws:policy/"
"""Where the policies are that AWS keeps."""

KUBELET, WEBHOOK = 10250, 9443
"""What the API server opens on nodes: kubelets (the metrics server and most webhooks listen there too), and the webhook
of the load balancer controller."""

CONFIGURATIONS: Json = {
    # Without it the NetworkPolicies in the cluster are stored and mean nothing.
    "vpc-cni": {"enableNetworkPolicy": "true"},
}
"""What an add-on is told that it would not do by itself."""

AUTOSCALED = ("Create", "Observe", "Update", "Delete")
"""Management policies without LateInitialize, which would make the size that was found the size that is asked for."""


class Cluster(Composite):
    """Composed from what it stands on to who may use it."""

    @staticmethod
    def build(resources: Resources) -> None:
        """Add the whole cluster."""
        add_key(resources)
        add_roles(resources)
        add_security_groups(resources)
        add_control_plane(resources)
        for group in resources.claim.spec["nodeGroups"]:
            add_nodes(resources, group)
        add_addons(resources)
        add_volume_driver_role(resources)
        add_access(resources)
        add_issuer(resources)
        add_argocd_secret(resources)


def add(resources: Resources, kind: str, suffix: str, parameters: Json, **more: Any) -> str:
    """Add a resource in the cluster's region, named after the claim. Returns its key."""
    region = resources.claim.spec["region"]
    return resources.aws(kind, f"{resources.claim.name}-{suffix}", {"region": region, **parameters}, **more)


def to(resources: Resources, suffix: str) -> dict[str, str]:
    """A reference to a resource of this claim."""
    return {"name": f"{resources.claim.name}-{suffix}"}


def of_network(resources: Resources, suffix: str) -> dict[str, str]:
    """A reference to a resource of the network that the cluster is in."""
    return {"name": f"{resources.claim.spec['network']}-{suffix}"}


def add_key(resources: Resources) -> None:
    """The key under which Secrets lie in etcd. Without it the cluster is unreadable for ever."""
    description = f"Secrets of the cluster {resources.claim.spec['clusterName']}."
    parameters = {"description": description, "enableKeyRotation": True, "deletionWindowInDays": 30}
    add(resources, "kms/Key", "eks-key", parameters, stateful=True)
    alias = f"alias/{resources.claim.spec['clusterName']}-secrets"
    add(resources, "kms/Alias", "eks-key", {"targetKeyIdRef": to(resources, "eks-key")}, external_name=alias)


def add_roles(resources: Resources) -> None:
    """The roles of the control plane and of the nodes, with the policies that AWS keeps for them."""
    spec = resources.claim.spec
    cluster = f"arn:aws:eks:{spec['region']}:{spec['account']}:cluster/{spec['clusterName']}"
    control_plane = {
        "Effect": "Allow",
        "Principal": {"Service": "eks.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"ArnLike": {"aws:SourceArn": cluster}},
    }
    nodes = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    add_role(resources, "eks-cluster-role", control_plane, "AmazonEKSClusterPolicy")
    add_role(
        resources,
        "eks-node-role",
        nodes,
        "AmazonEKSWorkerNodePolicy",
        "AmazonEKS_CNI_Policy",
        "AmazonEC2ContainerRegistryReadOnly",
    )


def add_role(resources: Resources, suffix: str, trust: Json, *policies: str) -> None:
    """A role that takes its rights from policies of AWS, each named after its last part."""
    parameters = {"assumeRolePolicy": json.dumps({"Version": "2012-10-17", "Statement": [trust]})}
    external_name = f"{resources.claim.spec['namePrefix']}-{suffix}"
    resources.aws("iam/Role", f"{resources.claim.name}-{suffix}", parameters, external_name=external_name)
    for policy in policies:
        attached = policy.rpartition("/")[2].lower().replace("_", "-")
        name = f"{resources.claim.name}-{suffix}-{attached}"
        attachment = {"roleRef": to(resources, suffix), "policyArn": f"{MANAGED}{policy}"}
        resources.aws("iam/RolePolicyAttachment", name, attachment)


class Flow(NamedTuple):
    """Who opens connections to whom, control plane (`eks`) and nodes, at which ports, `first` to `last`."""

    source: str
    target: str
    first: int
    last: int
    protocol: str = "tcp"


FLOWS = (
    Flow("node", "eks", 443, 443),
    Flow("eks", "node", KUBELET, KUBELET),
    Flow("eks", "node", WEBHOOK, WEBHOOK),
    Flow("node", "node", 53, 53),
    Flow("node", "node", 53, 53, "udp"),
    Flow("node", "node", 1024, 65535),
)
"""What the cluster needs for itself. What pods say to anybody else is the network's group of the application."""


def add_security_groups(resources: Resources) -> None:
    """Groups of our own: the one EKS makes lets everything out, and nodes that are given others don't get it."""
    for group, description in (("eks", "The cluster's API."), ("node", "Nodes among themselves and with the API.")):
        name = f"{resources.claim.spec['namePrefix']}-{group}-sg"
        parameters = {"vpcIdRef": of_network(resources, "vpc"), "name": name, "description": description}
        add(resources, "ec2/SecurityGroup", f"{group}-sg", parameters, tags={"Name": name})
    for flow in FLOWS:
        add_flow(resources, flow, "Egress", flow.source, "to", flow.target)
        add_flow(resources, flow, "Ingress", flow.target, "from", flow.source)


def add_flow(resources: Resources, flow: Flow, direction: str, group: str, word: str, peer: str) -> None:
    """One side of a flow as a rule named after what it says: `koepon-node-from-eks-tcp-10250`."""
    parameters = {
        "securityGroupIdRef": to(resources, f"{group}-sg"),
        "referencedSecurityGroupIdRef": to(resources, f"{peer}-sg"),
        "ipProtocol": flow.protocol,
        "fromPort": flow.first,
        "toPort": flow.last,
    }
    suffix = f"{group}-{word}-{peer}-{flow.protocol}-{flow.first}"
    add(resources, f"ec2/SecurityGroup{direction}Rule", suffix, parameters)


def add_control_plane(resources: Resources) -> None:
    """The cluster itself, as soon as its key has an ARN: there is no reference from a cluster to a key."""
    arn = resources.claim.seen(f"key/{resources.claim.name}-eks-key", "arn")
    resources.once(arn, cluster_key(resources), lambda: _add_control_plane(resources, arn))


def cluster_key(resources: Resources) -> str:
    """The key of the cluster among the claim's resources."""
    return f"cluster/{resources.claim.name}"


def _add_control_plane(resources: Resources, key_arn: str) -> None:
    spec = resources.claim.spec
    parameters = {
        "region": spec["region"],
        "version": spec["version"],
        "roleArnRef": to(resources, "eks-cluster-role"),
        "vpcConfig": {
            "subnetIdRefs": private_subnets(resources),
            "securityGroupIdRefs": [to(resources, "eks-sg")],
            "endpointPrivateAccess": True,
            "endpointPublicAccess": True,
            "publicAccessCidrs": spec["publicAccessCidrs"],
        },
        "enabledClusterLogTypes": spec["logTypes"],
        "encryptionConfig": {"provider": {"keyArn": key_arn}, "resources": ["secrets"]},
        # Who may enter is written in the claim, not in a ConfigMap, and whoever made the cluster is nobody special.
        "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
        # The add-ons below are all there is: none is installed that nothing manages.
        "bootstrapSelfManagedAddons": False,
        # Extended support costs six times as much; the check eks-support speaks up before it would begin.
        "upgradePolicy": {"supportType": "STANDARD"},
        "deletionProtection": spec["deletionProtection"],
    }
    name = resources.claim.name
    resources.aws("eks/Cluster", name, parameters, key=cluster_key(resources), external_name=spec["clusterName"])


def private_subnets(resources: Resources) -> list[dict[str, str]]:
    """References to the private subnet of every zone."""
    return [of_network(resources, f"private-{zone}") for zone in resources.claim.spec["zones"]]


class Share(NamedTuple):
    """A part of a node group that is bought in one way."""

    name: str
    capacity: str
    instance_types: list[str]
    minimum: int
    maximum: int
    desired: int


def shares(group: Json) -> Iterator[Share]:
    """The group on demand, and as many whole nodes of it as its spot share allows as a group of its own."""
    percent = group["spot"]["percent"] if "spot" in group else 0
    sizes = [group["min"], group["max"], group["desired"]]
    spot = [size * percent // 100 for size in sizes]
    rest = [size - part for size, part in zip(sizes, spot, strict=True)]
    if rest[1]:
        yield Share(group["name"], "ON_DEMAND", [group["instanceType"]], *rest)
    if spot[1]:
        types = [group["instanceType"], *group["spot"]["alternatives"]]
        yield Share(f"{group['name']}-spot", "SPOT", types, *spot)


def add_nodes(resources: Resources, group: Json) -> None:
    """A launch template, and the node groups that use its newest version once there is one."""
    add_launch_template(resources, group)
    for share in shares(group):
        add_node_group(resources, group, share)


def template_name(resources: Resources, group: Json) -> str:
    """The launch template's name in AWS, unique in account and region."""
    return f"{resources.claim.spec['namePrefix']}{group['name'].removeprefix(resources.claim.name)}"


def add_launch_template(resources: Resources, group: Json) -> None:
    """What every node is like: encrypted, billed to the claim, its credentials out of reach for pods."""
    volume = {"encrypted": "true", "volumeType": "gp3", "volumeSize": group["diskGiB"], "deleteOnTermination": "true"}
    tags = {**resources.claim.tags, "Name": template_name(resources, group)}
    parameters = {
        "region": resources.claim.spec["region"],
        "name": template_name(resources, group),
        "updateDefaultVersion": True,
        # One hop: what a pod asks for the node's credentials does not come back.
        "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1},
        "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": volume}],
        "vpcSecurityGroupIdRefs": [of_network(resources, "app-sg"), to(resources, "node-sg")],
        "tagSpecifications": [
            {"resourceType": kind, "tags": tags} for kind in ("instance", "volume", "network-interface")
        ],
    }
    resources.aws("ec2/LaunchTemplate", group["name"], parameters)


def add_node_group(resources: Resources, group: Json, share: Share) -> None:
    """A node group on the newest launch template: a new one replaces the nodes, one at a time."""
    latest = resources.claim.seen(f"launchtemplate/{group['name']}", "latestVersion")
    resources.once(latest, f"nodegroup/{share.name}", lambda: _add_node_group(resources, group, share, int(latest)))


def _add_node_group(resources: Resources, group: Json, share: Share, template: int) -> None:
    """The Cluster Autoscaler decides how many nodes there are: `desired` is only what the group begins with."""
    spec = resources.claim.spec
    parameters: dict[str, Any] = {
        "region": spec["region"],
        "clusterNameRef": {"name": resources.claim.name},
        "nodeRoleArnRef": to(resources, "eks-node-role"),
        "subnetIdRefs": private_subnets(resources),
        # AWS refuses a version the control plane has not reached, and is asked again until it has.
        "version": spec["version"],
        "amiType": "AL2023_x86_64_STANDARD",
        "capacityType": share.capacity,
        "instanceTypes": share.instance_types,
        "scalingConfig": {"minSize": share.minimum, "maxSize": share.maximum},
        "launchTemplate": {"name": template_name(resources, group), "version": str(template)},
        "labels": group["labels"],
        "updateConfig": {"maxUnavailable": 1},
        "nodeRepairConfig": {"enabled": True},
    }
    if group["taints"]:
        parameters["taint"] = group["taints"]
    key = resources.aws("eks/NodeGroup", share.name, parameters)
    whole = resources.manifests[key]["spec"]
    whole["initProvider"] = {"scalingConfig": {"desiredSize": share.desired}}
    whole["managementPolicies"] = list(AUTOSCALED)


def add_addons(resources: Resources) -> None:
    """What nodes and pods take for granted: in the version the claim names, else in the one that fits the cluster."""
    for addon in resources.claim.spec["addons"]:
        name = addon["name"]
        parameters = {
            "clusterNameRef": {"name": resources.claim.name},
            "addonName": name,
            "resolveConflictsOnCreate": "OVERWRITE",
            "resolveConflictsOnUpdate": "OVERWRITE",
        }
        if "version" in addon:
            parameters["addonVersion"] = addon["version"]
        if name in CONFIGURATIONS:
            parameters["configurationValues"] = json.dumps(CONFIGURATIONS[name])
        add(resources, "eks/Addon", name, parameters)


def add_volume_driver_role(resources: Resources) -> None:
    """The volume driver makes volumes in its own name: pods can't reach the node's credentials."""
    if all(addon["name"] != "aws-ebs-csi-driver" for addon in resources.claim.spec["addons"]):
        return
    namespace, account = "kube-system", "ebs-csi-controller-sa"
    only = {
        "aws:RequestTag/eks-cluster-name": resources.claim.spec["clusterName"],
        "aws:RequestTag/kubernetes-namespace": namespace,
        "aws:RequestTag/kubernetes-service-account": account,
    }
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {"StringEquals": only},
    }
    add_role(resources, "ebs-csi-role", trust, "service-role/AmazonEBSCSIDriverPolicy")
    parameters = {
        "clusterNameRef": {"name": resources.claim.name},
        "namespace": namespace,
        "serviceAccount": account,
        "roleArnRef": to(resources, "ebs-csi-role"),
    }
    add(resources, "eks/PodIdentityAssociation", "ebs-csi", parameters)


def add_access(resources: Resources) -> None:
    """Who may enter: a role of this account, by one of EKS's access policies. Nobody is in a group of Kubernetes."""
    for entry in resources.claim.spec["access"]:
        common = {
            "clusterNameRef": {"name": resources.claim.name},
            "principalArn": f"arn:aws:iam::{resources.claim.spec['account']}:role/{entry['role']}",
        }
        policy = f"arn:aws:eks::aws:cluster-access-policy/{entry['policy']}"
        namespaces = entry["namespaces"]
        scope = {"type": "namespace", "namespaces": namespaces} if namespaces else {"type": "cluster"}
        add(resources, "eks/AccessEntry", entry["name"], {**common, "type": "STANDARD"})
        add(
            resources,
            "eks/AccessPolicyAssociation",
            entry["name"],
            {**common, "policyArn": policy, "accessScope": scope},
        )


def add_issuer(resources: Resources) -> None:
    """IAM takes the cluster's word for who a service account is, once EKS says under which address it gives it."""
    issuer = resources.claim.seen(cluster_key(resources), "identity", 0, "oidc", 0, "issuer")
    if issuer:
        resources.status["oidcIssuer"] = issuer
    name = f"{resources.claim.name}-oidc"
    parameters = {"url": issuer, "clientIdList": ["sts.amazonaws.com"]}
    resources.once(
        issuer,
        f"openidconnectprovider/{name}",
        lambda: resources.aws("iam/OpenIDConnectProvider", name, parameters),
    )


def add_argocd_secret(resources: Resources) -> None:
    """Where the cluster is, as Argo CD reads it, called like the environment. No credential: Argo CD's own role enters.

    A claim composes in its own namespace only; the hub copies the Secret into Argo CD's.
    """
    cluster, name = cluster_key(resources), f"{resources.claim.name}-argocd-cluster"
    endpoint = resources.claim.seen(cluster, "endpoint")
    authority = resources.claim.seen(cluster, "certificateAuthority", 0, "data")
    config = {
        "awsAuthConfig": {"clusterName": resources.claim.spec["clusterName"]},
        "tlsClientConfig": {"insecure": False, "caData": authority},
    }
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"argocd.argoproj.io/secret-type": "cluster"}},
        "type": "Opaque",
        "stringData": {"name": resources.claim.namespace, "server": endpoint, "config": json.dumps(config)},
    }
    resources.once(endpoint and authority, f"secret/{name}", lambda: resources.add(f"secret/{name}", manifest))
