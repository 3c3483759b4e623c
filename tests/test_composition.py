"""Claims of small trees, composed as the cluster would: real kustomizations, real processes, every way to go wrong.

Nothing is replaced by a stand-in. A hostile module is refused by the scan; what the worker refuses by itself is asked
of the worker, with modules that no scan has seen.
"""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

from koepon_gitops import applied, composition_processes, explain
from koepon_gitops.composition_processes import Processes
from koepon_gitops.composition_scan import scan
from koepon_gitops.model import Finding, Report
from koepon_gitops.validation import validate
from tests.commands import ROOT, cache
from tests.conftest import Clone
from tests.trees import REPOSITORY, application, write

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

MODULE = """
    from crossplane.pythonic import BaseComposite


    class Store(BaseComposite):
        def compose(self):
            name = str(self.metadata.name)
            images = self.resources.images("ecr.aws.m.upbound.io/v1beta1", "Repository")
            images.metadata.name = name
            images.spec.forProvider.region = str(self.spec.region)
            note = self.resources.note("v1", "ConfigMap")
            note.metadata.name = f"{name}-note"
            note.data.address = images.status.atProvider.repositoryUrl
    """

DEFINITION = """
    apiVersion: apiextensions.crossplane.io/v2
    kind: CompositeResourceDefinition
    metadata: {name: stores.example.com}
    spec:
      group: example.com
      scope: Namespaced
      names: {kind: Store, plural: stores}
      versions:
        - name: v1
          served: true
          referenceable: true
          schema:
            openAPIV3Schema:
              type: object
              required: [spec]
              properties:
                spec:
                  type: object
                  required: [owner]
                  properties:
                    owner: {type: string}
                    region: {type: string, default: eu-west-1}
    """

COMPOSITION = """
    apiVersion: apiextensions.crossplane.io/v1
    kind: Composition
    metadata: {name: store}
    spec:
      compositeTypeRef: {apiVersion: example.com/v1, kind: Store}
      mode: Pipeline
      pipeline:
        - step: compose
          functionRef: {name: pythonic}
          input:
            apiVersion: pythonic.fn.crossplane.io/v1alpha1
            kind: Composite
            composite: store.Store
    """

FUNCTION = """
    apiVersion: pkg.crossplane.io/v1
    kind: Function
    metadata: {name: pythonic}
    spec:
      package: xpkg.crossplane.io/crossplane-contrib/function-pythonic:v0.6.3
      runtimeConfigRef: {name: pythonic}
    """

RUNTIME = """
    apiVersion: pkg.crossplane.io/v1beta1
    kind: DeploymentRuntimeConfig
    metadata: {name: pythonic}
    spec:
      deploymentTemplate:
        spec:
          selector: {}
          template:
            spec:
              containers:
                - name: package-runtime
                  args: [--debug, --python-path, /mnt/modules]
                  volumeMounts: [{name: modules, mountPath: /mnt/modules}]
              volumes: [{name: modules, configMap: {name: modules}}]
    """

CLAIM = """
    apiVersion: example.com/v1
    kind: Store
    metadata: {name: shop}
    spec:
      owner: blue
    """

TREE: dict[str, str | bytes] = {
    "pyproject.toml": f'[tool.koepon_gitops]\nrepository = "{REPOSITORY}"\nbaseline = false\n',
    "clusters/apis.yaml": application("apis", "apis").replace("namespace: web", "namespace: crossplane-system"),
    "clusters/claims.yaml": application("claims", "claims"),
    "apis/kustomization.yaml": """
        resources: [definition.yaml, composition.yaml, function.yaml, runtime.yaml]
        configMapGenerator: [{name: modules, files: [store.py=store/composition.py]}]
        configurations: [references.yaml]
        """,
    "apis/references.yaml": """
        nameReference:
          - kind: ConfigMap
            version: v1
            fieldSpecs:
              - kind: DeploymentRuntimeConfig
                path: spec/deploymentTemplate/spec/template/spec/volumes/configMap/name
        """,
    "apis/definition.yaml": DEFINITION,
    "apis/composition.yaml": COMPOSITION,
    "apis/function.yaml": FUNCTION,
    "apis/runtime.yaml": RUNTIME,
    "apis/store/composition.py": MODULE,
    "claims/kustomization.yaml": "resources: [shop.yaml]",
    "claims/shop.yaml": CLAIM,
}


__all__ = ["cache"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop is given up sooner than in earnest."""
    monkeypatch.setattr(composition_processes, "CPU_SECONDS", 0.3)


def report(root: Path, files: dict[str, str | bytes] | None = None, **options: Any) -> Report:
    return validate(write(root, {**TREE, **(files or {})}), baseline=False, cached=False, now=NOON, **options)


def said(found: Report) -> str:
    """What a reader of the report gets, and the exit code."""
    lines = [f"{_place(each)}: [{each.rule}] {each.object}: {each.message} {each.remedy}" for each in found.findings]
    return "\n".join([*lines, f"exit code {found.exit_code}"])


def _place(finding: Finding) -> str:
    return f"{finding.path}:{finding.line}"


def composed(root: Path, files: dict[str, str | bytes] | None = None) -> str:
    """What is said of the tree with other files in it."""
    return said(report(root, files))


def body(text: str, before: str = "") -> dict[str, str | bytes]:
    """The tree's module with other statements as the body of `compose`."""
    head = "from crossplane.pythonic import BaseComposite\n\n\nclass Store(BaseComposite):\n    def compose(self):\n"
    return {"apis/store/composition.py": dedent(before) + head + indent(dedent(text).strip(), " " * 8) + "\n"}


def test_a_claim_becomes_resources(tmp_path: Path) -> None:
    found = report(tmp_path)
    assert said(found) == "exit code 0"
    assert (found.summary.claims, found.summary.managed_resources, found.summary.applications) == (1, 2, 2)


def test_render_shows_what_crossplane_adds_and_nothing_else(clone: Clone, snapshot: SnapshotAssertion) -> None:
    """The second resource waits for a status that only the second state has."""
    write(clone.folder, TREE)
    clone.commit({})
    assert applied.text(clone.folder, "claims") == snapshot


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (CLAIM.replace("owner: blue", "owner: blue\n      colour: red"), "schemas/unknown-field"),
        (CLAIM.replace("owner: blue", "region: x"), "schemas/invalid"),
    ],
    ids=["unknown field", "missing required field"],
)
def test_what_the_api_server_refuses_is_not_composed(
    tmp_path: Path, claim: str, expected: str, snapshot: SnapshotAssertion
) -> None:
    found = report(tmp_path, {"claims/shop.yaml": claim})
    assert [each.rule for each in found.findings] == [expected]
    assert (found.summary.claims, found.summary.managed_resources) == (1, 0)
    assert said(found) == snapshot


FAULTY: dict[str, dict[str, str | bytes]] = {
    "raises": body('raise ValueError("the owner is not known")'),
    "raises once observed": body(
        'store = self.resources.x("v1", "ConfigMap")\nstore.metadata.name = "x"\nif store.observed.kind:\n    {}["arn"]'
    ),
    "syntax": {"apis/store/composition.py": "class Store(:\n"},
    "no such class": body("pass") | {"apis/composition.yaml": COMPOSITION.replace("store.Store", "store.Shop")},
    "no such module": {"apis/composition.yaml": COMPOSITION.replace("store.Store", "shop.Store")},
    "loops": body("while True:\n    pass"),
    "fills the memory": body('x = "a" * (1 << 31)'),
    "sets have no order": body(
        """
        names = {"a", "b", "c", "d", "e", "f", "g", "h"}
        store = self.resources.x("v1", "ConfigMap")
        store.metadata.name = "x"
        store.data.names = ",".join(names)
        """
    ),
    "vanishes": body(
        """
        for name in ("first", "second"):
            if name == "first" or not self.request.observed.resources.first.resource.kind:
                self.resources[name]("v1", "ConfigMap").metadata.name = name
        """
    ),
    "never ends": body(
        """
        store = self.resources.x("v1", "ConfigMap")
        store.metadata.name = "x"
        store.data.more = str(store.observed.data.more or "") + "x"
        """
    ),
    "no name": body('self.resources.x("v1", "ConfigMap").data.a = "b"'),
    "cluster-wide": body('self.resources.x("v1", "Namespace").metadata.name = "x"'),
    "a claim in turn": body('self.resources.x("example.com/v1", "Store", name="x").spec.owner = "red"'),
    "unknown field": body(
        'self.resources["x"] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "daat": {"a": "b"}}'
    ),
    "an address in its words": body("raise ValueError(object())"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTY)
def test_a_composition_that_goes_wrong(tmp_path: Path, case: str, snapshot: SnapshotAssertion) -> None:
    """One sentence with the claim's place, and no traceback."""
    text = composed(tmp_path, FAULTY[case])
    assert "Traceback" not in text
    assert text == snapshot


INCOMPLETE: dict[str, dict[str, str | bytes]] = {
    "no composition": {"apis/composition.yaml": COMPOSITION.replace("kind: Store", "kind: Shop")},
    "two compositions": {
        "apis/kustomization.yaml": str(TREE["apis/kustomization.yaml"]).replace("[def", "[other.yaml, def"),
        "apis/other.yaml": COMPOSITION.replace("{name: store}", "{name: other}"),
    },
    "a composition by a name that is not": {
        "claims/shop.yaml": CLAIM.replace("owner", "crossplane: {compositionRef: {name: big}}\n      owner")
    },
    "no function": {"apis/function.yaml": FUNCTION.replace("{name: pythonic}\n    spec", "{name: other}\n    spec")},
    "another function": {"apis/function.yaml": FUNCTION.replace("function-pythonic", "function-kcl")},
    "another version": {"apis/function.yaml": FUNCTION.replace("v0.6.3", "v0.5.0")},
    "two functions": {
        "apis/composition.yaml": f"{dedent(COMPOSITION).rstrip()}\n    - step: ready\n"
        "      functionRef: {name: function-auto-ready}\n"
    },
    "no runtime": {"apis/function.yaml": FUNCTION.replace("Ref: {name: pythonic}", "Ref: {name: x}")},
    "no modules": {"apis/runtime.yaml": RUNTIME.replace("configMap: {name: modules}", "configMap: {name: other}")},
    "nothing mounted": {"apis/runtime.yaml": RUNTIME.replace("mountPath: /mnt/modules", "mountPath: /mnt/other")},
    "part of a ConfigMap": {"apis/runtime.yaml": RUNTIME.replace("mountPath:", "subPath: x, mountPath:")},
    "packages from the net": {"apis/runtime.yaml": RUNTIME.replace("--debug", "--pip-install, left-pad")},
    "modules elsewhere": {
        "clusters/apis.yaml": str(TREE["clusters/apis.yaml"]).replace("crossplane-system", "elsewhere")
    },
    "on another cluster": {"clusters/claims.yaml": application("claims", "claims").replace("in-cluster", "staging")},
}  # fmt: skip


@pytest.mark.parametrize("case", INCOMPLETE)
def test_what_is_missing_is_named_and_no_pass(tmp_path: Path, case: str, snapshot: SnapshotAssertion) -> None:
    found = report(tmp_path, INCOMPLETE[case])
    assert found.exit_code == (1 if case == "two compositions" else 3)
    assert found.summary.managed_resources == 0
    assert said(found) == snapshot


def test_the_report_on_the_claims_alone_is_no_pass_either(tmp_path: Path) -> None:
    found = report(tmp_path, INCOMPLETE["no function"], applications=("claims",))
    assert ([each.rule for each in found.findings], found.exit_code) == (["composition/missing-function"], 3)


def test_one_of_two_compositions_is_chosen(tmp_path: Path) -> None:
    """By the claim, by its labels, by the definition's default; Crossplane would pick either otherwise."""
    two = INCOMPLETE["two compositions"]
    labelled = COMPOSITION.replace("{name: store}", "{name: store, labels: {size: small}}")
    claims = [
        CLAIM.replace("owner", "crossplane: {compositionRef: {name: store}}\n      owner"),
        CLAIM.replace("owner", "crossplane: {compositionSelector: {matchLabels: {size: small}}}\n      owner"),
    ]
    for claim in claims:
        files = {**two, "apis/composition.yaml": labelled, "claims/shop.yaml": claim}
        assert said(report(tmp_path, files)) == "exit code 0"
    default = DEFINITION.replace("scope:", "defaultCompositionRef: {name: other}\n      scope:")
    assert said(report(tmp_path, {**two, "apis/definition.yaml": default, "claims/shop.yaml": CLAIM})) == "exit code 0"


def test_a_script_in_the_composition(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    def inline(text: str) -> dict[str, str | bytes]:
        script = indent(dedent(text).strip(), " " * 14)
        return {"apis/composition.yaml": dedent(COMPOSITION).replace("store.Store", f"|\n{script}")}

    good = """
        class Inline(BaseComposite):
            def compose(self):
                self.resources.x("v1", "ConfigMap", name=str(self.spec.owner))
        """
    assert report(tmp_path, inline(good)).summary.managed_resources == 1
    assert composed(tmp_path, inline(good.replace("str(self", "open(self"))) == snapshot(name="forbidden")
    assert composed(tmp_path, inline(good.replace("str(self.spec.owner)", "1 / 0"))) == snapshot(name="fails")


def test_two_claims_of_one_object(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    other = CLAIM.replace("{name: shop}", "{name: market}")
    files = {
        "claims/kustomization.yaml": "resources: [shop.yaml, market.yaml]",
        "claims/market.yaml": other,
        **body('self.resources.x("v1", "ConfigMap", name="same")'),
    }
    assert composed(tmp_path, files) == snapshot


def test_what_one_claim_leaves_for_the_next(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    files = {
        "claims/kustomization.yaml": "resources: [shop.yaml, market.yaml]",
        "claims/market.yaml": CLAIM.replace("{name: shop}", "{name: market}"),
        **body(
            """
            SEEN.append(str(self.metadata.name))
            self.resources.x("v1", "ConfigMap", name=SEEN[0])
            """,
            before="SEEN = []\n",
        ),
    }
    assert composed(tmp_path, files) == snapshot


def test_policies_see_what_is_composed_and_name_the_claim(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    policy = """
        apiVersion: admissionregistration.k8s.io/v1
        kind: ValidatingAdmissionPolicy
        metadata:
          name: scanned
          annotations:
            koepon.com/field: spec.forProvider
            koepon.com/requirement: NFR-301
            koepon.com/title: Images are scanned
            koepon.com/reason: What is not scanned is not known.
            koepon.com/remedy: Scan it.
        spec:
          matchConstraints:
            resourceRules:
              - {apiGroups: [ecr.aws.m.upbound.io], apiVersions: ["*"], operations: [CREATE], resources: ["*"]}
          validations:
            - {expression: has(object.spec.forProvider.imageScanningConfiguration), message: images are not scanned}
        ---
        apiVersion: admissionregistration.k8s.io/v1
        kind: ValidatingAdmissionPolicyBinding
        metadata: {name: scanned}
        spec: {policyName: scanned, validationActions: [Deny]}
        """
    namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: web}}"
    files: dict[str, str | bytes] = {
        "policies/admission/scanned.yaml": policy,
        "claims/kustomization.yaml": "resources: [shop.yaml, namespace.yaml]",
        "claims/namespace.yaml": namespace,
    }
    assert composed(tmp_path, files) == snapshot


def test_projects_have_no_say_in_what_crossplane_creates(tmp_path: Path) -> None:
    """Argo CD syncs the claim, and so the claim's kind is all that its project has to allow."""
    project = """
        apiVersion: argoproj.io/v1alpha1
        kind: AppProject
        metadata: {name: default, namespace: argocd}
        spec:
          sourceRepos: ["*"]
          destinations: [{name: in-cluster, namespace: "*"}]
          clusterResourceWhitelist: [{group: "*", kind: "*"}]
          namespaceResourceWhitelist:
            - {group: example.com, kind: Store}
            - {group: "", kind: ConfigMap}
            - {group: argoproj.io, kind: "*"}
        """
    files: dict[str, str | bytes] = {
        "apis/kustomization.yaml": str(TREE["apis/kustomization.yaml"]).replace("[def", "[project.yaml, def"),
        "apis/project.yaml": project,
    }
    assert composed(tmp_path, files) == "exit code 0"
    stricter = project.replace(", kind: Store}", ", kind: Shop}")
    assert "Store web/shop" in composed(tmp_path, {**files, "apis/project.yaml": stricter})


@pytest.mark.usefixtures("cache")
def test_nothing_is_composed_again_until_something_changes(tmp_path: Path) -> None:
    root = write(tmp_path / "tree", TREE)

    def composing() -> int:
        steps: list[int] = []
        validate(
            root,
            baseline=False,
            now=NOON,
            step=lambda what, _done, total: steps.append(total) if what == "Composing" else None,
        )
        return max(steps, default=0)

    assert (composing(), composing()) == (1, 0)
    (root / "README.md").write_text("hello\n")
    assert composing() == 0
    write(root, {"claims/shop.yaml": CLAIM.replace("blue", "red")})
    assert composing() == 1
    write(root, {"apis/store/composition.py": dedent(MODULE) + "\n# another\n"})
    assert composing() == 1


def test_the_library_itself_loads_nothing_of_crossplane() -> None:
    code = "import sys, koepon_gitops.pipeline; print([m for m in sys.modules if m.startswith(('crossplane', 'grpc'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_finding_is_explained(tmp_path: Path) -> None:
    text = explain.explain(write(tmp_path, TREE), "composition/nondeterministic")
    assert "Claims to managed resources" in text


HOSTILE = {
    "import os": "it imports os",
    "import sys, json": "it imports sys",
    "from os import path": "it imports os",
    "import math": "it imports math",
    "import random": "it imports random",
    "from time import time": "it imports time",
    "from datetime import datetime": "it imports datetime",
    "import crossplane.pythonic": "it imports crossplane.pythonic",
    "from crossplane.pythonic import function": "it imports function from crossplane.pythonic",
    "from crossplane.pythonic.grpc import os": "it imports crossplane.pythonic.grpc",
    "from . import other": "it imports .",
    "from json import *": "it imports * from json",
    "import json\njson.codecs.open('x')": "it reaches for json.codecs",
    "import json\nx = json": "it hands on or replaces the module json; only `json.<name>` may be used",
    "import json\njson.dumps = 1": "it reaches for json.dumps",
    "from json import codecs": "it imports codecs from json",
    "from typing import get_type_hints": "it imports get_type_hints from typing",
    "from dataclasses import make_dataclass": "it imports make_dataclass from dataclasses",
    "from helper import json": "it imports json from helper",
    "import helper\nhelper.json.codecs": "it reaches for helper.json",
    "eval('1')": "it uses eval",
    "exec('1')": "it uses exec",
    "compile = 1": "it uses compile",
    "open('/etc/passwd')": "it uses open",
    "__import__('os')": "it uses __import__",
    "getattr(1, 'real')": "it uses getattr",
    "x = [vars]": "it uses vars",
    "input()": "it uses input",
    "hash('a')": "it uses hash",
    "id(1)": "it uses id",
    "__builtins__": "it uses __builtins__",
    "().__class__": "it reaches for the attribute __class__",
    "x = type(1).mro()": "it reaches for the attribute mro",
    "(i for i in ()).gi_frame": "it reaches for the attribute gi_frame",
    "match 1:\n    case object(__class__=x):\n        pass": "it reaches for the attribute __class__",
    "class A:\n    def __getattribute__(self, name): ...": "it defines __getattribute__",
    "def f():\n    global x": "it changes the global x, which one claim would leave behind for the next",
    "try:\n    pass\nexcept:\n    pass": "it catches every exception, even that which ends it; name what is meant",
    "try:\n    pass\nexcept BaseException:\n    pass": "it uses BaseException",
    "x = (": "it is not Python: '(' was never closed",
    "x = '\0'": "it is not Python: source code string cannot contain null bytes",
}


@pytest.mark.parametrize("source", HOSTILE)
def test_what_a_composition_may_not_have(source: str) -> None:
    modules = {"bad": source, "helper": "import json\n\n\ndef given(): ...\n"}
    assert [(each.module, each.message) for each in scan(modules, {})] == [("bad", HOSTILE[source])]


@pytest.mark.parametrize(
    "source",
    [
        "import json\nimport hashlib\nprint(json.dumps({}), hashlib.sha256(b'').hexdigest())",
        "from collections.abc import Mapping\nfrom dataclasses import dataclass, field\nfrom typing import Any",
        "from helper import given\ngiven()",
        "import helper\nhelper.given()",
        "from crossplane.pythonic import Map\n\n\nclass A:\n    def __init__(self): super().__init__()",
        "def f(exit, id): return exit + id",
        "from __future__ import annotations",
    ],
)
def test_what_it_may_have(source: str) -> None:
    assert scan({"good": source, "helper": "import json\n\n\ndef given(): ...\n"}, {}) == ()


def test_a_module_may_not_hide_one_that_python_needs() -> None:
    assert [each.module for each in scan({"json": "", "crossplane": "", "own": ""}, {})] == ["crossplane", "json"]


def test_a_hostile_module_is_named_where_people_edit_it_and_does_not_run(
    tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    proof = tmp_path / "proof"
    hostile = f"import os\n\nos.mkdir({str(proof)!r})\n"
    text = composed(tmp_path / "tree", {"apis/store/composition.py": hostile})
    assert not proof.exists()
    assert text == snapshot


ATTACKS = {
    "reads a file": 'wanted("FileIO")("/etc/passwd")',
    "writes a file": 'wanted("FileIO")("/tmp/koepon-proof", "w")',
    "opens a socket": 'wanted("socket")()',
    "runs a program": 'wanted("Popen")(["true"])',
    "imports os": "import os",
    "imports from disk": 'module("importlib").import_module("xml.dom.minidom")',
    "lists a folder": 'module("os").listdir("/")',
    "reaches C": 'module("importlib").import_module("ctypes")',
    "asks for the builtin": 'open("/etc/passwd")',
}


@pytest.fixture(scope="module")
def attacked() -> dict[str, Any]:
    """What the worker says to compositions that no scan has seen."""
    reach = """
        from crossplane.pythonic import BaseComposite

        def subclasses(of):
            for each in type.__subclasses__(of):
                yield each
                yield from subclasses(each)

        def wanted(name):
            return [each for each in subclasses(object) if each.__name__ == name][0]

        def module(name):
            frame = [each for each in subclasses(object) if each.__name__ == "catch_warnings"][0]
            return frame.__init__.__globals__["sys"].modules[name]

        class Attack(BaseComposite):
            def compose(self):
                """
    modules = {
        f"attack{index}": dedent(reach).lstrip("\n").rstrip() + f"\n        {text}\n"
        for index, text in enumerate(ATTACKS.values())
    }
    composite = {"apiVersion": "example.com/v1", "kind": "Store", "metadata": {"name": "x"}, "spec": {}}
    requests = [
        {"composite": composite, "inputs": [{"composite": f"{name}.Attack"}], "observed": {}} for name in modules
    ]
    with Processes() as processes:
        processes.mount(modules)
        return dict(zip(ATTACKS, (one for one, _ in processes.ask(requests)), strict=True))


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_worker_refuses_what_no_scan_has_seen(
    attacked: dict[str, Any], attack: str, snapshot: SnapshotAssertion
) -> None:
    answer = {name: value for name, value in attacked[attack].items() if name not in {"module", "line"}}
    assert "resources" not in answer
    assert answer == snapshot


def test_one_claim_that_ends_its_process_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computation in C hears no alarm: the clock ends it, and the next claim is asked in a new process."""
    modules = {
        "slow": "from crossplane.pythonic import BaseComposite\n\n\nclass Slow(BaseComposite):\n"
        "    def compose(self):\n        sum(range(10**12))\n",
        "quick": "from crossplane.pythonic import BaseComposite\n\n\nclass Quick(BaseComposite):\n"
        "    def compose(self):\n        self.status.done = True\n",
    }
    composite = {"apiVersion": "example.com/v1", "kind": "Store", "metadata": {"name": "x"}, "spec": {}}
    monkeypatch.setattr(composition_processes, "CLOCK_SECONDS", 5)
    names = ("quick.Quick", "slow.Slow", "quick.Quick")
    with Processes() as processes:
        processes.mount(modules)
        answers = processes.ask([{"composite": composite, "inputs": [{"composite": n}], "observed": {}} for n in names])
    done = {"resources": {}, "status": {"done": True}}
    assert answers == [(done, done), ({"late": True}, {"late": True}), (done, done)]


def test_every_api_of_this_repository_is_installed_mounted_and_allowed() -> None:
    """Committed ones: what nobody lists would not reach the hub, and its claims would be of an unknown kind."""
    tracked = subprocess.run(
        ["git", "ls-files", "infrastructure/apis"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    folders = sorted(Path(each).parts[2] for each in tracked.stdout.split() if each.endswith("/definition.yaml"))
    listed = yaml.safe_load((ROOT / "infrastructure/apis/kustomization.yaml").read_text())
    modules = listed["configMapGenerator"][0]["files"]
    project = yaml.safe_load((ROOT / "clusters/hub/projects/estate.yaml").read_text())
    allowed = {(each["group"], each["kind"]) for each in project["spec"]["namespaceResourceWhitelist"]}
    shared = {Path(each).name for each in tracked.stdout.split() if each.count("/") == 2 and each.endswith(".py")}
    assert shared <= set(modules)
    for folder in folders:
        names = yaml.safe_load((ROOT / "infrastructure/apis" / folder / "definition.yaml").read_text())["spec"]
        assert folder in listed["resources"]
        assert f"{folder}.py={folder}/composition.py" in modules
        assert (names["group"], names["names"]["kind"]) in allowed
