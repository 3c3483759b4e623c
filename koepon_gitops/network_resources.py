"""Networks out of managed resources, a namespace of a cluster at a time.

Resources know each other by `fooRef: {name: ...}`. What can't be read that way is kept as `Unread`, so that a network
does not look closed because its openings were skipped.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any, NamedTuple

from koepon_gitops.model import Manifest, Value
from koepon_gitops.network import (
    ANY,
    EVERY_PORT,
    AccessList,
    Association,
    Element,
    Entry,
    GroupRule,
    Nat,
    Network,
    Route,
    Subnet,
)

GROUP = "ec2.aws.m.upbound.io"


class Unread(Value):
    """A resource of the network that can't be reckoned with, and why."""

    manifest: Manifest
    why: str


def networks(manifests: Sequence[Manifest]) -> tuple[tuple[Network, ...], tuple[Unread, ...]]:
    """All networks among manifests, and what can't be read: a namespace of a cluster at a time, in order of names."""
    namespaces: dict[tuple[str, str], list[Manifest]] = defaultdict(list)
    for manifest in manifests:
        if manifest.id.group == GROUP:
            namespaces[manifest.cluster, manifest.id.namespace].append(manifest)
    found: list[Network] = []
    unread: list[Unread] = []
    for _, resources in sorted(namespaces.items()):
        read = _Reading(sorted(resources, key=lambda each: (each.id.kind, each.id.name)))
        found += read.networks()
        unread += read.unread
    return tuple(found), tuple(unread)


class _Reading:
    """The resources of one namespace, each read once."""

    def __init__(self, resources: Sequence[Manifest]) -> None:
        self.unread: list[Unread] = []
        self._read: dict[str, list[Any]] = defaultdict(list)
        self._vpcs: dict[str, str] = {}
        there = frozenset((each.id.kind, each.id.name) for each in resources)
        for manifest in resources:
            if (reader := _READERS.get(manifest.id.kind)) is None:
                continue
            try:
                whole = _Parameters(manifest, there)
                self._read[manifest.id.kind].append(reader(whole))
                self._vpcs[f"{manifest.id.kind}/{manifest.id.name}"] = whole.optional("vpcId")
            except (ValueError, TypeError) as error:
                self.unread.append(Unread(manifest=manifest, why=str(error)))

    def networks(self) -> Iterator[Network]:
        for vpc in self._read["VPC"]:
            gateways, subnets, tables, lists, groups = (self._in(vpc, kind) for kind in _PARTS)
            yield Network(
                vpc=Element(manifest=vpc.manifest),
                cidr=vpc.cidr,
                gateways=frozenset(each.name for each in gateways),
                subnets=subnets,
                nats=self._below(subnets, "subnet", "NATGateway"),
                tables=tables,
                routes=self._below(tables, "table", "Route"),
                associations=self._below(subnets, "subnet", "RouteTableAssociation"),
                access_lists=lists,
                entries=self._below(lists, "access_list", "NetworkACLRule"),
                groups=groups,
                rules=self._below(groups, "group", "SecurityGroupEgressRule", "SecurityGroupIngressRule"),
            )

    def _in(self, vpc: Element, kind: str) -> tuple[Any, ...]:
        return tuple(each for each in self._read[kind] if self._vpcs[f"{kind}/{each.name}"] == vpc.name)

    def _below(self, owners: Sequence[Element], field: str, *kinds: str) -> tuple[Any, ...]:
        names = {each.name for each in owners}
        return tuple(each for kind in kinds for each in self._read[kind] if getattr(each, field) in names)


_PARTS = ("InternetGateway", "Subnet", "RouteTable", "NetworkACL", "SecurityGroup")


class _Parameters(NamedTuple):
    """`spec.forProvider` of a managed resource. What is missing or odd raises ValueError with a sentence's end."""

    manifest: Manifest
    there: frozenset[tuple[str, str]]
    """Kind and name of everything in the namespace."""

    def value(self, name: str) -> Any:
        value: Any = self.manifest.content
        for step in ("spec", "forProvider", name):
            value = value.get(step) if isinstance(value, Mapping) else None
        return value

    def optional(self, name: str) -> str:
        """What a reference refers to; empty when there is none."""
        reference = self.value(f"{name}Ref")
        found = reference.get("name") if isinstance(reference, Mapping) else None
        if self.value(name) is not None:
            raise ValueError(f"it has {name} in place of {name}Ref")
        return found if isinstance(found, str) else ""

    def reference(self, name: str, kind: str) -> str:
        if not (found := self.optional(name)):
            raise ValueError(f"it has no {name}Ref")
        if (kind, found) not in self.there:
            raise ValueError(f"there is no {kind} {found} beside it")
        return found

    def references(self, name: str) -> frozenset[str]:
        listed = self.value(f"{name}Refs")
        if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
            raise ValueError(f"it has no {name}Refs")
        return frozenset(str(each.get("name")) for each in listed)

    def text(self, name: str) -> str:
        if isinstance(value := self.value(name), str):
            return value
        raise ValueError(f"it has no {name}")

    def number(self, name: str, default: int | None = None) -> int:
        value = self.value(name)
        if value is None and default is not None:
            return default
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise ValueError(f"it has no {name}")

    def network(self, name: str) -> IPv4Network:
        """Addresses as AWS takes them: IPv4, without bits beyond the prefix."""
        text = self.text(name)
        try:
            return IPv4Network(text)
        except ValueError:
            raise ValueError(f"{name} {text} is not an IPv4 network such as 10.0.0.0/16") from None

    def traffic(self, name: str) -> dict[str, Any]:
        """`protocol` and `ports`; a protocol without ports has all of them."""
        written = self.text(name).lower()
        protocol = _PROTOCOLS.get(written, written)
        if protocol not in ("tcp", "udp"):
            return {"protocol": protocol, "ports": EVERY_PORT}
        first, last = self.number("fromPort"), self.number("toPort")
        if not 0 <= first <= last <= EVERY_PORT[1]:
            raise ValueError(f"{first} to {last} are no ports")
        return {"protocol": protocol, "ports": (first, last)}


_PROTOCOLS = {"all": ANY, "1": "icmp", "6": "tcp", "17": "udp"}
"""AWS takes either."""


class _Vpc(Element):
    cidr: IPv4Network


def _vpc(whole: _Parameters) -> Element:
    return _Vpc(manifest=whole.manifest, cidr=whole.network("cidrBlock"))


def _part(whole: _Parameters) -> Element:
    whole.reference("vpcId", "VPC")
    return Element(manifest=whole.manifest)


def _subnet(whole: _Parameters) -> Element:
    whole.reference("vpcId", "VPC")
    return Subnet(manifest=whole.manifest, cidr=whole.network("cidrBlock"), zone=whole.text("availabilityZone"))


def _nat(whole: _Parameters) -> Element:
    return Nat(manifest=whole.manifest, subnet=whole.reference("subnetId", "Subnet"))


def _route(whole: _Parameters) -> Element:
    gateway, nat = whole.optional("gatewayId"), whole.optional("natGatewayId")
    if bool(gateway) == bool(nat):
        raise ValueError("it leads to neither an internet gateway nor a NAT gateway of this namespace")
    table, destination = whole.reference("routeTableId", "RouteTable"), whole.network("destinationCidrBlock")
    return Route(manifest=whole.manifest, table=table, destination=destination, gateway=gateway, nat=nat)


def _association(whole: _Parameters) -> Element:
    subnet, table = whole.reference("subnetId", "Subnet"), whole.reference("routeTableId", "RouteTable")
    return Association(manifest=whole.manifest, subnet=subnet, table=table)


def _access_list(whole: _Parameters) -> Element:
    whole.reference("vpcId", "VPC")
    return AccessList(manifest=whole.manifest, subnets=whole.references("subnetId"))


def _entry(whole: _Parameters) -> Element:
    return Entry(
        manifest=whole.manifest,
        access_list=whole.reference("networkAclId", "NetworkACL"),
        egress=whole.value("egress") is True,
        number=whole.number("ruleNumber"),
        allows=whole.text("ruleAction").lower() == "allow",
        cidr=whole.network("cidrBlock"),
        **whole.traffic("protocol"),
    )


def _group_rule(whole: _Parameters) -> Element:
    group, peer = whole.reference("securityGroupId", "SecurityGroup"), whole.optional("referencedSecurityGroupId")
    cidr = None if peer else whole.network("cidrIpv4")
    egress = whole.manifest.id.kind == "SecurityGroupEgressRule"
    traffic = whole.traffic("ipProtocol")
    return GroupRule(manifest=whole.manifest, group=group, egress=egress, peer=peer, cidr=cidr, **traffic)


def _default_group(whole: _Parameters) -> Element:
    if whole.value("ingress") or whole.value("egress"):
        raise ValueError("AWS's default group has to have no rules")
    return Element(manifest=whole.manifest)


def _unknown(whole: _Parameters) -> Element:
    raise ValueError("nothing here knows what this kind of resource opens")


_READERS: Mapping[str, Callable[[_Parameters], Element]] = {
    "VPC": _vpc,
    "InternetGateway": _part,
    "Subnet": _subnet,
    "NATGateway": _nat,
    "RouteTable": _part,
    "Route": _route,
    "RouteTableAssociation": _association,
    "NetworkACL": _access_list,
    "NetworkACLRule": _entry,
    "SecurityGroup": _part,
    "SecurityGroupIngressRule": _group_rule,
    "SecurityGroupEgressRule": _group_rule,
    "DefaultSecurityGroup": _default_group,
    **dict.fromkeys(("SecurityGroupRule", "DefaultNetworkACL", "DefaultRouteTable"), _unknown),
    **dict.fromkeys(("MainRouteTableAssociation", "VPCIPv4CidrBlockAssociation"), _unknown),
}

READ = tuple(_READERS)
"""The kinds that a network is made of, and those that it must not have."""
