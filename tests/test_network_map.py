"""Networks drawn: as people see them, complete, from nowhere else, and harmless whatever things are called."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from syrupy.assertion import SnapshotAssertion

from koepon_gitops.formats import network_map
from koepon_gitops.model import Manifest, ObjectId
from koepon_gitops.network import Network
from koepon_gitops.network_resources import networks
from tests import estate
from tests.test_reachability import ref, resource, worlds


def network(environment: str) -> Network:
    objects = estate.namespaced(estate.claim("Network", environment))
    manifests = [Manifest(application="estate", cluster="hub", id=ObjectId.of(each), content=each) for each in objects]
    [[found], unread] = networks(manifests)
    assert unread == ()
    return found


@pytest.fixture(scope="module")
def production() -> Network:
    return network("production")


def parsed(page: str) -> ElementTree.Element:
    """The page as XML, which it is but for the tags that HTML does not close."""
    return ElementTree.fromstring(re.sub(r"<!doctype html>|<meta[^>]*>", "", page))


def test_mermaid_shows_the_document(production: Network, snapshot: SnapshotAssertion) -> None:
    assert network_map.mermaid(production) == snapshot


def test_the_page_shows_the_document(production: Network, snapshot: SnapshotAssertion) -> None:
    assert network_map.page([production]) == snapshot


def test_one_page_has_all_networks_and_loads_nothing() -> None:
    drawn = [network(environment) for environment in ("staging", "production", "dr")]
    page = network_map.page(drawn)
    heads = [each.text for each in parsed(page).iter("h2")]
    assert heads == [
        "staging: koepon-vpc 10.1.0.0/16",
        "production: koepon-vpc 10.0.0.0/16",
        "dr: koepon-vpc 10.2.0.0/16",
    ]
    assert set(re.findall(r"https?:[^\"]*", page)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|link|img|iframe)|@import|url\((?!#)", page)


def test_every_subnet_gateway_and_group_is_in_the_picture(production: Network) -> None:
    texts = [each.text for each in parsed(network_map.page([production])).iter("{http://www.w3.org/2000/svg}text")]
    named = [*production.subnets, *production.nats, *production.groups]
    assert {each.name for each in named} | production.gateways <= set(texts)
    assert {"tcp 80, 443", "tcp 3000", "tcp 22", "tcp 5432", "tcp 6379", "tcp 443"} <= set(texts)


def test_an_edge_needs_the_rules_of_both_ends(production: Network) -> None:
    closed = production.model_copy(
        update={"rules": tuple(each for each in production.rules if each.name != "koepon-db-from-app-5432")}
    )
    lost = set(network_map.edges(production)) - set(network_map.edges(closed))
    assert lost == {network_map.Edge("koepon-app-sg", "koepon-db-sg", "tcp 5432")}
    # The load balancer may send anything, the application takes one port.
    assert network_map.Edge("koepon-alb-sg", "koepon-app-sg", "tcp 3000") in network_map.edges(production)


def rule(kind: str, name: str, **parameters: Any) -> Manifest:
    return resource(kind, name, securityGroupIdRef=ref("g"), **parameters)


def test_what_edges_say() -> None:
    manifests = [
        resource("VPC", "v", cidrBlock="10.0.0.0/16"),
        resource("SecurityGroup", "g", vpcIdRef=ref("v")),
        rule("SecurityGroupEgressRule", "all", ipProtocol="-1", cidrIpv4="0.0.0.0/0"),
        rule("SecurityGroupEgressRule", "ping", ipProtocol="icmp", fromPort=-1, toPort=-1, cidrIpv4="10.0.0.0/8"),
        rule("SecurityGroupIngressRule", "some", ipProtocol="udp", fromPort=1, toPort=9, cidrIpv4="192.0.2.0/24"),
        rule("SecurityGroupIngressRule", "more", ipProtocol="tcp", fromPort=80, toPort=80, cidrIpv4="192.0.2.0/24"),
        rule("SecurityGroupIngressRule", "in", ipProtocol="-1", referencedSecurityGroupIdRef=ref("g")),
        rule(
            "SecurityGroupEgressRule",
            "out",
            ipProtocol="tcp",
            fromPort=5,
            toPort=6,
            referencedSecurityGroupIdRef=ref("g"),
        ),
    ]
    [[found], _] = networks(manifests)
    assert [tuple(edge) for edge in network_map.edges(found)] == [
        ("192.0.2.0/24", "g", "tcp 80; udp 1-9"),
        ("g", "10.0.0.0/8", "icmp"),
        ("g", "g", "tcp 5-6"),
        ("g", "internet", "everything"),
    ]
    assert "192.0.2.0/24" in network_map.page([found])


@settings(max_examples=25, deadline=None)
@given(worlds())
def test_any_network_can_be_drawn(manifests: list[Manifest]) -> None:
    found, _ = networks(manifests)
    parsed(network_map.page(found))
    for each in found:
        assert network_map.mermaid(each).count("```") == 4


HOSTILE = '"]; click x "javascript:alert(1)" </svg><script>&#`\n```'


def test_names_are_only_names() -> None:
    manifests = [
        resource("VPC", HOSTILE, cidrBlock="10.0.0.0/16"),
        resource("SecurityGroup", HOSTILE, vpcIdRef=ref(HOSTILE)),
        resource("Subnet", HOSTILE, vpcIdRef=ref(HOSTILE), cidrBlock="10.0.0.0/24", availabilityZone=HOSTILE),
    ]
    [[found], _] = networks(manifests)
    page = network_map.page([found])
    assert "<script" not in page
    parsed(page)
    text = network_map.mermaid(found)
    assert text.count("```") == 4 and "<script" not in text
    assert {line.count('"') for line in text.splitlines()} == {0, 2}


def test_nothing_to_draw() -> None:
    parsed(network_map.page([]))
    [[empty], _] = networks([resource("VPC", "v", cidrBlock="10.0.0.0/16")])
    parsed(network_map.page([empty]))
    assert "10.0.0.0/16" in network_map.mermaid(empty)
