"""The programs of the control plane, built once from their pinned Go modules under `tools/`.

`python -m tests.e2e.binaries` builds what is missing, with progress.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from koepon_gitops.programs import KUSTOMIZE, Program

TOOLS = Path(__file__).parents[2] / "tools"
KUBERNETES = "v1.36.3"
_VERSION = "k8s.io/component-base/version"
_KUBERNETES_FLAGS = f"-s -w -X {_VERSION}.gitVersion={KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=36"


def _program(name: str, folder: str, package: str, flags: str = "-s -w") -> Program:
    return Program(name=name, pins=TOOLS / folder, package=package, flags=flags)


PROGRAMS = (
    KUSTOMIZE,
    _program("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
    _program("kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver", _KUBERNETES_FLAGS),
    _program(
        "kube-controller-manager", "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager", _KUBERNETES_FLAGS
    ),
    _program("kube-scheduler", "kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler", _KUBERNETES_FLAGS),
    _program("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    _program("redis", "redis", "."),
    _program("argocd", "argocd", "github.com/argoproj/argo-cd/v3/cmd"),
    _program("rollouts-controller", "rollouts", "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"),
)


class Binaries:
    """Paths of the built programs, and of files their modules carry."""

    def __init__(self) -> None:
        missing = [program.name for program in PROGRAMS if not program.file.is_file()]
        assert not missing, f"not built yet: {', '.join(missing)}; run `make e2e`, which builds them"

    def __getattr__(self, name: str) -> Path:
        wanted = name.replace("_", "-")
        return next(program.file for program in PROGRAMS if program.name == wanted)

    def kwok_stage(self, name: str) -> str:
        """A stage (what kwok does to a node or pod) from kwok's own module."""
        return (module_directory("kwok", "sigs.k8s.io/kwok") / "kustomize" / "stage" / f"{name}.yaml").read_text()


def module_directory(tool: str, module: str) -> Path:
    """Where the Go module cache holds a module that `tools/<tool>` pins."""
    command = ["go", "list", "-m", "-json", module]
    environment = os.environ | {"GOFLAGS": "-mod=readonly"}
    done = subprocess.run(command, cwd=TOOLS / tool, env=environment, check=True, capture_output=True)
    return Path(json.loads(done.stdout)["Dir"])


def main() -> None:
    """Build what is missing, saying what and how long."""
    todo = [program for program in PROGRAMS if not program.file.is_file()]
    if todo and not shutil.which("go"):
        sys.exit("e2e: the control plane is built from Go modules and no `go` is on PATH: install Go 1.26 or newer.")
    for number, program in enumerate(todo, start=1):
        started = time.monotonic()
        print(f"Building {program.name} ({number} of {len(todo)}) ...", end=" ", flush=True)
        program.build()
        print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
