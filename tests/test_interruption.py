"""`promote` killed at any moment: the remote and the clone are as before, or it is completely done."""

import contextlib
import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from koepon_gitops import promotion
from tests.world import NOW, World, ecr, world

__all__ = ["ecr", "world"]

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["koepon_gitops.pipeline", "koepon_gitops.promotion", "boto3"])

MOMENTS = 12
"""Kills per signal, spread evenly over the time an undisturbed promotion takes."""


def _promote(folder: str, environment: dict[str, str], sha: str, ready: Event) -> None:
    os.environ.clear()
    os.environ.update(environment)
    ready.set()
    promotion.promote(Path(folder), sha, environment="staging", now=NOW)


def _start(world: World, sha: str) -> multiprocessing.Process:
    ready = _CONTEXT.Event()
    arguments = (str(world.clone.folder), dict(os.environ), sha, ready)
    process = _CONTEXT.Process(target=_promote, args=arguments)
    process.start()
    ready.wait()
    return process


def _settle(world: World) -> None:
    """Wait until no git that a killed promotion had started runs: it leaves no lock and no changed file."""
    deadline = time.monotonic() + 10
    while _running(world.clone.folder) or _running(world.remote.folder):
        assert time.monotonic() < deadline, "a git that the killed promotion started still runs"
    assert not list((world.clone.folder / ".git").rglob("*.lock"))
    assert not world.clone.git("status", "--porcelain")


def _running(folder: Path) -> bool:
    """Whether some process works in a folder."""
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if link.readlink().is_relative_to(folder):
                return True
    return False


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_all_or_nothing(world: World, kill: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    _start(world, world.ecr.release("whole")).join()
    whole = time.monotonic() - started
    for number in range(MOMENTS):
        sha = world.ecr.release(f"{kill.name} {number}")
        before, running = world.tip, world.runs("staging")
        process = _start(world, sha)
        process.join(whole * (number + 0.5) / MOMENTS)
        if process.pid and process.is_alive():
            os.kill(process.pid, kill)
        process.join()
        _settle(world)
        after = world.tip
        if after == before:
            assert world.runs("staging") == running
        else:
            assert world.remote.git("rev-parse", "main~1") == before
            assert world.runs("staging") == sha
        world.clone.git("fsck", "--no-dangling")
    capfd.readouterr()
    last = world.ecr.release(f"{kill.name} last")
    world.promote(last, "staging")
    assert world.runs("staging") == last
