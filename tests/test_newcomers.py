"""A newcomer's slips, one at a time, and what the command line says: the file and line to mend, nothing beside it."""

import json
from textwrap import dedent

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.commands import TREE, Command, cache, command, tree
from tests.conftest import Clone
from tests.test_commands import NAMESPACE, POLICY
from tests.trees import CONFIG_MAP, DEPLOYMENT, application, write

__all__ = ["cache", "command", "tree"]

SETTINGS = str(TREE["pyproject.toml"])
APP_OF_APPS = {
    "bootstrap/root.yaml": application("root", "clusters"),
    "clusters/kustomization.yaml": "namespace: argocd\nresources: [web.yaml]",
    "pyproject.toml": f'{SETTINGS}clusters = "."\n',
}


# Nothing was looked at


def test_a_repository_known_by_another_url(tree: Clone, command: Command, snapshot: SnapshotAssertion) -> None:
    write(tree.folder, {"pyproject.toml": SETTINGS.replace("team/gitops", "team/other")})
    answer = command("validate")
    assert answer.code == 3
    assert str(answer) == snapshot


def test_no_remote_is_this_repository(tree: Clone, command: Command) -> None:
    write(tree.folder, {"pyproject.toml": "[tool.koepon_gitops]\nbaseline = false\n"})
    answer = command("validate")
    assert answer.code == 3
    assert "Set `repository` in [tool.koepon_gitops]" in answer.out


def test_one_application_that_is_rendered_is_enough(tree: Clone, command: Command) -> None:
    write(tree.folder, {"clusters/shop.yaml": application("shop").replace("team/gitops", "team/other")})
    answer = command("validate")
    assert (answer.code, "applications/not-rendered" in answer.out) == (0, True)


def test_what_failed_is_not_called_passed_over_as_well(tree: Clone, command: Command) -> None:
    broken = {f"apps/{name}.yaml": "kind: [" for name in ("web/settings", "shop/prices")}
    write(tree.folder, broken)
    answer = command("validate")
    assert (answer.code, "none-rendered" in answer.out) == (1, False)


@pytest.mark.parametrize(
    "setting",
    [
        'clusters = "clustrs"',
        'clusters = "nope"',
        'clutsers = "clusters"',
        'owner = "me"',
        'baseline = "perhaps"',
        "cluster.production.sever = 'https://production.example'",
        "cluster = ",
    ],
)
def test_a_setting_that_means_nothing(tree: Clone, command: Command, setting: str, snapshot: SnapshotAssertion) -> None:
    write(tree.folder, {"pyproject.toml": SETTINGS.replace("baseline = false\n", "") + setting})
    answer = command("validate")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == snapshot


# Applications


@pytest.mark.parametrize("name", ["validate", "render"])
def test_an_application_that_is_not_there(
    tree: Clone, command: Command, name: str, snapshot: SnapshotAssertion
) -> None:
    assert str(command(name, "shopp")) == snapshot


def test_an_application_that_no_kustomization_lists(tree: Clone, command: Command, snapshot: SnapshotAssertion) -> None:
    write(tree.folder, APP_OF_APPS)
    answer = command("validate")
    assert answer.code == 1
    assert str(answer) == snapshot
    assert command("render", "shop").code == 0
    write(tree.folder, {"clusters/kustomization.yaml": "namespace: argocd\nresources: [web.yaml, shop.yaml]"})
    assert command("validate").code == 0


def test_a_root_beside_what_it_syncs_is_applied_by_hand(tree: Clone, command: Command) -> None:
    files = {**APP_OF_APPS, "clusters/root.yaml": application("root", "clusters")}
    del files["bootstrap/root.yaml"]
    write(tree.folder, {**files, "clusters/kustomization.yaml": "namespace: argocd\nresources: [web.yaml, shop.yaml]"})
    assert command("validate").code == 0


# YAML

OVERLAYS = {
    "apps/base/kustomization.yaml": "resources: [deployment.yaml]\n",
    "apps/base/deployment.yaml": DEPLOYMENT,
    "apps/web/kustomization.yaml": "resources: [../base]\npatches: [{path: patch.yaml}]\n",
    "apps/web/patch.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2}\n",
    "apps/shop/kustomization.yaml": "resources: [../base]\n",
}
WRITTEN = dedent(DEPLOYMENT).lstrip()
PATCH = OVERLAYS["apps/web/patch.yaml"]
SLIPS = {
    "indent": ("apps/base/deployment.yaml", WRITTEN.replace("  selector", "   selector")),
    "tab": ("apps/base/deployment.yaml", WRITTEN.replace("  selector", "\tselector")),
    "duplicate key": (
        "apps/base/deployment.yaml",
        WRITTEN.replace("spec:\n", "spec:\n  replicas: 2\n  replicas: 3\n", 1),
    ),
    "conflict": (
        "apps/base/deployment.yaml",
        WRITTEN.replace("spec:\n", "<<<<<<< HEAD\nspec:\n  replicas: 2\n=======\nspec:\n>>>>>>> branch\n", 1),
    ),
    "no kind": ("apps/base/deployment.yaml", WRITTEN.replace("kind", "kin")),
    "patch": ("apps/web/patch.yaml", PATCH.replace("spec", "  spec")),
    "kustomization": ("apps/base/kustomization.yaml", "resources:\n\t- deployment.yaml\n"),
    "empty kustomization": ("apps/base/kustomization.yaml", "# to be done\n"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_yaml_that_can_not_be_read(tree: Clone, command: Command, slip: str, snapshot: SnapshotAssertion) -> None:
    name, text = SLIPS[slip]
    write(tree.folder, {**OVERLAYS, name: text})
    answer = command("validate")
    assert answer.code == 1
    assert str(answer) == snapshot


def test_kustomize_itself_is_heard_when_the_yaml_is_sound(tree: Clone, command: Command) -> None:
    """What a generator takes in need not be YAML, and is not to blame."""
    files = {
        "apps/web/kustomization.yaml": "resources: [../base]\nfoo: 3\nconfigMapGenerator: [{name: a, files: [a.yaml]}]",
        "apps/web/a.yaml": "a: [",
    }
    write(tree.folder, OVERLAYS | files)
    answer = command("validate")
    assert answer.code == 1
    assert 'unknown field "foo"' in answer.out


def test_waivers_are_not_judged_while_something_is_not_rendered(tree: Clone, command: Command) -> None:
    waiver = {"rule": "replicas", "reason": "Two will do.", "owner": "a@b.c", "ticket": "T-1", "expires": "2999-01-01"}
    write(tree.folder, {"policies/waivers.yaml": json.dumps({"waivers": [waiver]})})
    assert "waivers/unused" in command("validate").out
    write(tree.folder, {"apps/web/settings.yaml": "kind: ["})
    answer = command("validate")
    assert "manifests/invalid-yaml" in answer.out
    assert "waivers/unused" not in answer.out


# Where Applications may go

CLOSED = """
    apiVersion: v1
    kind: List
    items:
      - apiVersion: argoproj.io/v1alpha1
        kind: AppProject
        metadata: {name: shops, namespace: argocd}
        spec:
          sourceRepos: ["https://git.example/team/gitops.git"]
          destinations: [{name: in-cluster, namespace: web}]
    """
MISPLACED = {
    "project": ("project: shops", "project: shosp"),
    "source": ("team/gitops.git\n", "team/gitopps.git\n"),
    "path": ("path: apps/shop", "path: apps/shp"),
    "namespace": ("namespace: web", "namespace: wed"),
    "cluster": ("name: in-cluster", "name: incluster"),
}


@pytest.mark.parametrize("slip", MISPLACED)
def test_an_application_that_points_astray(
    tree: Clone, command: Command, slip: str, snapshot: SnapshotAssertion
) -> None:
    shop = application("shop", "apps/shop").replace("project: default", "project: shops")
    write(tree.folder, {"clusters/shop.yaml": shop, "apps/web/projects.yaml": CLOSED})
    assert command("validate").code == 0
    write(tree.folder, {"clusters/shop.yaml": shop.replace(*MISPLACED[slip])})
    assert str(command("validate")) == snapshot


# Policies

BLUE = "policies/admission/no-blue.yaml"
ONLY_POLICY = dedent(POLICY).lstrip().partition("---")[0]
PARTLY = {
    "no binding": ONLY_POLICY,
    "no remedy": dedent(POLICY).lstrip().replace("    koepon.com/remedy: Choose another.\n", ""),
    "no annotations": ONLY_POLICY.partition("  annotations")[0]
    + ONLY_POLICY[ONLY_POLICY.index("spec:") :]
    + "---"
    + dedent(POLICY).partition("---")[2],
    "no policy": "kind: [\n",
}


@pytest.mark.parametrize("slip", PARTLY)
def test_a_policy_that_is_half_written(tree: Clone, command: Command, slip: str, snapshot: SnapshotAssertion) -> None:
    """Named, and everything else is checked all the same."""
    wrong = dedent(CONFIG_MAP).replace("\ndata:", "\ndatum:")
    write(tree.folder, {BLUE: PARTLY[slip], "apps/web/namespace.yaml": NAMESPACE, "apps/web/settings.yaml": wrong})
    answer = command("validate", "web")
    assert answer.code == 1
    assert str(answer) == snapshot


def test_a_policy_in_a_nested_folder_is_named_by_its_whole_path(tree: Clone, command: Command) -> None:
    settings = f'{SETTINGS}policies = "platform/rules/gitops"\n'
    write(tree.folder, {"pyproject.toml": settings, "platform/rules/gitops/admission/no-blue.yaml": "kind: [\n"})
    assert "  platform/rules/gitops/admission/no-blue.yaml:" in command("validate").out


def test_what_a_schema_refuses_is_not_told_again_by_a_policy_that_can_not_be_evaluated(
    tree: Clone, command: Command
) -> None:
    """A policy that is violated is heard all the same."""
    settings = dedent(CONFIG_MAP)
    write(tree.folder, {BLUE: POLICY, "apps/web/namespace.yaml": NAMESPACE})
    for old, new, said in (
        ("\ndata: {colour: blue}", "\ndata: true", {"schemas/invalid"}),
        ("\ndata:", "\ndatum: 3\ndata:", {"schemas/unknown-field", "no-blue"}),
        ("\ndata: {colour: blue}", "\ndata: {shape: round}", {"no-blue"}),
    ):
        write(tree.folder, {"apps/web/settings.yaml": settings.replace(old, new)})
        found = json.loads(command("validate", "web", "--format", "json").out)["findings"]
        assert {each["rule"] for each in found} == said
