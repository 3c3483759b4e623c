"""`validate` as a whole: what is done again when something has changed, and that nothing unchecked ever passes.

Programs are counted, not clocks read: kustomize is the real one behind a wrapper that notes what it was asked to build.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent, indent

import pytest
from syrupy.assertion import SnapshotAssertion

from koepon_gitops import kustomize
from koepon_gitops.errors import RequestError, UncheckableError
from koepon_gitops.model import Report
from koepon_gitops.programs import KUSTOMIZE
from koepon_gitops.validation import validate
from tests.conftest import Clone
from tests.trees import CONFIG_MAP, DEPLOYMENT, REPOSITORY, application, separate_cache, write

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
REMEMBERED = "Nothing has changed since the last run."

THREE_REPLICAS = """
    apiVersion: admissionregistration.k8s.io/v1
    kind: ValidatingAdmissionPolicy
    metadata:
      name: replicas
      annotations:
        koepon.com/requirement: NFR-101
        koepon.com/title: Three replicas run
        koepon.com/reason: One zone may fail.
        koepon.com/remedy: Set spec.replicas to 3 or more.
        koepon.com/field: spec.replicas
    spec:
      matchConstraints:
        resourceRules:
          - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}
      validations:
        - {expression: object.spec.?replicas.orValue(1) >= 3, message: fewer than three replicas}
    ---
    apiVersion: admissionregistration.k8s.io/v1
    kind: ValidatingAdmissionPolicyBinding
    metadata: {name: replicas}
    spec: {policyName: replicas, validationActions: [Deny]}
    """

WAIVER = """
    waivers:
      - {rule: replicas, application: web-staging, reason: Two will do., owner: a@b.c, ticket: T-1, expires: 2026-03-31}
    """

TREE = {
    "pyproject.toml": f'[tool.koepon_gitops]\nrepository = "{REPOSITORY}"\n',
    "README.md": "hello\n",
    "policies/admission/replicas.yaml": THREE_REPLICAS,
    "policies/waivers.yaml": WAIVER,
    "apps/web/base/kustomization.yaml": "resources: [deployment.yaml]",
    "apps/web/base/deployment.yaml": DEPLOYMENT,
    "apps/web/staging/kustomization.yaml": "resources: [../base]\nnamespace: staging",
    "apps/web/production/kustomization.yaml": """
        resources: [../base]
        namespace: production
        replicas: [{name: web, count: 3}]
        """,
    "apps/settings/kustomization.yaml": "resources: [settings.yaml]",
    "apps/settings/settings.yaml": CONFIG_MAP,
    "clusters/staging.yaml": application("web-staging", "apps/web/staging"),
    "clusters/production.yaml": application("web-production", "apps/web/production"),
    "clusters/settings.yaml": application("settings", "apps/settings"),
}
OVERLAYS = {"apps/settings", "apps/web/production", "apps/web/staging"}


class Counted:
    """A tree, and what each `validate` of it had built and checked anew."""

    def __init__(self, root: Path, program: Path) -> None:
        self.root, self._program = write(root, dict(TREE)), program
        self._log = program.with_suffix(".log")
        self._command = " ".join(f'"{part}"' for part in kustomize.executable())
        self.works()
        self.report = Report.model_validate({"summary": {}})
        self.checked = 0
        """How many Applications were judged by schemas and policies."""

    def works(self) -> None:
        self._becomes(f'echo "$2" >> "{self._log}"\nexec {self._command} "$2"\n')

    def is_killed(self) -> None:
        self._becomes("kill -9 $$\n")

    def _becomes(self, script: str) -> None:
        self._program.write_text(f"#!/bin/sh\n{script}")
        self._program.chmod(0o755)

    def validate(self, *, now: datetime = NOON, baseline: bool = False, **options: object) -> set[str]:
        """Keep the report and the count; give the folders that kustomize built."""
        self._log.write_text("")
        self.checked = 0
        self.report = validate(self.root, now=now, baseline=baseline, step=self._step, **options)  # type: ignore[arg-type]
        return {line.removeprefix("./") for line in self._log.read_text().splitlines()}

    def _step(self, what: str, done: int, _total: int) -> None:
        self.checked = done if what == "Checking" else self.checked

    @property
    def remembered(self) -> bool:
        return REMEMBERED in self.report.notes

    @property
    def said(self) -> list[str]:
        """What was found, as `rule application file:line`."""
        return [f"{each.rule} {each.application} {each.path}:{each.line}" for each in self.report.findings]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """A tree of three Applications and a cache that knows schemas and nothing else."""
    cache = tmp_path / "cache"
    cache.mkdir()
    separate_cache(cache)
    (cache / "bin").unlink()
    (cache / "bin").mkdir()
    made = Counted(tmp_path / "tree", cache / "bin" / KUSTOMIZE.file.name)
    monkeypatch.setenv("KOEPON_GITOPS_CACHE", str(cache))
    kustomize.executable.cache_clear()
    yield made
    kustomize.executable.cache_clear()


def test_nothing_changed_nothing_done(tree: Counted) -> None:
    assert tree.validate() == OVERLAYS
    assert (tree.checked, tree.remembered, tree.said) == (3, False, [])
    first = tree.report

    assert tree.validate() == set()
    assert (tree.checked, tree.remembered) == (0, True)
    same = {"summary": first.summary, "notes": first.notes}
    assert tree.report.model_copy(update=same) == first


def test_one_overlay_is_rendered_and_checked_alone(tree: Counted) -> None:
    tree.validate()
    write(tree.root, {"apps/web/production/kustomization.yaml": "resources: [../base]\nnamespace: production"})
    assert tree.validate() == {"apps/web/production"}
    assert tree.checked == 1
    assert tree.said == ["replicas web-production apps/web/base/deployment.yaml:4"]


def test_a_base_is_rendered_with_each_overlay_that_uses_it(tree: Counted) -> None:
    tree.validate()
    write(tree.root, {"apps/web/base/deployment.yaml": dedent(DEPLOYMENT).replace("team/web}", "team/web:v2}")})
    assert tree.validate() == {"apps/web/production", "apps/web/staging"}
    assert tree.checked == 2


@pytest.mark.parametrize("file", ["README.md", "policies/waivers.yaml", "apps/web/base/unused.yaml"])
def test_what_no_overlay_reads_renders_none(tree: Counted, file: str) -> None:
    tree.validate()
    with (tree.root / file).open("a") as stream:
        stream.write("# changed\n")
    assert (tree.validate(), tree.checked, tree.remembered) == (set(), 0, False)


def test_a_policy_is_asked_again_about_what_is_rendered(tree: Counted) -> None:
    tree.validate()
    write(tree.root, {"policies/admission/replicas.yaml": dedent(THREE_REPLICAS).replace(">= 3", ">= 4")})
    assert (tree.validate(), tree.checked) == (set(), 3)
    assert tree.said == ["replicas web-production apps/web/production/kustomization.yaml:3"]


def test_a_waiver_that_goes_leaves_what_it_covered(tree: Counted) -> None:
    tree.validate()
    assert [each.finding.application for each in tree.report.waived] == ["web-staging"]
    (tree.root / "policies/waivers.yaml").unlink()
    assert (tree.validate(), tree.checked) == (set(), 0)
    assert tree.said == ["replicas web-staging apps/web/base/deployment.yaml:4"]


def test_an_answer_is_of_its_day(tree: Counted) -> None:
    tree.validate()
    assert tree.validate(now=NOON.replace(hour=23)) == set()
    assert tree.remembered
    assert tree.validate(now=NOON.replace(day=2)) == set()
    assert not tree.remembered
    assert tree.report.exit_code == 0
    tree.validate(now=NOON.replace(month=4))
    assert [each.rule for each in tree.report.findings] == ["waivers/expired", "replicas"]


def test_another_question_is_another_answer(tree: Counted) -> None:
    (tree.root / "policies/waivers.yaml").unlink()
    tree.validate()
    assert tree.report.summary.applications == 3
    assert tree.validate(applications=("web-production",)) == set()
    assert (tree.report.summary.applications, tree.said, tree.remembered) == (1, [], False)
    assert tree.validate(policies=write(tree.root.parent / "none", {"schemas.yaml": "exempt: []"})) == set()
    assert tree.report.notes == ("No policies in none/admission: only the pipeline's own checks ran.",)
    with pytest.raises(RequestError, match=r"Application is named wed\. The tree declares: settings, web-pr"):
        tree.validate(applications=("wed",))


def test_no_cache_reads_nothing_and_leaves_nothing(tree: Counted) -> None:
    for _ in range(2):
        assert tree.validate(cached=False) == OVERLAYS
        assert (tree.checked, tree.remembered) == (3, False)
    assert tree.validate() == OVERLAYS


def test_a_tool_that_fails_is_asked_again(tree: Counted) -> None:
    tree.is_killed()
    tree.validate(applications=("settings",))
    assert (tree.report.exit_code, tree.said) == (3, ["kustomize/crashed settings apps/settings/kustomization.yaml:0"])
    tree.validate(applications=("settings",))
    assert not tree.remembered
    tree.works()
    assert tree.validate(applications=("settings",)) == OVERLAYS
    assert tree.report.exit_code == 0


def test_a_baseline_that_is_not_installed_is_no_pass(
    tree: Counted, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    monkeypatch.setenv("KOEPON_GITOPS_CHECKOV", "/nonexistent/python")
    for _ in range(2):
        tree.validate(baseline=True)
        assert (tree.report.exit_code, tree.remembered) == (3, False)
    assert [f"{each.rule} {each.path}: {each.message} {each.remedy}" for each in tree.report.findings] == snapshot
    write(tree.root, {"pyproject.toml": f'[tool.koepon_gitops]\nrepository = "{REPOSITORY}"\nbaseline = false\n'})
    tree.validate(baseline=True)
    assert tree.report.exit_code == 0


def test_no_application_is_no_pass(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    write(tmp_path, {"pyproject.toml": TREE["pyproject.toml"], "clusters/settings.yaml": CONFIG_MAP})
    with pytest.raises(UncheckableError) as caught:
        validate(tmp_path, now=NOON)
    assert (caught.value.exit_code, str(caught.value)) == (3, snapshot)


WIDGET = "{apiVersion: example.com/v1, kind: Widget, metadata: {name: gear}, spec: {teeth: 12}}"

BROKEN = {
    "renders-to-nothing": {"apps/settings/kustomization.yaml": "resources: []"},
    "unknown-kind": {"apps/settings/settings.yaml": WIDGET},
    "misspelt-field": {
        "apps/web/production/kustomization.yaml": """
            resources: [../base]
            namespace: production
            patches:
              - patch: |-
                  apiVersion: apps/v1
                  kind: Deployment
                  metadata: {name: web}
                  spec:
                    replcias: 3
            """
    },
    "wrong-type": {
        "apps/web/base/deployment.yaml": dedent(DEPLOYMENT).replace("  selector", "  replicas: '3'\n  selector", 1)
    },
    "custom-object": {
        "apps/settings/settings.yaml": """
            apiVersion: external-secrets.io/v1
            kind: ExternalSecret
            metadata:
              name: settings
              lables: {a: b}
            spec:
              refreshInterval: 5
              refreshPolicy: Sometimes
              secretStoreRef: {kind: SecretShop, name: parameter-store}
              target: [settings]
              data:
                - secretKey: colour
                - remoteRef: {key: colour, colour: blue}
            """
    },
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_named_and_hides_nothing_else(case: str, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    """All that is wrong with an object is said at once, and the waiverless staging is found as ever."""
    root = write(tmp_path, {**TREE, **BROKEN[case]})
    (root / "policies/waivers.yaml").unlink()
    report = validate(root, baseline=False, now=NOON)
    judged = any(each.rule == "replicas" and each.application == "web-staging" for each in report.findings)
    assert judged == (case != "wrong-type"), "of replicas that are text the schema speaks alone"
    printed = [
        f"{each.path}:{each.line}: [{each.rule}] {each.application}: {each.message}\n{indent(each.remedy, '    ')}"
        for each in report.findings
        if each.rule != "replicas"
    ]
    assert "\n".join([*printed, f"exit code {report.exit_code}"]) == snapshot


@pytest.mark.parametrize(
    ("exemption", "verdict"),
    [
        ("{apiVersion: example.com/v1, kind: Widget, reason: Only the vendor has its definition.}", 0),
        ("{apiVersion: example.com/v1, kind: Gadget, reason: Only the vendor has its definition.}", 3),
        ("{apiVersion: example.com/v2, kind: Widget, reason: Only the vendor has its definition.}", 3),
    ],
)
def test_a_kind_without_schema_passes_by_name(tmp_path: Path, exemption: str, verdict: int) -> None:
    exempt = f"exempt:\n  - {exemption}"
    root = write(tmp_path, {**TREE, **BROKEN["unknown-kind"], "policies/schemas.yaml": exempt})
    report = validate(root, baseline=False, now=NOON)
    assert report.exit_code == verdict
    assert [each.rule for each in report.findings] == ["schemas/unknown-kind"] * (verdict == 3)


def test_a_kind_is_not_let_through_without_a_reason(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    exempt = "exempt: [{apiVersion: example.com/v1, kind: Widget}]"
    with pytest.raises(UncheckableError) as caught:
        validate(write(tmp_path, {**TREE, "policies/schemas.yaml": exempt}), baseline=False, now=NOON)
    assert str(caught.value) == snapshot


def test_a_commit_is_checked_as_it_was(clone: Clone) -> None:
    write(clone.folder, dict(TREE))
    good = clone.commit({})
    clone.commit({"policies/waivers.yaml": "waivers: []\n"})
    (clone.folder / "apps/web/production/kustomization.yaml").unlink()
    assert validate(clone.folder, revision=good, baseline=False, now=NOON).findings == ()
    [finding] = validate(clone.folder, revision="HEAD", baseline=False, now=NOON).findings
    assert (finding.application, finding.path) == ("web-staging", "apps/web/base/deployment.yaml")


def test_a_report_on_what_changed_since(clone: Clone) -> None:
    write(clone.folder, {**TREE, "policies/waivers.yaml": "waivers: []\n"})
    base = clone.commit({})
    clone.commit({"apps/settings/settings.yaml": dedent(CONFIG_MAP).replace("blue", "red")})
    narrow = validate(clone.folder, changed_since=base, baseline=False, now=NOON)
    assert (narrow.summary.applications, narrow.findings) == (1, ())
    clone.commit({"apps/web/base/deployment.yaml": f"# three\n{dedent(DEPLOYMENT)}"})
    wide = validate(clone.folder, changed_since=base, baseline=False, now=NOON)
    assert wide.summary.applications == 3
    assert [each.application for each in wide.findings] == ["web-staging"]
