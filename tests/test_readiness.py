"""What policies/promotion.yaml names is there and can be promoted: `validate` says so before anybody has to."""

from pathlib import Path

import pytest

from koepon_gitops.model import Severity
from koepon_gitops.validation import validate
from tests.trees import write
from tests.world import FIRST, NOW, POLICY, files, overlay


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write(tmp_path, files())
    return tmp_path


def said(root: Path) -> list[tuple[str, str, str, int]]:
    found = validate(root, now=NOW).findings
    return [(each.severity.value, each.rule, each.path, each.line) for each in found if each.path or each.message]


def test_a_policy_that_holds_is_silent(tree: Path) -> None:
    assert said(tree) == []


def test_there_need_not_be_one(tree: Path) -> None:
    (tree / "policies/promotion.yaml").unlink()
    assert said(tree) == []


@pytest.mark.parametrize(
    ("old", "new", "rule", "line"),
    [
        ("soak: 30", "soack: 30", "gates/invalid", 8),
        ("after: staging", "after: stagin", "gates/invalid", 8),
        ("staging: apps/web/staging", "staging: apps/web/stagin", "overlays/missing", 5),
        ("image: koepon/app", "image: koepon/api", "overlays/no-entry", 5),
        ("dr: apps/web/dr", "dr: apps/web/base", "overlays/no-entry", 5),
    ],
)
def test_a_slip_is_found_at_its_line(tree: Path, old: str, new: str, rule: str, line: int) -> None:
    write(tree, {"policies/promotion.yaml": POLICY.replace(old, new)})
    assert {each[:3] for each in said(tree)} == {("error", rule, "policies/promotion.yaml")}
    assert line in {each[3] for each in said(tree)}


def test_an_overlay_that_nothing_syncs(tree: Path) -> None:
    (tree / "clusters/dr.yaml").unlink()
    assert said(tree) == [("error", "readiness/not-synced", "policies/promotion.yaml", 5)]


def test_a_follower_that_was_left_behind_is_a_warning(tree: Path) -> None:
    write(tree, {"apps/web/production/kustomization.yaml": overlay("production").replace(FIRST, "e" * 40)})
    [finding] = validate(tree, now=NOW).findings
    assert (finding.severity, finding.rule) == (Severity.WARNING, "readiness/follower-differs")
    assert finding.path == "apps/web/dr/kustomization.yaml"
    assert "dr follows production and has another image" in finding.message


def test_policies_in_a_folder_of_a_folder(tree: Path) -> None:
    write(tree, {"pyproject.toml": f'{files()["pyproject.toml"]}policies = "rules/own"\n'})
    write(tree, {"rules/own/promotion.yaml": POLICY.replace("soak: 30", "soack: 30")})
    assert said(tree) == [("error", "gates/invalid", "rules/own/promotion.yaml", 8)]
    write(tree, {"rules/own/promotion.yaml": POLICY.replace("image: koepon/app", "image: koepon/api")})
    assert {each[2] for each in said(tree)} == {"rules/own/promotion.yaml"}
