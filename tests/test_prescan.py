"""Every way out of the repository that a kustomization offers is refused, and everything inside it is found."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koepon_gitops.errors import ManifestError, UncheckableError
from koepon_gitops.prescan import scan
from koepon_gitops.tree import Files
from tests.trees import CONFIG_MAP, write


def refusal(root: Path, kustomization: str, folder: str = "app", **files: str) -> ManifestError:
    write(root, {f"{folder}/kustomization.yaml": kustomization, **files})
    with pytest.raises(ManifestError) as caught:
        scan(Files(root), folder)
    return caught.value


@pytest.mark.parametrize("name", ["kustomization.yaml", "kustomization.yml", "Kustomization"])
def test_every_file_of_a_build_is_found_nearest_first(tmp_path: Path, name: str) -> None:
    write(
        tmp_path,
        {
            f"overlay/{name}": """
                resources: [../base]
                components: [../component]
                patches:
                  - path: patch.yaml
                  - patch: "- {op: remove, path: /data/colour}"
                    target: {kind: ConfigMap}
                configMapGenerator:
                  - name: more
                    files: [key=config.ini, plain.txt]
                    envs: [values.env]
                replacements:
                  - path: replacement.yaml
                openapi: {path: schema.json}
                """,
            "overlay/patch.yaml": CONFIG_MAP,
            "overlay/config.ini": "a",
            "overlay/plain.txt": "b",
            "overlay/values.env": "c=d",
            "overlay/replacement.yaml": "[]",
            "overlay/schema.json": "{}",
            "base/kustomization.yaml": "resources: [settings.yaml]",
            "base/settings.yaml": CONFIG_MAP,
            "component/kustomization.yaml": "kind: Component",
        },
    )
    assert scan(Files(tmp_path), "overlay").files == (
        f"overlay/{name}",
        "overlay/patch.yaml",
        "overlay/replacement.yaml",
        "overlay/schema.json",
        "overlay/config.ini",
        "overlay/plain.txt",
        "overlay/values.env",
        "base/kustomization.yaml",
        "base/settings.yaml",
        "component/kustomization.yaml",
    )


REMOTES = [
    "https://example.com/base.yaml",
    "http://169.254.169.254/latest/meta-data",
    "HTTPS://example.com/base.yaml",
    "file:///etc/passwd",
    "ssh://git@example.com/team/base",
    "git::https://example.com/base",
    "git@github.com:team/base.git",
    "github.com/team/base?ref=main",
    "GitHub.com/team/base",
    "gh:team/base",
    "user@host/team/base",
    "base?ref=v1",
]


@pytest.mark.parametrize("reference", REMOTES)
@pytest.mark.parametrize(
    "form",
    [
        "resources: ['{}']",
        "bases: ['{}']",
        "components: ['{}']",
        "crds: ['{}']",
        "configurations: ['{}']",
        "generators: ['{}']",
        "transformers: ['{}']",
        "validators: ['{}']",
        "patchesStrategicMerge: ['{}']",
        "patchesJson6902: [{{path: '{}'}}]",
        "patches: [{{path: '{}'}}]",
        "replacements: [{{path: '{}'}}]",
        "configMapGenerator: [{{files: ['key={}']}}]",
        "secretGenerator: [{{envs: ['{}']}}]",
        "configMapGenerator: [{{env: '{}'}}]",
        "openapi: {{path: '{}'}}",
    ],
)
def test_nothing_remote_is_followed(tmp_path: Path, reference: str, form: str) -> None:
    if "key=" in form and "=" in reference:
        pytest.skip("the last = ends the key, so this reads as a local name")
    error = refusal(tmp_path, form.format(reference))
    assert error.rule == "kustomize/remote-reference"
    assert error.where == "app/kustomization.yaml:1"
    assert reference in error.what


@pytest.mark.parametrize(
    "plugin",
    [
        "{apiVersion: builtin, kind: PatchTransformer, metadata: {name: x}, path: 'https://example.com/x'}",
        "{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: x}, files: ['https://example.com/x']}",
        "{apiVersion: builtin, kind: ReplacementTransformer, metadata: {name: x}, replacements: [{path: 'http://x/y'}]}",
        "{apiVersion: builtin, kind: PatchStrategicMergeTransformer, metadata: {name: x}, paths: ['http://x/y']}",
    ],
)
def test_nor_by_a_plugin_inline_or_in_a_file(tmp_path: Path, plugin: str) -> None:
    inline = refusal(tmp_path, f"transformers:\n  - |\n    # one\n    {plugin}\n", "inline")
    written = refusal(tmp_path, "generators: [plugin.yaml]", "file", **{"file/plugin.yaml": plugin})
    assert inline.rule == written.rule == "kustomize/remote-reference"


@pytest.mark.parametrize(
    ("reference", "rule"),
    [
        ("-rf", "option-injection"),
        ("--upload-pack=touch x", "option-injection"),
        ("a\\nb", "option-injection"),
        ("/etc/passwd", "outside-root"),
        ("../../secret.yaml", "outside-root"),
        ("link.yaml", "outside-root"),
        ("absolute.yaml", "outside-root"),
        (".hidden/x.yaml", "hidden-folder"),
        ("missing.yaml", "missing"),
        ("empty", "missing"),
    ],
)
def test_what_is_no_file_of_the_repository_is_refused(tmp_path: Path, reference: str, rule: str) -> None:
    root = tmp_path / "root"
    write(tmp_path, {"secret.yaml": CONFIG_MAP, "root/app/.hidden/x.yaml": CONFIG_MAP, "root/app/empty/x.txt": ""})
    (root / "app/link.yaml").symlink_to("../../secret.yaml")
    (root / "app/absolute.yaml").symlink_to("/etc/passwd")
    error = refusal(root, f'resources: ["{reference}"]')
    assert error.rule == f"kustomize/{rule}"
    assert error.where.startswith("app/kustomization.yaml")


def test_a_link_inside_the_repository_is_followed(tmp_path: Path) -> None:
    write(tmp_path, {"app/kustomization.yaml": "resources: [link.yaml]", "shared/settings.yaml": CONFIG_MAP})
    (tmp_path / "app/link.yaml").symlink_to("../shared/settings.yaml")
    closure = scan(Files(tmp_path), "app")
    assert closure.files == ("app/kustomization.yaml", "shared/settings.yaml")
    assert closure.links == ["app/link.yaml"]


@pytest.mark.parametrize("field", ["helmCharts: [{name: x}]", "helmGlobals: {chartHome: x}"])
def test_charts_inside_kustomizations_can_not_be_checked(tmp_path: Path, field: str) -> None:
    write(tmp_path, {"app/kustomization.yaml": field})
    with pytest.raises(UncheckableError, match="needs helm and the network"):
        scan(Files(tmp_path), "app")


def test_two_kustomizations_in_a_folder(tmp_path: Path) -> None:
    error = refusal(tmp_path, "resources: []", **{"app/kustomization.yml": ""})
    assert str(error) == "app: The folder holds kustomization.yaml and kustomization.yml. Keep kustomization.yaml."


@pytest.mark.parametrize("text", ["resources: base", "resources: [1]", "patches: [x]", "[]", "configMapGenerator: {}"])
def test_a_kustomization_of_another_shape(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text).rule == "kustomize/invalid"


def test_a_circle_ends(tmp_path: Path) -> None:
    write(tmp_path, {"a/kustomization.yaml": "resources: [../b]", "b/kustomization.yaml": "resources: [../a]"})
    assert len(scan(Files(tmp_path), "a").files) == 2


@given(st.text(min_size=1, max_size=40))
def test_no_reference_makes_it_read_outside_or_crash(tmp_path_factory: pytest.TempPathFactory, reference: str) -> None:
    root = tmp_path_factory.mktemp("tree")
    content = json.dumps({"resources": [reference]})
    write(root, {"app/kustomization.yaml": content})
    try:
        closure = scan(Files(root), "app")
    except (ManifestError, UncheckableError):
        return
    assert all((root / name).resolve().is_relative_to(root.resolve()) for name in closure.files)
