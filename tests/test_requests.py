"""`render`, `diff`, `promote`, `rollback` and `schemas fetch` as commands: what they say, and what they leave alone."""

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.commands import Command, cache, command, finished, is_one_sentence, tree
from tests.conftest import Clone
from tests.trees import CONFIG_MAP, write
from tests.world import DEPLOYMENT, FIRST, World, ecr, world

__all__ = ["cache", "command", "ecr", "tree", "world"]

COSTS = dedent(CONFIG_MAP.replace("settings", "costs"))


def test_render(tree: Clone, command: Command, snapshot: SnapshotAssertion) -> None:
    answer = command("render", "web")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == snapshot
    write(tree.folder, {"apps/web/settings.yaml": CONFIG_MAP.replace("blue", "red")})
    assert command("render", "web").out == answer.out.replace("blue", "red")
    assert command("render", "web", "--rev", "HEAD").out == answer.out


def test_render_of_what_is_broken(tree: Clone, command: Command, snapshot: SnapshotAssertion) -> None:
    write(tree.folder, {"apps/web/settings.yaml": "kind: [\n"})
    answer = command("render", "web")
    assert (answer.code, answer.out) == (1, "")
    assert is_one_sentence(answer.err)
    assert answer.err == snapshot


def test_diff(tree: Clone, command: Command, snapshot: SnapshotAssertion) -> None:
    assert str(command("diff", "HEAD")) == "exit 0\nNo object differs.\n"
    changed = CONFIG_MAP.replace("blue", r'"\x1b[2Jred"')
    tree.commit({"apps/web/settings.yaml": dedent(changed), "apps/shop/costs.yaml": COSTS}, "Red")
    answer = command("diff", "HEAD~1", "HEAD")
    assert str(answer) == snapshot
    assert command("diff", "HEAD~1").out == answer.out
    assert command("diff", "HEAD").out == "No object differs.\n"
    read = json.loads(command("diff", "HEAD~1", "--format", "json").out)
    assert [each["kind"] for each in read["changes"]] == ["+", "~"]
    write(tree.folder, {"apps/shop/costs.yaml": "kind: half an edit"})
    assert command("diff", "HEAD~1", "HEAD").out == answer.out


def test_schemas_that_are_there_are_not_fetched_again(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert str(command("schemas", "fetch")) == "exit 0\nThe schemas are in place.\n"


def test_schemas_that_can_not_be_fetched(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"KOEPON_GITOPS_CACHE": "cache", "GOMODCACHE": "modules", "GOCACHE": "builds"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("GOPROXY", "off")
    answer = command("schemas", "fetch")
    assert (answer.code, answer.out) == (3, "")
    assert is_one_sentence(answer.err)


type State = tuple[str, ...]


def state(world: World) -> State:
    """Everything that a command which refuses must leave as it is: the remote's refs, the clone's, its files."""
    clone = world.clone
    refs = clone.git("for-each-ref"), clone.git("rev-parse", "HEAD"), clone.git("status", "--short", "--branch")
    return world.remote.git("for-each-ref"), *refs


def refused(world: World, command: Command, name: str, *arguments: str) -> str:
    """The sentence of a command with which nothing has changed."""
    before = state(world)
    answer = command(name, "--root", world.clone.folder, *arguments)
    assert (answer.code, answer.out, state(world)) == (2, "", before)
    assert is_one_sentence(answer.err)
    return answer.err


def test_a_release_is_promoted_and_rolled_back(world: World) -> None:
    """With the program itself, in the folder a person stands in."""
    good = world.ecr.release("by command")
    promoted = finished("promote", good[:10], "--env", "staging", cwd=world.clone.folder / "apps")
    assert (promoted.code, promoted.err, world.runs("staging")) == (0, "", good)
    assert promoted.out.startswith("Promoted web to staging.\n")
    undo = promoted.out.splitlines()[-1].removeprefix("Undo it with: python -m koepon_gitops ").split()
    back = finished(*undo, cwd=world.clone.folder)
    assert (back.code, back.err, world.runs("staging")) == (0, "", FIRST)
    assert back.out.startswith("Rolled web in staging back.\n")


def test_dry_runs_print_the_difference(world: World, command: Command) -> None:
    good = world.ecr.release("dry command")
    before = state(world)
    shown = command("promote", good, "--dry-run", "--root", world.clone.folder)
    assert (shown.code, shown.err, state(world)) == (0, "", before)
    assert f"\n+    newTag: {good}  # written by promote\n" in shown.out
    world.promote(good, "staging")
    before = state(world)
    shown = command("rollback", "--env", "staging", "--dry-run", "--root", world.clone.folder)
    assert (shown.code, shown.err, state(world)) == (0, "", before)
    assert f"\n-    newTag: {good}  # written by promote\n" in shown.out


def test_what_was_rolled_back_needs_a_reason(world: World, command: Command) -> None:
    good = world.ecr.release("quarantined command")
    world.promote(good, "staging")
    world.rollback("staging")
    again = ("promote", good, "--env", "staging")
    assert "was rolled back by commit" in refused(world, command, *again)
    lifted = command(*again, "--lift-quarantine", "not to blame", "--root", world.clone.folder)
    assert (lifted.code, lifted.err, world.runs("staging")) == (0, "", good)
    reason = world.remote.git("show", "--no-patch", "--format=%(trailers:key=Koepon-Reason,valueonly)", "main")
    assert reason == "not to blame"


def test_a_tree_that_does_not_validate_is_reported_on_stdout(world: World, command: Command) -> None:
    world.edit({"apps/web/base/deployment.yaml": DEPLOYMENT.replace("spec:", "spec:\n      replcias: 3", 1)})
    before = state(world)
    answer = command("promote", world.ecr.release("invalid command"), "--root", world.clone.folder)
    assert (answer.code, answer.err, state(world)) == (1, "", before)
    assert "schemas/unknown-field" in answer.out
    assert answer.out.endswith("does not validate. Nothing was changed.\n")


SHAS = {
    "short": "abc",
    "one digit less": "a" * 39,
    "one digit more": "a" * 41,
    "upper case": "A" * 40,
    "unicode digits": "\u0661" * 40,
    "revision": "HEAD",
    "empty": "",
    "escape": "\x1b[2J",
    "option": "--quit",
    "unknown": "0" * 40,
}


@pytest.mark.parametrize("sha", SHAS.values(), ids=SHAS)
def test_what_is_no_sha_is_not_promoted(world: World, command: Command, sha: str, snapshot: SnapshotAssertion) -> None:
    assert refused(world, command, "promote", "--env", "staging", "--", sha) == snapshot


@pytest.mark.parametrize(
    "words",
    ["--to abc", f"--to {'A' * 40}", "--to --quit", f"--to {'0' * 40}", "--env moon", "--env dr", "--app moon", ""],
)
def test_what_never_ran_does_not_come_back(
    world: World, command: Command, words: str, snapshot: SnapshotAssertion
) -> None:
    assert refused(world, command, "rollback", *words.split()) == snapshot


@pytest.mark.parametrize(
    "words", ["promote --quit", "promote", "promote abcdef0 abcdef1", "rollback abcdef0", "rollback --to"]
)
def test_arguments_that_are_not_understood(
    tree: Clone, command: Command, words: str, snapshot: SnapshotAssertion
) -> None:
    answer = command(*words.split())
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == snapshot


type Place = Callable[[World, Callable[..., Clone]], Path]


def _plain(world: World, _new_clone: Callable[..., Clone]) -> Path:
    folder = world.clone.folder.with_name("plain")
    folder.mkdir()
    return folder


def _unborn(world: World, new_clone: Callable[..., Clone]) -> Path:
    folder = _plain(world, new_clone)
    Clone(folder).git("init", "--quiet")
    return folder


def _unborn_remote(world: World, new_clone: Callable[..., Clone]) -> Path:
    folder = _unborn(world, new_clone)
    Clone(folder).git("init", "--quiet", "--bare", "../bare.git")
    Clone(folder).git("remote", "add", "origin", "../bare.git")
    return folder


def _shallow(_world: World, new_clone: Callable[..., Clone]) -> Path:
    return new_clone("shallow", "--depth=1").folder


def _unreachable(world: World, _new_clone: Callable[..., Clone]) -> Path:
    world.clone.git("remote", "set-url", "origin", "/nonexistent/remote.git")
    return world.clone.folder


@pytest.mark.parametrize("name", ["promote", "rollback"])
@pytest.mark.parametrize("place", [_plain, _unborn, _unborn_remote, _shallow, _unreachable])
def test_places_from_which_nothing_can_be_done(
    world: World,
    new_clone: Callable[..., Clone],
    command: Command,
    name: str,
    place: Place,
    snapshot: SnapshotAssertion,
) -> None:
    good = world.ecr.release("placed")
    world.promote(good, "staging")
    folder = place(world, new_clone)
    before = state(world)
    answer = command(*([name, good] if name == "promote" else [name]), "--root", folder)
    assert (answer.code, answer.out, state(world)) == (2, "", before)
    assert is_one_sentence(answer.err)
    assert answer.err.replace(str(folder), "<folder>") == snapshot


def test_a_detached_head_is_served_and_stays(world: World, command: Command) -> None:
    world.clone.git("checkout", "--quiet", "--detach")
    head = world.clone.git("rev-parse", "HEAD")
    assert refused(world, command, "rollback").startswith("error: production has run this version only")
    good = world.ecr.release("detached command")
    answer = command("promote", good, "--root", world.clone.folder)
    assert (answer.code, world.runs("staging"), world.clone.git("rev-parse", "HEAD")) == (0, good, head)
    assert "this clone was left alone" in answer.out
