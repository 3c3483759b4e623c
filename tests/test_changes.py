"""What differs between two trees: every object that does, each field of it, and nothing else."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from koepon_gitops.changes import Difference, FieldChange, Kind, compare, difference, exported, text_difference
from koepon_gitops.errors import ManifestError, RequestError, UncheckableError
from koepon_gitops.model import Application, Manifest, ObjectId
from koepon_gitops.rendering import Rendered
from tests.conftest import Clone
from tests.trees import CONFIG_MAP, DEPLOYMENT, REPOSITORY, application, write


def thing(name: str = "it", kind: str = "ConfigMap", /, api: str = "v1", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **fields}


def tree(**applications: Sequence[dict[str, Any]]) -> list[Rendered]:
    """Applications by name, with the objects they render to."""
    return [
        Rendered(
            application=Application(name=name, sources=()),
            manifests=tuple(
                Manifest(application=name, cluster="c", id=ObjectId.of(each), content=each) for each in contents
            ),
            digest="",
            renders=0,
        )
        for name, contents in applications.items()
    ]


def said(found: Difference) -> list[str]:
    return [f"{change.application} {change.kind} {change.object}" for change in found.changes]


def fields(before: dict[str, Any], after: dict[str, Any]) -> tuple[FieldChange, ...]:
    [change] = compare(tree(web=[before]), tree(web=[after])).changes
    assert change.kind is Kind.CHANGED
    return change.fields


def test_added_removed_and_changed_in_one_order() -> None:
    before = tree(web=[thing("z", data={"a": "1"}), thing("old"), thing("same")], api=[thing("b", "Service")])
    after = tree(shop=[thing("new")], web=[thing("same"), thing("new"), thing("z", data={"a": "2"})])
    expected = [
        "api - Service b",
        "shop + ConfigMap new",
        "web + ConfigMap new",
        "web - ConfigMap old",
        "web ~ ConfigMap z",
    ]
    assert said(compare(before, after)) == expected
    assert said(compare(before[::-1], after[::-1])) == expected


def test_an_object_of_another_version_is_another_object() -> None:
    before, after = (thing("web", "HorizontalPodAutoscaler", f"autoscaling/{version}") for version in ("v1", "v2"))
    assert said(compare(tree(web=[before]), tree(web=[after]))) == [
        "web - HorizontalPodAutoscaler web",
        "web + HorizontalPodAutoscaler web",
    ]


def containers(*images: tuple[str, str]) -> dict[str, Any]:
    return thing("web", "Deployment", spec={"containers": [{"name": name, "image": image} for name, image in images]})


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            containers(("a", "x:1"), ("b", "y:1")),
            containers(("b", "y:1"), ("a", "x:2")),
            [("spec.containers[a].image", "x:1", "x:2")],
        ),
        (
            containers(("a", "x:1")),
            containers(("b", "y:1"), ("a", "x:1")),
            [("spec.containers[b]", None, {"name": "b", "image": "y:1"})],
        ),
        (thing(args=["a", "b"]), thing(args=["a", "c", "d"]), [("args[1]", "b", "c"), ("args[2]", None, "d")]),
        (thing(data={"a": "1"}), thing(), [("data", {"a": "1"}, None)]),
        (thing(spec={"on": True}), thing(spec={"on": 1}), [("spec.on", True, 1)]),
        (thing(spec={"count": [1]}), thing(spec={"count": [1.0]}), [("spec.count[0]", 1, 1.0)]),
        (thing(spec={"a": {"b": 1}}), thing(spec={"a": [1]}), [("spec.a", {"b": 1}, [1])]),
        (thing(spec={}), thing(spec=[]), [("spec", {}, [])]),
        (
            thing(spec=[{"name": "a"}, {"name": "a", "x": 1}]),
            thing(spec=[{"name": "a"}, {"name": "a"}]),
            [("spec[1].x", 1, None)],
        ),
    ],
)
def test_fields(before: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, Any, Any]]) -> None:
    found = fields(before, after)
    assert [(each.field, each.before, each.after) for each in found] == expected
    assert [(type(each.before), type(each.after)) for each in found] == [(type(a), type(b)) for _, a, b in expected]


SCALARS = st.sampled_from([True, False, 0, 1, 1.0, "", "1", "true"])
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "a", "b"]), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c"]), JSON)


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@given(OBJECTS, OBJECTS)
def test_whatever_differs_is_seen_from_both_sides(old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = (tree(web=[thing(name, spec=value) for name, value in contents.items()]) for contents in (old, new))
    forth, back = compare(before, after), compare(after, before)

    assert {change.object.name for change in forth.changes} == {
        name for name in old.keys() | new.keys() if canonical([old.get(name)]) != canonical([new.get(name)])
    }
    turned = {Kind.ADDED: Kind.REMOVED, Kind.REMOVED: Kind.ADDED, Kind.CHANGED: Kind.CHANGED}
    assert [(change.kind, change.object) for change in back.changes] == [
        (turned[change.kind], change.object) for change in forth.changes
    ]
    for one, other in zip(forth.changes, back.changes, strict=True):
        assert bool(one.fields) == (one.kind is Kind.CHANGED)
        assert {(each.field, canonical(each.before), canonical(each.after)) for each in one.fields} == {
            (each.field, canonical(each.after), canonical(each.before)) for each in other.fields
        }


def test_what_people_read(snapshot: SnapshotAssertion) -> None:
    before = tree(web=[containers(("web", "x:1")), thing("gone")], api=[thing(data={"text": "one\ntwo"})])
    after = tree(web=[containers(("web", "x:2")), thing("new")], api=[thing(data={"text": "long " * 100})])
    assert str(compare(before, after)) == snapshot
    assert str(compare(before[:1], [])) == snapshot(name="one")
    assert str(compare(before, before)) == "No object differs."


FILES = {
    "pyproject.toml": f'[tool.koepon_gitops]\nrepository = "{REPOSITORY}"\n',
    "clusters/web.yaml": application(),
    "apps/web/kustomization.yaml": """
        resources: [deployment.yaml, settings.yaml]
        images: [{name: team/web, newTag: v1}]
        """,
    "apps/web/deployment.yaml": DEPLOYMENT,
    "apps/web/settings.yaml": CONFIG_MAP,
}


@pytest.fixture
def history(clone: Clone) -> Clone:
    """Two commits, tagged `one` and `two`: a new image, one object less and a comment more."""
    write(clone.folder, dict(FILES))
    clone.commit({})
    clone.git("tag", "one")
    kustomization = "resources: [deployment.yaml]\nimages: [{name: team/web, newTag: v2}]  # promoted\n"
    clone.commit({"apps/web/kustomization.yaml": kustomization, "README.md": "two\n"})
    clone.git("tag", "two")
    return clone


def test_between_commits_and_the_work_tree(history: Clone, snapshot: SnapshotAssertion) -> None:
    assert str(difference(history.folder, "one", "two")) == snapshot
    assert difference(history.folder, "one") == difference(history.folder, "one", "two")
    assert difference(history.folder, "two").changes == ()
    history.write({"clusters/web.yaml": application(extra="labels: {tier: front}")})
    assert said(difference(history.folder, "two")) == ["web ~ Application argocd/web"]
    assert difference(history.folder, "two", "two").changes == ()
    assert history.git("status", "--porcelain") == "M clusters/web.yaml"


def test_a_commit_with_other_content(history: Clone) -> None:
    with exported(history.repository, "one", {"README.md": b"other\n"}) as folder:
        assert (folder / "README.md").read_text() == "other\n"
        assert (folder / "apps/web/settings.yaml").is_file()
        assert not (folder / ".git").exists()
    assert not folder.exists()
    assert (history.folder / "README.md").read_text() == "two\n"


def test_a_side_that_can_not_be_rendered_is_no_difference(history: Clone) -> None:
    with pytest.raises(RequestError, match="gone"):
        difference(history.folder, "gone")
    history.write(
        {"apps/web/kustomization.yaml": "resources: [deployment.yaml]\nimages: [{name: team/wed, newTag: v2}]\n"}
    )
    with pytest.raises(ManifestError, match=r"apps/web/kustomization\.yaml:2: `images` names team/wed"):
        difference(history.folder, "two")
    history.write({"apps/web/kustomization.yaml": "resources: []\n"})
    broken = history.commit({})
    for base, head in (("two", broken), (broken, "two")):
        with pytest.raises(UncheckableError, match="renders to nothing"):
            difference(history.folder, base, head)


def test_files_as_a_patch(snapshot: SnapshotAssertion) -> None:
    before = b"images:\n- name: web\n  newTag: v1\n  digest: sha256:1\nother: yes\n"
    after = before.replace(b"v1", b"v2")
    assert text_difference({"a.yaml": (before, after), "same.yaml": (before, before)}) == snapshot
