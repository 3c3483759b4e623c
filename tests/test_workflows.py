"""The workflows: what zizmor says of them, what they may touch, and what becomes of the words people give them."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from koepon_gitops.__main__ import commands

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github/workflows"
FILES = sorted(FOLDER.iterdir())
MOVING = ("promote", "rollback")
"""Workflows that change what an environment runs."""
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
READ, WRITE = {"contents": "read"}, {"contents": "write"}
PERMISSIONS = {
    "promote": {"promote": {**WRITE, "id-token": "write"}},
    "rollback": {"rollback": WRITE},
    "validate": {"validate": READ, "test": READ},
}

for_each_workflow = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def read(name: str) -> dict[str, Any]:
    """A workflow by its name; `on` is there as the key True, which it is to YAML 1.1."""
    workflow: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yml").read_text("utf-8"))
    return workflow


def scripts(workflow: dict[str, Any]) -> Iterator[str]:
    for job in workflow["jobs"].values():
        yield from (step["run"] for step in job["steps"] if "run" in step)


def zizmor(*files: Path) -> subprocess.CompletedProcess[str]:
    """The strictest persona, without network and without the user's or the repository's configuration."""
    options = ("--offline", "--persona", "auditor", "--no-config", "--no-progress", "--color", "never")
    command = [ROOT / ".venv/bin/zizmor", *options, *files]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_zizmor_reports_nothing() -> None:
    done = zizmor(*FILES)
    assert (done.returncode, done.stdout.strip()) == (0, "No findings to report. Good job!")


def test_zizmor_is_told_to_ignore_nothing() -> None:
    assert not [file.name for file in FILES if "zizmor:" in file.read_text("utf-8")]
    assert not [*ROOT.glob("zizmor.y*ml"), *ROOT.glob(".github/zizmor.y*ml")]


def test_zizmor_would_report_an_input_in_a_script(tmp_path: Path) -> None:
    text = (FOLDER / "promote.yml").read_text("utf-8").replace('-- "$SHA"', "-- ${{ inputs.sha }}")
    (tmp_path / "promote.yml").write_text(text, "utf-8")
    done = zizmor(tmp_path / "promote.yml")
    assert "template-injection" in done.stdout
    assert done.returncode != 0


@for_each_workflow
def test_every_action_is_pinned_to_a_commit_and_says_which_version(file: Path) -> None:
    lines = [line for line in file.read_text("utf-8").splitlines() if re.search(r"\buses:", line)]
    assert lines
    assert [line.strip() for line in lines if not PINNED.fullmatch(line.strip().removeprefix("- "))] == []


def test_one_version_of_an_action_everywhere() -> None:
    used = {each for file in FILES for each in re.findall(r"uses: (\S+ # \S+)", file.read_text("utf-8"))}
    assert len(used) == len({each.partition("@")[0] for each in used})


@for_each_workflow
def test_permissions_are_those_listed_here(file: Path) -> None:
    workflow = read(file.stem)
    assert workflow["permissions"] == {}
    given = {name: job["permissions"] for name, job in workflow["jobs"].items()}
    assert given == PERMISSIONS[file.stem]


@for_each_workflow
def test_no_secret_is_in_reach(file: Path) -> None:
    text = file.read_text("utf-8")
    assert "secrets." not in text
    assert "pull_request_target" not in text
    assert "workflow_run" not in text


@for_each_workflow
def test_no_expression_is_pasted_into_a_script(file: Path) -> None:
    assert not [script for script in scripts(read(file.stem)) if "${{" in script]


@for_each_workflow
def test_every_job_ends(file: Path) -> None:
    assert all(job["timeout-minutes"] <= 20 for job in read(file.stem)["jobs"].values())


@pytest.mark.parametrize("name", MOVING)
def test_environments_are_moved_one_at_a_time_and_nothing_half_done_is_cancelled(name: str) -> None:
    concurrency = read(name)["concurrency"]
    assert concurrency["group"] == "environment-${{ inputs.environment }}"
    assert concurrency["cancel-in-progress"] is False


@pytest.mark.parametrize("name", MOVING)
def test_history_is_there_and_the_token_is_not_left_on_disk(name: str) -> None:
    [job] = read(name)["jobs"].values()
    [checkout] = [step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout == {"ref": "main", "fetch-depth": 0, "persist-credentials": False}


def test_no_promotion_without_aws_and_no_rollback_with_it() -> None:
    """A rollback asks git only: neither a dead registry nor a broken role may stand in its way."""
    assert "configure-aws-credentials" in (FOLDER / "promote.yml").read_text("utf-8")
    assert "aws" not in (FOLDER / "rollback.yml").read_text("utf-8")


def test_a_rollback_installs_the_library_alone() -> None:
    """Neither checkov nor a schema, and so no Go proxy: what is not asked can't be what is down."""
    assert [line for each in scripts(read("rollback")) for line in each.splitlines() if "make" in line] == [
        "make library"
    ]
    command = ["make", "--dry-run", "--always-make", "library"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "uv sync" in done.stdout
    assert not re.search(r"checkov|schemas|programs|\bgo\b", done.stdout)


@for_each_workflow
def test_what_is_made_can_be_made(file: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    made = {word for script in scripts(read(file.stem)) for word in re.findall(r"^make (.*)$", script, re.M)}
    words = {word for line in made for word in line.split() if "=" not in word}
    assert words
    assert words <= targets


NASTY = ["$(touch owned)", "`touch owned`", "'; touch owned; '", '" ; touch owned #', "--quit", "a b\nc", "*", "$HOME"]


def asked(name: str, folder: Path, **inputs: str) -> dict[str, Any]:
    """What the command line understands when the workflow's script is run as GitHub does, on other programs."""
    [script] = [each for each in scripts(read(name)) if "koepon_gitops" in each]
    for program in (".venv/bin/python", "bin/gh", "bin/git"):
        stub = folder / program
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text('#!/bin/sh\nfor each; do printf \'%s\\0\' "$each"; done > "$0.arguments"\n')
        stub.chmod(0o755)
    (folder / "script.sh").write_text(script)
    environment = {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "GITHUB_ACTOR": "aoi", **inputs}
    shell = shutil.which("bash") or "bash"
    options = ("--noprofile", "--norc", "-e", "-o", "pipefail")
    subprocess.run([shell, *options, "script.sh"], cwd=folder, env=environment, check=True)
    words = (folder / ".venv/bin/python.arguments").read_text("utf-8").removesuffix("\0").split("\0")
    assert words[:3] == ["-m", "koepon_gitops", name]
    assert not (folder / "owned").exists()
    parsed = commands.commands[name].make_context(name, ["--root", str(folder), *words[3:]])
    return {key: value for key, value in parsed.params.items() if key != "root"}


@pytest.mark.parametrize("word", [*NASTY, "a" * 40])
def test_what_is_given_to_promote_stays_one_word(tmp_path: Path, word: str) -> None:
    plain = {"app": None, "env": "staging", "lift_quarantine": None, "dry_run": False}
    assert asked("promote", tmp_path, SHA=word, TO="staging", REASON="") == {**plain, "sha": word}
    given = {**plain, "sha": "abc", "env": word, "lift_quarantine": word}
    assert asked("promote", tmp_path, SHA="abc", TO=word, REASON=word) == given


def test_the_reviewers_of_an_environment_are_asked_about_that_environment() -> None:
    [job] = read("promote")["jobs"].values()
    assert job["environment"] == "${{ inputs.environment }}"
    text = (FOLDER / "promote.yml").read_text("utf-8")
    assert "options: [staging, production]" in text


@pytest.mark.parametrize("word", [*NASTY, "a" * 40])
def test_what_is_given_to_rollback_stays_one_word(tmp_path: Path, word: str) -> None:
    empty = {"app": None, "to": None, "running": None, "dry_run": False}
    assert asked("rollback", tmp_path, ENVIRONMENT="production", FROM="", TO="") == {**empty, "env": "production"}
    given = {**empty, "env": word, "running": word, "to": word}
    assert asked("rollback", tmp_path, ENVIRONMENT=word, FROM=word, TO=word) == given
