"""What `make e2e` starts is what is pinned, and nothing of it outlives the run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.binaries import ASSETS, KUBERNETES, PROGRAMS, Binaries
from tests.e2e.control_plane import ApiServer
from tests.e2e.processes import wait_for
from tests.e2e.rollouts import Rollouts

ROOT = Path(__file__).parents[2]
INNER = """
import time
from pathlib import Path
from tests.e2e.conftest import api, figures, supervisor

def test_that_starts_something(api):
    running = [process.pid for process in api.supervisor.everything().values()]
    Path("{pids}").write_text(" ".join(map(str, running)))
    {then}
"""


def run_inner(folder: Path, then: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A test-run of its own that has started etcd and kube-apiserver, and their process ids."""
    test, pids = folder / "test_inner.py", folder / "pids"
    test.write_text(INNER.format(pids=pids, then=then))
    options = ["-p", "no:cacheprovider", "-p", "no:xdist", "-c", os.devnull, "--rootdir", str(folder)]
    options += ["--basetemp", str(folder / "base"), str(test)]
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for("the inner run's API server", lambda: pids.is_file() and len(pids.read_text().split()) == 2)
    return run, [int(each) for each in pids.read_text().split()]


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_an_interrupted_run(tmp_path: Path, number: signal.Signals) -> None:
    run, pids = run_inner(tmp_path, "time.sleep(600)")
    assert alive(pids) == pids
    run.send_signal(number)
    said = run.communicate(timeout=30)[0]
    assert run.returncode != 0, said
    wait_for("the end of everything", lambda: not alive(pids), 5)


def test_a_failed_run_keeps_the_logs_and_nothing_else(tmp_path: Path) -> None:
    run, pids = run_inner(tmp_path, "assert False")
    said = run.communicate(timeout=30)[0]
    assert run.returncode == 1, said
    assert not alive(pids)
    kept = tmp_path / ".e2e" / "logs"
    assert f"The logs of the control plane are in {kept}" in said
    assert {file.name for file in kept.iterdir()} == {"etcd.log", "kube-apiserver.log"}
    assert all(file.stat().st_size for file in kept.iterdir())


def test_the_versions_are_those_pinned(api: ApiServer) -> None:
    assert api.client.request("GET", "/version").body["gitVersion"] == KUBERNETES
    etcd = subprocess.run([Binaries().etcd, "--version"], capture_output=True, text=True, check=True).stdout
    assert etcd.startswith("etcd Version: 3.6."), "3.5 lacks RequestWatchProgress: watches would fail silently"


def test_assets_of_ones_own_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {program.name: program.file for program in PROGRAMS}
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    for name in ASSETS:
        (tmp_path / name).symlink_to(own[name])
    assert (Binaries().etcd, Binaries().kube_apiserver) == (tmp_path / "etcd", tmp_path / "kube-apiserver")
    assert Binaries().kwok == own["kwok"]


def test_assets_that_lack_a_program_are_named(tmp_path: Path) -> None:
    (tmp_path / "etcd").symlink_to("/bin/true")
    environment = os.environ | {"KUBEBUILDER_ASSETS": str(tmp_path)}
    command = [sys.executable, "-m", "tests.e2e.binaries"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        f"e2e: KUBEBUILDER_ASSETS is {tmp_path}, and there is no program kube-apiserver in it: "
        "correct it, or unset it and `make e2e` builds its own.\n",
    )


def test_a_rollout_becomes_healthy_and_takes_its_steps(rollouts: Rollouts) -> None:
    client, labels = rollouts.cluster.client, {"app": "canary"}
    image = "example.com/canary:1@sha256:" + "1" * 64
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "canary", "image": image}]}}
    steps = [{"setWeight": 34}, {"pause": {"duration": "1s"}}]
    rollout = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "canary", "namespace": "default"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": labels},
            "template": template,
            "strategy": {"canary": {"steps": steps}},
        },
    }
    assert client.create(rollout).accepted
    rollouts.wait("default", "canary", "Healthy")
    template["spec"]["containers"][0]["image"] = image.replace("1", "2")
    assert client.merge(rollout, {"spec": {"template": template}}).accepted
    rollouts.wait("default", "canary", "Paused")
    rollouts.wait("default", "canary", "Healthy")
    pods = rollouts.cluster.ready_pods("default", "canary")
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {image.replace("1", "2")}
    assert client.delete(rollout).accepted
