"""The command line: what goes to stdout and to stderr, what is written to files, and the number a script sees."""

import json
import os
import re
import select
import signal
from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree

import pytest
from syrupy.assertion import SnapshotAssertion

from koepon_gitops import validation
from koepon_gitops.formats import FORMATS
from tests.commands import Command, cache, command, finished, is_one_sentence, program, room_for, tree
from tests.conftest import Clone
from tests.trees import CONFIG_MAP, REPOSITORY, write

__all__ = ["cache", "command", "tree"]

COMMANDS = ("validate", "render", "diff", "promote", "rollback", "explain", "schemas", "schemas fetch")

WRONG = dedent(CONFIG_MAP.replace("data: {colour", "datum: {colour"))
COSTS = dedent(CONFIG_MAP.replace("settings", "costs"))
UNKNOWN = """
    apiVersion: example.com/v1
    kind: Widget
    metadata: {name: gadget}
    """
POD = """
    apiVersion: v1
    kind: Pod
    metadata: {name: web}
    spec: {containers: [{name: web, image: team/web}]}
    """
NAMESPACE = """
    apiVersion: v1
    kind: Namespace
    metadata: {name: web}
    """
POLICY = """
    apiVersion: admissionregistration.k8s.io/v1
    kind: ValidatingAdmissionPolicy
    metadata:
      name: no-blue
      annotations:
        koepon.com/requirement: NFR-7
        koepon.com/title: Nothing is blue
        koepon.com/reason: Blue can't be told from the sky.
        koepon.com/remedy: Choose another.
    spec:
      matchConstraints:
        resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]
      validations: [{expression: "object.data.colour != 'blue'", message: It is blue.}]
    ---
    apiVersion: admissionregistration.k8s.io/v1
    kind: ValidatingAdmissionPolicyBinding
    metadata: {name: no-blue}
    spec: {policyName: no-blue, validationActions: [Deny]}
    """


# The program


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help(
    name: str, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = command(*name.split(), "--help")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == snapshot
    assert command(*name.split(), "-h").out == answer.out


def test_the_program_answers_on_stdout(tree: Clone) -> None:
    answer = finished("validate")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1].startswith("Clean. 2 applications, ")


def test_the_program_refuses_on_stderr(tree: Clone) -> None:
    answer = finished("validate", "nothing")
    assert (answer.code, answer.out) == (2, "")
    assert is_one_sentence(answer.err)


def test_help_is_the_same_from_the_program(tmp_path: Path, command: Command) -> None:
    answer = finished("--help", cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == command("--help").out


def test_nothing_asked_is_a_mistake(command: Command) -> None:
    answer = command()
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == command("--help").out


def test_an_interrupt_ends_in_a_sentence(tree: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted, as a terminal does it, while it waits for checkov: here a program that says it runs and stays."""
    started = tmp_path / "started"
    os.mkfifo(started)
    checkov = tmp_path / "checkov/bin/python"
    write(checkov.parent, {"python": f"#!/bin/sh\necho > '{started}'\nexec tail -f /dev/null\n"})
    checkov.chmod(0o755)
    (checkov.parents[1] / "lib/python3/site-packages/checkov-1.dist-info").mkdir(parents=True)
    monkeypatch.setenv("KOEPON_GITOPS_CHECKOV", str(checkov))
    settings = f'[tool.koepon_gitops]\nrepository = "{REPOSITORY}"\n'
    write(tree.folder, {"pyproject.toml": settings, "apps/web/pod.yaml": POD})
    reading = os.open(started, os.O_RDONLY | os.O_NONBLOCK)
    process = program("validate", "--output", "report.txt", start_new_session=True)
    ready, _, _ = select.select([reading], [], [], 60)
    os.close(reading)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate()
    assert ready, "checkov was not asked"
    assert (process.returncode, out, err) == (130, "", "error: Interrupted. Nothing is half done.\n")
    assert not (tree.folder / "report.txt").exists()


def test_a_reader_that_has_gone_is_no_error(tree: Clone) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    answer = finished("validate", "--format", "json", stdout=writing)
    os.close(writing)
    assert (answer.code, answer.err) == (141, "")


def test_a_full_disk_is_told_as_what_it_is(tree: Clone) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    answer = finished("validate", stdout=full)
    os.close(full)
    assert answer.code == 3
    assert answer.err.startswith("error: The output could not be written: the disk is full.")


def test_a_defect_is_told_in_a_sentence(tree: Clone, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("colour\x1b[2J\nred")

    monkeypatch.setattr(validation, "answer", broken)
    answer = command("validate")
    assert (answer.code, answer.out) == (3, "")
    assert is_one_sentence(answer.err)
    assert re.match(r"error: RuntimeError in test_commands.py:\d+: .* This is a defect of koepon_gitops", answer.err)
    assert "\x1b" not in answer.err
    monkeypatch.setenv("KOEPON_GITOPS_TRACEBACK", "1")
    assert "Traceback (most recent call last)" in command("validate").err


# Exit codes of `validate`


def test_clean(tree: Clone, command: Command, snapshot: SnapshotAssertion) -> None:
    assert str(command("validate", "--no-cache")) == snapshot


def test_findings(tree: Clone, command: Command, snapshot: SnapshotAssertion) -> None:
    write(tree.folder, {"apps/web/settings.yaml": WRONG})
    assert str(command("validate")) == snapshot


def test_what_can_not_be_checked_wins_and_findings_are_shown_all_the_same(
    tree: Clone, command: Command, snapshot: SnapshotAssertion
) -> None:
    write(tree.folder, {"apps/web/settings.yaml": WRONG, "apps/shop/widget.yaml": UNKNOWN})
    assert str(command("validate")) == snapshot


def test_nothing_to_check_is_not_clean(tree: Clone, command: Command, snapshot: SnapshotAssertion) -> None:
    for file in (tree.folder / "clusters").iterdir():
        file.unlink()
    assert str(command("validate")) == snapshot


def test_schemas_that_were_not_fetched(
    tree: Clone, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    monkeypatch.setenv("KOEPON_GITOPS_CACHE", str(tmp_path / "nothing"))
    assert str(command("validate")) == snapshot


@pytest.mark.parametrize(
    "arguments",
    [
        ("validate", "nothing"),
        ("validate", "--rev", "nothing"),
        ("validate", "--rev", "--all"),
        ("validate", "--changed-since", "nothing"),
        ("validate", "--output", "nothing/report.json"),
        ("validate", "--output", "/dev/full"),
        ("render", "nothing"),
        ("render", "web", "--rev", "nothing"),
        ("diff", "nothing"),
        ("diff", "HEAD", ""),
    ],
    ids=" ".join,
)
def test_requests_that_can_not_be_served(
    tree: Clone, command: Command, arguments: tuple[str, ...], snapshot: SnapshotAssertion
) -> None:
    answer = command(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert is_one_sentence(answer.err)
    assert answer.err == snapshot


@pytest.mark.parametrize(
    "arguments",
    [
        ("validate", "--format", "yaml"),
        ("validate", "--output", "."),
        ("validate", "--root", "nothing"),
        ("validate", "--root", "pyproject.toml"),
        ("validate", "--policies", "nothing"),
        ("validate", "--quit"),
        ("diff",),
        ("diff", "HEAD", "--format", "sarif"),
        ("render",),
        ("schemas",),
        ("nothing",),
    ],
    ids=" ".join,
)
def test_words_that_are_not_understood(
    tree: Clone, command: Command, arguments: tuple[str, ...], snapshot: SnapshotAssertion
) -> None:
    answer = command(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("Usage: python -m koepon_gitops")
    assert answer.err == snapshot


@pytest.mark.parametrize(
    "name", ["validate", "render web", "diff HEAD", f"promote {'a' * 40}", "rollback", "explain probes"]
)
def test_outside_of_a_repository(
    name: str, command: Command, tmp_path: Path, git_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    where = f"error: {tmp_path}: This folder is not in a git repository."
    answer = command(*name.split())
    assert (answer.code, answer.out) == (2, "")
    assert is_one_sentence(answer.err)
    assert answer.err.startswith(where)


# What `validate` looks at, and where its report goes


def test_only_the_applications_named(tree: Clone, command: Command) -> None:
    write(tree.folder, {"apps/web/settings.yaml": WRONG})
    assert command("validate", "shop").code == 0
    assert command("validate", "shop", "web").code == 1


def test_a_commit_in_place_of_the_work_tree(tree: Clone, command: Command) -> None:
    wrong = tree.commit({"apps/web/settings.yaml": WRONG}, "Wrong")
    write(tree.folder, {"apps/web/settings.yaml": CONFIG_MAP})
    assert [command("validate", "--rev", each).code for each in (wrong, "HEAD~1", "main")] == [1, 0, 1]
    assert command("validate").code == 0


def test_only_what_differs_from_a_commit(tree: Clone, command: Command) -> None:
    wrong = tree.commit({"apps/web/settings.yaml": WRONG}, "Wrong")
    right = tree.commit({"apps/shop/prices.yaml": COSTS}, "Right")
    assert command("validate", "--changed-since", "HEAD~2").code == 1
    since = command("validate", "--changed-since", wrong)
    assert (since.code, "1 application, " in since.out) == (0, True)
    assert command("validate", "--changed-since", wrong, "--rev", right).code == 0
    write(tree.folder, {"apps/web/settings.yaml": f"{WRONG}\n# not committed"})
    assert command("validate", "--changed-since", "HEAD").code == 1


def test_another_repository_by_its_root(
    tree: Clone, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = command("validate", "--root", tree.folder)
    assert named.code == 0
    assert named.out.startswith("No policies in policies/admission: only the pipeline's own checks ran.\n")
    monkeypatch.chdir(tree.folder / "apps/web")
    above = command("validate", "--no-cache", "--format", "sarif")
    assert above.out == command("validate", "--no-cache", "--format", "sarif", "--root", "../..").out


def test_policies_from_elsewhere(
    tree: Clone, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    write(tmp_path, {"rules/admission/no-blue.yaml": POLICY, "clone/apps/web/namespace.yaml": NAMESPACE})
    monkeypatch.chdir(tmp_path)
    answer = command("validate", "--root", "clone", "--policies", "rules")
    assert str(answer) == snapshot
    assert command("validate", "--root", "clone").code == 0


@pytest.mark.parametrize("form", FORMATS)
def test_the_report_goes_to_a_file(tree: Clone, command: Command, form: str) -> None:
    write(tree.folder, {"apps/web/settings.yaml": WRONG})
    shown = command("validate", "--no-cache", "--format", form)
    written = command("validate", "--no-cache", "--format", form, "--output", f"report.{form}")
    assert (shown.code, written.code) == (1, 1)
    assert written.out.startswith("Not clean: 1 error. 2 applications, ")
    assert written.out.count("\n") == 1
    text = (tree.folder / f"report.{form}").read_text()
    assert _without_seconds(text) == _without_seconds(shown.out)
    if form in PARSERS:
        PARSERS[form](text)


PARSERS = {"json": json.loads, "sarif": json.loads, "junit": ElementTree.fromstring}


def _without_seconds(text: str) -> str:
    return re.sub(r"\b\d+\.\d+\b", "<time>", text)


def test_a_report_that_can_not_be_finished_leaves_the_old_one(tree: Clone, command: Command) -> None:
    report = tree.folder / "report.json"
    report.write_text("old")
    with room_for(20):
        answer = command("validate", "--no-cache", "--format", "json", "--output", report)
    assert (answer.code, answer.out) == (2, "")
    assert is_one_sentence(answer.err)
    assert "File too large" in answer.err
    assert report.read_text() == "old"
    assert [each.name for each in tree.folder.iterdir() if "report" in each.name] == ["report.json"]


def test_an_answer_is_remembered_unless_asked_anew(tree: Clone, command: Command) -> None:
    known = "Nothing has changed since the last run."
    assert [known in command("validate", *more).out for more in ((), (), ("--no-cache",))] == [False, True, False]
