"""Where Argo CD puts objects: their namespaces, their clusters, and what two Applications both claim."""

from pathlib import Path

import pytest

from koepon_gitops import placement, schemas
from koepon_gitops.schemas import Schemas
from tests.trees import CONFIG_MAP, application, rendered, write

KINDS = """
    {apiVersion: v1, kind: ConfigMap, metadata: {name: here}}
    ---
    {apiVersion: v1, kind: ConfigMap, metadata: {name: there, namespace: other}}
    ---
    {apiVersion: v1, kind: Namespace, metadata: {name: web}}
    ---
    {apiVersion: example.com/v1, kind: Widget, metadata: {name: gear}}
    """


@pytest.fixture(scope="module")
def library() -> Schemas:
    return schemas.load()


def destined(destination: str, name: str = "web", path: str = "apps/web") -> str:
    return application(name, path).replace("{name: in-cluster, namespace: web}", f"{{{destination}}}")


def test_only_what_lives_in_a_namespace_and_names_none_is_given_one(tmp_path: Path, library: Schemas) -> None:
    """An object of an unknown kind stays as it is, so that it is named as unknown and the others are checked."""
    write(tmp_path, {"clusters/web.yaml": destined("name: blue, namespace: web"), "apps/web/all.yaml": KINDS})
    written = rendered(tmp_path)
    [placed] = placement.placed(written.values(), library)
    assert [f"{each.id} on {each.cluster}" for each in placed.manifests] == [
        "ConfigMap web/here on blue",
        "ConfigMap other/there on blue",
        "Namespace web on blue",
        "Widget gear on blue",
        "Application argocd/web on in-cluster",
    ]
    assert all(
        each.content["metadata"].get("namespace", "") == each.id.namespace and each.files for each in placed.manifests
    )
    assert placed.digest == written["web"].digest
    assert "namespace" not in written["web"].manifests[0].content["metadata"], "what was rendered is left as it was"


def test_an_application_without_a_namespace_gives_none(tmp_path: Path, library: Schemas) -> None:
    write(tmp_path, {"clusters/web.yaml": destined("name: blue"), "apps/web/all.yaml": CONFIG_MAP})
    [placed] = placement.placed(rendered(tmp_path).values(), library)
    assert str(placed.manifests[0].id) == "ConfigMap settings"


@pytest.mark.parametrize(
    ("one", "other", "twice"),
    [
        ("name: blue, namespace: web", "name: blue, namespace: web", True),
        ("name: in-cluster, namespace: web", "server: https://kubernetes.default.svc, namespace: web", True),
        ("name: blue, namespace: web", "name: green, namespace: web", False),
        ("name: blue, namespace: web", "name: blue, namespace: wed", False),
    ],
)
def test_an_object_has_one_owner(tmp_path: Path, library: Schemas, one: str, other: str, twice: bool) -> None:
    files = {"clusters/a.yaml": destined(one, "a"), "clusters/b.yaml": destined(other, "b")}
    write(tmp_path, {**files, "apps/web/settings.yaml": CONFIG_MAP})
    found = list(placement.duplicates(placement.placed(rendered(tmp_path).values(), library)))
    assert [(each.rule, each.application, str(each.object)) for each in found] == [
        ("applications/duplicate-object", "b", "ConfigMap web/settings")
    ] * twice
    assert all("already declared by Application a." in each.message for each in found)


def test_versions_of_one_kind_are_one_object(tmp_path: Path, library: Schemas) -> None:
    scaler = "{{apiVersion: autoscaling/{}, kind: HorizontalPodAutoscaler, metadata: {{name: web}}}}"
    job = "{apiVersion: batch/v1, kind: Job, metadata: {generateName: once-}}"
    write(
        tmp_path,
        {
            "clusters/web.yaml": application(),
            "apps/web/all.yaml": "\n---\n".join([scaler.format("v1"), scaler.format("v2"), job, job]),
        },
    )
    [found] = placement.duplicates(placement.placed(rendered(tmp_path).values(), library))
    assert str(found.object) == "HorizontalPodAutoscaler web/web"


def test_clusters_projects_and_definitions(tmp_path: Path) -> None:
    project = "{{apiVersion: argoproj.io/v1alpha1, kind: AppProject, metadata: {{name: {}}}}}"
    stranger = "{apiVersion: example.com/v1, kind: AppProject, metadata: {name: house}}"
    definition = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a.b}}"
    composite = "{apiVersion: apiextensions.crossplane.io/v2, kind: CompositeResourceDefinition, metadata: {name: c.d}}"
    write(
        tmp_path,
        {
            "clusters/a.yaml": destined("name: in-cluster, namespace: web", "a", "apps/a"),
            "clusters/b.yaml": destined("name: green, namespace: web", "b", "apps/b"),
            "apps/a/all.yaml": f"{project.format('team')}\n---\n{stranger}\n---\n{definition}",
            "apps/b/all.yaml": f"{project.format('nobody-reads-it-here')}\n---\n{composite}",
        },
    )
    tree = rendered(tmp_path).values()
    assert list(placement.projects_of(tree)) == ["team"]
    assert [each["metadata"]["name"] for each in placement.definitions(tree)] == ["a.b", "c.d"]
    found = placement.by_cluster(tree)
    assert {cluster: [str(each.id) for each in objects] for cluster, objects in found.items()} == {
        "in-cluster": [
            "AppProject team",
            "AppProject house",
            "CustomResourceDefinition a.b",
            "Application argocd/a",
            "Application argocd/b",
        ],
        "green": ["AppProject nobody-reads-it-here", "CompositeResourceDefinition c.d"],
    }
