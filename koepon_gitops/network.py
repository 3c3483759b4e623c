"""The network of an environment as frozen values; `network_resources` reads them from managed resources."""

from collections.abc import Mapping
from functools import cached_property
from ipaddress import IPv4Network

from koepon_gitops.model import Manifest, Value

ANY = "-1"
"""Every protocol."""
EVERY_PORT = (0, 65535)


class Element(Value):
    """A managed resource of the network."""

    manifest: Manifest

    @property
    def name(self) -> str:
        """Its name in Kubernetes, by which others refer to it."""
        return self.manifest.id.name

    def __str__(self) -> str:
        return f"{self.manifest.id.kind} {self.name}"


class Subnet(Element):
    """A subnet in one availability zone, such as `ap-northeast-1a`."""

    cidr: IPv4Network
    zone: str


class Nat(Element):
    """A NAT gateway in a subnet."""

    subnet: str


class Route(Element):
    """A route of a table to an internet gateway or a NAT gateway; the other of the two is empty."""

    table: str
    destination: IPv4Network
    gateway: str = ""
    nat: str = ""


class Association(Element):
    """A subnet follows a route table."""

    subnet: str
    table: str


class AccessList(Element):
    """A network ACL over subnets."""

    subnets: frozenset[str]


class Entry(Element):
    """An entry of a network ACL. `ports` are inclusive."""

    access_list: str
    egress: bool
    number: int
    allows: bool
    protocol: str
    ports: tuple[int, int]
    cidr: IPv4Network


class GroupRule(Element):
    """A rule of a security group: its peer is another group, or addresses. `ports` are inclusive."""

    group: str
    egress: bool
    protocol: str
    ports: tuple[int, int]
    peer: str = ""
    cidr: IPv4Network | None = None


class Network(Value):
    """A VPC and everything in it, in the order of names."""

    vpc: Element
    cidr: IPv4Network
    gateways: frozenset[str] = frozenset()
    """Names of internet gateways attached to it."""
    subnets: tuple[Subnet, ...] = ()
    nats: tuple[Nat, ...] = ()
    tables: tuple[Element, ...] = ()
    routes: tuple[Route, ...] = ()
    associations: tuple[Association, ...] = ()
    access_lists: tuple[AccessList, ...] = ()
    entries: tuple[Entry, ...] = ()
    groups: tuple[Element, ...] = ()
    rules: tuple[GroupRule, ...] = ()

    @cached_property
    def table_of(self) -> Mapping[str, str]:
        """The route table of each subnet that has one."""
        return {each.subnet: each.table for each in self.associations}

    @cached_property
    def access_list_of(self) -> Mapping[str, AccessList]:
        """The network ACL of each subnet that has one; AWS's default, which allows everything, has the others."""
        return {subnet: each for each in self.access_lists for subnet in each.subnets}

    @cached_property
    def edges(self) -> tuple[int, ...]:
        """Every address at which any statement about addresses begins to hold or ceases to, ascending, from 0 on.

        Between two neighbours all addresses are alike, so that one of them stands for all.
        """
        named = [self.cidr, *(each.cidr for each in self.subnets), *(each.cidr for each in self.entries)]
        named += [*(each.destination for each in self.routes), *(each.cidr for each in self.rules if each.cidr)]
        bounds = {bound for each in named for bound in (int(each[0]), int(each[-1]) + 1)}
        return tuple(sorted((bounds | {0}) - {2**32}))

    @cached_property
    def outside(self) -> tuple[int, ...]:
        """An address of each kind on the internet, which is everything but the VPC."""
        first, last = int(self.cidr[0]), int(self.cidr[-1])
        return tuple(edge for edge in self.edges if not first <= edge <= last)

    def inside(self, subnet: Subnet) -> tuple[int, ...]:
        """An address of each kind in a subnet."""
        first, last = int(subnet.cidr[0]), int(subnet.cidr[-1])
        return tuple(edge for edge in self.edges if first <= edge <= last)

    def route(self, subnet: str, address: int) -> Route | None:
        """The most specific route from a subnet to an address outside the VPC; None leads nowhere."""
        table = self.table_of.get(subnet)
        fitting = [each for each in self.routes if each.table == table and covers(each.destination, address)]
        return max(fitting, key=lambda each: each.destination.prefixlen, default=None)

    def is_public(self, subnet: str) -> bool:
        """Whether any address on the internet is reached through an internet gateway, without NAT."""
        return any((route := self.route(subnet, each)) and route.gateway for each in self.outside)


def covers(addresses: IPv4Network, address: int) -> bool:
    """Whether an address is among addresses."""
    first = int(addresses.network_address)
    return first <= address < first + addresses.num_addresses
