"""Checks over several objects, beyond their fixtures: arithmetic, selectors, hostile objects, checks that break."""

import math
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koepon_gitops import checks, network_resources
from koepon_gitops.checks import data
from koepon_gitops.checks.registration import REGISTERED, Fault, check
from koepon_gitops.errors import ManifestError
from koepon_gitops.model import Finding, Manifest, ObjectId, Severity, Value

NAMESPACE = "production"
POLICIES = Path(__file__).parents[1] / "policies"
TODAY = date(2026, 11, 24)


def manifest(api: str, kind: str, name: str = "web", /, *, spec: Any = None, labels: Any = None) -> Manifest:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels or {}}
    content = {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}
    return Manifest(application="web", cluster="cluster", id=ObjectId.of(content), content=content)


ENVIRONMENT = manifest("v1", "Namespace", NAMESPACE, labels={"koepon.com/environment": "production"})


def workload(labels: Any, name: str = "web", *, replicas: Any = 2) -> Manifest:
    template = {"metadata": {"labels": labels}}
    return manifest("apps/v1", "Deployment", name, spec={"replicas": replicas, "template": template})


def autoscaler(minimum: Any) -> Manifest:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": target, "minReplicas": minimum}
    return manifest("autoscaling/v2", "HorizontalPodAutoscaler", spec=spec)


def budget(selector: Any, name: str = "web", **bound: Any) -> Manifest:
    return manifest("policy/v1", "PodDisruptionBudget", name, spec={"selector": selector, **bound})


def found(*manifests: Manifest) -> list[Finding]:
    return list(checks.run([ENVIRONMENT, *manifests], POLICIES, TODAY))


class Drain:
    """The disruption controller and the eviction API, one pod at a time and in Go's own arithmetic.

    k8s.io/kubernetes 1.36 pkg/controller/disruption, and intstr.GetScaledValueFromIntOrPercent.
    """

    def __init__(self, pods: int, bound: str, value: int | str) -> None:
        amount = math.ceil(float(value[:-1]) * float(pods) / 100) if isinstance(value, str) else value
        desired = max(0, pods - amount) if bound == "maxUnavailable" else amount
        self.evicted = 0
        while self.evicted < pods and pods - self.evicted > desired:
            self.evicted += 1


BOUNDS = st.sampled_from(["minAvailable", "maxUnavailable"])
VALUES = st.integers(0, 60) | st.integers(0, 100).map(lambda percent: f"{percent}%")


@given(BOUNDS, VALUES, st.integers(2, 50), st.none() | st.integers(2, 50))
def test_a_budget_is_right_when_some_pods_can_go_and_some_stay(
    bound: str, value: int | str, replicas: int, minimum: int | None
) -> None:
    """However many replicas git asks for, the autoscaler's minimum counts where there is one."""
    pods = replicas if minimum is None else minimum
    scaling = [] if minimum is None else [autoscaler(minimum)]
    findings = found(
        workload({"app": "web"}, replicas=replicas), *scaling, budget({"matchLabels": {"app": "web"}}, **{bound: value})
    )

    evicted = Drain(pods, bound, value).evicted
    reason = {0: "lets none be evicted", pods: f"lets all {pods} of Deployment web be evicted at once"}.get(evicted)
    assert len(findings) == (reason is not None)
    for finding in findings:
        assert f"{bound} {value} of {pods} pods {reason}" in finding.message
        assert (finding.rule, finding.field) == ("pod-disruption-budget", f"spec.{bound}")
        assert finding.object == budget(None).id


KEYS, WORDS = st.sampled_from(["app", "tier", "zone"]), st.sampled_from(["a", "b", "c"])
LABELS = st.dictionaries(KEYS, WORDS)
EXPRESSIONS = st.lists(
    st.fixed_dictionaries({"key": KEYS, "operator": st.sampled_from(["Exists", "DoesNotExist"])})
    | st.fixed_dictionaries(
        {"key": KEYS, "operator": st.sampled_from(["In", "NotIn"]), "values": st.lists(WORDS, min_size=1)}
    ),
    max_size=2,
)
SELECTORS = st.none() | st.fixed_dictionaries({}, optional={"matchLabels": LABELS, "matchExpressions": EXPRESSIONS})


def selects(selector: Any, labels: dict[str, str]) -> bool:
    """As `metav1.LabelSelectorAsSelector` says: no selector is nothing, an empty one everything."""

    def holds(expression: dict[str, Any]) -> bool:
        there = expression["key"] in labels
        listed = there and labels[expression["key"]] in expression.get("values", ())
        return {"In": listed, "NotIn": not listed, "Exists": there, "DoesNotExist": not there}[expression["operator"]]

    if selector is None:
        return False
    exact = selector.get("matchLabels", {}).items() <= labels.items()
    return exact and all(holds(each) for each in selector.get("matchExpressions", ()))


@given(st.lists(LABELS, max_size=4), st.lists(SELECTORS, max_size=4))
def test_who_has_no_budget_or_two_and_which_budget_has_nobody(pods: list[dict[str, str]], selectors: list[Any]) -> None:
    workloads = [workload(labels, f"w{index}") for index, labels in enumerate(pods)]
    budgets = [budget(selector, f"b{index}", minAvailable=1) for index, selector in enumerate(selectors)]
    said = [(finding.object, finding.message) for finding in found(*workloads, *budgets)]

    for each, labels in zip(workloads, pods, strict=True):
        over = [one.id.name for one, selector in zip(budgets, selectors, strict=True) if selects(selector, labels)]
        mine = [message for identity, message in said if identity == each.id]
        match over:
            case []:
                assert mine == ["no PodDisruptionBudget selects its pods, and all 2 may be evicted at once"]
            case [_]:
                assert mine == []
            case _:
                assert [message for message in mine if f"{' and '.join(over)} select the same pods" in message] == mine
                assert len(mine) == 1
    for one, selector in zip(budgets, selectors, strict=True):
        nobody = any("selects no pods" in message for identity, message in said if identity == one.id)
        assert nobody != any(selects(selector, labels) for labels in pods)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**30) | st.floats() | st.text(max_size=3) | st.just("9" * 5000 + "%"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ["vpcIdRef", "subnetIdRef", "networkAclIdRef", "gatewayIdRef"], st.just({"name": "web"}) | JSON
        ),
        **dict.fromkeys(["cidrBlock", "cidrIpv4"], st.just("10.0.0.0/16") | JSON),
        **dict.fromkeys(["availabilityZone", "fromPort", "toPort", "ipProtocol", "protocol", "subnetIdRefs"], JSON),
        **dict.fromkeys(["routeTableIdRef", "securityGroupIdRef"], st.just({"name": "web"}) | JSON),
    },
)
PARTS = ["replicas", "minReplicas", "selector", "template", "maxUnavailable", "minAvailable", "workloadRef"]
KINDS = st.sampled_from(
    [
        ("apps/v1", "Deployment"),
        ("argoproj.io/v1alpha1", "Rollout"),
        ("batch/v1", "CronJob"),
        ("v1", "Pod"),
        ("v1", "Namespace"),
        ("policy/v1", "PodDisruptionBudget"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
        *(("ec2.aws.m.upbound.io/v1beta1", kind) for kind in network_resources.READ),
    ]
)


@given(
    st.lists(
        st.tuples(
            KINDS,
            JSON
            | st.dictionaries(st.sampled_from([*PARTS, "scaleTargetRef", "jobTemplate"]), JSON)
            | st.builds(lambda parameters: {"forProvider": parameters}, PARAMETERS),
            JSON,
        )
    )
)
def test_an_object_that_a_schema_refuses_breaks_no_check(objects: list[tuple[tuple[str, str], Any, Any]]) -> None:
    """The schema's finding is enough; a check that gave up would turn it into "could not be checked"."""
    manifests = [manifest(*kind, spec=spec, labels=labels) for kind, spec, labels in objects]
    assert not any(finding.unchecked for finding in found(*manifests))


def test_what_is_wrong_with_a_field_is_left_to_the_schema() -> None:
    selector = {"matchLabels": {"app": "web"}}
    assert found(workload({"app": "web"}), budget(selector, maxUnavailable="half")) == []
    assert found(workload({"app": "web"}, replicas="two"), budget(selector, maxUnavailable=1.5)) == []


def test_an_object_declared_twice_is_not_two_budgets() -> None:
    one = budget({}, maxUnavailable=1)
    assert found(workload({"app": "web"}), one, one) == []


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A list of checks in place of the real ones."""
    made: list[Any] = []
    monkeypatch.setattr(checks, "CHECKS", made)
    before = len(REGISTERED)
    yield made
    del REGISTERED[before:]


def test_a_check_is_named_and_explained_by_its_function(registered: list[Any]) -> None:
    @check(requirement="NFR-404", remedy="Rename it.", severity=Severity.WARNING)
    def no_old_names(manifests: Sequence[Manifest]) -> Iterator[Fault]:
        """Nothing is called old.

        A name like that is true
        for a week.
        """
        yield from (Fault(each, "it is called old", "metadata.name") for each in manifests if each.id.name == "old")

    registered.append(no_old_names)
    rule = no_old_names.rule
    assert (rule.id, rule.title, rule.reason) == (
        "no-old-names",
        "Nothing is called old",
        "A name like that is true for a week.",
    )
    assert (rule.requirement, rule.remedy, rule.file) == ("NFR-404", "Rename it.", "tests/test_checks.py")

    old = workload({}, "old")
    assert list(checks.run([old, workload({}, "new")], POLICIES, TODAY)) == [
        Finding(
            rule="no-old-names",
            severity=Severity.WARNING,
            requirement="NFR-404",
            application="web",
            object=old.id,
            field="metadata.name",
            message="it is called old",
            remedy="Rename it.",
        )
    ]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ZeroDivisionError("by zero"), "The check breaks-off broke off: ZeroDivisionError: by zero."),
        (ManifestError("x/y", "It is odd.", where="a.yaml:3"), "It is odd."),
    ],
)
def test_a_check_that_breaks_off_is_never_a_pass(registered: list[Any], error: Exception, sentence: str) -> None:
    @check(requirement="NFR-404", remedy="Wait.")
    def breaks_off(manifests: Sequence[Manifest]) -> Iterator[Fault]:
        """It breaks off."""
        yield Fault(manifests[0], "found in time")
        raise error

    @check(requirement="NFR-404", remedy="Wait.")
    def goes_on(manifests: Sequence[Manifest]) -> Iterator[Fault]:
        """It goes on."""
        yield Fault(manifests[0], "found all the same")

    registered += [breaks_off, goes_on]
    before, broken, after = checks.run([ENVIRONMENT], POLICIES, TODAY)
    assert (before.message, after.message) == ("found in time", "found all the same")
    assert (broken.rule, broken.unchecked, broken.message) == ("breaks-off", True, sentence)


class Figures(Value):
    """What the check below reads."""

    most: int


@pytest.mark.parametrize(
    ("text", "said", "unchecked"),
    [
        ("most: 1", ["2 are more than 1"], False),
        ("most: 2", [], False),
        (None, ["nobody says how many there may be"], False),
        ("most: many", ["figures.yaml can't be used: most: Input should be a valid integer"], True),
        ("most: 1\nleast: 0", ["figures.yaml can't be used: least: Extra inputs are not permitted"], True),
    ],
)
def test_a_check_compares_with_data_beside_the_policies(
    registered: list[Any], tmp_path: Path, text: str | None, said: list[str], unchecked: bool
) -> None:
    @check(requirement="NFR-404", remedy="Remove some.")
    def few_of_them(manifests: Sequence[Manifest], policies: Path) -> Iterator[Fault]:
        """There are few."""
        figures = data.read(policies, "figures.yaml", Figures)
        if figures is None:
            yield Fault(manifests[0], "nobody says how many there may be")
        elif len(manifests) > figures.most:
            yield Fault(manifests[0], f"{len(manifests)} are more than {figures.most}")

    registered.append(few_of_them)
    if text is not None:
        (tmp_path / "figures.yaml").write_text(text)
    findings = list(checks.run([ENVIRONMENT, workload({})], tmp_path, TODAY))
    assert [(finding.message.partition(", unable")[0].rstrip("."), finding.unchecked) for finding in findings] == [
        (sentence, unchecked) for sentence in said
    ]
    assert {finding.rule for finding in findings} <= {"few-of-them"}


def test_every_check_is_a_rule_of_its_module() -> None:
    assert [(rule.id, rule.file) for rule in checks.RULES] == [
        ("pod-disruption-budget", "koepon_gitops/checks/availability.py"),
        ("iam-least-privilege", "koepon_gitops/checks/identity.py"),
        ("eks-support", "koepon_gitops/checks/identity.py"),
        ("network-addresses", "koepon_gitops/checks/network.py"),
        ("network-egress", "koepon_gitops/checks/network.py"),
        ("network-reachability", "koepon_gitops/checks/network.py"),
    ]
