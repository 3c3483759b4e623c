"""Services, Ingresses and NetworkPolicies."""

from collections.abc import Generator, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from koepon_gitops.coherence.reporting import each, problem, repeated
from koepon_gitops.model import Json, Problem


def service(content: Json) -> Iterator[Problem]:
    """core/validation.ValidateService, validateServicePort."""
    spec = content.get("spec") or {}
    ports = spec.get("ports") or ()
    external = spec.get("type") == "ExternalName"
    if external and not spec.get("externalName"):
        yield problem("spec.externalName", "is required for the type ExternalName")
    if not ports and not external and spec.get("clusterIP") != "None":
        yield problem("spec.ports", "must not be empty")
    if spec.get("externalTrafficPolicy") and spec.get("type") not in {"NodePort", "LoadBalancer"}:
        yield problem("spec.externalTrafficPolicy", "must not be set for a service that is not reached from outside")
    if spec.get("type") == "LoadBalancer" and spec.get("clusterIP") == "None":
        yield problem("spec.clusterIP", 'must not be "None" for the type LoadBalancer')
    yield from repeated(ports, "name", "spec.ports")
    seen: dict[tuple[str, int], int] = {}
    for index, port in each(ports):
        if len(ports) > 1 and not port.get("name"):
            yield problem(f"spec.ports[{index}].name", "is required where there are several ports")
        pair = (port.get("protocol") or "TCP", port["port"])
        if seen.setdefault(pair, index) != index:
            yield problem(
                f"spec.ports[{index}]", f"must not repeat port {pair[1]} ({pair[0]}) of spec.ports[{seen[pair]}]"
            )


def ingress(content: Json) -> Iterator[Problem]:
    """networking/validation.ValidateIngressCreate, validateHTTPIngressPath."""
    spec = content.get("spec") or {}
    annotation = (content["metadata"].get("annotations") or {}).get("kubernetes.io/ingress.class")
    if annotation is not None and spec.get("ingressClassName") not in {None, annotation}:
        field = "metadata.annotations[kubernetes.io/ingress.class]"
        yield problem(field, f'must be as spec.ingressClassName, "{spec["ingressClassName"]}"')
    for index, rule in each(spec.get("rules")):
        if (host := rule.get("host") or "").replace(".", "").isdigit() and host.count(".") == 3:
            yield problem(f"spec.rules[{index}].host", f'must be a DNS name, not the address "{host}"')
        for number, path in each((rule.get("http") or {}).get("paths")):
            yield from _path(path, f"spec.rules[{index}].http.paths[{number}].path")


def _path(entry: Json, field: str) -> Iterator[Problem]:
    path, kind = entry.get("path") or "", entry["pathType"]
    if not path.startswith("/") and (path or kind != "ImplementationSpecific"):
        yield problem(field, f'must begin with "/", not be "{path}"')
    if kind == "ImplementationSpecific":
        return
    for part in ("//", "/./", "/../", "%2f", "%2F"):
        if part in path:
            yield problem(field, f'must not contain "{part}"')
    if path.endswith(("/..", "/.")):
        yield problem(field, 'must not end with "/." or "/.."')


def network_policy(content: Json) -> Iterator[Problem]:
    """networking/validation.ValidateNetworkPolicyPort, ValidateIPBlock."""
    spec = content.get("spec") or {}
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in each(spec.get(direction)):
            for number, peer in each(rule.get(peers)):
                yield from _ip_block(peer.get("ipBlock"), f"spec.{direction}[{index}].{peers}[{number}].ipBlock")
            for number, entry in each(rule.get("ports")):
                field = f"spec.{direction}[{index}].ports[{number}].endPort"
                port, end = entry.get("port"), entry.get("endPort")
                if end is None:
                    continue
                if not isinstance(port, int):
                    yield problem(field, "must not be set without a numeric port")
                elif end < port:
                    yield problem(field, f"must be at least the port, {port}, not {end}")


def _ip_block(block: Json | None, path: str) -> Iterator[Problem]:
    """`except` has to lie inside `cidr` and be smaller."""
    if not block:
        return
    whole = yield from _network(block["cidr"], f"{path}.cidr")
    for index, text in enumerate(block.get("except") or ()):
        part = yield from _network(text, f"{path}.except[{index}]")
        if whole and part and (part.prefixlen <= whole.prefixlen or part.network_address not in whole):
            yield problem(f"{path}.except[{index}]", f"must be a part of {block['cidr']}, not {text}")


def _network(text: str, field: str) -> Generator[Problem, None, IPv4Network | IPv6Network | None]:
    """apimachinery `validation.parseCIDR`, strict: 10.0.1.0/16 has bits beyond its prefix."""
    try:
        network = ip_network(text)
    except ValueError:
        yield problem(field, f"must be a network such as 10.0.0.0/16 without bits beyond its prefix, not {text}")
        return None
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        yield problem(field, f"must not be an IPv4 address written as IPv6, as in {text}")
    return network
