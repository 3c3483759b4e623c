"""Provenance: a finding about a rendered object leads to the line that a person edits."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koepon_gitops import kustomize, places
from koepon_gitops.cache import Cache
from koepon_gitops.model import Finding, Manifest, ObjectId, Severity, Source
from koepon_gitops.provenance import Provenance
from koepon_gitops.tree import Files

TREE = {
    "base/kustomization.yaml": """\
resources: [workloads.yaml, service.json]
labels:
  - pairs: {part-of: koepon}
    includeTemplates: true
configMapGenerator:
  - name: settings
    literals:
      - LEVEL=info
      - COLOUR=red
""",
    "base/workloads.yaml": """\
# The application
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: 1
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers:
        - name: sidecar
          image: sidecar:1   # the sidecar
        - name: app
          image: app:0
          args: [one, two]
          resources:
            limits: {memory: 1Gi}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: worker   # of the worker
spec:
  paused: false
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec: {containers: [{name: worker, image: app:0}]}
""",
    "base/service.json": """\
{"apiVersion": "v1",
 "kind": "Service",
 "metadata": {"name": "app"},
 "spec": {
   "type": "ClusterIP",
   "ports": [{"port": 80}]}}
""",
    "parts/kustomization.yaml": """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - target: {kind: Deployment, labelSelector: "app!=other"}
    patch: |-
      - op: add
        path: /spec/minReadySeconds
        value: 7
      - op: add
        path: /metadata/annotations
        value:
          example.com/a: from the component
""",
    "overlay/kustomization.yaml": """\
namespace: production   # where
namePrefix: koepon-
resources:
  - ../base
components:
  - ../parts
images:
  - name: app
    newName: registry.example.com/app
    newTag: v1
replicas:
  - name: worker
    count: 5
commonAnnotations:
  owner: platform
patches:
  - path: memory.yaml
  - target: {kind: Deployment, name: app}
    patch: |-
      - op: replace
        path: /spec/replicas
        value: 2
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata:
        name: worker
      spec:
        paused: true
  - patch: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: worker}, spec: {revisionHistoryLimit: 3}}"
""",
    "overlay/memory.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
spec:
  template:
    spec:
      containers:
        - name: app
          env:
            - {name: MODE, value: fast}
          resources:
            limits:
              memory: 2Gi
""",
}
CONTAINER = "spec.template.spec.containers"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, dict[str, Manifest]]:
    files = Files(tree(tmp_path_factory.mktemp("tree"), TREE))
    rendering = kustomize.build(Source(repo_url="here", path="overlay"), Cache("renders", enabled=False), files)
    manifests = [
        Manifest(application="a", cluster="c", id=ObjectId.of(each), content=each, files=rendering.files)
        for each in rendering.objects
    ]
    return files, {f"{each.id.kind} {each.id.name.removeprefix('koepon-')}".split("-")[0]: each for each in manifests}


def finding(manifest: Manifest, field: str) -> Finding:
    return Finding(rule="r", severity=Severity.ERROR, application="a", object=manifest.id, message="m", field=field)


def where(files: Files, manifest: Manifest, field: str) -> tuple[str, str]:
    """The file, and the text of the line."""
    found = Provenance(files).locate(finding(manifest, field), manifest)
    lines = ["", *files.content(found.path).decode().splitlines()]
    return found.path, lines[found.line].strip()


@pytest.mark.parametrize(
    ("name", "field", "file", "line"),
    [
        ("Deployment app", "", "base/workloads.yaml", "apiVersion: apps/v1"),
        ("Deployment app", "kind", "base/workloads.yaml", "kind: Deployment"),
        ("Deployment app", "metadata.name", "overlay/kustomization.yaml", "namePrefix: koepon-"),
        ("Deployment app", "metadata.namespace", "overlay/kustomization.yaml", "namespace: production   # where"),
        ("Deployment app", "spec.replicas", "overlay/kustomization.yaml", "value: 2"),
        ("Deployment worker", "spec.replicas", "overlay/kustomization.yaml", "count: 5"),
        ("Deployment worker", "spec.paused", "overlay/kustomization.yaml", "paused: true"),
        ("Deployment worker", "spec.revisionHistoryLimit", "overlay/kustomization.yaml", '- patch: "{apiVersion'),
        ("Deployment app", "spec.minReadySeconds", "parts/kustomization.yaml", "value: 7"),
        (
            "Deployment app",
            "metadata.annotations[example.com/a]",
            "parts/kustomization.yaml",
            "example.com/a: from the",
        ),
        ("Deployment app", "metadata.annotations.owner", "overlay/kustomization.yaml", "owner: platform"),
        ("Deployment app", "metadata.labels[part-of]", "base/kustomization.yaml", "- pairs: {part-of: koepon}"),
        (
            "Deployment app",
            "spec.template.metadata.labels.app",
            "base/workloads.yaml",
            "metadata: {labels: {app: app}}",
        ),
        ("Deployment app", f"{CONTAINER}[0].resources.limits.memory", "overlay/memory.yaml", "memory: 2Gi"),
        ("Deployment app", f"{CONTAINER}[0].env[0].value", "overlay/memory.yaml", "- {name: MODE, value: fast}"),
        ("Deployment app", f"{CONTAINER}[0].args[1]", "base/workloads.yaml", "args: [one, two]"),
        ("Deployment app", f"{CONTAINER}[0].image", "overlay/kustomization.yaml", "newTag: v1"),
        ("Deployment app", f"{CONTAINER}[1].image", "base/workloads.yaml", "image: sidecar:1   # the sidecar"),
        ("Deployment app", f"{CONTAINER}[0].livenessProbe", "base/workloads.yaml", "- name: app"),
        ("Deployment app", f"{CONTAINER}", "base/workloads.yaml", "containers:"),
        ("Deployment app", "spec.strategy.type", "base/workloads.yaml", "spec:"),
        ("Deployment worker", "spec.template.spec.containers[0].image", "overlay/kustomization.yaml", "newTag: v1"),
        ("Service app", "spec.ports[0].port", "base/service.json", '"ports": [{"port": 80}]}}'),
        ("Service app", "spec.type", "base/service.json", '"type": "ClusterIP",'),
        ("ConfigMap settings", "", "base/kustomization.yaml", "- name: settings"),
        ("ConfigMap settings", "data.COLOUR", "base/kustomization.yaml", "- COLOUR=red"),
    ],
)
def test_the_nearest_place_that_sets_the_field(
    overlay: tuple[Files, dict[str, Manifest]], name: str, field: str, file: str, line: str
) -> None:
    files, manifests = overlay
    path, text = where(files, manifests[name], field)
    assert path == file
    assert text.startswith(line)


def test_every_field_of_the_overlay_has_a_line(overlay: tuple[Files, dict[str, Manifest]]) -> None:
    files, manifests = overlay
    for manifest in manifests.values():
        for field in ("metadata", "spec", "nothing.at.all", "spec.containers[99]", "[", "..", "a[]"):
            found = Provenance(files).locate(finding(manifest, field), manifest)
            assert found.line > 0
            assert found.path in manifest.files


def test_the_same_name_in_two_namespaces(tmp_path: Path) -> None:
    text = "".join(f"apiVersion: v1\nkind: Secret\nmetadata:\n  namespace: {n}\n  name: s\n---\n" for n in ("a", "b"))
    files = Files(tree(tmp_path, {"s.yaml": text}))
    content = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "b"}}
    manifest = Manifest(application="a", cluster="c", id=ObjectId.of(content), content=content, files=("s.yaml",))
    assert where(files, manifest, "metadata.namespace") == ("s.yaml", "namespace: b")


def test_what_is_nowhere_to_be_found_is_the_first_file(tmp_path: Path) -> None:
    files = Files(tree(tmp_path, {"a.yaml": "kind: [", "b.yaml": "a: b"}))
    manifest = _manifest(("a.yaml", "b.yaml"))
    found = Provenance(files).locate(finding(manifest, "spec.replicas"), manifest)
    assert (found.path, found.line) == ("a.yaml", 0)
    assert Provenance(files).locate(finding(manifest, "x"), _manifest(())).path == ""


def _manifest(files: tuple[str, ...]) -> Manifest:
    content = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app"}, "spec": {"replicas": 1}}
    return Manifest(application="a", cluster="c", id=ObjectId.of(content), content=content, files=files)


def test_a_link_out_of_the_tree_is_not_followed(tmp_path: Path) -> None:
    outside = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec: {replicas: 1}\n"
    tree(tmp_path, {"secret.yaml": outside, "root/kustomization.yaml": "patches:\n- path: ../secret.yaml\n"})
    (tmp_path / "root/link.yaml").symlink_to("../secret.yaml")
    manifest = _manifest(("kustomization.yaml", "link.yaml", "../secret.yaml", "gone.yaml"))
    found = Provenance(Files(tmp_path / "root")).locate(finding(manifest, "spec.replicas"), manifest)
    assert (found.path, found.line) == ("kustomization.yaml", 0)


_KEYS = (
    *("resources", "components", "patches", "patch", "path", "target", "kind", "name", "images", "replicas", "labels"),
    *("pairs", "metadata", "spec", "items", "configMapGenerator", "namePrefix", "patchesJson6902"),
)
YAML = st.recursive(
    st.sampled_from(
        ["", "app", "Deployment", "apps/v1", "../x", "a.yaml", "- op: add\n  path: /spec", "a: [", 1, None]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(st.lists(YAML, min_size=2, max_size=2), st.sampled_from(["spec.replicas", "metadata.labels[a]", "a[0].image"]))
def test_no_content_makes_it_fail(texts: list[object], field: str) -> None:
    files = Files(Path("/nonexistent"))
    for name, content in zip(("kustomization.yaml", "a.yaml"), texts, strict=True):
        files._bytes[name] = json.dumps(content).encode()
    files._listings["."] = {}
    manifest = _manifest(("kustomization.yaml", "a.yaml"))
    assert Provenance(files).locate(finding(manifest, field), manifest).path in manifest.files


def test_patterns_that_take_for_ever_are_not_evaluated(tmp_path: Path) -> None:
    name = "(a+)+" * 20
    patch = (
        f"patches:\n- target: {{name: '{name}$', kind: '(.*)*(.*)*(.*)*x'}}\n  patch: '[{{op: add, path: /spec}}]'\n"
    )
    manifest = _manifest(("kustomization.yaml",))
    manifest = manifest.model_copy(update={"id": manifest.id.model_copy(update={"name": "a" * 250})})
    started = time.monotonic()
    found = Provenance(Files(tree(tmp_path, {"kustomization.yaml": patch}))).locate(finding(manifest, "spec"), manifest)
    assert time.monotonic() - started < 1
    assert found.line == 3


def test_five_hundred_findings_in_a_third_of_a_second(tmp_path: Path) -> None:
    deployment = TREE["base/workloads.yaml"].partition("---")[0]
    names = [f"d{number}.yaml" for number in range(500)]
    files = Files(tree(tmp_path, {name: deployment.replace("{name: app}", f"{{name: {name}}}", 1) for name in names}))
    manifests = []
    for name in names:
        content = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": 1}}
        manifests.append(
            Manifest(application="a", cluster="c", id=ObjectId.of(content), content=content, files=tuple(names))
        )
    provenance = Provenance(files)
    started = time.perf_counter()
    found = [provenance.locate(finding(manifest, "spec.replicas"), manifest) for manifest in manifests]
    assert time.perf_counter() - started < 1.5  # 0.2 s on an idle machine
    assert [(each.path, each.line) for each in found] == [(name, 6) for name in names]


@pytest.mark.parametrize(
    ("field", "steps"),
    [
        ("", ()),
        ("spec.containers[0].image", ("spec", "containers", 0, "image")),
        ("metadata.labels[app.kubernetes.io/name]", ("metadata", "labels", "app.kubernetes.io/name")),
        ("metadata.annotations['a.b/c'].d", ("metadata", "annotations", "a.b/c", "d")),
        ("spec.x[0][1]", ("spec", "x", 0, 1)),
        ("a[", ("a", "[")),
    ],
)
def test_steps_of_a_field(field: str, steps: tuple[str | int, ...]) -> None:
    assert places.steps(field) == steps


def test_the_line_of_a_field_in_a_stream() -> None:
    text = TREE["base/workloads.yaml"].encode()
    assert places.locate(text, "Deployment", "app", "spec.replicas") == 6
    assert places.locate(text, "Deployment", "app", "spec.template.spec.containers[1].image") == 15
    assert places.locate(text, "Deployment", "app", "spec.strategy.type") == 5
    assert places.locate(text, "Deployment", "worker", "status") == 20
    assert places.locate(text, "Deployment", "gone", "spec") is None
    assert places.locate(b"a: [", "Deployment", "gone", "spec") is None
    merged = b"kind: A\nmetadata: {name: a}\nx: &x\n  b: 1\nspec:\n  <<: *x\n  c: *x\n"
    assert places.locate(merged, "A", "a", "spec.b") == 4
    assert places.locate(merged, "A", "a", "spec.c.b") == 4
