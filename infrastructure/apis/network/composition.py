"""A Network: VPC, subnets, the ways out, security groups, network ACLs, and the log of what they deny.

Kubernetes names begin with the claim's name, Name tags with `namePrefix`. Who reaches whom is the list `GROUPS`; the
network ACLs say the same once more per tier, as far as addresses can tell tiers apart.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from composite import Composite, Json, Resources

ANYWHERE = "0.0.0.0/0"
REASON = "koepon.com/reason"
"""The annotation that says why something is not as the checks want it."""

APP, DATABASE, REDIS, SSH = 3000, 5432, 6379, 22


class Network(Composite):
    """Composed in the order in which a packet from the internet meets the parts."""

    @staticmethod
    def build(resources: Resources) -> None:
        """Add the whole network."""
        add_vpc(resources)
        for zone in resources.claim.spec["zones"]:
            add_subnets(resources, zone)
        add_public_routes(resources)
        for zone in resources.claim.spec["zones"]:
            add_way_out(resources, zone)
        add_s3_endpoint(resources)
        add_security_groups(resources)
        add_access_lists(resources)
        add_rejected_flows(resources)


def add(resources: Resources, kind: str, suffix: str, parameters: Json, **more: Any) -> str:
    """Add a resource of EC2 in the network's region, named after the claim. Returns its key."""
    spec = resources.claim.spec
    tags = {"Name": f"{spec['namePrefix']}-{suffix}", **more.pop("tags", {})}
    name = f"{resources.claim.name}-{suffix}"
    return resources.aws(f"ec2/{kind}", name, {"region": spec["region"], **parameters}, tags=tags, **more)


def to(resources: Resources, suffix: str) -> dict[str, str]:
    """A reference to a resource of this network."""
    return {"name": f"{resources.claim.name}-{suffix}"}


def add_vpc(resources: Resources) -> None:
    """The VPC and its internet gateway; AWS's default group, in which everybody may talk to everybody, is emptied."""
    vpc = to(resources, "vpc")
    cidr = resources.claim.spec["cidr"]
    add(resources, "VPC", "vpc", {"cidrBlock": cidr, "enableDnsSupport": True, "enableDnsHostnames": True})
    add(resources, "InternetGateway", "igw", {"vpcIdRef": vpc})
    add(resources, "DefaultSecurityGroup", "default-sg", {"vpcIdRef": vpc})


def add_subnets(resources: Resources, zone: Json) -> None:
    """Both subnets of a zone, with the tags by which the load balancer controller finds them."""
    region = resources.claim.spec["region"]
    for tier, role in (("public", "elb"), ("private", "internal-elb")):
        parameters = {
            "vpcIdRef": to(resources, "vpc"),
            "availabilityZone": f"{region[:-1]}{zone['name']}",
            "cidrBlock": zone[tier],
            "mapPublicIpOnLaunch": False,
        }
        tags = {f"kubernetes.io/role/{role}": "1"}
        add(resources, "Subnet", f"{tier}-{zone['name']}", parameters, tags=tags, labels={"koepon.com/tier": tier})


def add_public_routes(resources: Resources) -> None:
    """One table for all public subnets: everything not inside goes to the internet gateway."""
    add_route_table(resources, "public", {"gatewayIdRef": to(resources, "igw")})
    for zone in resources.claim.spec["zones"]:
        add_association(resources, f"public-{zone['name']}", "public")


def add_way_out(resources: Resources, zone: Json) -> None:
    """A table for the private subnet of a zone, to the NAT gateway of that zone or of the one its exit names."""
    name = zone["name"]
    if "exit" not in zone:
        # Others have the address in their allow lists: it outlives the gateway.
        add(resources, "EIP", f"nat-{name}", {"domain": "vpc"}, stateful=True)
        address, subnet = to(resources, f"nat-{name}"), to(resources, f"public-{name}")
        add(resources, "NATGateway", f"nat-{name}", {"allocationIdRef": address, "subnetIdRef": subnet})
    exit = zone.get("exit", {"zone": name, "reason": ""})
    route = add_route_table(resources, f"private-{name}", {"natGatewayIdRef": to(resources, f"nat-{exit['zone']}")})
    if exit["reason"]:
        resources.manifests[route]["metadata"]["annotations"] = {REASON: exit["reason"]}
    add_association(resources, f"private-{name}", f"private-{name}")


def add_route_table(resources: Resources, suffix: str, target: Json) -> str:
    """A table whose default route goes to `target`. Returns the route's key."""
    add(resources, "RouteTable", suffix, {"vpcIdRef": to(resources, "vpc")})
    parameters = {"routeTableIdRef": to(resources, suffix), "destinationCidrBlock": ANYWHERE, **target}
    return add(resources, "Route", f"{suffix}-internet", parameters)


def add_association(resources: Resources, subnet: str, table: str) -> None:
    """A subnet follows a table."""
    parameters = {"subnetIdRef": to(resources, subnet), "routeTableIdRef": to(resources, table)}
    add(resources, "RouteTableAssociation", subnet, parameters)


def add_s3_endpoint(resources: Resources) -> None:
    """S3, where image layers are as well, without the NAT gateways' fee. Its addresses are public ones all the same."""
    service = f"com.amazonaws.{resources.claim.spec['region']}.s3"
    parameters = {"vpcIdRef": to(resources, "vpc"), "vpcEndpointType": "Gateway", "serviceName": service}
    add(resources, "VPCEndpoint", "s3", parameters)
    for zone in resources.claim.spec["zones"]:
        table = f"private-{zone['name']}"
        parameters = {"vpcEndpointIdRef": to(resources, "s3"), "routeTableIdRef": to(resources, table)}
        add(resources, "VPCEndpointRouteTableAssociation", f"s3-{table}", parameters)


class Rule(NamedTuple):
    """What a security group lets in or out: to or from another group, or the internet. Port 0: everything."""

    direction: str
    """`from` a peer, or `to` it."""
    peer: str
    port: int = 0


GROUPS: Mapping[str, tuple[str, tuple[Rule, ...]]] = {
    "alb": ("Load balancer", (Rule("from", "internet", 80), Rule("from", "internet", 443), Rule("to", "app"))),
    "app": (
        "Nodes and pods of the application",
        (
            Rule("from", "alb", APP),
            Rule("from", "bastion", SSH),
            Rule("to", "db", DATABASE),
            Rule("to", "redis", REDIS),
        ),
    ),
    "db": ("PostgreSQL", (Rule("from", "app", DATABASE),)),
    "redis": ("Redis", (Rule("from", "app", REDIS),)),
    "bastion": ("Hosts for administration, entered by Session Manager", (Rule("to", "app", SSH),)),
}


def add_security_groups(resources: Resources) -> None:
    """The groups, and one object for each rule. `internetPorts` are the application's."""
    prefix = resources.claim.spec["namePrefix"]
    for group, (description, rules) in GROUPS.items():
        suffix = f"{group}-sg"
        parameters = {"vpcIdRef": to(resources, "vpc"), "name": f"{prefix}-{suffix}", "description": f"{description}."}
        # The ingress controller finds a group by its Name tag within the VPC: the same in every environment.
        add(resources, "SecurityGroup", suffix, parameters, tags={"Name": f"koepon-{suffix}"})
        for rule in rules:
            add_group_rule(resources, group, rule)
    for port in resources.claim.spec["internetPorts"]:
        add_group_rule(resources, "app", Rule("to", "internet", port))


def add_group_rule(resources: Resources, group: str, rule: Rule) -> None:
    """One rule, named after what it says: `koepon-app-from-alb-3000`."""
    peer = (
        {"cidrIpv4": ANYWHERE}
        if rule.peer == "internet"
        else {"referencedSecurityGroupIdRef": to(resources, f"{rule.peer}-sg")}
    )
    ports = {"ipProtocol": "tcp", "fromPort": rule.port, "toPort": rule.port} if rule.port else {"ipProtocol": "-1"}
    kind = "SecurityGroupIngressRule" if rule.direction == "from" else "SecurityGroupEgressRule"
    parameters = {"securityGroupIdRef": to(resources, f"{group}-sg"), **peer, **ports}
    add(resources, kind, f"{group}-{rule.direction}-{rule.peer}-{rule.port or 'all'}", parameters)


class Entry(NamedTuple):
    """An entry of a network ACL: the lowest number that fits decides. A zone keeps its numbers when others come."""

    number: int
    name: str
    cidr: str
    protocol: str = "tcp"
    ports: tuple[int, int] | None = None
    action: str = "allow"


ANSWERS = (1024, 65535)
"""Where answers to a connection arrive: NAT gateways, load balancers and the nodes' own NAT use all of these ports."""


def add_access_lists(resources: Resources) -> None:
    """What no entry allows is denied. Nothing here is about a connection: answers need entries of their own."""
    for tier, incoming, outgoing in (
        ("public", public_in(resources), public_out(resources)),
        ("private", private_in(resources), private_out(resources)),
    ):
        subnets = [to(resources, f"{tier}-{zone['name']}") for zone in resources.claim.spec["zones"]]
        add(resources, "NetworkACL", tier, {"vpcIdRef": to(resources, "vpc"), "subnetIdRefs": subnets})
        for egress, entries in ((False, incoming), (True, outgoing)):
            for entry in entries:
                add_entry(resources, tier, entry, egress=egress)


def public_in(resources: Resources) -> Iterator[Entry]:
    """To the load balancer, and to the NAT gateways what private subnets send out."""
    spec = resources.claim.spec
    yield Entry(100, "fragmentation-needed", ANYWHERE, "icmp")
    yield Entry(110, "80-from-internet", ANYWHERE, ports=(80, 80))
    yield Entry(120, "443-from-anywhere", ANYWHERE, ports=(443, 443))
    for index, port in enumerate(others(spec)):
        yield Entry(200 + index, f"{port}-from-vpc", spec["cidr"], ports=(port, port))
    yield Entry(300, "answers-from-anywhere", ANYWHERE, ports=ANSWERS)


def public_out(resources: Resources) -> Iterator[Entry]:
    """From the load balancer to the application, whose port lies among those of answers, and from the NAT gateways."""
    spec = resources.claim.spec
    yield Entry(100, "fragmentation-needed", spec["cidr"], "icmp")
    yield Entry(110, "443-to-internet", ANYWHERE, ports=(443, 443))
    for index, zone in enumerate(spec["zones"]):
        yield Entry(120 + index, f"{SSH}-to-private-{zone['name']}", zone["private"], ports=(SSH, SSH))
    for index, port in enumerate(others(spec)):
        yield Entry(200 + index, f"{port}-to-internet", ANYWHERE, ports=(port, port))
    yield Entry(300, "answers-to-anywhere", ANYWHERE, ports=ANSWERS)


def private_in(resources: Resources) -> Iterator[Entry]:
    """From public subnets two ports and no more; from private ones what the cluster and the data stores need."""
    spec = resources.claim.spec
    yield Entry(100, "fragmentation-needed", ANYWHERE, "icmp")
    for index, zone in enumerate(spec["zones"]):
        public = f"from-public-{zone['name']}"
        yield Entry(110 + index, f"{APP}-{public}", zone["public"], ports=(APP, APP))
        yield Entry(120 + index, f"{SSH}-{public}", zone["public"], ports=(SSH, SSH))
        yield Entry(130 + index, f"nothing-else-{public}", zone["public"], "-1", action="deny")
    yield from names(spec, "from")
    yield Entry(150, "cluster-api-from-vpc", spec["cidr"], ports=(443, 443))
    yield Entry(300, "answers-from-anywhere", ANYWHERE, ports=ANSWERS)


def private_out(resources: Resources) -> Iterator[Entry]:
    """To the internet the application's ports and no others; to the cluster's API by HTTPS as well."""
    spec = resources.claim.spec
    yield Entry(110, "443-to-anywhere", ANYWHERE, ports=(443, 443))
    yield from names(spec, "to")
    for index, port in enumerate(others(spec)):
        yield Entry(200 + index, f"{port}-to-internet", ANYWHERE, ports=(port, port))
    yield Entry(300, "answers-to-vpc", spec["cidr"], ports=ANSWERS)


def names(spec: Json, direction: str) -> Iterator[Entry]:
    """Pods ask the cluster's own name servers, across zones. AWS's resolver is beyond any network ACL."""
    yield Entry(140, f"names-by-udp-{direction}-vpc", spec["cidr"], "udp", (53, 53))
    yield Entry(141, f"names-by-tcp-{direction}-vpc", spec["cidr"], ports=(53, 53))
    yield Entry(142, f"names-answered-{direction}-vpc", spec["cidr"], "udp", ANSWERS)


def others(spec: Json) -> list[int]:
    """The application's ports on the internet beside HTTPS, which everything here uses."""
    return sorted(port for port in spec["internetPorts"] if port != 443)


def add_entry(resources: Resources, tier: str, entry: Entry, *, egress: bool) -> None:
    """One entry as an object. ICMP is only `fragmentation needed`, without which large packets vanish."""
    parameters: dict[str, Any] = {
        "networkAclIdRef": to(resources, tier),
        "egress": egress,
        "ruleNumber": entry.number,
        "ruleAction": entry.action,
        "protocol": entry.protocol,
        "cidrBlock": entry.cidr,
    }
    if entry.ports:
        parameters["fromPort"], parameters["toPort"] = entry.ports
    if entry.protocol == "icmp":
        parameters |= {"icmpType": 3, "icmpCode": 4}
    add(resources, "NetworkACLRule", f"{tier}-{'out' if egress else 'in'}-{entry.name}", parameters)


def add_rejected_flows(resources: Resources) -> None:
    """Every denied connection in CloudWatch Logs, by a role that can write to this log and do nothing else."""
    spec, region = resources.claim.spec, resources.claim.spec["region"]
    log = f"/{spec['namePrefix']}/network/rejected"
    arn = f"arn:aws:logs:{region}:{spec['account']}:log-group:{log}"
    group, role = to(resources, "rejected-flows"), to(resources, "flow-log-role")
    resources.aws(
        "cloudwatchlogs/Group",
        group["name"],
        {"region": region, "retentionInDays": spec["rejectedFlowsDays"]},
        external_name=log,
        stateful=True,
    )
    resources.aws(
        "iam/Role",
        role["name"],
        {"description": "Lets VPC flow logs write.", "assumeRolePolicy": json.dumps(flow_log_trust(spec))},
        external_name=f"{spec['namePrefix']}-flow-log-role",
    )
    actions = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    allowed = {"Effect": "Allow", "Action": actions, "Resource": [arn, f"{arn}:*"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    resources.aws("iam/RolePolicy", role["name"], {"roleRef": role, "policy": policy})
    parameters = {
        "vpcIdRef": to(resources, "vpc"),
        "trafficType": "REJECT",
        "maxAggregationInterval": 60,
        "logDestinationRef": group,
        "iamRoleArnRef": role,
    }
    add(resources, "FlowLog", "rejected-flows", parameters)


def flow_log_trust(spec: Json) -> Json:
    """Only flow logs of this account and region take the role."""
    flow_logs = f"arn:aws:ec2:{spec['region']}:{spec['account']}:vpc-flow-log/*"
    condition = {
        "StringEquals": {"aws:SourceAccount": spec["account"]},
        "ArnLike": {"aws:SourceArn": flow_logs},
    }
    service = {"Service": "vpc-flow-logs.amazonaws.com"}
    trust = {"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole", "Condition": condition}
    return {"Version": "2012-10-17", "Statement": [trust]}
