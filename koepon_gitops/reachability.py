"""Who can open a connection to whom: reckoned from security groups, network ACLs of both ends, answers, and routes.

Security groups remember connections; network ACLs don't, so that a connection needs both ways of them. What AWS never
filters (its name servers, time, metadata) is not reckoned with.
"""

from collections.abc import Iterator
from typing import NamedTuple

from koepon_gitops.model import Manifest
from koepon_gitops.network import ANY, AccessList, Entry, GroupRule, Nat, Network, Subnet, covers

type Ports = int
"""A set of ports: bit n is set when port n is in it. Of protocols without ports: all or none."""

EVERY: Ports = (1 << 65536) - 1
NONE: Ports = 0


def ports(first: int, last: int) -> Ports:
    """The ports from first to last, both included."""
    return (1 << (last + 1)) - (1 << first)


def ranges(of: Ports) -> Iterator[tuple[int, int]]:
    """The set as inclusive ranges, ascending and as few as possible."""
    while of:
        first = (of & -of).bit_length() - 1
        above = of >> first
        length = (~above & (above + 1)).bit_length() - 1
        yield first, first + length - 1
        of = above >> length << (first + length)


ANSWERS = ports(1024, 65535)
"""The ports from which connections are opened, and to which their answers go."""


class Party(NamedTuple):
    """Who talks: the members of a security group in some subnets, or, with no group, the internet."""

    name: str
    group: str = ""
    subnets: tuple[Subnet, ...] = ()


class End(NamedTuple):
    """One end of a connection. `subnet` None is the internet."""

    group: str
    subnet: Subnet | None
    address: int


class Gate(NamedTuple):
    """One thing that a connection has to pass: the destination ports it lets through, and who decides that."""

    ports: Ports
    keeper: Manifest
    words: str
    """What it does not let through, as the end of a sentence."""


class Reach(NamedTuple):
    """The destination ports open between two parties: `always`, wherever in their subnets they are, and `ever`."""

    always: Ports
    ever: Ports


class Reckoner:
    """The arithmetic of one network. What is asked often is remembered."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._entries: dict[tuple[str, bool], list[Entry]] = {}
        for entry in sorted(network.entries, key=lambda each: each.number):
            self._entries.setdefault((entry.access_list, entry.egress), []).append(entry)
        self._rules: dict[tuple[str, bool], list[GroupRule]] = {}
        for rule in network.rules:
            self._rules.setdefault((rule.group, rule.egress), []).append(rule)
        self._groups = {each.name: each for each in network.groups}
        self._nats = {each.name: each for each in network.nats}
        self._subnets = {each.name: each for each in network.subnets}
        self._tables = {each.name: each for each in network.tables}
        self._granted: dict[tuple[str, bool, str, int, str], Ports] = {}
        self._passing: dict[tuple[str, bool, int, str], Ports] = {}

    @property
    def protocols(self) -> tuple[str, ...]:
        """Those any rule names, and one that stands for all that none names."""
        named = {rule.protocol for rule in self.network.rules} - {ANY}
        return (*sorted({"icmp", "tcp", "udp"} | named), "any other protocol")

    def reach(self, source: Party, target: Party, protocol: str) -> Reach:
        """What is open from one party to another."""
        always, ever = EVERY, NONE
        for one in self._ends(source):
            for other in self._ends(target):
                found = self._open(one, other, protocol)
                always &= found
                ever |= found
        return Reach(always & ever, ever)

    def blockers(self, source: Party, target: Party, protocol: str, port: int) -> Iterator[Gate]:
        """For each pair of ends that can't connect, the first gate in the way; each keeper once."""
        bit, seen = ports(port, port), set()
        for one in self._ends(source):
            for other in self._ends(target):
                for gate in self.gates(one, other, protocol, port):
                    if not gate.ports & bit:
                        if gate.keeper.id not in seen:
                            seen.add(gate.keeper.id)
                            yield gate
                        break

    def openers(self, source: Party, target: Party, protocol: str) -> Iterator[GroupRule]:
        """The rules that let connections in to the target; out of the source, when the target has no group."""
        own, egress, peers = (target.group, False, source) if target.group else (source.group, True, target)
        for rule in self._rules.get((own, egress), ()):
            if any(_speaks_of(rule, end, protocol) for end in self._ends(peers)):
                yield rule

    def _ends(self, party: Party) -> Iterator[End]:
        if not party.group:
            yield from (End("", None, address) for address in self.network.outside)
        for subnet in party.subnets:
            yield from (End(party.group, subnet, address) for address in self.network.inside(subnet))

    def _open(self, source: End, target: End, protocol: str) -> Ports:
        found = EVERY
        for gate in self.gates(source, target, protocol):
            found &= gate.ports
            if not found:
                break
        return found

    def gates(self, source: End, target: End, protocol: str, port: int = 0) -> Iterator[Gate]:
        """Everything between two ends, in the order in which a packet and then its answer meet it.

        `port` is the one that words are about; 0 when nobody reads them.
        """
        what = f"{protocol} {port}"
        if group := self._groups.get(source.group):
            yield Gate(
                self._grant(source.group, True, target, protocol),
                group.manifest,
                f"no rule of {group.name} lets {what} out to {target.group or 'the internet'}",
            )
        if group := self._groups.get(target.group):
            yield Gate(
                self._grant(target.group, False, source, protocol),
                group.manifest,
                f"no rule of {group.name} lets {what} in from {source.group or 'the internet'}",
            )
        if source.subnet and target.subnet:
            if source.subnet.name != target.subnet.name:
                yield from self._hop(source, target, protocol, port)
        elif source.subnet:
            yield from self._way_out(source, source.subnet, target, protocol, port)
        elif target.subnet:
            yield from self._way_in(source, target, target.subnet, protocol, port)

    def _way_in(self, source: End, target: End, subnet: Subnet, protocol: str, port: int) -> Iterator[Gate]:
        """From the internet: the answer has to leave through an internet gateway, or nothing has a public address."""
        route = self.network.route(subnet.name, source.address)
        if not (route and route.gateway in self.network.gateways):
            yield self._nowhere(subnet, "has no route to an internet gateway")
        yield from self._hop(source, target, protocol, port)

    def _way_out(self, source: End, subnet: Subnet, target: End, protocol: str, port: int) -> Iterator[Gate]:
        """To the internet, through an internet gateway or a NAT gateway in a subnet that has one."""
        route = self.network.route(subnet.name, target.address)
        if route is None or (route.gateway and route.gateway not in self.network.gateways):
            yield self._nowhere(subnet, "has no route to the internet")
        elif route.gateway:
            yield from self._hop(source, target, protocol, port)
        elif (nat := self._nats.get(route.nat)) is None:
            yield Gate(NONE, route.manifest, f"{route.nat} is no NAT gateway in this network")
        else:
            yield from self._through(nat, source, subnet, target, protocol, port)

    def _through(self, nat: Nat, source: End, subnet: Subnet, target: End, protocol: str, port: int) -> Iterator[Gate]:
        """Inside, packets carry the far address; outside, the NAT gateway's own in place of the near one."""
        place = self._subnets[nat.subnet]
        inner, outer = End("", place, target.address), End("", place, int(place.cidr[0]))
        if place.name != subnet.name:
            yield from self._hop(source, inner, protocol, port)
        route = self.network.route(place.name, target.address)
        if not (route and route.gateway in self.network.gateways):
            yield self._nowhere(place, f"has no route to an internet gateway, and {nat.name} is in it")
        yield from self._hop(outer, target, protocol, port)

    def _nowhere(self, subnet: Subnet, words: str) -> Gate:
        table = self._tables.get(self.network.table_of.get(subnet.name, ""))
        return Gate(NONE, (table or subnet).manifest, f"{subnet.name} {words}")

    def _hop(self, source: End, target: End, protocol: str, port: int) -> Iterator[Gate]:
        """The network ACLs between two places that are not one subnet: there, and for the answer back."""
        for subnet, egress, far in ((source.subnet, True, target), (target.subnet, False, source)):
            if subnet and (guard := self.network.access_list_of.get(subnet.name)):
                found = self._pass(guard, egress, far.address, protocol)
                words = "" if found & ports(port, port) else f"{protocol} {port}"
                yield Gate(found, *self._keeper(guard, egress, far, protocol, port, words))
        for subnet, egress, far in ((target.subnet, True, source), (source.subnet, False, target)):
            if subnet and (guard := self.network.access_list_of.get(subnet.name)):
                closed = ANSWERS & ~self._pass(guard, egress, far.address, protocol)
                first, last = next(ranges(closed), (0, 0))
                words = f"answers by {protocol} to {first}-{last}" if closed else ""
                yield Gate(NONE if closed else EVERY, *self._keeper(guard, egress, far, protocol, first, words))

    def _keeper(
        self, guard: AccessList, egress: bool, far: End, protocol: str, port: int, words: str
    ) -> tuple[Manifest, str]:
        """Who keeps a port closed, and a sentence's end: the entry that denies it, else the list that has none."""
        if not words:
            return guard.manifest, ""
        place = far.subnet.name if far.subnet and far.group else "the internet"
        way = f"{words} {'out to' if egress else 'in from'} {place}"
        for entry in self._entries.get((guard.name, egress), ()):
            if _concerns(entry, far.address, protocol) and entry.ports[0] <= port <= entry.ports[1]:
                return entry.manifest, f"{entry.name} denies {way}"
        return guard.manifest, f"no entry of {guard.name} lets {way}"

    def _grant(self, group: str, egress: bool, peer: End, protocol: str) -> Ports:
        """What the rules of a security group let in from a peer, or out to it."""
        key = (group, egress, peer.group, peer.address, protocol)
        if (known := self._granted.get(key)) is None:
            known = NONE
            for rule in self._rules.get((group, egress), ()):
                if _speaks_of(rule, peer, protocol):
                    known |= ports(*rule.ports)
            self._granted[key] = known
        return known

    def _pass(self, guard: AccessList, egress: bool, address: int, protocol: str) -> Ports:
        """What a network ACL lets through to or from an address: the first entry that fits a port decides on it."""
        key = (guard.name, egress, address, protocol)
        if (known := self._passing.get(key)) is None:
            known, undecided = NONE, EVERY
            for entry in self._entries.get((guard.name, egress), ()):
                if _concerns(entry, address, protocol):
                    decided = ports(*entry.ports) & undecided
                    known |= decided if entry.allows else NONE
                    undecided &= ~decided
            self._passing[key] = known
        return known


def _speaks_of(rule: GroupRule, peer: End, protocol: str) -> bool:
    """Whether a rule of a security group is about a protocol and a peer."""
    if rule.protocol not in (ANY, protocol):
        return False
    if rule.peer:
        return rule.peer == peer.group
    return rule.cidr is not None and covers(rule.cidr, peer.address)


def _concerns(entry: Entry, address: int, protocol: str) -> bool:
    return entry.protocol in (ANY, protocol) and covers(entry.cidr, address)
