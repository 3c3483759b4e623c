"""Findings are the same from one process and from several, and what surrounds an object counts among its causes."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from koepon_gitops import evaluation, placement, policies, schemas
from koepon_gitops.cache import Cache
from koepon_gitops.model import Finding
from koepon_gitops.rendering import Rendered
from koepon_gitops.schemas import Schemas
from tests.trees import application, rendered, separate_cache, write

NOTHING_IN_FRONT = """
    apiVersion: admissionregistration.k8s.io/v1
    kind: ValidatingAdmissionPolicy
    metadata: {name: nothing-in-front}
    spec:
      matchConstraints:
        resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
      validations: [{expression: "false", message: not here}]
    ---
    apiVersion: admissionregistration.k8s.io/v1
    kind: ValidatingAdmissionPolicyBinding
    metadata: {name: nothing-in-front}
    spec:
      policyName: nothing-in-front
      validationActions: [Deny]
      matchResources: {namespaceSelector: {matchLabels: {tier: front}}}
    """
NAMESPACE = "{{apiVersion: v1, kind: Namespace, metadata: {{name: web, labels: {{tier: {}}}}}}}"
SETTINGS = "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: settings-{}}}, dato: {{a: b}}}}"


@pytest.fixture(scope="module")
def library() -> Schemas:
    return schemas.load()


def tree(root: Path, tier: str) -> Sequence[Rendered]:
    """Twelve Applications with an object each, and one with the namespace that they share."""
    files: dict[str, str | bytes] = {
        "policies/nothing-in-front.yaml": NOTHING_IN_FRONT,
        "apps/home/all.yaml": NAMESPACE.format(tier),
    }
    files["clusters/home.yaml"] = application("home", "apps/home")
    for index in range(12):
        files[f"clusters/{index}.yaml"] = application(f"web-{index}", f"apps/{index}")
        files[f"apps/{index}/all.yaml"] = SETTINGS.format(index)
    write(root, files)
    return placement.placed(rendered(root).values(), schemas.load())


def judged(root: Path, found: Sequence[Rendered], library: Schemas, cache: Cache) -> tuple[list[Finding], list[str]]:
    """The findings, and the steps that were told."""
    told: list[str] = []
    judge = evaluation.Judge(library, policies.load(root / "policies"), placement.by_cluster(found))
    step = lambda what, done, total: told.append(f"{what} {done}/{total}")  # noqa: E731
    return evaluation.evaluate(judge, found, cache, step), told


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_several_processes_find_what_one_finds(
    tmp_path: Path, library: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, none = tree(tmp_path, "front"), Cache("evaluations", enabled=False)
    alone, told = judged(tmp_path, found, library, none)
    assert told[-1] == "Checking 13/13"
    assert {each.rule for each in alone} == {"schemas/unknown-field", "nothing-in-front"}
    assert len(alone) == 24

    monkeypatch.setattr(evaluation, "OBJECTS_WORTH_A_PROCESS", 4)
    monkeypatch.setattr(evaluation.os, "process_cpu_count", lambda: 3)
    assert judged(tmp_path, found, library, none) == (alone, told)


def test_the_labels_of_a_namespace_elsewhere_are_a_cause(
    tmp_path: Path, library: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("KOEPON_GITOPS_CACHE", str(separate_cache(tmp_path / "cache")))
    cache = Cache("evaluations")
    front = tree(tmp_path / "tree", "front")
    first, _ = judged(tmp_path / "tree", front, library, cache)
    assert judged(tmp_path / "tree", front, library, cache) == (first, [])

    back = tree(tmp_path / "tree", "back")
    second, told = judged(tmp_path / "tree", back, library, cache)
    assert told[-1] == "Checking 13/13"
    assert {each.rule for each in second} == {"schemas/unknown-field"}
