"""Commands as a person types them: in this process, or as a program of its own, on a small tree that is clean."""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from koepon_gitops.__main__ import run
from koepon_gitops.configuration import cache_directory
from tests.conftest import Clone
from tests.trees import CONFIG_MAP, REPOSITORY, application, write

ROOT = Path(__file__).parents[1]
TREE: dict[str, str | bytes] = {
    "pyproject.toml": f'[tool.koepon_gitops]\nrepository = "{REPOSITORY}"\nbaseline = false\n',
    "clusters/web.yaml": application(),
    "clusters/shop.yaml": application("shop", "apps/shop"),
    "apps/web/settings.yaml": CONFIG_MAP,
    "apps/shop/prices.yaml": CONFIG_MAP.replace("name: settings", "name: prices"),
}


class Answer:
    """What one command printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def __str__(self) -> str:
        """Exit code, stderr, stdout; durations and the number of rules are left out."""
        text = re.sub(r"in \d+\.\d\d s", "in <time>", f"exit {self.code}\n{self.err}{self.out}")
        return re.sub(r"\d+ rules? in <time>", "<all> rules in <time>", text)


type Command = Callable[..., Answer]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command in this process, through the function that the program ends with, 100 columns wide."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        code = run([str(each) for each in arguments])
        return Answer(code, *capsys.readouterr())

    return call


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, but for the schemas."""
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "crds").symlink_to(cache_directory() / "crds")
    monkeypatch.setenv("KOEPON_GITOPS_CACHE", str(folder))
    return folder


@pytest.fixture
def tree(clone: Clone, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """A clean tree of two Applications, committed; the current folder."""
    write(clone.folder, TREE)
    clone.commit({}, "Two applications")
    monkeypatch.chdir(clone.folder)
    return clone


def program(*arguments: str, **options: object) -> subprocess.Popen[str]:
    """`python -m koepon_gitops` as a process of its own."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-m", "koepon_gitops", *arguments], env=environment, **given)  # type: ignore[call-overload,no-any-return]


def finished(*arguments: str, **options: object) -> Answer:
    process = program(*arguments, **options)
    out, err = process.communicate()
    return Answer(process.returncode, out or "", err or "")


def is_one_sentence(text: str) -> bool:
    """Whether stderr is one line that a person can act on."""
    return bool(re.fullmatch(r"error: [^\n]+\.\n", text)) and "Traceback" not in text


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: what a full disk is like."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
