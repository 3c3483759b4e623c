"""Git as tests need it: real repositories with a real bare remote, and nothing of the user's own configuration."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from koepon_gitops.repository import Repository

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


class Clone:
    """A work tree with `origin`. `git` runs any command in it and gives its output."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *arguments: str, stdin: str | None = None) -> str:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=self.folder, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}{done.stdout}"
        return done.stdout.strip()

    def write(self, files: dict[str, str | bytes]) -> None:
        for name, content in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, files: dict[str, str | bytes], message: str = "Change") -> str:
        """Write the files, commit everything and give the commit's id."""
        self.write(files)
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--file=-", stdin=message)
        return self.git("rev-parse", "HEAD")

    def push(self) -> None:
        self.git("push", "--quiet", "origin", "HEAD")

    @property
    def repository(self) -> Repository:
        return Repository.open(self.folder)


@pytest.fixture
def git_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same author, committer and moment for every commit, and no configuration but `main` as the first branch."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Aoi Tester")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "aoi@example.com")
        monkeypatch.setenv(f"GIT_{role}_DATE", "2026-01-02T03:04:05+09:00")
    configuration = tmp_path / "gitconfig"
    configuration.write_text("[init]\n\tdefaultBranch = main\n[commit]\n\tgpgSign = false\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(configuration))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return configuration


@pytest.fixture
def remote(tmp_path: Path, git_environment: Path) -> Clone:
    """An empty bare repository, the `origin` of every clone."""
    folder = tmp_path / "remote.git"
    folder.mkdir()
    made = Clone(folder)
    made.git("init", "--quiet", "--bare")
    return made


@pytest.fixture
def new_clone(tmp_path: Path, remote: Clone) -> Callable[..., Clone]:
    """Makes a further clone of the remote: `new_clone("name", "--depth=1")`."""

    def make(name: str, *options: str) -> Clone:
        remote.git("clone", "--quiet", *options, remote.folder.as_uri(), str(tmp_path / name))
        return Clone(tmp_path / name)

    return make


@pytest.fixture
def clone(new_clone: Callable[..., Clone]) -> Clone:
    """A clone of the remote with one commit on `main`, pushed."""
    made = new_clone("clone")
    made.commit({"README.md": "hello\n"}, "First")
    made.git("push", "--quiet", "--set-upstream", "origin", "main")
    return made
