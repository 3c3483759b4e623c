"""`explain RULE`, for each kind of rule and for none."""

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from koepon_gitops import checks, policies
from tests.commands import ROOT, Command, cache, command, is_one_sentence, tree
from tests.conftest import Clone
from tests.trees import write

__all__ = ["cache", "command", "tree"]

RULES = {rule.id: rule for rule in (*policies.load(ROOT / "policies/admission", ROOT).rules, *checks.RULES)}

POLICY = """
    apiVersion: admissionregistration.k8s.io/v1
    kind: ValidatingAdmissionPolicy
    metadata:
      name: replicas
      annotations:
        koepon.com/title: Production runs three replicas
        koepon.com/requirement: NFR-101
        koepon.com/reason: >-
          One zone may fail. This sentence is here to be so long that it has to be broken where the hundredth column
          is reached.
        koepon.com/remedy: Set spec.replicas to 3 or more.
    spec:
      matchConstraints:
        resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}]
      matchConditions: [{name: production, expression: "namespaceObject.metadata.name == 'production'"}]
      variables: [{name: replicas, expression: object.spec.replicas}]
      validations:
        - expression: |
            variables.replicas >= 3
              && variables.replicas < 100
          message: Too few.
    ---
    apiVersion: admissionregistration.k8s.io/v1
    kind: ValidatingAdmissionPolicyBinding
    metadata: {name: replicas}
    spec: {policyName: replicas, validationActions: [Deny]}
    """


def test_a_policy(tree: Clone, command: Command, snapshot: SnapshotAssertion) -> None:
    write(tree.folder, {"policies/admission/replicas.yaml": POLICY})
    assert str(command("explain", "replicas")) == snapshot


def test_a_policy_in_a_folder_of_another_name(tree: Clone, command: Command) -> None:
    settings = '[tool.koepon_gitops]\npolicies = "platform/rules/gitops"\n'
    write(tree.folder, {"platform/rules/gitops/admission/replicas.yaml": POLICY, "pyproject.toml": settings})
    answer = command("explain", "replicas")
    assert answer.out.endswith("\n    platform/rules/gitops/admission/replicas.yaml\n")
    assert "variables.replicas >= 3" in answer.out


def test_a_policy_from_elsewhere_is_not_taken_for_the_repositorys_own(
    tree: Clone, command: Command, tmp_path: Path
) -> None:
    write(tree.folder, {"policies/admission/replicas.yaml": POLICY})
    write(tmp_path, {"other/policies/admission/replicas.yaml": POLICY.replace(">= 3", ">= 5")})
    answer = command("explain", "replicas", "--policies", tmp_path / "other/policies")
    assert "variables.replicas >= 5" in answer.out
    assert "variables.replicas >= 3" not in answer.out


@pytest.mark.parametrize("rule", ["pod-disruption-budget", "manifests/duplicate-key", "CKV_K8S_35"])
def test_a_rule_that_is_no_policy(tree: Clone, command: Command, rule: str, snapshot: SnapshotAssertion) -> None:
    assert str(command("explain", rule)) == snapshot


@pytest.mark.parametrize(
    "name", ["Replicas", "replcas", "pod-budget", "zzz", "nothing/here", "data/x", "CKV", "CKV_K8S_x", "", "\x1b[2J"]
)
def test_a_name_that_no_rule_has(tree: Clone, command: Command, name: str, snapshot: SnapshotAssertion) -> None:
    write(tree.folder, {"policies/admission/replicas.yaml": POLICY})
    answer = command("explain", name)
    assert (answer.code, answer.out) == (2, "")
    assert is_one_sentence(answer.err)
    assert answer.err == snapshot


@pytest.mark.parametrize("name", RULES)
def test_this_repositorys_rules_explain_themselves(name: str, command: Command) -> None:
    answer = command("explain", name, "--root", ROOT)
    assert (answer.code, answer.err) == (0, "")
    headings = [line for line in answer.out.splitlines()[2:] if line and not line.startswith(" ")]
    expressions = ["Only when", "Variables", "Holds when"]
    assert [each for each in headings if each not in expressions] == ["Requirement", "Reason", "Remedy", "Written in"]
    assert (ROOT / answer.out.splitlines()[-1].strip()).is_file()
    assert ("Holds when" in headings) == RULES[name].file.endswith(".yaml")
