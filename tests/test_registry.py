"""The registry against moto's ECR over HTTP, and against recorded answers where moto can't produce the state."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from syrupy.assertion import SnapshotAssertion

from koepon_gitops.errors import GitOpsError, RequestError, UncheckableError
from koepon_gitops.registry import Registry

REGION = "ap-northeast-1"
REPOSITORY = "koepon/app"
SHA = "4b7e1c09a5d2f3864e0b9c7d1a2f5e8063b4d7c1"
DIGEST = "sha256:" + "9d1f" * 16


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_ECR", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def ecr(moto: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of an empty moto with one ECR repository."""
    urlopen(Request(f"{moto}/moto-api/reset", method="POST")).close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    client = boto3.client("ecr", region_name=REGION)
    client.create_repository(repositoryName=REPOSITORY)
    return client


def push(ecr: Any, tag: str, *, scanned: bool = True) -> str:
    """Put a small image, and return its digest."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": f"sha256:{'0' * 64}"},
        "layers": [{"size": 2, "digest": f"sha256:{tag}"}],
    }
    answer = ecr.put_image(repositoryName=REPOSITORY, imageManifest=json.dumps(manifest), imageTag=tag)
    if scanned:
        ecr.start_image_scan(repositoryName=REPOSITORY, imageId={"imageTag": tag})
    return str(answer["image"]["imageId"]["imageDigest"])


def refusal(reference: str, repository: str = REPOSITORY) -> GitOpsError:
    with pytest.raises(GitOpsError) as caught:
        Registry(REGION, attempts=1).find(repository, reference)
    return caught.value


def test_a_full_tag(ecr: Any) -> None:
    digest = push(ecr, SHA)
    release = Registry(REGION).find(REPOSITORY, SHA)
    assert (release.tag, release.digest) == (SHA, digest)
    assert release.repository == "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/koepon/app"
    assert str(release) == f"{release.repository}:{SHA}@{digest}"
    assert abs((datetime.now(UTC) - release.pushed_at).total_seconds()) < 60


def test_a_prefix_stands_for_the_only_commit_it_begins(ecr: Any) -> None:
    push(ecr, SHA)
    push(ecr, "5" * 40)
    push(ecr, f"{SHA[:10]}-debug")
    assert Registry(REGION).find(REPOSITORY, SHA[:7]).tag == SHA


def test_a_prefix_of_two_commits_names_both(ecr: Any, snapshot: SnapshotAssertion) -> None:
    push(ecr, SHA)
    push(ecr, SHA[:12] + "0" * 28)
    error = refusal(SHA[:9])
    assert (type(error), error.rule) == (RequestError, "registry/ambiguous")
    assert str(error) == snapshot
    assert Registry(REGION).find(REPOSITORY, SHA[:13]).tag == SHA


@pytest.mark.parametrize(("repository", "reference"), [(REPOSITORY, "a" * 40), (REPOSITORY, "a" * 7), ("other", SHA)])
def test_what_is_not_there(ecr: Any, repository: str, reference: str, snapshot: SnapshotAssertion) -> None:
    error = refusal(reference, repository)
    assert (type(error), error.rule) == (RequestError, "registry/unknown-image")
    assert str(error) == snapshot


def test_never_scanned(ecr: Any, snapshot: SnapshotAssertion) -> None:
    push(ecr, SHA, scanned=False)
    error = refusal(SHA)
    assert (type(error), error.rule) == (RequestError, "registry/scan-missing")
    assert str(error) == snapshot


def test_critical_findings_as_moto_reports_them(ecr: Any, moto: str, snapshot: SnapshotAssertion) -> None:
    push(ecr, SHA)
    answer = findings("COMPLETE", CRITICAL=2, HIGH=5, UNTRIAGED=1)
    body = json.dumps({"results": [answer], "region": REGION}).encode()
    urlopen(Request(f"{moto}/moto-api/static/ecr/scan-finding-results", body, method="POST")).close()
    error = refusal(SHA)
    assert (type(error), error.rule) == (RequestError, "registry/vulnerable")
    assert str(error) == snapshot


MALFORMED = {
    "empty": "",
    "six": SHA[:6],
    "forty-one": SHA + "0",
    "upper": SHA.upper(),
    "option": "--quit",
    "arabic": "٣" * 40,
    "full-width": "４ｂ７ｅ１ｃ０９",
    "space": f" {SHA}",
    "newline": f"{SHA}\n",
    "tag": "latest",
    "long": "z" * 10_000,
    "escape": "\x1b[31mdeadbeef",
}


@pytest.mark.parametrize("reference", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(reference: str, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    error = refusal(reference)
    assert (type(error), error.rule, error.exit_code) == (RequestError, "registry/malformed", 2)
    assert str(error) == snapshot


@given(st.text(max_size=50) | st.text("0123456789abcdefABCDEF\n", max_size=50))
def test_only_short_and_full_shas_reach_the_network(reference: str) -> None:
    formed = 7 <= len(reference) <= 40 and set(reference) <= set("0123456789abcdef")
    with pytest.raises(RequestError if not formed else _Asked):
        _Offline(REGION).find(REPOSITORY, reference)


class _Asked(Exception):
    pass


class _Offline(Registry):
    @property
    def _client(self) -> Any:
        raise _Asked


type Answer = tuple[int, dict[str, Any] | str]
type Answers = dict[str, Answer | list[Answer]]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answers], list[dict[str, Any]]]]:
    """Serve recorded answers by operation; several are given in turn. Returns the list that requests are kept in."""
    answers: Answers = {}
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))) | {"operation": operation})
            answer = answers[operation]
            status, body = answer.pop(0) if isinstance(answer, list) else answer
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")

    def serve(given: Answers) -> list[dict[str, Any]]:
        answers.update(given)
        return asked

    yield serve
    server.shutdown()
    thread.join()
    server.server_close()


def findings(status: str, description: str = "", **counts: int) -> dict[str, Any]:
    """An answer of DescribeImageScanFindings."""
    return {
        "registryId": "123456789012",
        "repositoryName": REPOSITORY,
        "imageId": {"imageDigest": DIGEST, "imageTag": SHA},
        "imageScanStatus": {"status": status, "description": description},
        "imageScanFindings": {"findingSeverityCounts": counts, "enhancedFindings": []},
    }


def images(**detail: Any) -> Answer:
    """An answer of DescribeImages."""
    image = {
        "registryId": "123456789012",
        "repositoryName": REPOSITORY,
        "imageDigest": DIGEST,
        "imageTags": [SHA],
        "imageSizeInBytes": 61234567,
        "imagePushedAt": 1795483800.0,
        "imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json",
        "imageStatus": "ACTIVE",
        **detail,
    }
    return 200, {"imageDetails": [{key: value for key, value in image.items() if value is not None}]}


def scanned(status: str, description: str = "", **counts: int) -> dict[str, Any]:
    summary = {"imageScanCompletedAt": 1795483900.0, "findingSeverityCounts": counts}
    return {
        "imageScanStatus": {"status": status, "description": description},
        "imageScanFindingsSummary": summary,
    }


def refused(code: str, message: str = "", status: int = 400) -> Answer:
    return status, {"__type": code, "message": message}


@pytest.mark.parametrize("status", ["COMPLETE", "ACTIVE"])
def test_basic_scanning_takes_one_call(recorded: Callable[..., list[dict[str, Any]]], status: str) -> None:
    asked = recorded({"DescribeImages": images(**scanned(status, HIGH=3))})
    release = Registry(REGION, attempts=1).find(REPOSITORY, SHA)
    assert (release.digest, release.pushed_at.isoformat()) == (DIGEST, "2026-11-24T01:30:00+00:00")
    assert [(each["operation"], each["imageIds"]) for each in asked] == [("DescribeImages", [{"imageTag": SHA}])]


def test_enhanced_scanning_is_asked_for_by_digest(recorded: Callable[..., list[dict[str, Any]]]) -> None:
    asked = recorded(
        {"DescribeImages": images(), "DescribeImageScanFindings": (200, findings("ACTIVE", MEDIUM=1))},
    )
    assert Registry(REGION, attempts=1).find(REPOSITORY, SHA).digest == DIGEST
    assert asked[-1]["imageId"] == {"imageDigest": DIGEST}


INDEX = "application/vnd.oci.image.index.v1+json"
STATES: dict[str, tuple[str, Answers]] = {
    "in-progress": ("scan-pending", {"DescribeImages": images(**scanned("IN_PROGRESS"))}),
    "pending": (
        "scan-pending",
        {"DescribeImages": images(), "DescribeImageScanFindings": (200, findings("PENDING"))},
    ),
    "failed": (
        "scan-missing",
        {"DescribeImages": images(**scanned("FAILED", "UnsupportedImageError: The operating system is unknown."))},
    ),
    "no-status": ("scan-missing", {"DescribeImages": images(imageScanFindingsSummary={})}),
    "no-counts": (
        "scan-missing",
        {
            "DescribeImages": images(),
            "DescribeImageScanFindings": (200, {"imageScanStatus": {"status": "COMPLETE"}, "imageScanFindings": {}}),
        },
    ),
    "index": (
        "scan-missing",
        {
            "DescribeImages": images(imageManifestMediaType=INDEX),
            "DescribeImageScanFindings": refused("ScanNotFoundException"),
        },
    ),
    "critical": ("vulnerable", {"DescribeImages": images(**scanned("COMPLETE", CRITICAL=1, LOW=7))}),
    "archived": ("unknown-image", {"DescribeImages": images(imageStatus="ARCHIVED", **scanned("COMPLETE"))}),
}


@pytest.mark.parametrize(("rule", "answers"), STATES.values(), ids=STATES.keys())
def test_images_that_may_not_run(
    recorded: Callable[..., Any], rule: str, answers: Answers, snapshot: SnapshotAssertion
) -> None:
    recorded(answers)
    error = refusal(SHA)
    assert (type(error), error.rule, error.exit_code) == (RequestError, f"registry/{rule}", 2)
    assert str(error) == snapshot


DENIAL = "User: arn:aws:sts::123456789012:assumed-role/ci is not authorized to perform: ecr:DescribeImages"
FAILURES: dict[str, tuple[str, Answer]] = {
    "denied": ("denied", refused("AccessDeniedException", DENIAL)),
    "forbidden": ("denied", refused("SomethingNew", "no", 403)),
    "expired": ("denied", refused("ExpiredTokenException", "The security token included in the request is expired")),
    "throttled": ("unreachable", refused("ThrottlingException", "Rate exceeded")),
    "server": ("unreachable", refused("ServerException", "", 500)),
    "portal": ("unreachable", (200, "<html>Log in to the hotel's network</html>")),
    "no-digest": ("unreachable", images(imageDigest=None, **scanned("COMPLETE"))),
    "odd-digest": ("unreachable", images(imageDigest="sha256:x\n- name: evil", **scanned("COMPLETE"))),
}


@pytest.mark.parametrize(("rule", "answer"), FAILURES.values(), ids=FAILURES.keys())
def test_answers_that_decide_nothing(
    recorded: Callable[..., Any], rule: str, answer: Answer, snapshot: SnapshotAssertion
) -> None:
    recorded({"DescribeImages": answer})
    error = refusal(SHA)
    assert (type(error), error.rule, error.exit_code) == (UncheckableError, f"registry/{rule}", 3)
    assert str(error) == snapshot


def test_a_failure_that_passes_is_tried_again(recorded: Callable[..., list[dict[str, Any]]]) -> None:
    good = images(**scanned("COMPLETE"))
    asked = recorded({"DescribeImages": [refused("ServerException", "", 500), good]})
    assert Registry(REGION, attempts=2).find(REPOSITORY, SHA).tag == SHA
    assert len(asked) == 2


def test_all_pages_of_a_large_repository_are_read(recorded: Callable[..., list[dict[str, Any]]]) -> None:
    tags = [sha1(str(number).encode()).hexdigest() for number in range(2500)]
    tags[2100] = SHA
    tokens = ["second", "third", None]
    pages: list[Answer] = [
        (200, {"imageIds": [{"imageDigest": DIGEST, "imageTag": tag} for tag in part], "nextToken": token})
        for part, token in zip((tags[:1000], tags[1000:2000], tags[2000:]), tokens, strict=True)
    ]
    asked = recorded({"ListImages": pages, "DescribeImages": images(**scanned("COMPLETE"))})
    assert Registry(REGION, attempts=1).find(REPOSITORY, SHA[:7]).tag == SHA
    assert [each.get("nextToken") for each in asked[:3]] == [None, "second", "third"]
    assert asked[0]["filter"] == {"tagStatus": "TAGGED"}


def test_an_endpoint_that_is_down(monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    error = refusal(SHA)
    assert (type(error), error.rule) == (UncheckableError, "registry/unreachable")
    assert str(error) == snapshot


def test_an_endpoint_that_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nowhere")
    assert refusal(SHA).rule == "registry/unreachable"


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    error = refusal(SHA)
    assert (type(error), error.rule) == (UncheckableError, "registry/no-credentials")
    assert str(error) == snapshot


def test_an_unknown_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert refusal(SHA).rule == "registry/no-credentials"


def test_importing_the_module_does_not_import_boto3() -> None:
    code = "import sys, koepon_gitops.registry; sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
