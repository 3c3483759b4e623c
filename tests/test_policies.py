"""Admission policies through `load` and `evaluate`: what kube-apiserver 1.36 does with the same files and objects."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from koepon_gitops import policies, schemas
from koepon_gitops.admission import LabelSelector
from koepon_gitops.errors import GitOpsError, ManifestError, UncheckableError
from koepon_gitops.model import Finding, Manifest, ObjectId, Severity
from koepon_gitops.policies import PolicySet
from koepon_gitops.schemas import Schemas

CONFIG_MAPS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
REFUSED = [{"expression": "false", "message": "refused"}]


@pytest.fixture(scope="module")
def library() -> Schemas:
    return schemas.load()


def policy(
    validations: list[dict[str, Any]] | None = None, *, constraints: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """A policy `p` on ConfigMaps that refuses everything, or as given."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "p"},
        "spec": {
            "matchConstraints": {"resourceRules": [CONFIG_MAPS], **(constraints or {})},
            "validations": REFUSED if validations is None else validations,
            **spec,
        },
    }


def binding(*actions: str, name: str = "b", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": "p", "validationActions": list(actions or ("Deny",)), **spec},
    }


def thing(kind: str = "ConfigMap", api: str = "v1", namespace: str = "default", **content: Any) -> dict[str, Any]:
    metadata = {"name": "x", **({"namespace": namespace} if namespace else {}), **content.pop("metadata", {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **content}


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return thing("Namespace", namespace="", metadata={"name": name, "labels": labels})


def written(directory: Path, *objects: dict[str, Any], name: str = "p.yaml") -> PolicySet:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text("---\n".join(yaml.safe_dump(each) for each in objects))
    return policies.load(directory)


def judged(
    library: Schemas, installed: PolicySet, content: dict[str, Any], around: Iterable[dict[str, Any]] = ()
) -> list[Finding]:
    """The findings for one object on a cluster that holds `around` too."""
    everything = [
        Manifest(application="a", cluster="c", id=ObjectId.of(each), content=each) for each in (content, *around)
    ]
    namespaces = {each.id.name: each.content for each in everything if each.id.kind == "Namespace"}
    parameters = {"c": installed.parameters(everything)}
    return list(installed.evaluate(everything[:1], {"c": namespaces}, parameters, library))


def messages(library: Schemas, installed: PolicySet, *objects: dict[str, Any]) -> list[str]:
    return [each.message for each in judged(library, installed, objects[0], objects[1:])]


def said(library: Schemas, tmp_path: Path, validations: list[dict[str, Any]], **spec: Any) -> list[str]:
    """What a policy says of a ConfigMap with `data: {a: "1"}`."""
    return messages(library, written(tmp_path, policy(validations, **spec), binding()), thing(data={"a": "1"}))


# Files


def test_no_folder_no_policies(tmp_path: Path, library: Schemas) -> None:
    empty = policies.load(tmp_path / "missing")
    assert empty.rules == ()
    assert messages(library, empty, thing()) == []


def test_the_rule_speaks_for_the_policy(tmp_path: Path, library: Schemas) -> None:
    annotated = policy()
    annotated["metadata"]["annotations"] = {
        "koepon.com/requirement": "NFR-1",
        "koepon.com/title": "Title",
        "koepon.com/reason": "Because.",
        "koepon.com/remedy": "Mend it.",
        "koepon.com/field": "data.a",
    }
    installed = written(tmp_path / "policies" / "admission", annotated, binding("Warn"))
    [rule] = installed.rules
    assert (rule.id, rule.title, rule.requirement, rule.reason) == ("p", "Title", "NFR-1", "Because.")
    assert rule.file == "policies/admission/p.yaml" or rule.file.endswith("/policies/admission/p.yaml")
    [finding] = judged(library, installed, thing())
    assert finding == Finding(
        rule="p",
        severity=Severity.WARNING,
        requirement="NFR-1",
        application="a",
        object=ObjectId(apiVersion="v1", kind="ConfigMap", namespace="default", name="x"),
        field="data.a",
        message="refused",
        remedy="Mend it.",
    )


@pytest.mark.parametrize(
    ("actions", "severity"),
    [
        (["Deny"], Severity.ERROR),
        (["Warn"], Severity.WARNING),
        (["Audit"], Severity.INFO),
        (["Audit", "Warn"], Severity.WARNING),
        (["Audit", "Deny"], Severity.ERROR),
    ],
)
def test_the_heaviest_action_is_the_severity(
    tmp_path: Path, library: Schemas, actions: list[str], severity: Severity
) -> None:
    installed = written(tmp_path, policy(), binding(*actions))
    assert installed.rules[0].severity is severity
    assert [each.severity for each in judged(library, installed, thing())] == [severity]


@pytest.mark.parametrize(
    ("objects", "rule", "text", "words"),
    [
        ([policy()], "policies/unbound", "apiVersion", "no binding"),
        ([binding()], "policies/invalid", "", "no ValidatingAdmissionPolicy"),
        ([policy(), policy(), binding()], "policies/invalid", "apiVersion", "one ValidatingAdmissionPolicy"),
        ([policy(), thing(), binding()], "policies/invalid", "apiVersion", "nothing else"),
        ([policy(), binding("Deny", "Warn")], "policies/invalid", "spec:", "both Deny and Warn"),
        ([policy(), binding("Refuse")], "policies/invalid", "  - Refuse", "validationActions"),
        ([policy(), binding(policyName="q")], "policies/invalid", "", "is for q, not p"),
        ([policy(), binding(), binding()], "policies/invalid", "", "same name"),
        ([policy(failurePolicy="Maybe"), binding()], "policies/invalid", "  failurePolicy: Maybe", "failurePolicy"),
        ([policy(validation=[]), binding()], "policies/invalid", "  validation: []", "validation: Extra"),
        (
            [policy([{"expresion": "true"}]), binding()],
            "policies/invalid",
            "  - expresion:",
            "expression: Field required",
        ),
        (
            [policy(constraints={"resourceRules": []}), binding()],
            "policies/invalid",
            "spec:",
            "resourceRules is required",
        ),
        ([policy([]), binding()], "policies/invalid", "spec:", "validations or auditAnnotations"),
        ([policy(variables=[{"name": "a", "expression": "1"}] * 2), binding()], "policies/invalid", "spec:", "twice"),
        (
            [policy(constraints={"objectSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}), binding()],
            "policies/invalid",
            "      - key: a",
            "In and NotIn need values",
        ),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(
    tmp_path: Path, objects: list[dict[str, Any]], rule: str, text: str, words: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        written(tmp_path, *objects)
    assert caught.value.rule == rule
    assert words in caught.value.what
    assert line_of(tmp_path, caught.value).startswith(text)


def line_of(directory: Path, error: GitOpsError) -> str:
    """The text of the line an error points at; empty when it names the file only."""
    file, colon, number = error.where.partition(":")
    assert file.endswith("/p.yaml")
    return (directory / "p.yaml").read_text().splitlines()[int(number) - 1] if colon else ""


def test_a_file_is_named_like_its_policy_and_is_no_link(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="named p, its file q"):
        written(tmp_path, policy(), binding(), name="q.yaml")
    (tmp_path / "q.yaml").unlink()
    (tmp_path / "p.yaml").symlink_to("/etc/hostname")
    with pytest.raises(ManifestError, match="ordinary file"):
        policies.load(tmp_path)


def test_the_digest_follows_the_files(tmp_path: Path) -> None:
    first = written(tmp_path, policy(), binding()).digest
    assert written(tmp_path, policy(), binding()).digest == first
    assert written(tmp_path, policy(), binding("Warn")).digest != first


# Matching


@pytest.mark.parametrize(
    ("rule", "content", "matches"),
    [
        ({}, thing(), True),
        ({"resources": ["*"]}, thing(), True),
        ({"resources": ["*/*"]}, thing(), True),
        ({"resources": ["configmaps/*"]}, thing(), True),
        ({"resources": ["configmaps/status"]}, thing(), False),
        ({"resources": ["secrets"]}, thing(), False),
        ({"apiGroups": ["*"], "apiVersions": ["*"]}, thing(), True),
        ({"apiGroups": ["apps"]}, thing(), False),
        ({"apiVersions": ["v2"]}, thing(), False),
        ({"operations": ["UPDATE", "DELETE"]}, thing(), False),
        ({"operations": ["*"]}, thing(), True),
        ({"resourceNames": ["z"]}, thing(), False),
        ({"resourceNames": ["z", "x"]}, thing(), True),
        ({"scope": "Namespaced"}, thing(), True),
        ({"scope": "Cluster"}, thing(), False),
        ({"scope": "Cluster", "resources": ["namespaces"]}, namespace("n"), True),
        ({"scope": "Namespaced", "resources": ["namespaces"]}, namespace("n"), False),
        (
            {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]},
            thing("ValidatingAdmissionPolicyBinding", "admissionregistration.k8s.io/v1", namespace=""),
            False,
        ),
    ],
)
def test_resource_rules(
    tmp_path: Path, library: Schemas, rule: dict[str, Any], content: dict[str, Any], matches: bool
) -> None:
    installed = written(tmp_path, policy(constraints={"resourceRules": [{**CONFIG_MAPS, **rule}]}), binding())
    assert messages(library, installed, content) == ["refused"] * matches


def test_exclusions_weigh_more(tmp_path: Path, library: Schemas) -> None:
    excluded = [{**CONFIG_MAPS, "resourceNames": ["x"]}]
    installed = written(tmp_path, policy(constraints={"excludeResourceRules": excluded}), binding())
    assert messages(library, installed, thing()) == []
    assert messages(library, installed, thing(metadata={"name": "y"})) == ["refused"]


AUTOSCALERS = {**CONFIG_MAPS, "apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"]}


@pytest.mark.parametrize(
    ("constraints", "found"),
    [
        ({"resourceRules": [{**AUTOSCALERS, "apiVersions": ["v2"]}]}, ["policies/unsupported"]),
        ({"resourceRules": [{**AUTOSCALERS, "apiVersions": ["v2"]}], "matchPolicy": "Exact"}, []),
        ({"resourceRules": [{**AUTOSCALERS, "apiVersions": ["v1", "v2"]}]}, ["p"]),
        ({"resourceRules": [{**AUTOSCALERS, "apiVersions": ["v9"]}]}, []),
        (
            {"resourceRules": [AUTOSCALERS], "excludeResourceRules": [{**AUTOSCALERS, "apiVersions": ["v2"]}]},
            [],
        ),
    ],
)
def test_another_version_of_the_kind(
    tmp_path: Path, library: Schemas, constraints: dict[str, Any], found: list[str]
) -> None:
    installed = written(tmp_path, policy(constraints=constraints), binding())
    findings = judged(library, installed, thing("HorizontalPodAutoscaler", "autoscaling/v1"))
    assert [each.rule for each in findings] == found
    assert [each.unchecked for each in findings] == [rule != "p" for rule in found]


def selecting(**labels: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": labels}}


def test_namespaces_are_those_the_tree_declares(tmp_path: Path, library: Schemas) -> None:
    installed = written(tmp_path, policy(constraints=selecting(env="production")), binding())
    content = thing(namespace="shop")
    assert messages(library, installed, content, namespace("shop", env="production")) == ["refused"]
    assert messages(library, installed, content, namespace("shop", env="staging")) == []
    [unknown] = judged(library, installed, content)
    assert (unknown.rule, unknown.unchecked) == ("policies/unknown-namespace", True)
    assert "shop" in unknown.message


def test_an_unknown_namespace_is_said_once(tmp_path: Path, library: Schemas) -> None:
    installed = written(tmp_path, policy(constraints=selecting(env="production")), binding())
    contents = [thing(namespace="shop"), thing(namespace="shop", metadata={"name": "y"}), thing(namespace="other")]
    manifests = [Manifest(application="a", cluster="c", id=ObjectId.of(each), content=each) for each in contents]
    assert len(list(installed.evaluate(manifests, {}, {}, library))) == 2


def test_an_unknown_namespace_matters_only_where_the_rest_matches(tmp_path: Path, library: Schemas) -> None:
    constraints = {**selecting(env="x"), "objectSelector": {"matchLabels": {"a": "b"}}}
    installed = written(tmp_path, policy(constraints=constraints), binding())
    assert messages(library, installed, thing(namespace="shop")) == []


def test_the_name_of_a_namespace_is_a_label_the_server_adds(tmp_path: Path, library: Schemas) -> None:
    name = {"kubernetes.io/metadata.name": "shop"}
    installed = written(tmp_path, policy(constraints=selecting(**name)), binding())
    assert messages(library, installed, thing(namespace="shop")) == ["refused"]
    assert messages(library, installed, thing(namespace="shop"), namespace("shop")) == ["refused"]
    assert messages(library, installed, thing(namespace="other")) == []


def test_namespaces_every_cluster_has_need_no_declaration(tmp_path: Path, library: Schemas) -> None:
    installed = written(tmp_path, policy(constraints=selecting(env="production")), binding())
    assert messages(library, installed, thing(namespace="kube-system")) == []


def test_cluster_scoped_objects_have_no_namespace_and_namespaces_are_their_own(
    tmp_path: Path, library: Schemas
) -> None:
    rule = {**CONFIG_MAPS, "apiGroups": ["*"], "resources": ["namespaces", "clusterroles"]}
    installed = written(tmp_path, policy(constraints={"resourceRules": [rule], **selecting(env="x")}), binding())
    role = thing("ClusterRole", "rbac.authorization.k8s.io/v1", namespace="")
    assert messages(library, installed, role) == ["refused"]
    assert messages(library, installed, namespace("n", env="x")) == ["refused"]
    assert messages(library, installed, namespace("n", env="y")) == []


def test_object_selector(tmp_path: Path, library: Schemas) -> None:
    installed = written(tmp_path, policy(constraints={"objectSelector": {"matchLabels": {"a": "b"}}}), binding())
    assert messages(library, installed, thing(metadata={"labels": {"a": "b"}})) == ["refused"]
    assert messages(library, installed, thing(metadata={"labels": None})) == []


def test_a_binding_narrows_its_policy(tmp_path: Path, library: Schemas) -> None:
    narrow = {"objectSelector": {"matchLabels": {"a": "b"}}, "resourceRules": [{**CONFIG_MAPS, "resourceNames": ["x"]}]}
    installed = written(tmp_path, policy(), binding(matchResources=narrow))
    assert messages(library, installed, thing()) == []
    assert messages(library, installed, thing(metadata={"labels": {"a": "b"}})) == ["refused"]
    assert messages(library, installed, thing(metadata={"name": "y", "labels": {"a": "b"}})) == []


def test_every_binding_is_judged(tmp_path: Path, library: Schemas) -> None:
    production = binding("Deny", name="b1", matchResources=selecting(env="production"))
    installed = written(tmp_path, policy(), production, binding("Warn", name="b2"))
    found = judged(library, installed, thing(namespace="s"), [namespace("s", env="production")])
    assert [each.severity for each in found] == [Severity.ERROR, Severity.WARNING]
    found = judged(library, installed, thing(namespace="s"), [namespace("s", env="staging")])
    assert [each.severity for each in found] == [Severity.WARNING]


# Expressions


@pytest.mark.parametrize(
    ("conditions", "failure", "found"),
    [
        (["true"], "Fail", ["refused"]),
        (["true", "false"], "Fail", []),
        (["object.missing == 1"], "Fail", ["expression 'object.missing == 1' resulted in error: no such key: missing"]),
        (["object.missing == 1"], "Ignore", []),
        (["object.missing == 1", "false"], "Fail", []),
        (["request.operation == 'CREATE' && oldObject == null"], "Fail", ["refused"]),
    ],
)
def test_match_conditions(
    tmp_path: Path, library: Schemas, conditions: list[str], failure: str, found: list[str]
) -> None:
    written_conditions = [{"name": f"c{index}", "expression": text} for index, text in enumerate(conditions)]
    assert said(library, tmp_path, REFUSED, matchConditions=written_conditions, failurePolicy=failure) == found


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ({"expression": "false"}, "failed expression: false"),
        ({"expression": "false", "message": "m"}, "m"),
        ({"expression": "false", "message": "m", "messageExpression": "'it is ' + object.data.a"}, "it is 1"),
        ({"expression": "false", "message": "m", "messageExpression": "'  padded '"}, "padded"),
        ({"expression": "false", "message": "m", "messageExpression": "'  '"}, "m"),
        ({"expression": "false", "message": "m", "messageExpression": r"'a\nb'"}, "m"),
        ({"expression": "false", "message": "m", "messageExpression": "object.data.missing + ''"}, "m"),
        ({"expression": "false", "messageExpression": "variables.long"}, "failed expression: false"),
        ({"expression": "object.data.a == '2'", "reason": "Forbidden"}, "failed expression: object.data.a == '2'"),
    ],
)
def test_messages(tmp_path: Path, library: Schemas, validation: dict[str, Any], message: str) -> None:
    long = [{"name": "long", "expression": "lists.range(3000).map(x, 'ab').join()"}]
    assert said(library, tmp_path, [validation], variables=long) == [message]


def test_each_validation_that_fails_is_a_finding(tmp_path: Path, library: Schemas) -> None:
    validations = [{"expression": text} for text in ("false", "true", "object.data.b == '1'", "object.data.a == 'x'")]
    assert said(library, tmp_path, validations) == [
        "failed expression: false",
        "expression 'object.data.b == '1'' resulted in error: no such key: b",
        "failed expression: object.data.a == 'x'",
    ]
    assert said(library, tmp_path, validations, failurePolicy="Ignore") == [
        "failed expression: false",
        "failed expression: object.data.a == 'x'",
    ]


def test_variables_are_lazy_and_see_earlier_ones(tmp_path: Path, library: Schemas) -> None:
    variables = [
        {"name": "broken", "expression": "object.missing"},
        {"name": "a", "expression": "object.data.a"},
        {"name": "both", "expression": "variables.a + variables.a"},
    ]
    validations = [
        {"expression": "variables.both == '11' || variables.broken == 1", "message": "first"},
        {"expression": "variables.both == '1'", "messageExpression": "'it is ' + variables.both"},
        {"expression": "variables.broken == 1"},
    ]
    assert said(library, tmp_path, validations, variables=variables) == [
        "it is 11",
        "expression 'variables.broken == 1' resulted in error: no such key: missing",
    ]


def test_the_request_and_the_namespace(tmp_path: Path, library: Schemas) -> None:
    expression = (
        "request.kind.group == 'apps' && request.kind.version == 'v1' && request.kind.kind == 'Deployment'"
        " && request.resource.resource == 'deployments' && request.name == 'x' && request.namespace == 's'"
        " && namespaceObject.metadata.labels['env'] == 'production'"
        " && namespaceObject.metadata.labels['kubernetes.io/metadata.name'] == 's'"
    )
    rule = {**CONFIG_MAPS, "apiGroups": ["apps"], "resources": ["deployments"]}
    installed = written(
        tmp_path, policy([{"expression": expression}], constraints={"resourceRules": [rule]}), binding()
    )
    content = thing("Deployment", "apps/v1", namespace="s")
    assert messages(library, installed, content, namespace("s", env="production")) == []
    assert [each.rule for each in judged(library, installed, content)] == ["policies/unknown-namespace"]


def test_whole_numbers_are_integers(tmp_path: Path, library: Schemas) -> None:
    rule = {**CONFIG_MAPS, "apiGroups": ["apps"], "resources": ["deployments"]}
    validations = [{"expression": "object.spec.replicas >= 3", "messageExpression": "string(object.spec.replicas)"}]
    installed = written(tmp_path, policy(validations, constraints={"resourceRules": [rule]}), binding())
    assert messages(library, installed, thing("Deployment", "apps/v1", spec={"replicas": 2})) == ["2"]


@pytest.mark.parametrize(
    ("container", "expression"),
    [
        ({"readinessProbe": None}, "!has(object.spec.template.spec.containers[0].readinessProbe)"),
        ({"imagePullPolicy": ""}, "!has(object.spec.template.spec.containers[0].imagePullPolicy)"),
        ({"env": [{"name": "A", "value": None}]}, "!has(object.spec.template.spec.containers[0].env[0].value)"),
        (
            {"resources": {"limits": {"cpu": None}}},
            "object.spec.template.spec.containers[0].resources.limits.cpu == '0'",
        ),
    ],
)
def test_policies_see_what_the_api_server_has_decoded(
    tmp_path: Path, library: Schemas, container: dict[str, Any], expression: str
) -> None:
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
    installed = written(
        tmp_path, policy([{"expression": expression}], constraints={"resourceRules": [rule]}), binding()
    )
    template = {"metadata": {"labels": {"a": ""}}, "spec": {"containers": [{"name": "c", "image": "i", **container}]}}
    content = thing("Deployment", "apps/v1", spec={"selector": {"matchLabels": {"a": ""}}, "template": template})
    assert messages(library, installed, content) == []


@pytest.mark.parametrize("labels", [["a"], "a", 1])
def test_labels_that_are_none_are_left_to_the_schema(tmp_path: Path, library: Schemas, labels: object) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["namespaces"]}
    installed = written(tmp_path, policy(constraints={"resourceRules": [rule]}), binding())
    bad = thing("Namespace", namespace="", metadata={"name": "bad", "labels": labels})
    assert messages(library, installed, bad) == ["refused"]
    installed = written(tmp_path, policy(), binding(matchResources={"namespaceSelector": {"matchLabels": {"a": "b"}}}))
    assert messages(library, installed, thing(namespace="bad"), bad) == []


def test_a_label_without_text_stays(tmp_path: Path, library: Schemas) -> None:
    installed = written(tmp_path, policy([{"expression": "object.metadata.labels.a == object.data.b"}]), binding())
    assert messages(library, installed, thing(metadata={"labels": {"a": None}}, data={"b": ""})) == []


def test_a_broken_audit_annotation_refuses_too(tmp_path: Path, library: Schemas) -> None:
    annotations = [{"key": "k", "valueExpression": "string(object.data.missing)"}]
    [message] = said(library, tmp_path, [], auditAnnotations=annotations)
    assert "no such key: missing" in message
    assert said(library, tmp_path, [], auditAnnotations=annotations, failurePolicy="Ignore") == []
    assert said(library, tmp_path, [], auditAnnotations=[{"key": "k", "valueExpression": "'v'"}]) == []


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"validations": [{"expression": "object.a ="}]}, "p can't be checked"),
        ({"validations": [{"expression": "object.metadata.name"}]}, "give a bool"),
        ({"validations": [{"expression": "false", "messageExpression": "1"}]}, "give a string"),
        ({"validations": [{"expression": "params.a == 'x'"}]}, "params"),
        ({"validations": [{"expression": "variables.x == 1"}]}, "variables.x"),
        ({"validations": [{"expression": "request.nmae == ''"}]}, "request.nmae"),
        ({"validations": [{"expression": "request.userInfo.username == ''"}]}, "request.userInfo"),
        ({"validations": [{"expression": "authorizer.path('/').check('get').allowed()"}]}, "authorizer"),
        ({"matchConditions": [{"name": "c", "expression": "math.abs(1) == 1"}]}, "math"),
        ({"variables": [{"name": "v", "expression": "nothing"}]}, "nothing"),
        ({"variables": [{"name": "v", "expression": "object.?data"}]}, "a variable holds an optional"),
        (
            {
                "variables": [{"name": "v", "expression": "true"}],
                "matchConditions": [{"name": "c", "expression": "variables.v"}],
            },
            "variables.v",
        ),
        ({"auditAnnotations": [{"key": "k", "valueExpression": "1"}]}, "give a string"),
    ],
)
def test_what_can_not_be_evaluated_here_is_never_a_pass(
    tmp_path: Path, library: Schemas, spec: dict[str, Any], words: str
) -> None:
    installed = written(tmp_path, policy(**spec), binding())
    with pytest.raises(UncheckableError, match=words) as caught:
        messages(library, installed, namespace("unrelated"))
    assert caught.value.rule == "policies/unsupported"
    assert "xpression: " in line_of(tmp_path, caught.value)


def test_an_object_of_an_unknown_kind_is_not_passed(tmp_path: Path, library: Schemas) -> None:
    [finding] = judged(library, written(tmp_path, policy(), binding()), thing("Nonsense", "a.b/v1"))
    assert (finding.rule, finding.unchecked) == ("schemas/unknown-kind", True)


# Parameters


def limits(name: str, space: str = "default", least: str = "2", **labels: str) -> dict[str, Any]:
    return thing(namespace=space, metadata={"name": name, "labels": labels}, data={"least": least})


LEAST = [
    {"expression": "object.data.a >= params.data.least", "messageExpression": "'needs ' + params.data.least"},
]
KIND = {"apiVersion": "v1", "kind": "ConfigMap"}


def parameterised(directory: Path, **reference: Any) -> PolicySet:
    return written(
        directory,
        policy(LEAST, paramKind=KIND),
        binding(paramRef={"parameterNotFoundAction": "Deny", **reference}),
    )


SUBJECT = thing(data={"a": "1"})
NOT_FOUND = ["failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"]


def test_a_parameter_by_name_comes_from_the_namespace_of_the_object(tmp_path: Path, library: Schemas) -> None:
    installed = parameterised(tmp_path, name="limits")
    assert messages(library, installed, SUBJECT, limits("limits")) == ["needs 2"]
    assert messages(library, installed, SUBJECT, limits("limits", least="1")) == []
    assert messages(library, installed, SUBJECT, limits("limits", space="other")) == NOT_FOUND
    elsewhere = parameterised(tmp_path, name="limits", namespace="other")
    assert messages(library, elsewhere, SUBJECT, limits("limits", space="other")) == ["needs 2"]


def test_every_parameter_selected_is_used(tmp_path: Path, library: Schemas) -> None:
    installed = parameterised(tmp_path, selector={"matchLabels": {"use": "yes"}})
    around = [limits("two", use="yes"), limits("three", least="3", use="yes"), limits("nine", least="9")]
    assert messages(library, installed, SUBJECT, *around) == ["needs 3", "needs 2"]
    everything = parameterised(tmp_path, selector={})
    assert len(messages(library, everything, SUBJECT, *around)) == 4, "the object itself has no `least`"


def test_no_parameter_found(tmp_path: Path, library: Schemas) -> None:
    assert messages(library, parameterised(tmp_path, name="limits"), SUBJECT) == NOT_FOUND
    allowed = parameterised(tmp_path, name="limits", parameterNotFoundAction="Allow")
    assert messages(library, allowed, SUBJECT) == []
    ignoring = written(
        tmp_path,
        policy(LEAST, paramKind=KIND, failurePolicy="Ignore"),
        binding(paramRef={"parameterNotFoundAction": "Deny", "name": "limits"}),
    )
    assert messages(library, ignoring, SUBJECT) == []


def test_a_refusal_for_want_of_parameters_is_an_error_whatever_the_action(tmp_path: Path, library: Schemas) -> None:
    installed = written(
        tmp_path,
        policy(LEAST, paramKind=KIND),
        binding("Audit", paramRef={"parameterNotFoundAction": "Deny", "name": "limits"}),
    )
    assert [each.severity for each in judged(library, installed, SUBJECT)] == [Severity.ERROR]


def test_parameters_in_namespaces_do_not_fit_cluster_scoped_objects(tmp_path: Path, library: Schemas) -> None:
    rule = {**CONFIG_MAPS, "resources": ["namespaces"]}
    installed = written(
        tmp_path,
        policy(LEAST, paramKind=KIND, constraints={"resourceRules": [rule]}),
        binding(paramRef={"parameterNotFoundAction": "Allow", "name": "limits"}),
    )
    [message] = messages(library, installed, namespace("n"), limits("limits"))
    assert "cluster-scoped" in message


def test_without_a_reference_params_is_null(tmp_path: Path, library: Schemas) -> None:
    validations = [{"expression": "params == null", "message": "there are params"}]
    installed = written(tmp_path, policy(validations, paramKind=KIND), binding())
    assert messages(library, installed, SUBJECT) == []


@pytest.mark.parametrize("reference", [{}, {"name": "a", "selector": {}}])
def test_a_reference_is_by_name_or_by_selector(tmp_path: Path, reference: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match="either name or selector"):
        parameterised(tmp_path, **reference)


# Selectors against the documentation's own words

NAMES = st.sampled_from(["a", "b", "c"])
REQUIREMENTS = st.one_of(
    st.builds(
        lambda key, operator, values: {"key": key, "operator": operator, "values": values},
        NAMES,
        st.sampled_from(["In", "NotIn"]),
        st.lists(NAMES, min_size=1, max_size=2),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator}, NAMES, st.sampled_from(["Exists", "DoesNotExist"])
    ),
)


def holds(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(requirement["key"]), requirement.get("values", ())
    return {
        "In": value is not None and value in values,
        "NotIn": value is None or value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[requirement["operator"]]


@given(st.dictionaries(NAMES, NAMES), st.lists(REQUIREMENTS, max_size=3), st.dictionaries(NAMES, NAMES))
def test_selectors(wanted: dict[str, str], requirements: list[dict[str, Any]], labels: dict[str, str]) -> None:
    selector = LabelSelector.model_validate({"matchLabels": wanted, "matchExpressions": requirements})
    assert selector.matches(labels) == (
        wanted.items() <= labels.items() and all(holds(r, labels) for r in requirements)
    )


# The policies of this repository

ADMISSION = Path(__file__).parents[1] / "policies" / "admission"


def test_the_policies_of_this_repository_compile_and_name_their_requirement(library: Schemas) -> None:
    installed = policies.load(ADMISSION, ADMISSION.parents[1])
    assert [rule.file for rule in installed.rules] == sorted(
        f"policies/admission/{rule.id}.yaml" for rule in installed.rules
    )
    assert len(installed.rules) >= 11
    assert all(rule.requirement and rule.reason and rule.remedy for rule in installed.rules)
    assert messages(library, installed, namespace("n", **{"koepon.com/environment": "staging"})) == []
