"""Networks drawn: as Mermaid for Markdown, and as a page with SVG that needs nothing else.

Two pictures of each: where everything is (zones, subnets, the ways out), and who may open connections to whom by the
rules of security groups.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

from koepon_gitops.harmless import exact
from koepon_gitops.network import ANY, EVERY_PORT, GroupRule, Nat, Network, Route, Subnet

INTERNET = "internet"


class Edge(NamedTuple):
    """Connections that the rules of both ends allow. `source` and `target`: a security group, or addresses."""

    source: str
    target: str
    label: str


def edges(network: Network) -> tuple[Edge, ...]:
    """Who may open a connection to whom, as far as security groups say it. Needs both ends' rules between groups."""
    traffic: dict[tuple[str, str], dict[str, set[tuple[int, int]]]] = defaultdict(lambda: defaultdict(set))
    for rule in network.rules:
        ends = (rule.group, _peer(rule)) if rule.egress else (_peer(rule), rule.group)
        for other in _counterparts(network, rule):
            protocol = other.protocol if rule.protocol == ANY else rule.protocol
            first, last = max(rule.ports[0], other.ports[0]), min(rule.ports[1], other.ports[1])
            if {rule.protocol, other.protocol} <= {ANY, protocol} and first <= last:
                traffic[ends][protocol].add((first, last))
    return tuple(Edge(source, target, _label(traffic[source, target])) for source, target in sorted(traffic))


def _peer(rule: GroupRule) -> str:
    return rule.peer or (INTERNET if rule.cidr and rule.cidr.prefixlen == 0 else str(rule.cidr))


def _counterparts(network: Network, rule: GroupRule) -> Iterator[GroupRule]:
    """The rules of the other end; addresses have none and agree to everything."""
    if not rule.peer:
        yield rule
    for other in network.rules if rule.peer else ():
        if (other.group, other.peer, other.egress) == (rule.peer, rule.group, not rule.egress):
            yield other


def _label(traffic: Mapping[str, set[tuple[int, int]]]) -> str:
    return "; ".join(_ports(protocol, sorted(spans)) for protocol, spans in sorted(traffic.items()))


def _ports(protocol: str, spans: Sequence[tuple[int, int]]) -> str:
    if EVERY_PORT in spans:
        return "everything" if protocol == ANY else protocol
    return f"{protocol} {', '.join(str(first) if first == last else f'{first}-{last}' for first, last in spans)}"


def mermaid(network: Network) -> str:
    """Both pictures as fenced blocks for Markdown."""
    return f"```mermaid\n{'\n'.join(_places(network))}\n```\n\n```mermaid\n{'\n'.join(_talks(network))}\n```\n"


def _places(network: Network) -> Iterator[str]:
    yield from ("flowchart TB", f"  internet(({_quoted(INTERNET)}))")
    yield f"  subgraph vpc [{_quoted(network.vpc.name, str(network.cidr))}]"
    yield from (f"    {_id(gateway)}[/{_quoted(gateway)}/]" for gateway in sorted(network.gateways))
    for zone, subnets in _zones(network).items():
        yield f"    subgraph {_id(zone)} [{_quoted(zone)}]"
        for subnet in subnets:
            yield f"      {_id(subnet.name)}[{_quoted(subnet.name, str(subnet.cidr))}]"
            yield from (f"      {_id('nat', nat.name)}{{{{{_quoted(nat.name)}}}}}" for nat in _nats_in(network, subnet))
        yield "    end"
    yield "  end"
    yield from (f"  {_id(gateway)} --- internet" for gateway in sorted(network.gateways))
    for subnet in network.subnets:
        for route in _ways(network, subnet):
            yield f"  {_id(subnet.name)} --> {_id(route.gateway) if route.gateway else _id('nat', route.nat)}"


def _talks(network: Network) -> Iterator[str]:
    yield "flowchart LR"
    found = edges(network)
    groups = {each.name for each in network.groups}
    for name in sorted({end for edge in found for end in edge[:2]} | groups):
        yield f"  {_id(name)}[{_quoted(name)}]" if name in groups else f"  {_id(name)}(({_quoted(name)}))"
    yield from (f"  {_id(edge.source)} -->|{_quoted(edge.label)}| {_id(edge.target)}" for edge in found)


def _id(*names: str) -> str:
    """A name as Mermaid takes one: its own words, such as `end`, can't be mistaken for it."""
    return "n_" + "_".join("".join(each if each.isascii() and each.isalnum() else "_" for each in n) for n in names)


def _quoted(*lines: str) -> str:
    """A label, with what means something to Mermaid as its `#entities;`."""
    return f'"{"<br>".join(exact(line).translate(_ENTITIES) for line in lines)}"'


_ENTITIES = str.maketrans({"#": "#35;", "&": "#amp;", "<": "#lt;", ">": "#gt;", '"': "#quot;", "`": "#96;"})


def _zones(network: Network) -> dict[str, list[Subnet]]:
    """The subnets of each zone, public ones first."""
    found: dict[str, list[Subnet]] = defaultdict(list)
    for subnet in sorted(network.subnets, key=lambda each: (each.zone, not network.is_public(each.name), each.name)):
        found[subnet.zone].append(subnet)
    return found


def _nats_in(network: Network, subnet: Subnet) -> list[Nat]:
    return [nat for nat in network.nats if nat.subnet == subnet.name]


def _ways(network: Network, subnet: Subnet) -> list[Route]:
    """The routes by which a subnet reaches any of the internet."""
    taken = {route.name: route for address in network.outside if (route := network.route(subnet.name, address))}
    return [taken[name] for name in sorted(taken)]


COLUMN, GAP, MARGIN, ROW = 250, 20, 24, 112
"""Pixels: a zone's width, what is between two, what is around all, a subnet's height with its gap."""
BOX, LINE = (150, 40), 74
"""Pixels: a security group's box, and what is from the top of one to the next."""


def page(networks: Sequence[Network]) -> str:
    """One HTML page with the pictures of all networks; nothing in it is loaded from elsewhere."""
    return _PAGE.format(style=_STYLE, body="\n".join(_section(network) for network in networks))


def _section(network: Network) -> str:
    place = network.vpc.manifest.id.namespace
    rows = "\n".join(
        f"<tr><td>{_text(edge.source)}</td><td>{_text(edge.target)}</td><td>{_text(edge.label)}</td></tr>"
        for edge in edges(network)
    )
    return (
        f"<section>\n<h2>{_text(place)}: {_text(network.vpc.name)} {network.cidr}</h2>\n{_svg(network)}\n"
        f"<table>\n<tr><th>From</th><th>To</th><th>What</th></tr>\n{rows}\n</table>\n</section>"
    )


def _svg(network: Network) -> str:
    """Both pictures, one above the other, as one `svg` element."""
    zones = _zones(network)
    layers = _layers(network)
    width = max(len(zones) * (COLUMN + GAP) - GAP, len(layers) * 240 - 90) + 2 * MARGIN + 2 * GAP
    upper = 172 + ROW * max((len(each) for each in zones.values()), default=0)
    height = upper + 60 + LINE * max((len(each) for each in layers), default=0)
    title = f"Network {exact(network.vpc.name)} of {exact(network.vpc.manifest.id.namespace)}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}">',
            f"<title>{escape(title)}</title>",
            *_upper(network, zones, width, upper),
            *_lower(network, layers, width, upper + 40),
            "</svg>",
        ]
    )


def _upper(network: Network, zones: Mapping[str, list[Subnet]], width: int, height: int) -> Iterator[str]:
    """Internet, gateways, zones with their subnets, and the lines of routes, drawn last so that nothing hides them."""
    middle = width // 2
    yield _box("cloud", middle - 80, 4, 160, 28, INTERNET)
    yield _rectangle("vpc", MARGIN, 84, width - 2 * MARGIN, height - 100)
    yield _label_at(MARGIN + 12, 106, f"{network.vpc.name} {network.cidr}", "name")
    tops: dict[str, tuple[int, int]] = {}
    for index, gateway in enumerate(sorted(network.gateways)):
        yield _box("gateway", middle - 80 + 180 * index, 54, 160, 30, gateway)
        tops[gateway] = (middle + 180 * index, 84)
        yield _line("plain", (middle + 180 * index, 54), (middle, 32))
    left = (width - len(zones) * (COLUMN + GAP) + GAP) // 2
    starts: dict[str, tuple[int, int]] = {}
    for column, (zone, subnets) in enumerate(zones.items()):
        x = left + column * (COLUMN + GAP)
        yield _rectangle("zone", x, 122, COLUMN, height - 148)
        yield _label_at(x + 10, height - 36, zone, "name")
        for row, subnet in enumerate(subnets):
            y = 132 + ROW * row
            tier = "public" if network.is_public(subnet.name) else "private"
            yield _rectangle(tier, x + 10, y, COLUMN - 20, ROW - 22)
            yield _label_at(x + 20, y + 22, subnet.name, "name")
            yield _label_at(x + 20, y + 40, f"{subnet.cidr} {tier}", "small")
            starts[subnet.name] = (x + COLUMN // 2, y)
            for nat in _nats_in(network, subnet):
                yield _box("gateway", x + 20, y + 50, 150, 28, nat.name)
                tops[nat.name] = (x + 95, y + 78)
    for subnet in network.subnets:
        for route in _ways(network, subnet):
            if target := tops.get(route.gateway or route.nat):
                yield _line("route", starts[subnet.name], target)


def _layers(network: Network) -> list[list[str]]:
    """Names from left to right: each one step from whoever is furthest left among those who connect to it.

    The internet is there twice: on the left as a source, and, as `""`, as a target.
    """
    groups = {each.name for each in network.groups}
    after: dict[str, set[str]] = defaultdict(set)
    for edge in edges(network):
        after[edge.source].add(_place(edge.target))
    targets = {name for each in after.values() for name in each}
    names = groups | targets | set(after)
    layer = {name: int(name in groups) for name in names - targets} or dict.fromkeys(names, 0)
    queue = sorted(layer, key=lambda name: (layer[name], name))
    for name in queue:
        followers = sorted(after[name] - set(layer))
        layer |= dict.fromkeys(followers, layer[name] + 1)
        queue += followers
    depths = range(max(layer.values(), default=-1) + 1)
    return [sorted(name for name in names if layer.get(name, 0) == depth) for depth in depths]


def _place(target: str) -> str:
    return "" if target == INTERNET else target


def _lower(network: Network, layers: Sequence[Sequence[str]], width: int, top: int) -> Iterator[str]:
    """Security groups from left to right, with an arrow for whom each may connect to."""
    step = (width - 2 * MARGIN - BOX[0]) // max(len(layers) - 1, 1)
    most = max((len(each) for each in layers), default=0)
    places: dict[str, tuple[int, int]] = {}
    groups = {each.name for each in network.groups}
    for depth, names in enumerate(layers):
        for index, name in enumerate(names):
            x, y = MARGIN + depth * step, top + (most - len(names)) * LINE // 2 + index * LINE
            places[name] = (x, y)
            yield _box("group" if name in groups else "cloud", x, y, *BOX, name or INTERNET)
    for edge in edges(network):
        (x, y), (end, level) = places[edge.source], places[_place(edge.target)]
        begin, end = (x + BOX[0], end) if x < end else (x, end + BOX[0])
        yield _line("talk", (begin, y + BOX[1] // 2), (end, level + BOX[1] // 2))
        yield _label_at((begin + end) // 2, (y + level + BOX[1]) // 2 - 6, edge.label, "small middle")


def _rectangle(kind: str, x: int, y: int, width: int, height: int) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>'


def _box(kind: str, x: int, y: int, width: int, height: int, text: str) -> str:
    return _rectangle(kind, x, y, width, height) + _label_at(x + width // 2, y + height // 2 + 5, text, "middle")


def _label_at(x: int, y: int, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{_text(text)}</text>'


def _line(kind: str, start: tuple[int, int], end: tuple[int, int]) -> str:
    return f'<path class="{kind}" d="M{start[0]} {start[1]} L{end[0]} {end[1]}"/>'


def _text(text: str) -> str:
    return escape(exact(text))


_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; --paper: #fff; --ink: #222 }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; background: var(--paper); color: var(--ink) }
svg { max-width: 100%; height: auto } svg text { font: 13px system-ui, sans-serif; fill: var(--ink) }
.name { font-weight: 600 } svg .small { font-size: 12px } .middle { text-anchor: middle }
text { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round }
rect { fill: none; stroke: #888; fill-opacity: .13 } .zone { stroke-dasharray: 5 4 } .vpc { stroke-width: 2 }
.public { fill: #2a7d3f; stroke: #2a7d3f } .private { fill: #1565c0; stroke: #1565c0 }
.gateway { fill: #a15c00; stroke: #a15c00 } .group, .cloud { fill: #888 }
path { fill: none; stroke: #888; stroke-width: 1.5 } marker path { fill: #888; stroke: none }
.route, .talk { marker-end: url(#tip) }
table { border-collapse: collapse }
th, td { text-align: left; padding: .2rem 1rem .2rem 0; border-bottom: 1px solid #8884 }
@media (prefers-color-scheme: dark) { :root { --paper: #16181c; --ink: #e6e6e6 } }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>koepon_gitops: networks</title>
<style>{style}</style>
</head>
<body>
<h1>Networks</h1>
<svg width="0" height="0"><defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" \
orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs></svg>
{body}
</body>
</html>
"""
