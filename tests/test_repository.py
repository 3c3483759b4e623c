"""Real git, real bare remotes on disk: what is read, what is pushed, and what never runs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from koepon_gitops.errors import GitOpsError, ManifestError, PushRaceError
from koepon_gitops.repository import Repository
from tests.conftest import Clone

type NewClone = Callable[..., Clone]


def refused(call: Callable[[], object], rule: str) -> GitOpsError:
    with pytest.raises(GitOpsError) as caught:
        call()
    assert caught.value.rule == rule
    assert caught.value.remedy or rule.startswith("repository/invalid")
    return caught.value


def executable(file: Path, script: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


# Opening and naming


def test_a_folder_outside_git_is_not_a_repository(tmp_path: Path, git_environment: Path) -> None:
    refused(lambda: Repository.open(tmp_path), "repository/not-found")
    refused(lambda: Repository.open(tmp_path / "absent"), "repository/not-found")


def test_a_repository_git_would_not_trust_is_refused(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    refused(lambda: clone.repository, "repository/unsafe")


def test_a_bare_repository_lying_in_the_tree_is_refused(clone: Clone, remote: Clone) -> None:
    refused(lambda: Repository.open(remote.folder), "repository/unsafe")


def test_a_machine_without_git_gets_a_sentence(clone: Clone, tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\nfrom koepon_gitops.errors import RequestError\n"
        "from koepon_gitops.repository import Repository\n"
        "try: Repository.open(pathlib.Path(sys.argv[1]))\nexcept RequestError as error: print(error.rule)\n"
    )
    command = [sys.executable, "-c", script, str(clone.folder)]
    done = subprocess.run(
        command, env=os.environ | {"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.stdout == "repository/git-missing\n", done.stderr


def test_git_s_variables_for_hooks_do_not_lead_elsewhere(
    clone: Clone, remote: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = clone.git("rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(remote.folder))
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    repository = Repository.open(clone.folder)
    assert repository.resolve("HEAD") == head
    assert repository.read(repository.commit(head, {"a": b"1"}, "Add a"), "a") == b"1"


@pytest.mark.parametrize(
    "revision", ["--help", "-n1", "", "HEAD\n--all", "HEAD\0", "\x1b[31m", "nothing", "^HEAD", "a..b"]
)
def test_what_is_not_a_revision_is_refused(clone: Clone, revision: str) -> None:
    error = refused(lambda: clone.repository.resolve(revision), "repository/unknown-revision")
    assert str(error).isprintable()


def test_revisions_are_resolved_to_commits(clone: Clone) -> None:
    head = clone.git("rev-parse", "HEAD")
    clone.git("tag", "--annotate", "--message=x", "v1")
    for revision in ("HEAD", "main", "origin/main", head[:7], "v1", "HEAD@{0}"):
        assert clone.repository.resolve(revision) == head
    refused(lambda: clone.repository.resolve(clone.git("rev-parse", "HEAD^{tree}")), "repository/unknown-revision")


def test_an_unborn_branch_has_its_own_sentence(remote: Clone, new_clone: NewClone) -> None:
    error = refused(lambda: new_clone("empty").repository.resolve("HEAD"), "repository/unborn")
    assert error.what == "The branch main has no commit yet."


def test_remotes_are_named_as_written_and_as_rewritten(clone: Clone, git_environment: Path) -> None:
    clone.git("remote", "add", "hub", "gh:koepon/gitops")
    clone.git("config", "url.https://github.com/.insteadOf", "gh:")
    assert set(clone.repository.remotes()) >= {"gh:koepon/gitops", "https://github.com/koepon/gitops"}
    assert clone.repository.remote == "origin"
    clone.git("config", "branch.main.remote", "hub")
    assert clone.repository.remote == "hub"


def test_without_a_remote_nothing_is_guessed(clone: Clone) -> None:
    clone.git("remote", "rename", "origin", "one")
    assert clone.repository.remote == "one"
    clone.git("config", "--unset", "branch.main.remote")
    clone.git("remote", "add", "two", "file:///nowhere")
    refused(lambda: clone.repository.remote, "repository/no-remote")
    clone.git("remote", "remove", "one")
    clone.git("remote", "remove", "two")
    refused(lambda: clone.repository.fetch("main"), "repository/no-remote")


# Reading


HOSTILE_ATTRIBUTES = "* text eol=crlf filter=evil export-subst ident merge=evil diff=evil\n"


@pytest.fixture
def trap(clone: Clone, tmp_path: Path) -> Path:
    """A clone whose attributes, filters, hooks, monitor and pager would all leave this file behind."""
    mark = tmp_path / "ran"
    script = f"touch {mark}; cat"
    for name in ("filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv", "core.pager", "diff.external"):
        clone.git("config", name, script)
    clone.git("config", "filter.evil.required", "true")
    clone.write({".gitattributes": HOSTILE_ATTRIBUTES, "a": "$Format:%H$ $Id$\r\n", "folder/b": b"\0\xff\n"})
    clone.git("-c", "core.attributesFile=/dev/null", "-c", "filter.evil.clean=cat", "add", "--all")
    clone.git("commit", "--quiet", "--message=Trap")
    for hook in ("post-checkout", "pre-push", "reference-transaction", "post-merge", "post-index-change", "pre-commit"):
        executable(clone.folder / ".git/hooks" / hook, f"touch {mark}; exit 1")
    executable(tmp_path / "monitor", f"touch {mark}")
    clone.git("config", "core.fsmonitor", str(tmp_path / "monitor"))
    mark.unlink(missing_ok=True)
    return mark


def test_nothing_the_tree_or_clone_brings_along_runs(clone: Clone, trap: Path, tmp_path: Path) -> None:
    repository, head = clone.repository, clone.git("-c", "core.fsmonitor=false", "rev-parse", "HEAD")
    trap.unlink(missing_ok=True)
    repository.export("HEAD", tmp_path / "out")
    (clone.folder / "folder/b").write_bytes(b"other\r\n")
    assert repository.changed_files("HEAD", None) == ("folder/b",)
    tip = repository.fetch("main")
    commit = repository.commit(head, {"a": b"new\r\n", "c": b"$Id$"}, "Change")
    assert repository.read(commit, "a") == b"new\r\n"
    assert repository.log(commit, ["a"])
    repository.push(commit, "main", tip)
    assert not trap.exists()


def test_files_are_exported_byte_for_byte(clone: Clone, trap: Path, tmp_path: Path) -> None:
    odd = "line\nbreak é \udcff"
    clone.git("config", "core.fsmonitor", "false")
    (clone.folder / "link").symlink_to("folder/b")
    (clone.folder / os.fsdecode(os.fsencode(odd))).write_bytes(b"odd")
    executable(clone.folder / "run", "true")
    module = clone.git("rev-parse", "HEAD")
    clone.git("update-index", "--add", "--cacheinfo", f"160000,{module},module")
    clone.git("add", "link", "run", odd)
    clone.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--message=More")
    out = tmp_path / "out"
    clone.repository.export("HEAD", out)
    committed = clone.repository.read("HEAD", "a")
    assert (out / "a").read_bytes() == committed == b"$Format:%H$ $Id$\n"
    assert (out / "folder/b").read_bytes() == b"\0\xff\n"
    assert (out / odd).read_bytes() == b"odd"
    assert (out / "link").readlink() == Path("folder/b")
    assert (out / "run").stat().st_mode & 0o111
    assert not (out / "a").stat().st_mode & 0o111
    assert list((out / "module").iterdir()) == []


def tree_of(clone: Clone, *lines: str) -> str:
    """A tree object as only an attacker makes one."""
    content = b"".join(
        f"{mode} {name}\0".encode() + bytes.fromhex(identity) for mode, name, identity in map(str.split, lines)
    )
    command = ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"]
    made = subprocess.run(command, cwd=clone.folder, input=content, capture_output=True, check=True)
    return made.stdout.decode().strip()


@pytest.mark.parametrize("name", ["..", ".git", ".GIT", ".git.", "git~1", ".g\u200cit", "."])
def test_paths_that_lead_out_or_into_git_are_refused(clone: Clone, tmp_path: Path, name: str) -> None:
    blob = clone.git("hash-object", "-w", "--stdin", stdin="evil")
    inner = tree_of(clone, f"100644 config {blob}")
    tree = tree_of(clone, f"40000 {name} {inner}", f"100644 zzz {blob}")
    commit = clone.git("commit-tree", tree, "-m", "evil")
    out = tmp_path / "inner" / "out"
    with pytest.raises(ManifestError, match="written outside its folder"):
        clone.repository.export(commit, out)
    assert not out.exists()


def test_no_file_is_written_through_a_symlink_of_the_tree(clone: Clone, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = clone.git("hash-object", "-w", "--stdin", stdin=str(outside))
    blob = clone.git("hash-object", "-w", "--stdin", stdin="evil")
    tree = tree_of(clone, f"120000 a {target}", f"40000 a {tree_of(clone, f'100644 b {blob}')}")
    commit = clone.git("commit-tree", tree, "-m", "evil")
    refused(lambda: clone.repository.export(commit, tmp_path / "out"), "repository/unwritable")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["../README.md", "/etc/passwd", "a/../README.md", ".git/config", "", "./README.md", "a\0b"]
)
def test_paths_are_names_below_the_root(clone: Clone, path: str) -> None:
    for call in (clone.repository.read, lambda tip, name: clone.repository.commit(tip, {name: b""}, "x")):
        refused(lambda call=call: call("HEAD", path), "repository/not-a-file")


def test_missing_files_and_patterns_are_unknown_paths(clone: Clone) -> None:
    for path in ("absent", "*.md", ":(glob)**", "-x"):
        refused(lambda path=path: clone.repository.read("HEAD", path), "repository/unknown-path")


def test_changed_files_are_what_a_pull_request_changes(clone: Clone) -> None:
    clone.commit({"old-name": "same\n" * 9, "kept": "k", "gone": "g", ".gitignore": "ignored\n"})
    base = clone.git("rev-parse", "HEAD")
    clone.git("checkout", "--quiet", "-b", "feature")
    clone.git("mv", "old-name", "new name")
    clone.commit({"added": "a"})
    clone.git("checkout", "--quiet", "main")
    clone.commit({"elsewhere": "not ours"})
    clone.git("checkout", "--quiet", "feature")
    repository = clone.repository
    assert repository.changed_files("main", "HEAD") == ("added", "new name", "old-name")
    assert repository.changed_files(base, "main") == ("elsewhere",)

    clone.write({"staged": "s", "untracked": "u", "ignored": "i", "kept": "K"})
    (clone.folder / "gone").unlink()
    clone.git("add", "staged")
    expected = ("added", "gone", "kept", "new name", "old-name", "staged", "untracked")
    assert repository.changed_files("main", None) == expected


def test_a_touched_file_has_not_changed(clone: Clone) -> None:
    os.utime(clone.folder / "README.md", (1, 1))
    assert clone.repository.changed_files("HEAD", None) == ()
    (clone.folder / "README.md").chmod(0o755)
    assert clone.repository.changed_files("HEAD", None) == ("README.md",)


def test_unrelated_histories_have_no_merge_base(clone: Clone) -> None:
    orphan = clone.git("commit-tree", "HEAD^{tree}", "-m", "Orphan")
    refused(lambda: clone.repository.changed_files(orphan, "HEAD"), "repository/unrelated")


def test_a_root_inside_the_repository_sees_its_own_files(clone: Clone, tmp_path: Path) -> None:
    clone.commit({"inner/a": "1", "outer": "1"})
    root = Repository.open(clone.folder / "inner")
    assert root.read("HEAD", "a") == b"1"
    commit = root.commit("HEAD", {"a": b"2"}, "Change a")
    assert clone.repository.read(commit, "inner/a") == b"2"
    assert [change.path for change in root.log(commit, ["a"])[0].changes] == ["a"]
    clone.write({"inner/b": "", "other": ""})
    assert root.changed_files("HEAD", None) == ("b",)
    refused(lambda: root.read("HEAD^", "a"), "repository/unknown-path")
    root.export("HEAD", tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a"]


def test_messages_that_are_not_utf8_are_read(clone: Clone) -> None:
    tree = clone.git("rev-parse", "HEAD^{tree}")
    body = b"tree %s\nauthor \xe9 <a@b> 1 +0000\ncommitter c <a@b> 1 +0000\n\n\x82\xb1\xff\x1b[31m\n"
    command = ["git", "hash-object", "-w", "-t", "commit", "--stdin"]
    made = subprocess.run(command, cwd=clone.folder, input=body % tree.encode(), capture_output=True, check=True)
    [commit] = clone.repository.log(made.stdout.decode().strip())
    assert commit.author == "\ufffd"
    assert commit.subject == "\ufffd\ufffd\ufffd\x1b[31m"


# Committing


def test_a_commit_touches_neither_work_tree_nor_index_nor_refs(clone: Clone) -> None:
    executable(clone.folder / "run", "true")
    head = clone.commit({"a/b": "1"})
    clone.write({"a/b": "dirty", "new": "untracked"})
    before = clone.git("status", "--porcelain"), clone.git("for-each-ref"), (clone.folder / ".git/index").read_bytes()
    commit = clone.repository.commit(head, {"run": b"#!/bin/sh\n", "a/b": b"2", "x/y/z": b"3"}, "Change\n\nBody.\n")
    after = clone.git("status", "--porcelain"), clone.git("for-each-ref"), (clone.folder / ".git/index").read_bytes()
    assert before == after
    assert clone.git("diff", "--name-status", head, commit).split() == ["M", "a/b", "M", "run", "A", "x/y/z"]
    assert clone.git("ls-tree", commit, "run").startswith("100755")
    assert clone.git("log", "--format=%an %P %B", "-1", commit) == f"Aoi Tester {head} Change\n\nBody."
    assert clone.git("ls-tree", "-r", "--name-only", commit).split() == ["README.md", "a/b", "run", "x/y/z"]


def test_only_regular_files_can_be_changed(clone: Clone) -> None:
    (clone.folder / "link").symlink_to("README.md")
    head = clone.commit({"folder/file": ""})
    for path in ("link", "folder"):
        refused(lambda path=path: clone.repository.commit(head, {path: b""}, "x"), "repository/not-a-file")


def test_without_an_identity_the_remedy_is_named(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NAME", "EMAIL"):
        for role in ("AUTHOR", "COMMITTER"):
            monkeypatch.delenv(f"GIT_{role}_{name}")
    error = refused(lambda: clone.repository.commit("HEAD", {"a": b""}, "x"), "repository/no-identity")
    assert "git config user.name" in error.remedy


# Fetching and pushing


def test_a_promotion_like_push_lands_and_the_clone_follows(clone: Clone, remote: Clone) -> None:
    repository = clone.repository
    tip = repository.fetch("main")
    commit = repository.commit(tip, {"README.md": b"new\n"}, "Change")
    repository.push(commit, "main", tip)
    assert remote.git("rev-parse", "main") == commit
    assert repository.advance_local("main", commit)
    assert (clone.folder / "README.md").read_text() == "new\n"
    assert clone.git("status", "--porcelain", "--branch") == "## main...origin/main"


def test_fetch_leaves_no_trace_but_objects(clone: Clone, new_clone: NewClone) -> None:
    other = new_clone("other")
    tip = other.commit({"a": "1"})
    other.git("tag", "v1")
    other.git("push", "--quiet", "--tags", "origin", "main")
    before = clone.git("for-each-ref")
    assert clone.repository.fetch("main") == tip
    assert clone.repository.read(tip, "a") == b"1"
    assert clone.git("for-each-ref") == before
    assert not (clone.folder / ".git/FETCH_HEAD").exists()


def test_the_second_of_two_pushers_hears_of_a_race(clone: Clone, new_clone: NewClone, remote: Clone) -> None:
    first, second = clone.repository, new_clone("second").repository
    tip = first.fetch("main")
    commits = [each.commit(tip, {"a": each.root.name.encode()}, "Change") for each in (first, second)]
    second.push(commits[1], "main", tip)
    with pytest.raises(PushRaceError, match="has moved meanwhile"):
        first.push(commits[0], "main", tip)
    assert remote.git("rev-parse", "main") == commits[1]
    again = first.fetch("main")
    first.push(first.commit(again, {"b": b""}, "Again"), "main", again)
    assert remote.git("log", "--format=%s", "main").split() == ["Again", "Change", "First"]


def test_racing_processes_lose_nothing(clone: Clone, remote: Clone) -> None:
    script = (
        "import sys, pathlib\nfrom koepon_gitops.errors import PushRaceError\n"
        "from koepon_gitops.repository import Repository\nr = Repository.open(pathlib.Path(sys.argv[1]))\n"
        "while True:\n  tip = r.fetch('main')\n  c = r.commit(tip, {sys.argv[2]: b''}, 'Add ' + sys.argv[2])\n"
        "  try: r.push(c, 'main', tip)\n  except PushRaceError: continue\n  break\n"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", script, str(clone.folder), f"file-{number}"]) for number in range(6)
    ]
    assert [racer.wait(60) for racer in racers] == [0] * 6
    assert len(remote.git("ls-tree", "--name-only", "main").split()) == 7
    assert remote.git("rev-list", "--count", "main") == "7"


def test_a_remote_rewound_to_an_ancestor_is_a_race_as_well(clone: Clone, remote: Clone) -> None:
    tip = clone.commit({"a": "1"})
    clone.push()
    remote.git("update-ref", "refs/heads/main", f"{tip}^")
    commit = clone.repository.commit(tip, {"b": b""}, "x")
    with pytest.raises(PushRaceError):
        clone.repository.push(commit, "main", tip)


def test_what_would_drop_commits_is_not_pushed(clone: Clone) -> None:
    head = clone.commit({"a": "1"})
    clone.push()
    beside = clone.repository.commit("HEAD^", {"b": b""}, "Beside")
    refused(lambda: clone.repository.push(beside, "main", head), "repository/not-a-fast-forward")


def test_a_declined_push_is_told_in_the_remote_s_words(clone: Clone, remote: Clone) -> None:
    executable(remote.folder / "hooks/pre-receive", "printf 'Protected branch: \\033[31mask Rin.\\n' >&2; exit 1")
    repository = clone.repository
    tip = repository.fetch("main")
    error = refused(lambda: repository.push(repository.commit(tip, {"a": b""}, "x"), "main", tip), "repository/refused")
    assert "pre-receive hook declined" in str(error)
    assert "Protected branch: \\x1b[31mask Rin." in str(error)
    assert not isinstance(error, PushRaceError)
    assert remote.git("rev-parse", "main") == tip


def test_a_locked_ref_on_the_remote_is_a_race(clone: Clone, remote: Clone) -> None:
    repository = clone.repository
    tip = repository.fetch("main")
    (remote.folder / "refs/heads/main.lock").touch()
    with pytest.raises(PushRaceError):
        repository.push(repository.commit(tip, {"a": b""}, "x"), "main", tip)


def test_a_connection_that_breaks_after_the_push_is_no_failure(clone: Clone, remote: Clone) -> None:
    executable(remote.folder / "hooks/post-receive", "kill -9 $PPID")
    repository = clone.repository
    tip = repository.fetch("main")
    commit = repository.commit(tip, {"a": b""}, "x")
    repository.push(commit, "main", tip)
    assert remote.git("rev-parse", "main") == commit


def test_a_remote_that_is_away_is_unreachable_and_passwords_stay_secret(clone: Clone) -> None:
    repository = clone.repository
    commit = repository.commit("HEAD", {"a": b""}, "x")
    clone.git("remote", "set-url", "origin", "https://rin:secret@127.0.0.1:9/x.git")
    for call in (lambda: repository.fetch("main"), lambda: repository.push(commit, "main", "HEAD")):
        error = refused(call, "repository/unreachable")
        assert "secret" not in str(error)
        assert "127.0.0.1" in str(error)


def test_ext_remotes_run_nothing(clone: Clone, tmp_path: Path) -> None:
    clone.git("remote", "set-url", "origin", f"ext::touch {tmp_path / 'ran'}")
    clone.git("config", "protocol.ext.allow", "always")
    refused(lambda: clone.repository.fetch("main"), "repository/unreachable")
    assert not (tmp_path / "ran").exists()


def test_branches_are_names_not_options_or_refspecs(clone: Clone) -> None:
    for branch in ("--upload-pack=x", "main:evil", "a b", "../x", "", "*", "x\0"):
        refused(lambda branch=branch: clone.repository.fetch(branch), "repository/invalid-branch")
    refused(lambda: clone.repository.fetch("absent"), "repository/no-branch")


def test_a_shallow_clone_can_fetch_and_push(clone: Clone, new_clone: NewClone, remote: Clone) -> None:
    clone.commit({"a": "1"})
    clone.push()
    shallow = new_clone("shallow", "--depth=1").repository
    assert shallow.is_shallow
    assert not clone.repository.is_shallow
    tip = shallow.fetch("main")
    assert shallow.boundary() == {tip}
    commit = shallow.commit(tip, {"b": b""}, "x")
    shallow.push(commit, "main", tip)
    assert remote.git("rev-parse", "main") == commit


# The clone after a push


def advanced(clone: Clone) -> tuple[bool, str]:
    commit = clone.repository.commit("main", {"README.md": b"new\n"}, "Change")
    return clone.repository.advance_local("main", commit), commit


def test_a_branch_that_is_not_checked_out_follows(clone: Clone) -> None:
    clone.git("checkout", "--quiet", "-b", "feature")
    done, commit = advanced(clone)
    assert done
    assert clone.git("rev-parse", "main") == commit
    assert (clone.folder / "README.md").read_text() == "hello\n"


def test_dirty_files_that_do_not_change_are_kept(clone: Clone) -> None:
    clone.write({"mine": "unsaved"})
    clone.git("add", "mine")
    assert advanced(clone)[0]
    assert clone.git("status", "--porcelain") == "A  mine"


def spoil(clone: Clone, how: str) -> None:
    match how:
        case "dirty":
            clone.write({"README.md": "unsaved\n"})
        case "detached":
            clone.git("checkout", "--quiet", "--detach")
        case "elsewhere":
            clone.git("checkout", "--quiet", "-b", "feature")
            clone.git("worktree", "add", "--quiet", "../second", "main")
        case "locked":
            (clone.folder / ".git/index.lock").touch()


@pytest.mark.parametrize("how", ["dirty", "detached", "elsewhere", "locked"])
def test_a_clone_that_is_busy_is_left_alone(clone: Clone, how: str) -> None:
    head = clone.git("rev-parse", "main")
    spoil(clone, how)
    before = (clone.folder / "README.md").read_text()
    assert not advanced(clone)[0]
    assert clone.git("rev-parse", "main") == head
    assert (clone.folder / "README.md").read_text() == before


def test_a_branch_with_own_commits_or_none_at_all_is_left_alone(clone: Clone) -> None:
    commit = clone.repository.commit("main", {"README.md": b"new\n"}, "Change")
    head = clone.commit({"mine": "1"})
    assert not clone.repository.advance_local("main", commit)
    assert not clone.repository.advance_local("absent", commit)
    assert clone.git("rev-parse", "main") == head
