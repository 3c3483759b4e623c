"""The network: addresses, ways out, and who reaches whom.

`policies/reachability.yaml` has `parties` ({name: {group: <security group>, subnets: public | private}}) and `allowed`
([{from, to, port, protocol: tcp | udp}], between parties and `internet`). A party may be `optional`, several ports
go from `port` `through` another.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from koepon_gitops.checks import data
from koepon_gitops.checks.registration import Fault, check
from koepon_gitops.checks.workloads import part
from koepon_gitops.model import Manifest, Value
from koepon_gitops.network import Network, Route, Subnet
from koepon_gitops.network_resources import networks
from koepon_gitops.reachability import EVERY, Party, Ports, Reckoner, ports, ranges

FILE = "reachability.yaml"
INTERNET = "internet"
REASON = "koepon.com/reason"
"""The annotation of a route that says why it leaves through another zone."""


@check(
    requirement="基本構成",
    remedy="Give every subnet addresses of its own inside its VPC's, and every VPC addresses that no other has.",
)
def network_addresses(manifests: Sequence[Manifest]) -> Iterator[Fault]:
    """Addresses nest and don't overlap.

    AWS refuses a subnet outside its VPC or over another one, but only when the network is made, half-way through.
    VPCs with common addresses can never be peered.
    """
    found, unread = networks(manifests)
    for each in unread:
        if each.manifest.id.kind in _ADDRESSED:
            yield Fault(each.manifest, each.why, "spec.forProvider")
    for network in found:
        yield from _nested(network)
    for one, other in combinations(found, 2):
        if one.vpc.manifest.cluster == other.vpc.manifest.cluster and one.cidr.overlaps(other.cidr):
            namespace = one.vpc.manifest.id.namespace
            yield _misplaced(other.vpc.manifest, f"{other.cidr} overlaps {one.cidr} of {one.vpc} in {namespace}")


_ADDRESSED = frozenset({"VPC", "Subnet"})


def _nested(network: Network) -> Iterator[Fault]:
    region = part(network.vpc.manifest.content, "spec", "forProvider", "region")
    for subnet in network.subnets:
        if not subnet.cidr.subnet_of(network.cidr):
            yield _misplaced(subnet.manifest, f"{subnet.cidr} is not inside {network.cidr} of {network.vpc}")
        if not (subnet.zone[:-1] == region and subnet.zone[-1:].isalpha()):
            field = "spec.forProvider.availabilityZone"
            yield Fault(subnet.manifest, f"{subnet.zone} is not a zone of {region}, where {network.vpc} is", field)
    for one, other in combinations(network.subnets, 2):
        if one.cidr.overlaps(other.cidr):
            yield _misplaced(other.manifest, f"{other.cidr} overlaps {one.cidr} of {one}")


def _misplaced(manifest: Manifest, message: str) -> Fault:
    return Fault(manifest, message, "spec.forProvider.cidrBlock")


@check(
    requirement="基本構成",
    remedy="Route the subnet to a NAT gateway in its own zone, or say why not in the annotation koepon.com/reason of "
    "the route (in a Network claim: `exit`).",
)
def network_egress(manifests: Sequence[Manifest]) -> Iterator[Fault]:
    """Every private subnet reaches the internet through a NAT gateway in its own zone, or says why not.

    Pods need AWS, the registry and the data services. Through the gateway of another zone, the loss of that zone takes
    this one along: somebody has to have wanted that.
    """
    for network in networks(manifests)[0]:
        for subnet in network.subnets:
            if not network.is_public(subnet.name):
                yield from _left(network, subnet)


def _left(network: Network, subnet: Subnet) -> Iterator[Fault]:
    """What is wrong with the ways from a private subnet to every part of the internet."""
    ways = [network.route(subnet.name, address) for address in network.outside]
    if None in ways:
        yield Fault(subnet.manifest, f"{subnet.name} has no route to all of the internet")
    for _, route in sorted({route.name: route for route in ways if route}.items()):
        nat = next((each for each in network.nats if each.name == route.nat), None)
        place = next((each for each in network.subnets if nat and each.name == nat.subnet), None)
        if nat is None or place is None:
            yield Fault(route.manifest, f"{route.nat} is no NAT gateway in this network", "spec.forProvider")
        elif not network.is_public(place.name):
            yield Fault(nat.manifest, f"{place.name}, in which it is, has no route to an internet gateway")
        elif place.zone != subnet.zone and not _reason(route):
            yield Fault(
                route.manifest,
                f"{subnet.name} in {subnet.zone} leaves through {nat.name} in {place.zone}, and nothing says why",
                "spec.forProvider.natGatewayIdRef",
            )


def _reason(route: Route) -> str:
    return str(part(route.manifest.content, "metadata", "annotations", REASON) or "").strip()


class Placed(Value):
    """Who is meant by a name: the members of a security group, in all subnets of a tier."""

    group: str
    subnets: Literal["public", "private"]
    optional: bool = False
    """Whether a network may do without it."""


class Allowed(Value):
    """One kind of connection that has to be possible."""

    model_config = ConfigDict(populate_by_name=True)

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    port: Annotated[int, Field(ge=1, le=65535, strict=True)]
    through: Annotated[int, Field(ge=1, le=65535, strict=True)] | None = None
    """The last of several ports."""
    protocol: Literal["tcp", "udp"] = "tcp"


class Table(Value):
    """`policies/reachability.yaml`."""

    parties: dict[str, Placed]
    allowed: tuple[Allowed, ...]

    @model_validator(mode="after")
    def _names_are_known(self) -> "Table":
        for each in self.allowed:
            if unknown := {each.source, each.target} - {INTERNET, *self.parties}:
                raise ValueError(f"{min(unknown)} is none of the parties")
        return self


@check(
    requirement="ネットワークセキュリティ",
    remedy="Change the security group, network ACL or route that is named; or policies/reachability.yaml, if the "
    "connection is meant to be possible.",
)
def network_reachability(manifests: Sequence[Manifest], policies: Path) -> Iterator[Fault]:
    """Who reaches whom in AWS is what `policies/reachability.yaml` says, no less and no more.

    Reckoned from all security groups, network ACLs and routes of an environment at once, answers to connections
    included: a rule by itself says little, since what it opens may be closed elsewhere, and the other way round.
    """
    found, unread = networks(manifests)
    if not (found or unread):
        return
    for each in unread:
        if each.manifest.id.kind not in _ADDRESSED:
            yield Fault(each.manifest, f"it can't be reckoned with: {each.why}", "spec.forProvider")
    table = data.read(policies, FILE, Table)
    for network in found:
        if table is None:
            yield Fault(network.vpc.manifest, f"there is no {FILE} among the policies to compare it with")
        else:
            yield from _compared(network, table)


def _compared(network: Network, table: Table) -> Iterator[Fault]:
    there = {each.name for each in network.groups}
    for name, placed in table.parties.items():
        if placed.group not in there and not placed.optional:
            yield Fault(network.vpc.manifest, f"{name} has no security group {placed.group} in it")
    wanted: dict[tuple[str, str, str], Ports] = defaultdict(int)
    for each in table.allowed:
        wanted[each.source, each.target, each.protocol] |= ports(each.port, each.through or each.port)
    reckoner = Reckoner(network)
    parties = list(_parties(network, table))
    for source in parties:
        for target in parties:
            if source.group or target.group:
                for protocol in reckoner.protocols:
                    expected = wanted.get((source.name, target.name, protocol), 0)
                    yield from _between(reckoner, source, target, protocol, expected)


def _parties(network: Network, table: Table) -> Iterator[Party]:
    """The internet, those of the table, and every other security group, which may be anywhere."""
    tiers: Mapping[str, tuple[Subnet, ...]] = {
        "public": tuple(each for each in network.subnets if network.is_public(each.name)),
        "private": tuple(each for each in network.subnets if not network.is_public(each.name)),
    }
    there = {each.name for each in network.groups}
    yield Party(INTERNET)
    for name, placed in table.parties.items():
        if placed.group in there:
            yield Party(name, placed.group, tiers[placed.subnets])
    for other in sorted(there - {each.group for each in table.parties.values()}):
        yield Party(other, other, network.subnets)


def _between(reckoner: Reckoner, source: Party, target: Party, protocol: str, expected: Ports) -> Iterator[Fault]:
    open_ = reckoner.reach(source, target, protocol)
    for first, last in ranges(expected & ~open_.always):
        for port in range(first, last + 1):
            for gate in reckoner.blockers(source, target, protocol, port):
                yield Fault(gate.keeper, f"{source.name} can't reach {target.name} at {protocol} {port}: {gate.words}")
    for rule in reckoner.openers(source, target, protocol) if open_.ever & ~expected else ():
        if opened := open_.ever & ~expected & ports(*rule.ports):
            words = f"{source.name} reaches {target.name} {_at(protocol, opened)}"
            yield Fault(rule.manifest, f"{words}, which {FILE} does not allow", "spec.forProvider")


def _at(protocol: str, opened: Ports) -> str:
    """Ports in words: `at tcp 22 and 8000-8100`."""
    if opened == EVERY:
        return f"by {protocol}"
    words = [str(first) if first == last else f"{first}-{last}" for first, last in ranges(opened)]
    return f"at {protocol} {' and '.join(words)}"
