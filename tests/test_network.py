"""The networks as claimed: the document's figures in the resources they stand for, and claims that make no sense."""

import copy
import json
from collections import Counter
from collections.abc import Callable
from datetime import date
from ipaddress import ip_network
from typing import Any

import pytest

from koepon_gitops import checks
from koepon_gitops.model import Finding, Manifest, ObjectId
from tests import estate

ENVIRONMENTS = ("staging", "production", "dr")
PREFIXES = {"staging": "koepon-staging", "production": "koepon", "dr": "koepon-dr"}

type Claim = dict[str, Any]


def claim(environment: str = "production", **spec: Any) -> Claim:
    found = copy.deepcopy(estate.claim("Network", environment))
    found["spec"] |= spec
    return found


def named(content: Claim) -> dict[str, dict[str, Any]]:
    """What the resources are given, by `Kind/name`; references as the bare name."""

    def bare(value: Any) -> Any:
        if isinstance(value, list):
            return [bare(each) for each in value]
        return value["name"] if isinstance(value, dict) and set(value) == {"name"} else value

    return {
        f"{each['kind']}/{each['metadata']['name']}": {
            key: bare(value) for key, value in each["spec"].get("forProvider", {}).items()
        }
        for each in estate.resources(content).values()
    }


def found(*contents: Claim) -> list[Finding]:
    """What the checks say of the networks of some claims."""
    objects = [each for content in contents for each in estate.namespaced(content)]
    manifests = [Manifest(application="estate", cluster="hub", id=ObjectId.of(each), content=each) for each in objects]
    return list(checks.run(manifests, estate.ROOT / "policies", date(2026, 11, 24)))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_aws_takes_every_resource_of_a_claim(environment: str) -> None:
    content = claim(environment)
    assert estate.problems(content) == []
    made = estate.namespaced(content)
    assert [problem for each in made for problem in estate.problems(each)] == []
    identities = Counter((each["kind"], each["metadata"]["name"]) for each in made)
    assert set(identities.values()) == {1}
    assert all(
        name.removeprefix("nacl-").startswith(("koepon-", "eip-koepon-", "group-koepon-")) for _, name in identities
    )


def test_the_networks_of_all_environments_are_as_the_checks_want_them() -> None:
    assert found(*(claim(environment) for environment in ENVIRONMENTS)) == []


DOCUMENT: dict[str, tuple[str, dict[str, Any]]] = {
    "VPC: koepon-vpc (10.0.0.0/16)": ("VPC/koepon-vpc", {"cidrBlock": "10.0.0.0/16"}),
    "koepon-public-1a (10.0.1.0/24)": (
        "Subnet/koepon-public-1a",
        {"cidrBlock": "10.0.1.0/24", "availabilityZone": "ap-northeast-1a"},
    ),
    "koepon-public-1c (10.0.2.0/24)": (
        "Subnet/koepon-public-1c",
        {"cidrBlock": "10.0.2.0/24", "availabilityZone": "ap-northeast-1c"},
    ),
    "koepon-private-1a (10.0.11.0/24)": (
        "Subnet/koepon-private-1a",
        {"cidrBlock": "10.0.11.0/24", "availabilityZone": "ap-northeast-1a"},
    ),
    "koepon-private-1c (10.0.12.0/24)": (
        "Subnet/koepon-private-1c",
        {"cidrBlock": "10.0.12.0/24", "availabilityZone": "ap-northeast-1c"},
    ),
    "koepon-private-1d (10.0.13.0/24)": (
        "Subnet/koepon-private-1d",
        {"cidrBlock": "10.0.13.0/24", "availabilityZone": "ap-northeast-1d"},
    ),
    "Internet Gateway: koepon-igw": ("InternetGateway/koepon-igw", {"vpcIdRef": "koepon-vpc"}),
    "koepon-nat-1a (in public subnet 1a)": ("NATGateway/koepon-nat-1a", {"subnetIdRef": "koepon-public-1a"}),
    "koepon-nat-1c (in public subnet 1c)": ("NATGateway/koepon-nat-1c", {"subnetIdRef": "koepon-public-1c"}),
    "koepon-alb-sg Ingress: Port 80 from 0.0.0.0/0": (
        "SecurityGroupIngressRule/koepon-alb-from-internet-80",
        {"securityGroupIdRef": "koepon-alb-sg", "fromPort": 80, "toPort": 80, "cidrIpv4": "0.0.0.0/0"},
    ),
    "koepon-alb-sg Ingress: Port 443 from 0.0.0.0/0": (
        "SecurityGroupIngressRule/koepon-alb-from-internet-443",
        {"securityGroupIdRef": "koepon-alb-sg", "fromPort": 443, "toPort": 443, "cidrIpv4": "0.0.0.0/0"},
    ),
    "koepon-alb-sg Egress: All traffic to koepon-app-sg": (
        "SecurityGroupEgressRule/koepon-alb-to-app-all",
        {
            "securityGroupIdRef": "koepon-alb-sg",
            "ipProtocol": "-1",
            "referencedSecurityGroupIdRef": "koepon-app-sg",
        },
    ),
    "koepon-app-sg Ingress: Port 3000 from koepon-alb-sg": (
        "SecurityGroupIngressRule/koepon-app-from-alb-3000",
        {"securityGroupIdRef": "koepon-app-sg", "fromPort": 3000, "referencedSecurityGroupIdRef": "koepon-alb-sg"},
    ),
    "koepon-app-sg Ingress: Port 22 from koepon-bastion-sg": (
        "SecurityGroupIngressRule/koepon-app-from-bastion-22",
        {"securityGroupIdRef": "koepon-app-sg", "fromPort": 22, "referencedSecurityGroupIdRef": "koepon-bastion-sg"},
    ),
    "koepon-app-sg Egress: Port 5432 to koepon-db-sg": (
        "SecurityGroupEgressRule/koepon-app-to-db-5432",
        {"securityGroupIdRef": "koepon-app-sg", "fromPort": 5432, "referencedSecurityGroupIdRef": "koepon-db-sg"},
    ),
    "koepon-app-sg Egress: Port 6379 to koepon-redis-sg": (
        "SecurityGroupEgressRule/koepon-app-to-redis-6379",
        {"securityGroupIdRef": "koepon-app-sg", "fromPort": 6379, "referencedSecurityGroupIdRef": "koepon-redis-sg"},
    ),
    "koepon-app-sg Egress: HTTPS to internet": (
        "SecurityGroupEgressRule/koepon-app-to-internet-443",
        {"securityGroupIdRef": "koepon-app-sg", "fromPort": 443, "toPort": 443, "cidrIpv4": "0.0.0.0/0"},
    ),
    "koepon-db-sg Ingress: Port 5432 from koepon-app-sg": (
        "SecurityGroupIngressRule/koepon-db-from-app-5432",
        {"securityGroupIdRef": "koepon-db-sg", "fromPort": 5432, "referencedSecurityGroupIdRef": "koepon-app-sg"},
    ),
    "Log all denied connections": (
        "FlowLog/koepon-rejected-flows",
        {"vpcIdRef": "koepon-vpc", "trafficType": "REJECT", "logDestinationRef": "koepon-rejected-flows"},
    ),
}


@pytest.mark.parametrize(("resource", "figures"), DOCUMENT.values(), ids=list(DOCUMENT))
def test_the_document_to_the_letter(resource: str, figures: dict[str, Any]) -> None:
    assert figures.items() <= named(claim())[resource].items()


def test_the_document_has_these_rules_and_gateways_and_no_others() -> None:
    made = named(claim())
    rules = {name for name in made if name.startswith("SecurityGroup") and "Rule/" in name}
    beside = {"SecurityGroupIngressRule/koepon-redis-from-app-6379", "SecurityGroupEgressRule/koepon-bastion-to-app-22"}
    assert rules - beside == {name for name, _ in DOCUMENT.values() if name.startswith("SecurityGroup")}
    assert {name for name in made if name.startswith("NATGateway/")} == {
        "NATGateway/koepon-nat-1a",
        "NATGateway/koepon-nat-1c",
    }
    # koepon-db-sg: "Egress: None".
    assert not [name for name in rules if "Egress" in name and made[name]["securityGroupIdRef"] == "koepon-db-sg"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_names_in_aws_tell_environments_apart(environment: str) -> None:
    made, prefix = estate.resources(claim(environment)), PREFIXES[environment]
    role, log = made["role/koepon-flow-log-role"], made["group/koepon-rejected-flows"]
    assert role["metadata"]["annotations"]["crossplane.io/external-name"] == f"{prefix}-flow-log-role"
    assert log["metadata"]["annotations"]["crossplane.io/external-name"] == f"/{prefix}/network/rejected"
    assert made["vpc/koepon-vpc"]["spec"]["forProvider"]["tags"]["Name"] == f"{prefix}-vpc"
    group = made["securitygroup/koepon-alb-sg"]["spec"]["forProvider"]
    # The Ingress names the tag, and is the same everywhere.
    assert (group["name"], group["tags"]["Name"]) == (f"{prefix}-alb-sg", "koepon-alb-sg")


@pytest.mark.parametrize(("tier", "tag"), [("public", "elb"), ("private", "internal-elb")])
def test_the_load_balancer_controller_finds_the_subnets_of_each_zone(tier: str, tag: str) -> None:
    made = named(claim())
    for zone in ("1a", "1c", "1d"):
        subnet = made[f"Subnet/koepon-{tier}-{zone}"]
        assert {each for each in subnet["tags"] if "role" in each} == {f"kubernetes.io/role/{tag}"}
        assert subnet["mapPublicIpOnLaunch"] is False


def test_a_zone_leaves_by_its_own_gateway_or_by_the_one_its_exit_names() -> None:
    made = estate.resources(claim())
    routes = {zone: made[f"route/koepon-private-{zone}-internet"] for zone in ("1a", "1c", "1d")}
    leaving = {zone: route["spec"]["forProvider"]["natGatewayIdRef"]["name"] for zone, route in routes.items()}
    assert leaving == {"1a": "koepon-nat-1a", "1c": "koepon-nat-1c", "1d": "koepon-nat-1c"}
    said = {zone for zone, route in routes.items() if "koepon.com/reason" in route["metadata"].get("annotations", {})}
    assert said == {"1d"}


def test_a_lost_claim_loses_neither_addresses_nor_the_log() -> None:
    made = estate.resources(claim())
    kept = {key for key, each in made.items() if "Delete" not in each["spec"].get("managementPolicies", ["Delete"])}
    assert kept == {"eip/koepon-nat-1a", "eip/koepon-nat-1c", "group/koepon-rejected-flows"}
    assert {key for key in made if key.startswith("usage/")} == {f"usage/{key}" for key in kept}


def test_the_flow_log_writes_its_own_log_and_nothing_else() -> None:
    made = named(claim())
    [allowed] = json.loads(made["RolePolicy/koepon-flow-log-role"]["policy"])["Statement"]
    log = "arn:aws:logs:ap-northeast-1:123456789012:log-group:/koepon/network/rejected"
    assert allowed["Resource"] == [log, f"{log}:*"]
    assert set(allowed["Action"]) == {"logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"}
    [trust] = json.loads(made["Role/koepon-flow-log-role"]["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
    assert made["Group/koepon-rejected-flows"]["retentionInDays"] == 90


def test_the_default_group_is_emptied() -> None:
    assert not {"ingress", "egress"} & set(named(claim())["DefaultSecurityGroup/koepon-default-sg"])


def test_s3_is_reached_from_every_private_subnet_without_a_gateway() -> None:
    made = named(claim("dr"))
    assert made["VPCEndpoint/koepon-s3"]["serviceName"] == "com.amazonaws.ap-southeast-1.s3"
    tables = {each["routeTableIdRef"] for name, each in made.items() if name.startswith("VPCEndpointRoute")}
    assert tables == {f"koepon-private-{zone}" for zone in ("1a", "1b", "1c")}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_access_lists_name_what_they_let_through_and_stay_below_the_quota(environment: str, snapshot: Any) -> None:
    made = named(claim(environment))
    entries = [each for name, each in made.items() if name.startswith("NetworkACLRule/")]
    ways = Counter((each["networkAclIdRef"], each["egress"]) for each in entries)
    assert max(ways.values()) <= 20
    numbers = Counter((each["networkAclIdRef"], each["egress"], each["ruleNumber"]) for each in entries)
    assert set(numbers.values()) == {1}
    lines = sorted(
        f"{each['networkAclIdRef']} {'out' if each['egress'] else 'in '} {each['ruleNumber']} {each['ruleAction']:5} "
        f"{each['protocol']:4} {each.get('fromPort', '')}-{each.get('toPort', '')} {each['cidrBlock']}"
        for each in entries
    )
    assert "\n".join(lines) == snapshot


def test_another_zone_renumbers_no_entry() -> None:
    """AWS replaces an entry whose number changes, and two may want the same one meanwhile."""
    two = claim(zones=claim()["spec"]["zones"][:2])
    before, after = named(two), named(claim())
    assert {name: after[name] for name in before if name.startswith("NetworkACLRule/")} == {
        name: each for name, each in before.items() if name.startswith("NetworkACLRule/")
    }


def test_another_port_on_the_internet_is_open_all_the_way_and_seen() -> None:
    """As Supabase and Upstash would need it, for which the table has no line."""
    opened = claim(internetPorts=[443, 587, 6379])
    assert estate.problems(opened) == []
    assert [(finding.object.name, finding.message) for finding in found(opened) if finding.object] == [
        (
            f"koepon-app-to-internet-{port}",
            f"app reaches internet at tcp {port}, which reachability.yaml does not allow",
        )
        for port in (587, 6379)
    ]


def test_seeing_everything_changes_nothing() -> None:
    content = claim()
    first = estate.resources(content)
    observed = {key: {**each, "status": {"atProvider": {"id": key}}} for key, each in first.items()}
    assert estate.resources(content, observed) == first


def zone(content: Claim, index: int) -> dict[str, Any]:
    return content["spec"]["zones"][index]


NONSENSE: dict[str, tuple[Callable[[Claim], object], str]] = {
    "CIDR outside its parent": (
        lambda it: zone(it, 0).update(private="10.1.11.0/24"),
        "every subnet has to lie inside the VPC's cidr",
    ),
    "a subnet larger than the VPC": (
        lambda it: zone(it, 0).update(private="10.0.0.0/8"),
        "every subnet has to lie inside the VPC's cidr",
    ),
    "a private subnet over a public one of another zone": (
        lambda it: zone(it, 1).update(private="10.0.1.128/25"),
        "no two subnets may overlap",
    ),
    "both subnets of a zone alike": (
        lambda it: zone(it, 0).update(private="10.0.1.0/24"),
        "no two subnets may overlap",
    ),
    "two public subnets alike": (lambda it: zone(it, 0).update(public="10.0.2.0/24"), "no two subnets may overlap"),
    "zone not in the region": (
        lambda it: zone(it, 0).update(name="1b"),
        "ap-northeast-1 has the zones 1a, 1c and 1d, ap-southeast-1 has 1a, 1b and 1c",
    ),
    "an exit through a zone that is not there": (
        lambda it: zone(it, 2)["exit"].update(zone="1b"),
        "the zone of an exit has to be one with a NAT gateway of its own",
    ),
    "an exit through itself": (
        lambda it: zone(it, 2)["exit"].update(zone="1d"),
        "the zone of an exit has to be one with a NAT gateway of its own",
    ),
    "an exit without a word": (
        lambda it: zone(it, 2)["exit"].update(reason="cheaper"),
        "spec.zones[2].exit.reason must be at least 20 characters long, not 7",
    ),
    "one zone twice": (
        lambda it: it["spec"]["zones"].__setitem__(1, zone(it, 0)),
        'spec.zones[1] has the same name "1a" as spec.zones[0]',
    ),
    "one zone only": (
        lambda it: it["spec"].update(zones=[zone(it, 0)]),
        "spec.zones must be a list of at least 2 entries, not 1",
    ),
    "an address in place of a network": (
        lambda it: zone(it, 0).update(public="10.0.1.1/24"),
        "it has to be an IPv4 network such as 10.0.1.0/24",
    ),
    "IPv6": (lambda it: it["spec"].update(cidr="fd00::/16"), "it has to be an IPv4 network such as 10.0.0.0/16"),
    "a VPC that AWS refuses": (lambda it: it["spec"].update(cidr="10.0.0.0/8"), "AWS takes networks from /16 to /28"),
    "a subnet that AWS refuses": (lambda it: zone(it, 0).update(public="10.0.1.0/29"), "AWS takes subnets up to /28"),
    "a private address in place of a network": (
        lambda it: zone(it, 0).update(private="10.0.11.1/24"),
        "it has to be an IPv4 network such as 10.0.11.0/24",
    ),
    "a private subnet that AWS refuses": (
        lambda it: zone(it, 0).update(private="10.0.11.0/29"),
        "AWS takes subnets up to /28",
    ),
    "no HTTPS": (
        lambda it: it["spec"].update(internetPorts=[5432]),
        "nodes reach AWS by HTTPS, so that 443 has to be among the ports",
    ),
    "an unknown region": (lambda it: it["spec"].update(region="eu-west-1"), "spec.region must be one of"),
    "an unknown field": (
        lambda it: it["spec"].update(cidrBlock="10.0.0.0/16"),
        "`cidrBlock` is not a field of Network.spec",
    ),
    "no account": (lambda it: it["spec"].pop("account"), "spec.account is required"),
    "a retention CloudWatch does not have": (
        lambda it: it["spec"].update(rejectedFlowsDays=31),
        "spec.rejectedFlowsDays must be one of",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), NONSENSE.values(), ids=list(NONSENSE))
def test_nonsense_is_refused_at_admission(spoil: Callable[[Claim], object], message: str) -> None:
    content = claim()
    spoil(content)
    problems = estate.problems(content)
    assert problems and any(message in problem for problem in problems), problems


def test_the_environments_share_no_address() -> None:
    cidrs = [ip_network(claim(environment)["spec"]["cidr"]) for environment in ENVIRONMENTS]
    assert [str(each) for each in cidrs] == ["10.1.0.0/16", "10.0.0.0/16", "10.2.0.0/16"]
