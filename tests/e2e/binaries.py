"""The programs of the control plane, built once from their pinned Go modules under `tools/`.

`python -m tests.e2e.binaries` builds what is missing, with progress. KUBEBUILDER_ASSETS, the folder that Kubernetes'
own tests take etcd and kube-apiserver from, is honoured: those two are then neither built nor taken from elsewhere.
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


ASSETS = ("etcd", "kube-apiserver")
"""What KUBEBUILDER_ASSETS holds, when it is set."""


class MissingAssetError(Exception):
    """KUBEBUILDER_ASSETS names a folder without one of ASSETS."""


def files() -> dict[str, Path]:
    """Where each program is or will be, by name. Raises MissingAssetError."""
    found = {program.name: program.file for program in PROGRAMS}
    if folder := os.environ.get("KUBEBUILDER_ASSETS"):
        found |= {name: Path(folder) / name for name in ASSETS}
        missing = [name for name in ASSETS if not os.access(found[name], os.X_OK)]
        if missing:
            raise MissingAssetError(
                f"KUBEBUILDER_ASSETS is {folder}, and there is no program {' and no '.join(missing)} in it: "
                "correct it, or unset it and `make e2e` builds its own."
            )
    return found


class Binaries:
    """Paths of the built programs, and of files their modules carry."""

    def __init__(self) -> None:
        self._files = files()
        missing = [name for name, file in self._files.items() if not file.is_file()]
        assert not missing, f"not built yet: {', '.join(missing)}; run `make e2e`, which builds them"

    def __getattr__(self, name: str) -> Path:
        return self._files[name.replace("_", "-")]

    def kwok_stage(self, name: str) -> str:
        """A stage (what kwok does to a node or pod) from kwok's own module."""
        return (module_directory("kwok", "sigs.k8s.io/kwok") / "kustomize" / "stage" / f"{name}.yaml").read_text()


def module_directory(tool: str, module: str) -> Path:
    """Where the Go module cache holds a module that `tools/<tool>` pins."""
    return pinned_directory(TOOLS / tool, module)


def pinned_directory(pins: Path, module: str) -> Path:
    """Where the Go module cache holds a module that the go.mod in `pins` names; it is downloaded if it is not there."""
    command = ["go", "mod", "download", "-json", module]
    environment = os.environ | {"GOFLAGS": "-mod=readonly"}
    done = subprocess.run(command, cwd=pins, env=environment, check=True, capture_output=True)
    return Path(json.loads(done.stdout)["Dir"])


def build_seconds() -> dict[str, float]:
    """What building took here, by the program's name: only of programs as they are pinned now."""
    file = _seconds_file()
    known = json.loads(file.read_text()) if file.is_file() else {}
    return {program.name: known[program.file.name] for program in PROGRAMS if program.file.name in known}


def _seconds_file() -> Path:
    return PROGRAMS[0].file.with_name("build-seconds.json")


def _build(program: Program) -> float:
    started = time.monotonic()
    program.build()
    seconds = round(time.monotonic() - started, 1)
    file = _seconds_file()
    known = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(known | {program.file.name: seconds}, indent=1))
    return seconds


def main() -> None:
    """Build what is missing, saying what and how long."""
    try:
        wanted = files()
    except MissingAssetError as error:
        sys.exit(f"e2e: {error}")
    todo = [program for program in PROGRAMS if wanted[program.name] == program.file and not program.file.is_file()]
    if todo and not shutil.which("go"):
        sys.exit("e2e: the control plane is built from Go modules and no `go` is on PATH: install Go 1.26 or newer.")
    for number, program in enumerate(todo, start=1):
        print(f"Building {program.name} ({number} of {len(todo)}) ...", end=" ", flush=True)
        print(f"{_build(program):.0f} s")


if __name__ == "__main__":
    main()
