"""AppProjects: the verdicts Argo CD would give, without Argo CD."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from koepon_gitops import projects, schemas
from koepon_gitops.configuration import Cluster
from koepon_gitops.model import Application, Finding, Manifest, ObjectId, Source
from koepon_gitops.schemas import Schemas

REPOSITORY = "https://git.example/team/gitops.git"
PRODUCTION = "https://production.example:6443"
CLUSTERS = {"production": Cluster(server=PRODUCTION)}
OPEN: dict[str, Any] = {
    "sourceRepos": ["*"],
    "destinations": [{"server": "*", "namespace": "*"}],
    "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
}


@pytest.fixture(scope="module")
def library() -> Schemas:
    return schemas.load()


def application(**changes: Any) -> Application:
    fields = {
        "name": "web",
        "project": "team",
        "cluster": "production",
        "destination_namespace": "web",
        "sources": (Source(repo_url=REPOSITORY),),
        "file": "clusters/web.yaml",
        "line": 3,
    }
    return Application(**(fields | changes))


def manifest(api: str, kind: str, name: str = "it", namespace: str = "") -> Manifest:
    content = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
    return Manifest(application="web", cluster="production", id=ObjectId.of(content), content=content)


def refused(spec: Mapping[str, Any], asking: Application, *manifests: Manifest, library: Schemas) -> list[Finding]:
    declared = {"team": {"spec": {**OPEN, **spec}}}
    return list(projects.violations(asking, declared, manifests, library, CLUSTERS))


def rules(found: list[Finding]) -> list[str]:
    return [f"{each.rule} {each.object or each.path}" for each in found]


@pytest.mark.parametrize(
    ("patterns", "url", "allowed"),
    [
        ([REPOSITORY], REPOSITORY, True),
        (["https://git.example/team/gitops"], REPOSITORY, True),
        (["HTTPS://Git.Example/team/GitOps.git"], REPOSITORY, True),
        (["ssh://git@git.example/team/gitops"], "git@git.example:team/gitops.git", True),
        (["https://git.example/team/other.git"], REPOSITORY, False),
        (["https://git.example/team/*"], REPOSITORY, True),
        (["https://git.example/*"], REPOSITORY, False),
        (["https://git.example/*/gitops"], REPOSITORY, True),
        (["https://git.example/**"], REPOSITORY, True),
        (["https://git.example/team/git"], REPOSITORY, False),
        (["*"], REPOSITORY, True),
        ([], REPOSITORY, False),
        (["*", f"!{REPOSITORY}"], REPOSITORY, False),
        ([f"!{REPOSITORY}", "*"], REPOSITORY, False),
        (["*", "!https://git.example/other/**"], REPOSITORY, True),
        (["!https://git.example/other/**"], REPOSITORY, True),
    ],
)
def test_sources(patterns: list[str], url: str, allowed: bool, library: Schemas) -> None:
    found = refused({"sourceRepos": patterns}, application(sources=(Source(repo_url=url),)), library=library)
    assert rules(found) == ["projects/source clusters/web.yaml"] * (not allowed)


def test_each_source_counts(library: Schemas) -> None:
    both = (Source(repo_url=REPOSITORY), Source(repo_url="https://charts.example", chart="redis"))
    [found] = refused({"sourceRepos": [REPOSITORY]}, application(sources=both), library=library)
    assert (found.application, found.path, found.line) == ("web", "clusters/web.yaml", 3)
    assert "https://charts.example" in found.message


@pytest.mark.parametrize(
    ("destinations", "cluster", "allowed"),
    [
        ([{"name": "production", "namespace": "web"}], "production", True),
        ([{"name": "prod*", "namespace": "w?b"}], "production", True),
        ([{"name": "production", "namespace": "wed"}], "production", False),
        ([{"name": "staging", "namespace": "web"}], "production", False),
        ([{"server": PRODUCTION, "namespace": "web"}], "production", True),
        ([{"server": PRODUCTION, "namespace": "web"}], PRODUCTION, True),
        ([{"name": "production", "namespace": "web"}], PRODUCTION, True),
        ([{"server": PRODUCTION, "namespace": "web"}], "unheard-of", False),
        ([{"server": "*", "namespace": "*"}], "unheard-of", True),
        ([{"name": "in-cluster", "namespace": "*"}], "https://kubernetes.default.svc", True),
        ([{"server": "https://kubernetes.default.svc", "namespace": "*"}], "in-cluster", True),
        ([{"server": "https://kubernetes.*", "namespace": "*"}], "in-cluster", True),
        ([{"name": "production"}], "production", False),
        ([], "production", False),
        ([{"server": "*", "namespace": "*"}, {"name": "!production", "namespace": "web"}], "production", False),
        ([{"server": "*", "namespace": "*"}, {"name": "!production", "namespace": "other"}], "production", False),
        ([{"server": "*", "namespace": "*"}, {"server": f"!{PRODUCTION}", "namespace": "web"}], "production", False),
        ([{"server": "*", "namespace": "*"}, {"server": f"!{PRODUCTION}", "namespace": "other"}], "production", True),
        (
            [
                {"name": "*", "namespace": "*"},
                {"server": "!https://kubernetes.default.svc", "namespace": "*"},
            ],
            "in-cluster",
            False,
        ),
        ([{"name": "*", "namespace": "*"}, {"server": "*", "namespace": "!web"}], "production", False),
        ([{"name": "*", "namespace": "*"}, {"server": "*", "namespace": "!web"}], "unheard-of", False),
        ([{"name": "!staging", "namespace": "!kube-system"}], "production", True),
    ],
)
def test_destinations(destinations: list[dict[str, str]], cluster: str, allowed: bool, library: Schemas) -> None:
    found = refused({"destinations": destinations}, application(cluster=cluster), library=library)
    assert rules(found) == ["projects/destination clusters/web.yaml"] * (not allowed)


NAMES, SERVERS = (
    st.sampled_from(["production", "in-cluster"]),
    {
        "production": PRODUCTION,
        "in-cluster": "https://kubernetes.default.svc",
    },
)
PATTERNS = st.sampled_from(
    ["*", "prod*", "production", "in-cluster", "staging", "web", "w*", "kube-system", "https://*"]
)
PATTERN = st.just("") | PATTERNS | PATTERNS.map("!{}".format) | st.sampled_from(list(SERVERS.values()))
ENTRIES = st.lists(
    st.fixed_dictionaries({}, optional={"name": PATTERN, "server": PATTERN, "namespace": PATTERN}), max_size=3
)


def destination_matched(entries: list[dict[str, str]], name: str, server: str, namespace: str) -> bool:
    """`AppProject.isDestinationMatched` of Argo CD 3.5.7, line by line; `*` is the only wildcard used here."""

    def glob_match(pattern: str, value: str) -> bool:
        if pattern.startswith("!"):
            return not glob_match(pattern[1:], value)
        head, star, _ = pattern.partition("*")
        return value.startswith(head) if star else value == pattern

    matched_any = False
    for entry in entries:
        item_name, item_server, item_namespace = (entry.get(key, "") for key in ("name", "server", "namespace"))
        name_matched = name != "" and glob_match(item_name, name)
        server_matched = server != "" and glob_match(item_server, server)
        namespace_matched = glob_match(item_namespace, namespace)
        if (server_matched or name_matched) and namespace_matched:
            matched_any = True
            continue
        if not name_matched and item_name.startswith("!"):
            return False
        if not server_matched and item_server.startswith("!") and namespace_matched:
            return False
        if not namespace_matched and item_namespace.startswith("!") and server_matched:
            return False
    return matched_any


@given(ENTRIES, NAMES, st.booleans(), st.sampled_from(["web", "kube-system"]))
def test_destinations_as_argo_cd_judges_them(
    library: Schemas, entries: list[dict[str, str]], name: str, by_server: bool, namespace: str
) -> None:
    """Whether the Application names the cluster or its server."""
    asking = application(cluster=SERVERS[name] if by_server else name, destination_namespace=namespace)
    allowed = refused({"destinations": entries}, asking, library=library) == []
    assert allowed == destination_matched(entries, name, SERVERS[name], namespace)


CONFIG_MAP, NAMESPACE = ("v1", "ConfigMap", "it", "web"), ("v1", "Namespace", "it")
ROUTE, ROLE = (
    ("networking.k8s.io/v1", "Ingress", "it", "web"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "team-it"),
)


@pytest.mark.parametrize(
    ("spec", "kind", "allowed"),
    [
        ({}, CONFIG_MAP, True),
        ({"namespaceResourceWhitelist": []}, CONFIG_MAP, False),
        ({"namespaceResourceWhitelist": [{"group": "", "kind": "ConfigMap"}]}, CONFIG_MAP, True),
        ({"namespaceResourceWhitelist": [{"group": "", "kind": "*Map"}]}, CONFIG_MAP, True),
        ({"namespaceResourceWhitelist": [{"group": "apps", "kind": "ConfigMap"}]}, CONFIG_MAP, False),
        ({"namespaceResourceWhitelist": [{"group": "networking.k8s.io", "kind": "Ingress"}]}, ROUTE, True),
        ({"namespaceResourceWhitelist": [{"group": "*", "kind": "Ingress"}]}, ROUTE, True),
        ({"namespaceResourceBlacklist": [{"group": "", "kind": "ConfigMap"}]}, CONFIG_MAP, False),
        ({"namespaceResourceBlacklist": [{"group": "*", "kind": "*"}]}, ROUTE, False),
        ({"namespaceResourceBlacklist": []}, CONFIG_MAP, True),
        ({"clusterResourceBlacklist": [{"group": "*", "kind": "*"}]}, CONFIG_MAP, True),
        ({"clusterResourceWhitelist": []}, NAMESPACE, False),
        ({"clusterResourceWhitelist": []}, CONFIG_MAP, True),
        ({"clusterResourceWhitelist": [{"group": "", "kind": "Namespace"}]}, NAMESPACE, True),
        ({"clusterResourceWhitelist": [{"group": "", "kind": "Namespace"}]}, ROLE, False),
        ({"clusterResourceBlacklist": [{"group": "", "kind": "Namespace"}]}, NAMESPACE, False),
        ({"clusterResourceWhitelist": [{"group": "*", "kind": "ClusterRole", "name": "team-*"}]}, ROLE, True),
        ({"clusterResourceWhitelist": [{"group": "*", "kind": "ClusterRole", "name": "other-*"}]}, ROLE, False),
    ],
)
def test_kinds(spec: dict[str, Any], kind: tuple[str, ...], allowed: bool, library: Schemas) -> None:
    one = manifest(*kind)
    found = refused(spec, application(), one, library=library)
    assert [(each.rule, each.object) for each in found] == [("projects/kind", one.id)] * (not allowed)


def test_a_namespace_of_its_own_choice(library: Schemas) -> None:
    """An object in the Application's own namespace is not named again: the Application was."""
    spec = {"destinations": [{"name": "production", "namespace": "kube-*"}]}
    own, good, bad = (manifest("v1", "ConfigMap", "it", each) for each in ("web", "kube-system", "default"))
    assert rules(refused(spec, application(), own, good, bad, manifest(*NAMESPACE), library=library)) == [
        "projects/destination clusters/web.yaml",
        "projects/destination ConfigMap default/it",
    ]


def test_an_object_of_an_unknown_kind_is_left_to_the_schemas(library: Schemas) -> None:
    widget = manifest("example.com/v1", "Widget", "gear", "elsewhere")
    spec = {"destinations": [{"name": "production", "namespace": "web"}], "namespaceResourceWhitelist": []}
    assert refused(spec, application(), widget, library=library) == []


def test_a_project_that_is_not_there(library: Schemas) -> None:
    """Argo CD makes `default` by itself, open to everything; any other has to be declared."""
    assert list(projects.violations(application(project="default"), {}, (), library, CLUSTERS)) == []
    [missing] = projects.violations(application(), {}, (), library, CLUSTERS)
    assert (missing.rule, missing.path, missing.line) == ("projects/missing", "clusters/web.yaml", 3)
    closed = {"default": {"spec": {}}, "team": {}}
    for name in closed:
        found = list(projects.violations(application(project=name), closed, (), library, CLUSTERS))
        assert rules(found) == ["projects/source clusters/web.yaml", "projects/destination clusters/web.yaml"]


def test_what_people_read(library: Schemas, snapshot: SnapshotAssertion) -> None:
    closed = {"sourceRepos": [], "destinations": [], "clusterResourceWhitelist": [], "namespaceResourceWhitelist": []}
    objects = [manifest(*CONFIG_MAP), manifest(*ROLE), manifest("apps/v1", "Deployment", "it", "other")]
    found = refused(closed, application(destination_namespace=""), *objects, library=library)
    found += projects.violations(application(project="gone"), {"koepon": {}, "platform": {}}, (), library, CLUSTERS)
    assert "\n".join(f"[{each.rule}] {each.message}\n    {each.remedy}" for each in found) == snapshot
