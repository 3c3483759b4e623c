"""The baseline with the real checkov, in its own environment."""

import copy
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from koepon_gitops import baseline
from koepon_gitops.cache import Cache
from koepon_gitops.errors import UncheckableError
from koepon_gitops.model import Finding, Manifest, ObjectId

SHA = "4b7e1c09a5d2f3864e0b9c7d1a2f5e8063b4d7c1"
DIGEST = "sha256:" + "9d1f" * 16
IMAGE = "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/koepon/app"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("KOEPON_GITOPS_CACHE", str(tmp_path))
    monkeypatch.delenv("KOEPON_GITOPS_CHECKOV", raising=False)
    return Cache("baseline")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[bytes]]:
    """Each batch of objects the process is asked about. The process itself is the real one."""
    batches: list[Sequence[bytes]] = []
    ask = baseline._ask

    def counted(interpreter: Path, objects: Sequence[bytes], timeout: float) -> Any:
        batches.append(objects)
        return ask(interpreter, objects, timeout)

    monkeypatch.setattr(baseline, "_ask", counted)
    return batches


def manifest(content: dict[str, Any], application: str = "app") -> Manifest:
    return Manifest(application=application, cluster="c", id=ObjectId.of(content), content=content)


def deployment(image: str = f"{IMAGE}:{SHA}@{DIGEST}", **changes: Any) -> dict[str, Any]:
    """A Deployment that checkov finds nothing against, until it is changed. `changes` are those of the container."""
    container = {
        "name": "app",
        "image": image,
        "imagePullPolicy": "Always",
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "livenessProbe": {"httpGet": {"path": "/", "port": 80}},
        "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **changes,
    }
    spec = {
        "serviceAccountName": "app",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app", "namespace": "production"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {}, "spec": spec}},
    }


def shown(findings: Sequence[Finding]) -> list[str]:
    return [f"{each.application} {each.object} {each.rule} {each.field}: {each.message}" for each in findings]


BAD: list[dict[str, Any]] = [
    deployment(image="nginx:latest", securityContext={"privileged": True}, env=[{"name": "A", "valueFrom": None}]),
    deployment(livenessProbe=None),
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "all"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    },
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}},
]


def test_what_checkov_finds(cache: Cache, snapshot: SnapshotAssertion) -> None:
    findings = baseline.scan([manifest(each) for each in BAD], cache)
    assert shown(findings) == snapshot
    assert findings[0] == snapshot(name="one finding")
    assert {(each.requirement, str(each.severity), each.unchecked) for each in findings} == {
        ("checkov", "error", False)
    }


def test_nothing_against_a_good_object(cache: Cache) -> None:
    assert baseline.scan([manifest(deployment())], cache) == ()


def test_a_rollout_is_looked_at_as_a_deployment(cache: Cache) -> None:
    plain = deployment(livenessProbe=None)
    rollout = plain | {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    (one,) = baseline.scan([manifest(plain)], cache)
    (other,) = baseline.scan([manifest(rollout)], cache)
    assert (
        (one.rule, one.field)
        == (other.rule, other.field)
        == ("CKV_K8S_8", "spec.template.spec.containers[0].livenessProbe")
    )
    assert other.object is not None
    assert other.object.kind == "Rollout"


def test_equal_objects_are_asked_about_once(cache: Cache, asked: list[Sequence[bytes]]) -> None:
    bad = deployment(livenessProbe=None)
    findings = baseline.scan([manifest(bad, "one"), manifest(copy.deepcopy(bad), "two"), manifest(deployment())], cache)
    assert [each.application for each in findings] == ["one", "two"]
    assert [len(batch) for batch in asked] == [2]
    assert baseline.scan([manifest(bad, "one"), manifest(bad, "two"), manifest(deployment())], cache) == findings
    assert len(asked) == 1


@pytest.mark.parametrize("image", [f"{IMAGE}:{{}}", f"{IMAGE}:{{}}@{DIGEST}", f"{IMAGE}:{{}}@sha256:{'0a' * 32}"])
def test_a_promotion_is_known_already(cache: Cache, asked: list[Sequence[bytes]], image: str) -> None:
    before, after = image.format(SHA), image.format("5" * 40).replace("9d1f", "1234")
    one = baseline.scan([manifest(deployment(before))], cache)
    assert baseline.scan([manifest(deployment(after))], cache) == one
    assert len(asked) == 1


@pytest.mark.parametrize(
    "image",
    [f"other/app:{SHA}", f"{IMAGE}:latest", f"{IMAGE}:{SHA}", f"{IMAGE}@{DIGEST}", f"{IMAGE}:{SHA[1:]}@{DIGEST}"],
)
def test_any_other_change_of_the_image_is_new(cache: Cache, asked: list[Sequence[bytes]], image: str) -> None:
    baseline.scan([manifest(deployment())], cache)
    baseline.scan([manifest(deployment(image))], cache)
    assert len(asked) == 2


@given(st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=5))
def test_only_images_are_replaced(value: Any) -> None:
    content = {"kind": "ConfigMap", "data": value, "image": f'{{"image":"x:{SHA}"}}'}
    assert orjson.loads(baseline._as_seen(content)) == content


def test_kinds_without_checks_ask_nobody(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOEPON_GITOPS_CHECKOV", "/nonexistent")
    role = {"apiVersion": "iam.aws.m.upbound.io/v1beta1", "kind": "Role", "metadata": {"name": "r"}}
    assert baseline.scan([manifest(role)], cache) == ()
    assert baseline.scan([], cache) == ()


def test_all_kinds_that_checkov_knows_are_asked_about() -> None:
    code = "from checkov.kubernetes.checks.resource.registry import registry as r; print(*r.checks)"
    answer = subprocess.run([baseline._interpreter(), "-I", "-c", code], capture_output=True, check=True)
    ours = {kind for kinds in baseline.KINDS.values() for kind in kinds}
    # OpenShift's, one that Kubernetes 1.25 removed, and a file of the API server's that is never applied.
    assert set(answer.stdout.decode().split()) - ours == {
        "DeploymentConfig",
        "PodSecurityPolicy",
        "AdmissionConfiguration",
    }


@pytest.mark.parametrize("prefix", ["checkov.io/skip1", "bridgecrew.io/skip1", "cortex.io/skip1"])
def test_an_object_can_not_excuse_itself(cache: Cache, prefix: str) -> None:
    bad = deployment(livenessProbe=None)
    bad["metadata"]["annotations"] = {prefix: "CKV_K8S_8=we never fail"}
    assert [each.rule for each in baseline.scan([manifest(bad)], cache)] == ["CKV_K8S_8"]


def test_an_object_of_an_odd_shape_decides_nothing(cache: Cache, snapshot: SnapshotAssertion) -> None:
    odd = deployment()
    odd["spec"]["template"]["spec"]["containers"] = ["app"]
    findings = baseline.scan([manifest(odd), manifest(deployment(livenessProbe=None), "other")], cache)
    assert [each.rule for each in findings if each.application == "other"] == ["CKV_K8S_8"]
    assert all(each.unchecked for each in findings if each.rule == "baseline/failed")
    assert next(each for each in findings if each.unchecked) == snapshot


def test_another_version_knows_nothing(
    cache: Cache, asked: list[Sequence[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline.scan([manifest(deployment())], cache)
    monkeypatch.setattr(baseline, "_version", lambda _interpreter: "checkov-9")
    baseline.scan([manifest(deployment())], cache)
    assert len(asked) == 2


def test_an_interpreter_elsewhere_is_asked_for_its_version(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = baseline._interpreter()
    shim = tmp_path / "bin" / "python"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{real}" "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("KOEPON_GITOPS_CHECKOV", str(shim))
    assert baseline._version(shim).strip() in baseline._version(real)
    assert len(baseline.scan([manifest(deployment(livenessProbe=None))], cache)) == 1


def test_no_interpreter(cache: Cache, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion) -> None:
    monkeypatch.setenv("KOEPON_GITOPS_CHECKOV", "/nonexistent/python")
    with pytest.raises(UncheckableError) as caught:
        baseline.scan([manifest(deployment())], cache)
    assert (caught.value.rule, caught.value.exit_code) == ("baseline/missing", 3)
    assert str(caught.value) == snapshot


SCRIPTS = {
    "dies": "cat > /dev/null; echo ouch >&2; exit 7",
    "is-killed": "kill -9 $$",
    "says-nothing": "cat > /dev/null",
    "says-too-little": "cat > /dev/null; echo '[]'",
    "hangs": "exec /bin/sleep 60",
    "can-not-be-run": None,
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_process_that_fails(
    script: str, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{SCRIPTS[script]}\n")
    program.chmod(0o755 if SCRIPTS[script] else 0o644)
    monkeypatch.setenv("KOEPON_GITOPS_CHECKOV", str(program))
    monkeypatch.setattr(baseline, "_version", lambda _interpreter: "checkov-9")
    with pytest.raises(UncheckableError) as caught:
        baseline.scan([manifest(deployment())], cache, timeout=0.2 if script == "hangs" else 20)
    assert caught.value.rule == "baseline/failed"
    assert str(caught.value).replace(str(program), "PROGRAM") == snapshot
    assert not list(cache.directory.rglob("*"))


def test_the_process_sees_nothing_of_this_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.chdir(tmp_path)
    code = "import os; print(sorted(os.environ), os.getcwd() == os.environ['HOME'], os.listdir())"
    answer = baseline._run(baseline._interpreter(), ["-c", code], b"", 20)
    assert answer == b"['HOME', 'LC_ALL', 'PATH'] True []\n"


@pytest.mark.parametrize("attempt", ["socket.create_connection(('127.0.0.1', 9))", "os.system('true')", "os.fork()"])
def test_the_worker_reaches_no_network_and_starts_no_program(attempt: str) -> None:
    worker = str(baseline._WORKER)
    code = (
        f"import os, runpy, socket, sys; w = runpy.run_path({worker!r}); sys.addaudithook(w['_stay_inside']); {attempt}"
    )
    answer = subprocess.run([baseline._interpreter(), "-I", "-c", code], capture_output=True, check=False)
    assert b"PermissionError: checkov wants" in answer.stderr


def test_the_repository_s_own_overlays(cache: Cache, rendered: Callable[[], list[dict[str, Any]]]) -> None:
    """Whatever fires here is mended in apps/, or waived in policies/waivers.yaml."""
    findings = baseline.scan([manifest(each) for each in rendered()], cache)
    assert {each.rule for each in findings} == {"CKV_K8S_35"}


@pytest.fixture
def rendered() -> Callable[[], list[dict[str, Any]]]:
    from koepon_gitops import manifests  # noqa: PLC0415

    def render() -> list[dict[str, Any]]:
        root = Path(__file__).parent.parent
        kubectl = root / ".venv" / "bin" / "kubectl"
        found: list[dict[str, Any]] = []
        for overlay in sorted((root / "apps" / "koepon-app" / "overlays").iterdir()):
            done = subprocess.run([kubectl, "kustomize", overlay], capture_output=True, check=True)
            found += manifests.read(done.stdout, overlay.name)
        return found

    return render
