"""`promote` on real git, real kustomize and moto's ECR: what lands, what is refused, and that nothing else changes."""

import subprocess
import threading
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from koepon_gitops import promotion
from koepon_gitops.errors import GitOpsError, RequestError
from tests.conftest import Clone
from tests.world import DEPLOYMENT, FIRST, NOW, POLICY, World, ecr, world

__all__ = ["ecr", "world"]


def refusal(world: World, *arguments: str, **options: object) -> str:
    """The sentence, with which nothing has changed anywhere."""
    before = world.tip, world.clone.git("rev-parse", "HEAD"), world.clone.git("status", "--short")
    with pytest.raises(GitOpsError) as caught:
        world.promote(*arguments, **options)
    assert before == (world.tip, world.clone.git("rev-parse", "HEAD"), world.clone.git("status", "--short"))
    return f"{caught.value.exit_code} {caught.value.rule} {caught.value}"


def test_to_staging_then_to_production_and_dr(world: World, snapshot: SnapshotAssertion) -> None:
    good = world.ecr.release("good")
    first = world.promote(good[:9])
    assert first.text.replace(first.commit, "<commit>") == snapshot
    assert [world.runs(each) for each in ("staging", "production", "dr")] == [good, FIRST, FIRST]
    second = world.promote(good)
    assert [world.runs(each) for each in ("staging", "production", "dr")] == [good, good, good]
    assert world.tip == second.commit == world.clone.git("rev-parse", "HEAD")
    assert world.remote.git("show", "--format=%B", second.commit).replace(second.commit, "<commit>") == snapshot
    third = world.promote(good)
    assert (third.exit_code, third.commit, world.tip) == (0, "", second.commit)
    assert third.text == f"{good} already runs everywhere. Nothing was changed."
    assert world.promote(good, "staging").text == f"{good} already runs in staging. Nothing was changed."


def test_a_dry_run_shows_and_changes_nothing(world: World, snapshot: SnapshotAssertion) -> None:
    before = world.tip
    outcome = world.promote(world.ecr.release("dry"), dry_run=True)
    assert outcome.text == snapshot
    assert (world.tip, outcome.commit) == (before, "")


def test_the_work_tree_is_neither_read_nor_changed(world: World) -> None:
    good = world.ecr.release("dirty")
    policy = world.clone.folder / "policies/promotion.yaml"
    policy.write_text("my own idea: [")
    (world.clone.folder / "apps/web/staging/kustomization.yaml").write_text("half an edit: [")
    outcome = world.promote(good)
    assert world.runs("staging") == good
    assert "this clone was left alone" in outcome.text
    assert policy.read_text() == "my own idea: ["


@pytest.mark.parametrize("place", ["detached", "other branch", "behind"])
def test_wherever_the_clone_stands(world: World, place: str) -> None:
    if place == "detached":
        world.clone.git("checkout", "--quiet", "--detach")
    elif place == "other branch":
        world.clone.git("checkout", "--quiet", "-b", "feature")
        world.clone.commit({"half.txt": "x"})
    else:
        world.edit({"note.txt": "x"})
        world.clone.git("reset", "--quiet", "--hard", "HEAD~1")
    good = world.ecr.release(place)
    world.promote(good)
    assert world.runs("staging") == good


@pytest.mark.parametrize("reference", ["abc", "A" * 40, "--quit", "f" * 41, "١" * 40, "good", "", "a" * 40])
def test_references_that_are_not_images(world: World, reference: str, snapshot: SnapshotAssertion) -> None:
    assert refusal(world, reference) == snapshot


def test_gates(world: World, snapshot: SnapshotAssertion) -> None:
    good = world.ecr.release("gates")
    assert refusal(world, good, "production") == snapshot(name="order")
    assert refusal(world, good, "dr") == snapshot(name="follower")
    assert refusal(world, good, "moon") == snapshot(name="unknown")
    world.promote(good)
    early = NOW.replace(hour=0, minute=0, day=1)
    assert refusal(world, good, now=early) == snapshot(name="soak")
    frozen = POLICY.replace("soak: 30", "freezes: [{reason: backup, from: '20:00', to: '22:00', timezone: Asia/Tokyo}]")
    world.edit({"policies/promotion.yaml": frozen})
    assert refusal(world, good) == snapshot(name="frozen")


def test_the_gate_is_the_remote_branchs_not_the_clones(world: World) -> None:
    good = world.ecr.release("remote policy")
    (world.clone.folder / "policies/promotion.yaml").write_text(POLICY.replace("after: staging, soak: 30", ""))
    assert "gates/order" in refusal(world, good, "production")


def test_an_image_that_nothing_runs(world: World) -> None:
    world.edit({"apps/web/base/deployment.yaml": DEPLOYMENT.replace("koepon/app", "other/app")})
    assert "kustomize/image-unmatched" in refusal(world, world.ecr.release("unused"))


def test_an_overlay_that_nothing_syncs(world: World, snapshot: SnapshotAssertion) -> None:
    (world.clone.folder / "clusters/staging.yaml").unlink()
    world.edit({})
    assert refusal(world, world.ecr.release("unsynced")) == snapshot


def test_a_tag_that_something_else_follows(world: World, snapshot: SnapshotAssertion) -> None:
    replacement = """
        resources: [../base]
        namespace: staging
        images:
          - {name: koepon/app, newName: 123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/koepon/app, newTag: old}
        replacements:
          - source: {kind: Deployment, fieldPath: 'spec.template.spec.containers.0.image'}
            targets: [{select: {kind: Deployment}, fieldPaths: [metadata.annotations.image], options: {create: true}}]
        """
    world.edit({"apps/web/staging/kustomization.yaml": replacement})
    assert refusal(world, world.ecr.release("followed")) == snapshot


def test_a_tree_that_does_not_validate(world: World, snapshot: SnapshotAssertion) -> None:
    before = world.edit({"apps/web/base/deployment.yaml": DEPLOYMENT.replace("spec:", "spec:\n      replcias: 3", 1)})
    outcome = world.promote(world.ecr.release("invalid"))
    assert (outcome.exit_code, outcome.commit, world.tip) == (1, "", before)
    assert outcome.text.splitlines()[-1] == snapshot


def test_an_image_of_another_account(world: World, snapshot: SnapshotAssertion) -> None:
    kustomization = (world.clone.folder / "apps/web/staging/kustomization.yaml").read_text()
    world.edit({"apps/web/staging/kustomization.yaml": kustomization.replace("123456789012", "999999999999")})
    assert refusal(world, world.ecr.release("account")) == snapshot


def test_a_remote_that_refuses(world: World, snapshot: SnapshotAssertion) -> None:
    hook = world.remote.folder / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'main is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    assert refusal(world, world.ecr.release("refused")) == snapshot


def test_a_remote_that_is_not_there(world: World) -> None:
    good = world.ecr.release("gone")
    world.clone.git("remote", "set-url", "origin", "/nonexistent/remote.git")
    with pytest.raises(RequestError, match="can't be reached") as caught:
        world.promote(good)
    assert caught.value.exit_code == 2


def test_a_branch_that_moves_meanwhile(world: World, new_clone) -> None:  # type: ignore[no-untyped-def]
    other, good = new_clone("other"), world.ecr.release("raced")
    moves = iter(range(3))

    def step(what: str, _done: int, _total: int) -> None:
        if what == "Validating" and (number := next(moves, None)) is not None:
            other.commit({f"note-{number}.txt": "x"}, f"Meanwhile {number}")
            other.push()

    pauses: list[float] = []
    world.promote(good, step=step, pause=pauses.append)
    assert world.runs("staging") == good
    assert len(pauses) == 3
    assert all(pause <= 3 for pause in pauses)
    subjects = world.remote.git("log", "--format=%s", "main").splitlines()
    assert subjects[0].startswith("Promote")
    assert subjects[1:4] == ["Meanwhile 2", "Meanwhile 1", "Meanwhile 0"]


def test_ten_promoters_at_once(world: World, new_clone) -> None:  # type: ignore[no-untyped-def]
    """Every one lands or says why; none is lost, and nobody's commit is overwritten."""
    shas = [world.ecr.release(f"racer {number}") for number in range(10)]
    clones: list[Clone] = [new_clone(f"racer-{number}") for number in range(10)]
    outcomes: dict[str, str] = {}

    def run(clone: Clone, sha: str) -> None:
        try:
            outcomes[sha] = promotion.promote(clone.folder, sha, environment="staging", now=NOW).commit
        except GitOpsError as error:
            outcomes[sha] = f"refused: {error}"

    threads = [threading.Thread(target=run, args=pair) for pair in zip(clones, shas, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    landed = world.remote.git("log", "--format=%H", "main").splitlines()
    assert sorted(outcomes) == sorted(shas)
    assert all(commit in landed for commit in outcomes.values())
    assert len(landed) == 12


@pytest.mark.parametrize("scenario", ["no repository", "unborn"])
def test_places_without_history(scenario: str, tmp_path: Path, git_environment: Path, ecr: object) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    if scenario == "unborn":
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    with pytest.raises(RequestError) as caught:
        promotion.promote(folder, "a" * 40)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("given", ["", "  "])
def test_a_quarantine_is_not_lifted_without_a_reason(world: World, given: str, snapshot: SnapshotAssertion) -> None:
    assert refusal(world, "a" * 40, "staging", lift_quarantine=given) == snapshot


@pytest.mark.parametrize("file", ["policies/promotion.yaml", "apps/web/dr/kustomization.yaml", "clusters/dr.yaml"])
def test_a_tree_that_can_not_be_read_serves_no_promotion(world: World, file: str) -> None:
    world.edit({file: "apiVersion: argoproj.io/v1alpha1\nkind: ["})
    assert refusal(world, world.ecr.release(f"unread {file}")).startswith("2 ")
