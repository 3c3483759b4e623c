"""`rollback` on real git and real kustomize: what comes back, what stays out, what does not stop an emergency."""

from collections.abc import Callable
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from koepon_gitops import rollback
from koepon_gitops.errors import GitOpsError
from tests.conftest import Clone
from tests.trees import application
from tests.world import DEPLOYMENT, FIRST, NOW, POLICY, World, ecr, world

__all__ = ["ecr", "world"]


SLIP = """
    apiVersion: admissionregistration.k8s.io/v1
    kind: ValidatingAdmissionPolicy
    metadata: {name: slip}
    spec:
      matchConstraints:
        resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]
      validations: [{expression: "object.("}]
    """


def released(world: World, *names: str) -> list[str]:
    """Releases that were promoted to production one after another."""
    shas = [world.ecr.release(name) for name in names]
    for sha in shas:
        world.promote(sha)
        world.promote(sha)
    return shas


def refusal(world: World, **options: object) -> str:
    before = world.tip
    with pytest.raises(GitOpsError) as caught:
        world.rollback(**options)  # type: ignore[arg-type]
    assert world.tip == before
    return f"{caught.value.exit_code} {caught.value.rule} {caught.value}"


def test_production_and_dr_go_back_and_staging_stays(world: World, snapshot: SnapshotAssertion) -> None:
    good, bad = released(world, "good", "bad")
    before = world.remote.git("rev-parse", "main~1^{tree}")
    outcome = world.rollback()
    assert [world.runs(each) for each in ("staging", "production", "dr")] == [bad, good, good]
    assert outcome.text.replace(outcome.commit, "<commit>") == snapshot
    message = world.remote.git("show", "--no-patch", "--format=%B", outcome.commit)
    assert message.replace(world.remote.git("rev-parse", "main~1"), "<promotion>") == snapshot
    assert world.remote.git("rev-parse", "main^{tree}") == before


def test_what_was_rolled_back_stays_out_until_somebody_says_why(world: World, snapshot: SnapshotAssertion) -> None:
    _good, bad = released(world, "fine", "faulty")
    commit = world.rollback().commit
    with pytest.raises(GitOpsError) as caught:
        world.promote(bad, "production")
    assert str(caught.value).replace(commit, "<commit>") == snapshot
    world.promote(bad, "production", lift_quarantine="the database was to blame")
    assert world.runs("production") == bad


def test_a_hand_made_revert_counts_as_well(world: World) -> None:
    good, bad = released(world, "right", "wrong")
    world.clone.git("revert", "--no-edit", "HEAD")
    world.clone.push()
    assert world.runs("production") == good
    with pytest.raises(GitOpsError, match="was rolled back by commit"):
        world.promote(bad, "production")


def test_twice_in_a_row_passes_over_what_was_bad(world: World) -> None:
    released(world, "one", "two")
    assert [world.rollback() and world.runs("production") for _ in range(2)][-1] == FIRST
    assert "rollback/nothing" in refusal(world)


def test_to_a_version_by_name(world: World, snapshot: SnapshotAssertion) -> None:
    oldest, middle, newest = released(world, "oldest", "middle", "newest")
    assert refusal(world, to="abc") == snapshot(name="short")
    assert refusal(world, to="0" * 40) == snapshot(name="never ran")
    world.rollback(to=oldest[:8])
    assert world.runs("production") == oldest
    assert world.rollback(to=oldest).text == f"production already runs {oldest}. Nothing was changed."
    assert refusal(world, to=newest) == snapshot(name="quarantined")
    assert world.promote(middle, "staging").commit


def test_unrelated_commits_in_between(world: World) -> None:
    good, _bad = released(world, "before", "after")
    kustomization = (world.clone.folder / "apps/web/production/kustomization.yaml").read_text()
    edited = kustomization.replace("  - name: koepon/app", "  # a line next to it\n  - name: koepon/app")
    world.edit({"apps/web/production/kustomization.yaml": edited.replace("# production", "# changed"), "note.txt": "x"})
    world.rollback()
    assert world.runs("production") == good
    text = world.remote.git("show", "main:apps/web/production/kustomization.yaml")
    assert "# a line next to it" in text
    assert "# changed" in text


def test_an_edit_by_hand_is_a_deployment_too(world: World) -> None:
    kustomization = (world.clone.folder / "apps/web/production/kustomization.yaml").read_text()
    world.edit({"apps/web/production/kustomization.yaml": kustomization.replace(FIRST, "e" * 40)})
    world.rollback()
    assert world.runs("production") == FIRST


def test_findings_that_were_there_do_not_stop_an_emergency(world: World) -> None:
    good, _bad = released(world, "sound", "broken")
    world.edit({"apps/web/base/deployment.yaml": DEPLOYMENT.replace("spec:", "spec:\n      replcias: 3", 1)})
    assert world.rollback().exit_code == 0
    assert world.runs("production") == good


def test_a_freeze_and_a_dead_registry_do_not_either(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    good, _bad = released(world, "calm", "storm")
    frozen = POLICY.replace("soak: 30", "freezes: [{reason: backup, from: '00:00', to: '23:59', timezone: Asia/Tokyo}]")
    world.edit({"policies/promotion.yaml": frozen})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    world.rollback()
    assert world.runs("production") == good


def test_nothing_to_roll_back(world: World, snapshot: SnapshotAssertion) -> None:
    assert refusal(world) == snapshot


def test_a_dry_run(world: World, snapshot: SnapshotAssertion) -> None:
    released(world, "was", "is")
    before = world.tip
    assert world.rollback(dry_run=True).text == snapshot
    assert world.tip == before


@pytest.mark.parametrize("environment", ["dr", "moon"])
def test_environments_that_can_not_be_rolled_back(world: World, environment: str, snapshot: SnapshotAssertion) -> None:
    assert refusal(world, environment=environment) == snapshot


def test_staging_alone(world: World) -> None:
    good, _bad = released(world, "stays", "goes")
    world.rollback("staging")
    assert world.runs("staging") == good


def test_a_version_that_was_not_pinned(world: World, snapshot: SnapshotAssertion) -> None:
    name = "apps/web/production/kustomization.yaml"
    kustomization = (world.clone.folder / name).read_text()
    world.edit(
        {name: kustomization.partition("            digest")[0].rstrip().rpartition("\n    digest")[0] or kustomization}
    )
    lines = [line for line in kustomization.splitlines() if "digest" not in line]
    world.edit({name: "\n".join(lines).replace(FIRST, "d" * 40) + "\n"})
    world.edit({name: kustomization.replace(FIRST, "e" * 40)})
    assert refusal(world).replace(world.remote.git("rev-parse", "main~1")[:12], "<commit>") == snapshot


def test_a_shallow_clone(world: World, new_clone, snapshot: SnapshotAssertion) -> None:  # type: ignore[no-untyped-def]
    released(world, "deep", "deeper")
    shallow = new_clone("shallow", "--depth=1")
    before = world.tip
    with pytest.raises(GitOpsError) as caught:
        rollback.rollback(shallow.folder, now=NOW)
    assert (caught.value.exit_code, world.tip) == (2, before)
    assert str(caught.value) == snapshot


def test_two_at_once_go_back_once(world: World, new_clone: Callable[..., Clone]) -> None:
    """The slower of two people finds the branch moved; what it was asked to take away is gone already."""
    released(world, "a", "b")
    good, _bad = released(world, "c", "d")
    other = World.__new__(World)
    other.clone, other.remote, other.ecr = new_clone("other"), world.remote, world.ecr
    faster: list[str] = []

    def overtake(_what: str, done: int, _total: int) -> None:
        if not faster and done == 1:
            faster.append(other.edit({"note.txt": "both may write the same commit in one second"}))
            faster.append(other.rollback().commit)

    outcome = world.rollback(step=overtake)
    assert outcome.text == f"Somebody else has rolled production back to {good} meanwhile. Nothing was changed."
    assert (outcome.exit_code, outcome.commit, world.tip) == (0, "", faster[1])


def test_what_is_to_go_can_be_named(world: World, snapshot: SnapshotAssertion) -> None:
    good, bad = released(world, "keep", "drop")
    said = refusal(world, running=good[:12]).replace(bad, "<bad>").replace(bad[:12], "<bad>")
    assert said.replace(good[:12], "<good>") == snapshot
    world.rollback(running=bad[:12])
    assert world.runs("production") == good
    assert "rollback/moved-on" in refusal(world, running=bad[:12])


def test_never_forward_to_what_was_skipped(world: World, snapshot: SnapshotAssertion) -> None:
    oldest, skipped, newest = released(world, "first", "skipped", "last")
    world.rollback(to=oldest)
    world.rollback()
    assert world.runs("production") == FIRST
    assert skipped not in refusal(world)
    world.promote(newest, "production", lift_quarantine="it was the network")
    world.rollback()
    assert world.runs("production") == FIRST


BROKEN = {
    "YAML of another overlay": {"apps/web/staging/kustomization.yaml": 'resources: ["../base'},
    "a path of another Application": {"clusters/staging.yaml": application("web-staging", "apps/web/stagin")},
    "an Application that is no YAML": {"clusters/staging.yaml": "kind: Application\n\tx"},
    "every Application": {f"clusters/{each}.yaml": "kind: [" for each in ("staging", "production", "dr")},
    "a policy's expression": {"policies/admission/slip.yaml": SLIP},
    "the configuration": {"pyproject.toml": "[tool.koepon_gitops]\nrepositry = 1\n"},
    "a waiver": {"policies/waivers.yaml": "waivers: [{rule: x}]"},
    "a key of the promotion policy": {"policies/promotion.yaml": POLICY.replace("soak: 30", "soack: 30")},
    "another application's overlay": {"policies/promotion.yaml": POLICY.replace("apps/web/staging", "apps/web/stagin")},
}


@pytest.mark.parametrize("files", BROKEN.values(), ids=BROKEN)
def test_what_is_broken_elsewhere_does_not_stop_an_emergency(world: World, files: dict[str, str]) -> None:
    good, _bad = released(world, "whole", "burning")
    world.edit(files)
    assert world.rollback().exit_code == 0
    assert [world.runs(each) for each in ("production", "dr")] == [good, good]


def test_schemas_need_not_be_there(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, _bad = released(world, "bare", "clothed")
    monkeypatch.setenv("KOEPON_GITOPS_CACHE", str(tmp_path / "empty"))
    text = world.rollback().text
    assert world.runs("production") == good
    assert "Not validated, before or after: The schemas of custom resources have not been fetched." in text


def test_what_does_stop_it_says_what_to_do_by_hand(world: World, snapshot: SnapshotAssertion) -> None:
    _good, _bad = released(world, "proof", "doubt")
    last = world.tip[:12]
    world.edit({"apps/web/base/kustomization.yaml": "resources: [deployment.yaml, gone.yaml]"})
    assert refusal(world).replace(last, "<promotion>") == snapshot


HALF_READ = {
    "the last environment": ("after: staging, soak: 30", "after: [staging]"),
    "a misspelt order": ("after: staging", "aftr: staging"),
    "an order in a circle": ("{name: staging}", "{name: staging, after: production}"),
    "an order after nothing": ("{name: staging}", "{name: staging, after: prod}"),
    "an application beside it": ("environments:", "  api: {image: A B, overlays: {staging: a}}\n    environments:"),
}


@pytest.mark.parametrize(("old", "new"), HALF_READ.values(), ids=HALF_READ)
def test_what_is_half_read_is_not_guessed(world: World, old: str, new: str, snapshot: SnapshotAssertion) -> None:
    """A rollback of production that takes staging's image away instead is worse than none."""
    good, _bad = released(world, f"known {new}", f"unknown {new}")
    world.edit({"policies/promotion.yaml": POLICY.replace(old, new)})
    assert refusal(world) == snapshot
    world.rollback("production", application="web")
    assert world.runs("production") == good


@pytest.mark.parametrize("entry", ["{name: dr, follows: [production]}", "{name: dr, folows: production}", "dr"])
def test_a_follower_that_may_be_left_behind_is_told_of(world: World, entry: str) -> None:
    good, bad = released(world, f"leads {entry}", f"led {entry}")
    world.edit({"policies/promotion.yaml": POLICY.replace("{name: dr, follows: production}", entry)})
    text = world.rollback("production").text
    assert [world.runs(each) for each in ("production", "dr")] == [good, bad]
    assert "environments[2] of policies/promotion.yaml can't be read: if it follows production" in text


@pytest.mark.parametrize(
    "files",
    [
        {"apps/web/production/kustomization.yaml": "resources: ['../base"},
        {"apps/web/dr/kustomization.yaml": "resources: ['../base"},
        {"policies/promotion.yaml": "registry: ["},
        {"policies/promotion.yaml": "environments: [{name: dr, follows: production}]"},
    ],
)
def test_what_can_not_be_read_leaves_the_way_by_hand(
    world: World, files: dict[str, str], snapshot: SnapshotAssertion
) -> None:
    released(world, f"by {files}", f"hand {files}")
    world.edit(files)
    said = refusal(world)
    assert said == snapshot
    words = said.partition("`git ")[2].partition('"')
    shown = world.clone.git(*words[0].split(), words[2].partition('"')[0])
    assert "Promote web" in shown.partition("commit ")[2].partition("commit ")[0]


def test_an_overlay_that_nothing_syncs_is_told_of(world: World) -> None:
    released(world, "synced", "unsynced")
    world.edit({"clusters/production.yaml": "# no Application here\n"})
    said = "No Application that can be read syncs apps/web/production: what kustomize builds of it was compared."
    assert said in world.rollback().text


def test_what_was_broken_before_is_counted(world: World) -> None:
    released(world, "counted", "uncounted")
    world.edit({"apps/web/staging/kustomization.yaml": 'resources: ["../base'})
    shown = world.rollback(dry_run=True).text
    assert "2 errors were there before" in shown
    assert "2 errors were there before" in world.rollback().text


def test_never_forward_after_a_promotion_of_what_ran_before(world: World) -> None:
    old, _new = released(world, "old", "new")
    world.promote(old, "staging")
    world.promote(old, "production")
    world.rollback()
    assert world.runs("production") == FIRST


@pytest.mark.parametrize("given", ["", "abcdef"])
def test_what_is_to_go_is_named_with_seven_digits(world: World, given: str) -> None:
    released(world, f"long {given}")
    assert f"rollback/moved-on {given!r} is too short: 7 digits or more are needed." in refusal(world, running=given)
