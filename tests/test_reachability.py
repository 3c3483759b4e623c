"""Reachability against brute force: a small internet in which every address, port and packet is tried in turn."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from koepon_gitops.model import Manifest, ObjectId
from koepon_gitops.network import Network
from koepon_gitops.network_resources import networks
from koepon_gitops.reachability import Party, Reckoner, ports, ranges

PORTS = (22, 80, 1023, 1024, 3000, 65535)
"""What rules of these tests begin and end at, so that packets at these ports and their neighbours show everything."""
TRIED = sorted({near for port in PORTS for near in (port - 1, port, port + 1) if near < 65536})


def resource(kind: str, name: str, **parameters: Any) -> Manifest:
    content = {
        "apiVersion": "ec2.aws.m.upbound.io/v1beta1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "n"},
        "spec": {"forProvider": parameters},
    }
    return Manifest(application="estate", cluster="hub", id=ObjectId.of(content), content=content)


def ref(name: str) -> dict[str, str]:
    return {"name": name}


@given(st.sets(st.integers(0, 65535), max_size=30), st.tuples(st.integers(0, 65535), st.integers(0, 65535)))
def test_sets_of_ports_are_sets_of_ports(some: set[int], bounds: tuple[int, int]) -> None:
    first, last = sorted(bounds)
    as_bits = sum(1 << port for port in some)
    assert {port for one, other in ranges(as_bits) for port in range(one, other + 1)} == some
    found = list(ranges(as_bits))
    assert all(before[1] + 1 < after[0] for before, after in pairwise(found))
    assert list(ranges(ports(first, last))) == [(first, last)]
    assert as_bits & ports(first, last) == sum(1 << port for port in some if first <= port <= last)


VPC = IPv4Network("10.0.0.0/28")
SUBNETS = {
    "public-a": IPv4Network("10.0.0.0/30"),
    "private-a": IPv4Network("10.0.0.4/30"),
    "private-b": IPv4Network("10.0.0.8/30"),
}
SOMEWHERE = [IPv4Address(each) for each in ("9.255.255.255", "10.0.0.16", "203.0.113.7", "203.0.113.8", "0.0.0.0")]
"""Addresses on the internet: those beside the VPC, and those around the network that rules may name."""
NAMED = ["0.0.0.0/0", "10.0.0.0/28", "10.0.0.0/30", "10.0.0.4/31", "10.0.0.8/30", "203.0.113.0/29", "203.0.113.8/32"]
GROUPS = ("one", "two")
CIDRS, BOUNDS = st.sampled_from(NAMED), st.tuples(st.sampled_from(PORTS), st.sampled_from(PORTS)).map(sorted)
TRAFFIC = st.one_of(
    st.fixed_dictionaries({"protocol": st.just("-1")}),
    st.builds(
        lambda protocol, bounds: {"protocol": protocol, "fromPort": bounds[0], "toPort": bounds[1]},
        st.sampled_from(["tcp", "udp", "6"]),
        BOUNDS,
    ),
    st.just({"protocol": "tcp", "fromPort": 1024, "toPort": 65535}),
)
EVERYTHING = {"protocol": "-1"}
OPEN = [(egress, group, "0.0.0.0/0", EVERYTHING) for egress in (False, True) for group in GROUPS]
RULES = st.builds(
    lambda some, open_: [*some, *open_],
    st.lists(st.tuples(st.booleans(), st.sampled_from(GROUPS), st.sampled_from(GROUPS) | CIDRS, TRAFFIC), max_size=6),
    st.lists(st.sampled_from(OPEN), max_size=4, unique_by=str),
)
ENTRIES = st.builds(
    lambda some, last: [*last, *some],
    st.lists(st.tuples(CIDRS, st.booleans(), TRAFFIC), max_size=5),
    st.sampled_from([[("0.0.0.0/0", True, EVERYTHING)], []]),
)
ROUTES = st.lists(
    st.tuples(CIDRS, st.sampled_from(["igw", "nat", "elsewhere"])), max_size=2, unique_by=lambda it: it[0]
)


@st.composite
def worlds(draw: st.DrawFn) -> list[Manifest]:
    """Three subnets, of which each may have routes and an access list, and two security groups."""
    made = [resource("VPC", "vpc", cidrBlock=str(VPC)), resource("InternetGateway", "igw", vpcIdRef=ref("vpc"))]
    made.append(resource("NATGateway", "nat", subnetIdRef=ref("public-a")))
    for name, cidr in SUBNETS.items():
        made.append(
            resource("Subnet", name, vpcIdRef=ref("vpc"), cidrBlock=str(cidr), availabilityZone="ap-northeast-1a")
        )
        made += draw(routed(name))
        made += draw(guarded(name))
    for name in GROUPS:
        made.append(resource("SecurityGroup", name, vpcIdRef=ref("vpc")))
    for index, (egress, group, peer, traffic) in enumerate(draw(RULES)):
        filtered = {"ipProtocol" if key == "protocol" else key: value for key, value in traffic.items()}
        about = {"referencedSecurityGroupIdRef": ref(peer)} if peer in GROUPS else {"cidrIpv4": peer}
        kind = "SecurityGroupEgressRule" if egress else "SecurityGroupIngressRule"
        made.append(resource(kind, f"{group}-{index}", securityGroupIdRef=ref(group), **about, **filtered))
    return made


@st.composite
def routed(draw: st.DrawFn, subnet: str) -> list[Manifest]:
    usual = [("0.0.0.0/0", "igw" if subnet.startswith("public") else "nat")]
    made = [resource("RouteTable", subnet, vpcIdRef=ref("vpc"))]
    made.append(resource("RouteTableAssociation", subnet, subnetIdRef=ref(subnet), routeTableIdRef=ref(subnet)))
    for cidr, target in (dict(usual) | dict(draw(ROUTES)) if draw(st.booleans()) else dict(draw(ROUTES))).items():
        by = {"natGatewayIdRef": ref("nat")} if target == "nat" else {"gatewayIdRef": ref(target)}
        name = f"{subnet}-{cidr.replace('/', '-')}"
        made.append(resource("Route", name, routeTableIdRef=ref(subnet), destinationCidrBlock=cidr, **by))
    return made


@st.composite
def guarded(draw: st.DrawFn, subnet: str) -> list[Manifest]:
    if draw(st.booleans()):
        return []
    made = [resource("NetworkACL", subnet, vpcIdRef=ref("vpc"), subnetIdRefs=[ref(subnet)])]
    for egress in (False, True):
        for index, (cidr, allows, traffic) in enumerate(draw(ENTRIES)):
            about = {"networkAclIdRef": ref(subnet), "egress": egress, "ruleNumber": 100 - index, "cidrBlock": cidr}
            action = "allow" if allows else "deny"
            made.append(resource("NetworkACLRule", f"{subnet}-{egress}-{index}", **about, ruleAction=action, **traffic))
    return made


class Packets:
    """AWS packet by packet, out of the manifests as they are written."""

    def __init__(self, manifests: list[Manifest]) -> None:
        self.made: dict[str, list[dict[str, Any]]] = {}
        for each in manifests:
            self.made.setdefault(each.id.kind, []).append(each.content["spec"]["forProvider"])
        self.guarded = {each["subnetIdRefs"][0]["name"] for each in self.made.get("NetworkACL", ())}

    def fits(self, about: dict[str, Any], key: str, protocol: str, port: int) -> bool:
        written = {"6": "tcp"}.get(about[key], about[key])
        return written == "-1" or (written == protocol and about["fromPort"] <= port <= about["toPort"])

    def filtered(self, subnet: str, egress: bool, far: IPv4Address, protocol: str, port: int) -> bool:
        if subnet not in self.guarded:
            return True
        fitting = [
            each
            for each in self.made.get("NetworkACLRule", ())
            if (each["networkAclIdRef"]["name"], each["egress"]) == (subnet, egress)
            and far in IPv4Network(each["cidrBlock"])
            and self.fits(each, "protocol", protocol, port)
        ]
        return bool(fitting) and min(fitting, key=lambda each: each["ruleNumber"])["ruleAction"] == "allow"

    def granted(self, group: str, egress: bool, peer: str, far: IPv4Address, protocol: str, port: int) -> bool:
        kind = "SecurityGroupEgressRule" if egress else "SecurityGroupIngressRule"
        return any(
            each["securityGroupIdRef"]["name"] == group
            and (
                each["referencedSecurityGroupIdRef"]["name"] == peer
                if "referencedSecurityGroupIdRef" in each
                else far in IPv4Network(each["cidrIpv4"])
            )
            and self.fits(each, "ipProtocol", protocol, port)
            for each in self.made.get(kind, ())
        )

    def leaves_to(self, subnet: str, far: IPv4Address) -> str:
        fitting = [
            each
            for each in self.made.get("Route", ())
            if each["routeTableIdRef"]["name"] == subnet and far in IPv4Network(each["destinationCidrBlock"])
        ]
        if not fitting:
            return ""
        best = max(fitting, key=lambda each: IPv4Network(each["destinationCidrBlock"]).prefixlen)
        return str((best.get("gatewayIdRef") or best["natGatewayIdRef"])["name"])

    def crosses(self, one: str, near: IPv4Address, other: str, far: IPv4Address, protocol: str, port: int) -> bool:
        """One packet, from a subnet to a subnet; an empty name is the internet."""
        return (not one or self.filtered(one, True, far, protocol, port)) and (
            not other or self.filtered(other, False, near, protocol, port)
        )

    def connects(self, source: "Host", target: "Host", protocol: str, port: int) -> bool:
        """There and back, the answer to whatever port the connection came from."""
        if source.group and not self.granted(source.group, True, target.group, target.address, protocol, port):
            return False
        if target.group and not self.granted(target.group, False, source.group, source.address, protocol, port):
            return False
        if source.subnet == target.subnet:
            return True
        legs = [(source.subnet, source.address, target.subnet, target.address)]
        if not source.subnet and self.leaves_to(target.subnet, source.address) != "igw":
            return False
        if not target.subnet:
            exit_ = self.leaves_to(source.subnet, target.address)
            if exit_ == "nat":
                inner = (source.subnet, source.address, "public-a", target.address)
                legs = [] if source.subnet == "public-a" else [inner]
                legs.append(("public-a", SUBNETS["public-a"][0], "", target.address))
                exit_ = self.leaves_to("public-a", target.address)
            if exit_ != "igw":
                return False
        return all(
            self.crosses(one, near, other, far, protocol, port)
            and all(self.crosses(other, far, one, near, protocol, answer) for answer in TRIED if answer >= 1024)
            for one, near, other, far in legs
        )


class Host:
    def __init__(self, group: str, subnet: str, address: IPv4Address) -> None:
        self.group, self.subnet, self.address = group, subnet, address


def hosts(party: Party) -> Iterator[Host]:
    if not party.group:
        yield from (Host("", "", address) for address in SOMEWHERE)
    for subnet in party.subnets:
        yield from (Host(party.group, subnet.name, address) for address in subnet.cidr)


def parties(network: Network) -> list[Party]:
    public, private = [
        tuple(each for each in network.subnets if each.name.startswith(tier)) for tier in ("public", "private")
    ]
    return [Party("internet"), Party("one", "one", public), Party("two", "two", private)]


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_what_is_open_is_what_packets_get_through(manifests: list[Manifest]) -> None:
    [network], unread = networks(manifests)
    assert unread == ()
    reckoner, packets = Reckoner(network), Packets(manifests)
    for source in parties(network):
        for target in parties(network):
            if not (source.group or target.group):
                continue
            for protocol in ("tcp", "udp", "icmp"):
                reach = reckoner.reach(source, target, protocol)
                for port in TRIED if protocol != "icmp" else ():
                    tried = [
                        packets.connects(one, other, protocol, port) for one in hosts(source) for other in hosts(target)
                    ]
                    place = f"{source.name} to {target.name} at {protocol} {port}"
                    assert bool(reach.ever >> port & 1) == any(tried), place
                    assert bool(reach.always >> port & 1) == all(tried), place
                    said = list(reckoner.blockers(source, target, protocol, port))
                    assert bool(said) != all(tried), place
                    opening = [rule for rule in reckoner.openers(source, target, protocol) if _covers(rule, port)]
                    assert opening or not any(tried), place


def _covers(rule: Any, port: int) -> bool:
    return rule.ports[0] <= port <= rule.ports[1]
