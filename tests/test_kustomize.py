"""Real kustomize on real trees: what Argo CD would get, and what it would be told nothing of."""

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from koepon_gitops import kustomize
from koepon_gitops.cache import Cache
from koepon_gitops.errors import GitOpsError, ManifestError, UncheckableError
from koepon_gitops.model import Rendering
from koepon_gitops.tree import Files
from tests.trees import CONFIG_MAP, DEPLOYMENT, source, write

BASE = {
    "base/kustomization.yaml": "resources: [deployment.yaml, settings.yaml]",
    "base/deployment.yaml": DEPLOYMENT,
    "base/settings.yaml": CONFIG_MAP,
}


def build(root: Path, path: str = "overlay", *, cached: bool = False, **options: object) -> Rendering:
    return kustomize.build(source(path, kustomize=options), Cache("renders", enabled=cached), Files(root))


def overlay(root: Path, text: str, **options: object) -> Rendering:
    write(root, {**BASE, "overlay/kustomization.yaml": text})
    return build(root, **options)


def refusal(root: Path, text: str, **options: object) -> GitOpsError:
    with pytest.raises(GitOpsError) as caught:
        overlay(root, text, **options)
    return caught.value


def image(rendering: Rendering) -> str:
    deployment = next(each for each in rendering.objects if each["kind"] == "Deployment")
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def test_objects_and_files(tmp_path: Path) -> None:
    rendering = overlay(tmp_path, "resources: [../base]\nimages: [{name: team/web, newTag: v1}]")
    assert [each["kind"] for each in rendering.objects] == ["ConfigMap", "Deployment"]
    assert image(rendering) == "team/web:v1"
    assert rendering.files[:2] == ("overlay/kustomization.yaml", "base/kustomization.yaml")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"images": ["team/web:v2"]}, "team/web:v2"),
        ({"images": ["team/web=other/web:v3"]}, "other/web:v3"),
        ({"images": ["team/web@sha256:" + "a" * 64]}, "team/web@sha256:" + "a" * 64),
        ({"images": ["team/web=*:v4"]}, "mirror/web:v4"),
        ({"images": ["team/web=other/web:*"]}, "other/web:v1"),
    ],
)
def test_images_of_the_application(tmp_path: Path, options: dict[str, object], expected: str) -> None:
    text = "resources: [../base]\nimages: [{name: team/web, newName: mirror/web, newTag: v1}]"
    assert image(overlay(tmp_path, text, **options)) == expected
    assert "newName: mirror/web" in (tmp_path / "overlay/kustomization.yaml").read_text()


def test_the_other_options_of_the_application(tmp_path: Path) -> None:
    rendering = overlay(
        tmp_path,
        "resources: [../base]\nnamePrefix: old-",
        namePrefix="new-",
        nameSuffix="-x",
        namespace="place",
        commonLabels={"team": "blue"},
        commonAnnotations={"note": "yes"},
        replicas=[{"name": "web", "count": 4}],
        patches=[{"target": {"kind": "ConfigMap"}, "patch": "- {op: replace, path: /data/colour, value: red}"}],
    )
    settings, web = rendering.objects
    assert settings["metadata"]["name"] == "new-settings-x"
    assert settings["metadata"]["labels"] == {"team": "blue"}
    assert settings["metadata"]["annotations"] == {"note": "yes"}
    assert settings["data"] == {"colour": "red"}
    assert web["metadata"]["namespace"] == "place"
    assert web["spec"]["replicas"] == 4
    assert web["spec"]["selector"]["matchLabels"] == {"app": "web", "team": "blue"}


def test_labels_without_selectors_and_a_component(tmp_path: Path) -> None:
    write(tmp_path, {"component/kustomization.yaml": "kind: Component\nnamePrefix: c-"})
    rendering = overlay(
        tmp_path,
        "resources: [../base]",
        commonLabels={"team": "blue"},
        labelWithoutSelector=True,
        components=["../component"],
    )
    web = rendering.objects[1]
    assert web["metadata"]["name"] == "c-web"
    assert web["spec"]["selector"]["matchLabels"] == {"app": "web"}


@pytest.mark.parametrize(
    "options",
    [
        {"images": ["team/web:$ARGOCD_APP_REVISION"]},
        {"ignoreMissingComponents": True},
        {"commonLabels": {"team": "red"}},
        {"replicas": [{"name": "web"}]},
        {"components": ["https://example.com/component"]},
        {"patches": [{"path": "../../../etc/passwd"}]},
    ],
)
def test_options_that_can_not_be_honoured(
    tmp_path: Path, options: dict[str, object], snapshot: SnapshotAssertion
) -> None:
    assert str(refusal(tmp_path, "resources: [../base]\ncommonLabels: {team: blue}", **options)) == snapshot


@pytest.mark.parametrize(
    "text",
    [
        "resources: [../base]\nimages:\n  - name: team/other\n    newTag: v1\n",
        "resources: [../base]\npatches:\n  - target: {kind: Deployment, name: other}\n    patch: '[]'\n",
        "resources: [../base]\npatches:\n  - target: {labelSelector: app=other}\n    patch: '[]'\n",
        "resources: [../base]\npatches:\n  - patch: |\n      {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}\n",
        "resources: []\n",
        "namePrefix: x\n",
        "resources: [../base, ../base]\n",
        "resource: [../base]\n",
    ],
)
def test_what_kustomize_would_pass_over_or_refuse(tmp_path: Path, text: str, snapshot: SnapshotAssertion) -> None:
    assert str(refusal(tmp_path, text)) == snapshot


@pytest.mark.parametrize(
    "text",
    [
        "resources: [../base]\nnamePrefix: a-\npatches: [{target: {name: web}, patch: '[]'}]",
        "resources: [../base]\npatches: [{target: {kind: Deploy.*}, patch: '[]'}]",
        "resources: [../base]\npatches: [{target: {labelSelector: 'app notin (x, y)'}, patch: '[]'}]",
        "resources: [../base]\nconfigMapGenerator: [{name: g, literals: [a=b]}]\n"
        "patches: [{target: {name: g}, patch: '[]'}]",
        "resources: [../base]\nimages: [{name: team/web, newName: x/web}, {name: x/web, newTag: v1}]",
    ],
)
def test_entries_that_do_match(tmp_path: Path, text: str) -> None:
    assert overlay(tmp_path, text).objects


def test_a_render_is_kept_until_a_file_of_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOEPON_GITOPS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kustomize, "executable", _pinned(kustomize.executable()))
    root = write(tmp_path / "root", {**BASE, "overlay/kustomization.yaml": "resources: [../base]", "other.yaml": "1"})
    first = build(root, cached=True)
    (root / "other.yaml").write_text("2")
    second = build(root, cached=True)
    (root / "base/settings.yaml").write_text(CONFIG_MAP.replace("blue", "red"))
    third = build(root, cached=True)
    assert [first.cached, second.cached, third.cached] == [False, True, False]
    assert first.objects == second.objects
    assert first.digest == second.digest != third.digest


def _pinned(found: tuple[str, ...]):  # type: ignore[no-untyped-def]
    return lambda: found


def test_both_programs_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one built from its module, where it is there, and the one inside kubectl."""
    first = overlay(tmp_path, "resources: [../base]\nnamePrefix: a-")
    monkeypatch.setenv("KOEPON_GITOPS_CACHE", str(tmp_path / "nothing"))
    kustomize.executable.cache_clear()
    try:
        assert kustomize.executable()[1] == "kustomize"
        assert build(tmp_path).objects == first.objects
    finally:
        kustomize.executable.cache_clear()


def test_no_credential_is_in_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kustomize would read variables that an env file names without a value."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    write(tmp_path, {"overlay/values.env": "AWS_SECRET_ACCESS_KEY\nHOME\n"})
    rendering = overlay(tmp_path, "resources: [../base]\nconfigMapGenerator: [{name: g, envs: [values.env]}]")
    assert "hunter2" not in str(rendering.objects)


def test_a_program_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kustomize, "BUILD_SECONDS", 0.05)
    monkeypatch.setattr(kustomize, "executable", _pinned(("/usr/bin/tail", "-f", "/dev/null")))
    with pytest.raises(UncheckableError, match=r"kustomize gave no answer within 0\.05 s"):
        overlay(tmp_path, "resources: [../base]")


def test_a_broken_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kustomize, "executable", _pinned(("/nonexistent/kustomize", "build")))
    with pytest.raises(UncheckableError, match="kustomize can't be run: No such file or directory"):
        overlay(tmp_path, "resources: [../base]")


def test_an_error_names_no_path_of_this_machine(tmp_path: Path) -> None:
    error = refusal(tmp_path, "resources: [../base, ../base]")
    assert isinstance(error, ManifestError)
    assert str(tmp_path) not in str(error)
