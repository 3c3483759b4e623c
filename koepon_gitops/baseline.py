"""checkov's Kubernetes checks as a baseline beside our own policies: one process, asked about new objects only.

checkov has an environment of its own (`.venv-checkov`, locked as the group `checkov`), since its pins exclude ours.
Checks that compare several objects (`CKV2_*`) are left out: what one object gets can be remembered, theirs can't.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from koepon_gitops.cache import Cache, key
from koepon_gitops.errors import UncheckableError
from koepon_gitops.model import Finding, Json, Manifest, Severity

KINDS: Mapping[str, frozenset[str]] = {
    "": frozenset({"ConfigMap", "Pod", "PodTemplate", "ReplicationController", "Secret", "Service", "ServiceAccount"}),
    "apps": frozenset({"DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"}),
    "argoproj.io": frozenset({"Rollout"}),
    "batch": frozenset({"CronJob", "Job"}),
    "networking.k8s.io": frozenset({"Ingress"}),
    "rbac.authorization.k8s.io": frozenset({"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}),
}
"""What checkov has checks for, by API group. It looks at the kind alone, and would take AWS's `Role` for this one."""
ALIKE = {"Rollout": "Deployment"}
"""What it does not know, and what it knows that has its pod template in the same place."""
TIMEOUT = 60.0
"""Seconds for one process to answer; 2,000 Deployments take 1.2."""

_WORKER = Path(__file__).parent / "data" / "checkov_worker.py"
_INDEX = "https://www.checkov.io/5.Policy%20Index/kubernetes.html"

type _Failures = Sequence[Mapping[str, Any]]
"""What the worker says of one object; data/checkov_worker.py has the form."""


def scan(manifests: Sequence[Manifest], cache: Cache, *, timeout: float = TIMEOUT) -> tuple[Finding, ...]:
    """What checkov finds in each object; a check that can't look at an object is a finding that decides nothing.

    An object is looked at once, whatever Application it belongs to and whichever release it runs.
    Raises UncheckableError baseline/{missing,failed}.
    """
    seen = [
        (manifest, _as_seen(manifest.content))
        for manifest in manifests
        if manifest.id.kind in KINDS.get(manifest.id.group, ())
    ]
    if not seen:
        return ()
    interpreter = _interpreter()
    salt = key(_version(interpreter), _WORKER.read_bytes())
    names = {content: key(salt, content) for _, content in seen}
    known = {content: orjson.loads(stored) for content, name in names.items() if (stored := cache.get(name))}
    if missing := [content for content in names if content not in known]:
        for content, failures in zip(missing, _ask(interpreter, missing, timeout), strict=True):
            known[content] = failures
            cache.put(names[content], orjson.dumps(failures))
    return tuple(finding for manifest, content in seen for finding in _findings(manifest, known[content]))


def _as_seen(content: Json) -> bytes:
    """The object as canonical JSON, as checkov gets it: the same for each release of an application."""
    kind = str(content["kind"])
    text = orjson.dumps({**content, "kind": ALIKE.get(kind, kind)}, option=orjson.OPT_SORT_KEYS)
    return _RELEASE.sub(_any_release, text)


_RELEASE = re.compile(rb'("image":"[^"\\]*):[0-9a-f]{40}(@sha256:[0-9a-f]{64})?"')


def _any_release(match: re.Match[bytes]) -> bytes:
    digest = b"@sha256:" + b"0" * 64 if match[2] else b""
    return match[1] + b":" + b"0" * 40 + digest + b'"'


def _interpreter() -> Path:
    """The Python that has checkov: KOEPON_GITOPS_CHECKOV, else that of `.venv-checkov` beside this package."""
    named = os.environ.get("KOEPON_GITOPS_CHECKOV")
    interpreter = Path(named) if named else Path(__file__).parent.parent / ".venv-checkov" / "bin" / "python"
    if not interpreter.is_file():
        raise UncheckableError(
            "baseline/missing",
            "checkov is not installed, and its checks did not run.",
            where=named or ".venv-checkov",
            remedy="Run `make setup`, or set `baseline = false` in [tool.koepon_gitops] to do without.",
        )
    return interpreter.absolute()


def _version(interpreter: Path) -> str:
    """checkov's version: what is remembered of another is not used. Read from its folder, since asking costs 40 ms."""
    installed = interpreter.parent.parent.glob("lib/python3*/site-packages/checkov-*.dist-info")
    if names := sorted(folder.name for folder in installed):
        return " ".join(names)
    return _run(
        interpreter, ["-c", "import importlib.metadata as m; print(m.version('checkov'))"], b"", TIMEOUT
    ).decode()


def _ask(interpreter: Path, objects: Sequence[bytes], timeout: float) -> Sequence[_Failures]:
    answer = _run(interpreter, [str(_WORKER)], b"[" + b",".join(objects) + b"]", timeout)
    try:
        failures = orjson.loads(answer)
    except orjson.JSONDecodeError as error:
        raise _failed(interpreter, "its answer is not JSON") from error
    if not isinstance(failures, list) or len(failures) != len(objects):
        raise _failed(interpreter, f"it did not answer for each of {len(objects)} objects")
    return failures


def _run(interpreter: Path, arguments: list[str], question: bytes, timeout: float) -> bytes:
    """The process sees nothing of this one: no environment, no settings in a home, no files of the repository."""
    with TemporaryDirectory(prefix="koepon-gitops-") as home:
        try:
            done = subprocess.run(
                [interpreter, "-I", *arguments],
                input=question,
                capture_output=True,
                check=False,
                cwd=home,
                env={"PATH": os.defpath, "HOME": home, "LC_ALL": "C.UTF-8"},
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise _failed(interpreter, f"it did not answer within {timeout:g} seconds") from error
        except OSError as error:
            raise _failed(interpreter, f"it can't be run ({error.strerror})") from error
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        end = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        raise _failed(interpreter, f"{end}: {last[:300]}")
    return done.stdout


def _failed(interpreter: Path, what: str) -> UncheckableError:
    return UncheckableError(
        "baseline/failed",
        f"checkov failed, and its checks did not run: {what}.",
        where=str(interpreter),
        remedy="Run `make clean setup` to install it anew.",
    )


def _findings(manifest: Manifest, failures: _Failures) -> Iterator[Finding]:
    for failure in failures:
        common: dict[str, Any] = {"application": manifest.application, "object": manifest.id, "requirement": "checkov"}
        if "error" in failure:
            yield Finding(
                rule="baseline/failed",
                severity=Severity.ERROR,
                message=f"checkov's {failure['id']} can't look at this object ({failure['error']}).",
                remedy="Mend what the schemas say against it; if that is nothing, checkov has a defect.",
                unchecked=True,
                **common,
            )
            continue
        guide = failure["guideline"] or _INDEX
        yield Finding(
            rule=failure["id"],
            severity=Severity.ERROR,
            message=f"{failure['name'].rstrip('.')}.",
            remedy=f"Do so (see {guide}), or waive {failure['id']} in policies/waivers.yaml and say why.",
            field=_field(failure["keys"]),
            **common,
        )


def _field(keys: Sequence[str]) -> str:
    """checkov's `spec/template/spec/containers/[0]/image` in our form; empty when it names none."""
    return keys[0].replace("/[", "[").replace("/", ".") if keys else ""
