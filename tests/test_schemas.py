"""Objects against the schemas of Kubernetes 1.36 and of the pinned custom kinds."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koepon_gitops import core, modules, schemas
from koepon_gitops.errors import UncheckableError
from koepon_gitops.schemas import Exemption, Schemas
from tests.test_crds import definition, fields, widget

META = {"name": "app"}
LABELS = {"app": "app"}


@pytest.fixture(scope="module")
def library() -> Schemas:
    return schemas.load()


def deployment(**container: Any) -> dict[str, Any]:
    first = {
        "name": "app",
        "image": "example.com/app:1",
        "ports": [{"name": "http", "containerPort": 3000}],
        "resources": {"requests": {"cpu": "200m", "memory": "256Mi"}, "limits": {"cpu": "0.5", "memory": "512Mi"}},
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        **container,
    }
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [first], "volumes": [{"name": "tmp"}]}}
    spec = {"replicas": 3, "selector": {"matchLabels": LABELS}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": META, "spec": spec}


def service(**spec: Any) -> dict[str, Any]:
    whole = {"selector": LABELS, "ports": [{"port": 80, "targetPort": "http"}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": META, "spec": whole}


def ingress(**path: Any) -> dict[str, Any]:
    backend = {"service": {"name": "app", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend, **path}]
    spec = {"ingressClassName": "alb", "rules": [{"host": "app.example.com", "http": {"paths": paths}}]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": META, "spec": spec}


def autoscaler(**spec: Any) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": 70}
    whole = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
        "minReplicas": 3,
        "maxReplicas": 10,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        **spec,
    }
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": META, "spec": whole}


def budget(**spec: Any) -> dict[str, Any]:
    whole = {"selector": {"matchLabels": LABELS}, **spec}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": META, "spec": whole}


def network_policy(*peers: Any) -> dict[str, Any]:
    spec = {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": list(peers), "ports": [{"port": 3000}]}],
    }
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": META, "spec": spec}


def plain(kind: str, **other: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": META, **other}


def application(**spec: Any) -> dict[str, Any]:
    whole = {
        "project": "app",
        "destination": {"name": "production", "namespace": "app"},
        "source": {"repoURL": "https://example.com/x.git", "path": "apps/app", "targetRevision": "main"},
        **spec,
    }
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": META, "spec": whole}


def rollout(**canary: Any) -> dict[str, Any]:
    spec = copy.deepcopy(deployment()["spec"])
    spec["strategy"] = {"canary": {"maxSurge": 1, "maxUnavailable": "0%", "steps": [{"setWeight": 100}], **canary}}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": META, "spec": spec}


GOOD = [
    deployment(),
    service(),
    service(clusterIP="None", ports=[]),
    ingress(),
    autoscaler(),
    budget(minAvailable=2),
    budget(maxUnavailable="100%"),
    network_policy({"ipBlock": {"cidr": "10.0.0.0/16", "except": ["10.0.1.0/24"]}}, {"podSelector": {}}),
    plain("ServiceAccount", automountServiceAccountToken=False),
    plain("ConfigMap", data={"a.b": "", ".data": "x"}),
    plain("Secret", stringData={"a": "b"}, data={"c": "aGk=", "d": ""}),
    plain("Namespace"),
    plain("Namespace", metadata=META | {"labels": {"pod-security.kubernetes.io/enforce-version": "v1.36"}}),
    application(),
    rollout(),
    deployment(lifecycle={"preStop": {"sleep": {"seconds": 30}}}),
    deployment(lifecycle={"preStop": {"sleep": {}}}),
    deployment(resources={"requests": {"cpu": " 200m ", "memory": "e3"}, "limits": {"cpu": "+.2", "memory": "."}}),
    deployment(resources={"requests": {"cpu": 1, "memory": None}, "limits": {"cpu": 1.5}}),
]


@pytest.mark.parametrize("content", GOOD, ids=lambda each: each["kind"])
def test_what_the_api_server_takes_is_taken(library: Schemas, content: dict[str, Any]) -> None:
    assert library.validate(content) == ()


def edited(content: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(content)
    place: Any = changed
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in way:
        place = place[part]
    place[last] = value
    return changed


POD = "spec/template/spec"
BAD = [
    (deployment(), "spec/replcias", 3, "`replcias` is not a field of Deployment.spec; did you mean `replicas`?"),
    (deployment(), "spec/replicas", "three", 'spec.replicas must be an integer, not the string "three".'),
    (deployment(), "spec/replicas", -1, "spec.replicas must not be negative, not the number -1."),
    (deployment(), "spec/replicas", 2**31, "spec.replicas must be at most 2147483647, not the number 2147483648."),
    (deployment(), "metadata/labels", {"a": 1}, "metadata.labels.a must be a string, not the number 1."),
    (
        deployment(),
        "spec/selector/matchLabels",
        {"app": "b"},
        "spec.template.metadata.labels must match spec.selector.",
    ),
    (deployment(), "spec/selector", {}, "spec.selector must not be empty."),
    (deployment(), "spec", None, "spec must be an object, not null."),
    (deployment(), f"{POD}/containers", [], "spec.template.spec.containers must not be empty."),
    (
        deployment(),
        f"{POD}/restartPolicy",
        "Never",
        'spec.template.spec.restartPolicy must be "Always" here, not "Never".',
    ),
    (
        deployment(),
        "spec/strategy",
        {"type": "Recreate", "rollingUpdate": {}},
        "spec.strategy.rollingUpdate must not be set with the type Recreate.",
    ),
    (
        deployment(),
        "spec/strategy",
        {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}},
        "spec.strategy.rollingUpdate.maxUnavailable must not be 0 while maxSurge is 0.",
    ),
    (
        deployment(),
        "spec/minReadySeconds",
        600,
        "spec.progressDeadlineSeconds must be more than minReadySeconds, which is 600.",
    ),
    (deployment(), f"{POD}/containers/0/image", "", "spec.template.spec.containers[0].image must not be empty."),
    (
        deployment(),
        f"{POD}/containers/0/imagePullPolicy",
        "Sometimes",
        'spec.template.spec.containers[0].imagePullPolicy must be one of "Always", "IfNotPresent", "Never", not the string "Sometimes".',  # noqa: E501
    ),
    (
        deployment(),
        f"{POD}/containers/0/resources/requests/cpu",
        "600m",
        "spec.template.spec.containers[0].resources.requests.cpu must be at most the limit, 0.5, not 600m.",
    ),
    (
        deployment(),
        f"{POD}/containers/0/volumeMounts/0/name",
        "var",
        'spec.template.spec.containers[0].volumeMounts[0].name must be the name of a volume, not "var".',
    ),
    (
        deployment(),
        f"{POD}/containers/0/readinessProbe",
        {},
        "spec.template.spec.containers[0].readinessProbe must set exactly one of exec, httpGet, tcpSocket, grpc.",
    ),
    (
        deployment(),
        f"{POD}/containers/0/ports/0/containerPort",
        70000,
        "spec.template.spec.containers[0].ports[0].containerPort must be between 1 and 65535, not the number 70000.",
    ),
    (
        service(),
        "spec/ports/0/targetPort",
        70000,
        "spec.ports[0].targetPort must be between 1 and 65535, not the number 70000.",
    ),
    (
        service(),
        "spec/type",
        "Loadbalancer",
        'spec.type must be one of "ClusterIP", "NodePort", "LoadBalancer", "ExternalName", not the string "Loadbalancer".',  # noqa: E501
    ),
    (service(), "spec/ports", [], "spec.ports must not be empty."),
    (
        ingress(),
        "spec/rules/0/http/paths/0/path",
        "app",
        'spec.rules[0].http.paths[0].path must begin with "/", not be "app".',
    ),
    (
        ingress(),
        "spec/rules/0/http/paths/0/pathType",
        None,
        "spec.rules[0].http.paths[0].pathType must be a string, not null.",
    ),
    (
        ingress(),
        "spec/rules/0/http/paths/0/backend/service/port",
        {},
        "spec.rules[0].http.paths[0].backend.service.port must set either a name or a number.",
    ),
    (ingress(), "spec/rules/0/host", "10.0.0.1", 'spec.rules[0].host must be a DNS name, not the address "10.0.0.1".'),
    (autoscaler(), "spec/minReplicas", 11, "spec.maxReplicas must be at least minReplicas, 11, not 10."),
    (autoscaler(), "spec/metrics/0/type", "Pods", 'spec.metrics[0].pods is required for the type "Pods".'),
    (
        budget(),
        "spec/minAvailable",
        "half",
        'spec.minAvailable must be a whole number or a percentage such as 25%, not the string "half".',
    ),
    (budget(minAvailable=1), "spec/maxUnavailable", 1, "spec must not set both minAvailable and maxUnavailable."),
    (
        network_policy({}),
        "metadata/name",
        "app",
        "spec.ingress[0].from[0] must set ipBlock, podSelector or namespaceSelector.",
    ),
    (
        plain("ConfigMap"),
        "data",
        {"a b": "x"},
        "data has the key \"a b\"; a key must be a file name (letters, digits, '-', '_', '.').",
    ),
    (plain("ConfigMap"), "data", {"a": True}, "data.a must be a string, not true."),
    (plain("Secret"), "data", {"a": "not base64!"}, 'data.a must be base64, not the string "not base64!".'),
    (plain("Namespace"), "metadata", {}, "metadata must have a name."),
    (
        plain("PriorityClass", value=10**9) | {"apiVersion": "scheduling.k8s.io/v1"},
        "value",
        10**9 + 1,
        "value must be at most 1000000000, not the number 1000000001.",
    ),
    (
        plain("Namespace"),
        "metadata/labels",
        {"pod-security.kubernetes.io/enforce": "strict"},
        "metadata.labels[pod-security.kubernetes.io/enforce] must be one of"
        ' "privileged", "baseline", "restricted", not the string "strict".',
    ),
    (
        plain("Namespace"),
        "metadata/labels",
        {"pod-security.kubernetes.io/warn-version": "1.36"},
        "metadata.labels[pod-security.kubernetes.io/warn-version] must be latest or a version such as v1.36,"
        ' not the string "1.36".',
    ),
    (
        plain("Namespace"),
        "metadata/labels",
        {f"{'x' * 254}/a": "b"},
        f'metadata.labels has the key "{"x" * 254}/a"; a key must be a name such as app or example.com/app.',
    ),
    (
        deployment(lifecycle={"preStop": {"sleep": {"seconds": 40}}}),
        f"{POD}/terminationGracePeriodSeconds",
        30,
        "spec.template.spec.containers[0].lifecycle.preStop.sleep.seconds must be"
        " at most terminationGracePeriodSeconds, 30, not 40.",
    ),
    (
        deployment(),
        f"{POD}/topologySpreadConstraints",
        [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["a"]}],
        "spec.template.spec.topologySpreadConstraints[0].matchLabelKeys must not be set without a labelSelector.",
    ),
    (
        deployment(),
        f"{POD}/containers/0/resources/requests/cpu",
        "  ",
        "spec.template.spec.containers[0].resources.requests.cpu must be a quantity such as 200m, 0.5, 256Mi or 1e3,"
        ' not the string "  ".',
    ),
    (
        deployment(),
        f"{POD}/containers/0/resources/requests",
        {"example.com/gpu": 1},
        "spec.template.spec.containers[0].resources.requests[example.com/gpu] must have a limit too, the same.",
    ),
    (
        deployment(resources={"requests": {"example.com/gpu": 1}}),
        f"{POD}/containers/0/resources/limits",
        {"example.com/gpu": 2},
        "spec.template.spec.containers[0].resources.requests[example.com/gpu] must be the limit, 2, not 1.",
    ),
    (
        deployment(),
        f"{POD}/containers/0/resources/limits",
        {"example.com/gpu": "500m"},
        "spec.template.spec.containers[0].resources.limits[example.com/gpu] must be a whole number, not 500m.",
    ),
    (
        network_policy({"ipBlock": {"cidr": "10.0.0.0/16"}}),
        "spec/ingress/0/from/0/ipBlock/cidr",
        "10.0.2.0/2",
        "spec.ingress[0].from[0].ipBlock.cidr must be a network such as 10.0.0.0/16 without bits beyond its prefix,"
        " not 10.0.2.0/2.",
    ),
    (
        network_policy({"ipBlock": {"cidr": "10.0.0.0/16"}}),
        "spec/ingress/0/from/0/ipBlock/except",
        ["10.1.0.0/24"],
        "spec.ingress[0].from[0].ipBlock.except[0] must be a part of 10.0.0.0/16, not 10.1.0.0/24.",
    ),
    (
        network_policy({"ipBlock": {"cidr": "10.0.0.0/16"}}),
        "spec/ingress/0/from/0/ipBlock/cidr",
        "::ffff:10.0.0.0/112",
        "spec.ingress[0].from[0].ipBlock.cidr must not be an IPv4 address written as IPv6, as in ::ffff:10.0.0.0/112.",
    ),
]


@pytest.mark.parametrize(("content", "path", "value", "sentence"), BAD, ids=range(len(BAD)))
def test_what_it_refuses_is_said_in_one_sentence(
    library: Schemas, content: dict[str, Any], path: str, value: Any, sentence: str
) -> None:
    messages = [problem.message for problem in library.validate(edited(content, path, value))]
    assert sentence in messages
    assert len(messages) <= 2, messages


def policy(**spec: Any) -> dict[str, Any]:
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
    whole = {
        "matchConstraints": {"resourceRules": [rule]},
        "variables": [{"name": "replicas", "expression": "object.spec.?replicas.orValue(1)"}],
        "validations": [{"expression": "variables.replicas >= 3", "messageExpression": "string(variables.replicas)"}],
        **spec,
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy"}
    return {**kind, "metadata": META, "spec": whole}


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("variables/0/name", "wanted", "validations[0].expression does not compile: undeclared reference to"),
        ("variables/0/name", "in", "variables[0].name must be a C identifier"),
        ("variables/0/expression", "object.", "variables[0].expression does not compile"),
        ("variables/0/expression", " ", "variables[0].expression must not be blank"),
        ("validations/0/expression", "object.spec", "validations[0].expression must give a bool, not dyn."),
        ("validations/0/messageExpression", "1", "validations[0].messageExpression must give a string, not int."),
        ("validations/0/messageExpression", "string(authorizer)", "undeclared reference to 'authorizer'"),
        ("validations/0/message", "two\nlines", "validations[0].message must be one line that is not blank"),
        ("matchConstraints/resourceRules/0/resources", ["*", "pods"], "must not name other resources beside *."),
        ("matchConstraints/resourceRules", [None], "resourceRules[0] must be an object, not null."),
    ],
)
def test_the_expressions_of_a_policy_have_to_compile(library: Schemas, path: str, value: Any, sentence: str) -> None:
    assert library.validate(policy()) == ()
    assert library.validate(policy(matchConditions=[{"name": "c", "expression": "authorizer == null"}])) == ()
    messages = [each.message for each in library.validate(edited(policy(), f"spec/{path}", value))]
    assert any(sentence in message for message in messages), messages


def test_what_is_wrong_beside_an_unknown_field_is_said_too(library: Schemas) -> None:
    content = edited(deployment(), "spec/replcias", 3)
    content = edited(content, "spec/selector", {"matchLabels": {"app": "other"}})
    assert [each.field for each in library.validate(content)] == ["spec.replcias", "spec.template.metadata.labels"]


def test_every_error_of_a_custom_object_is_reported_at_once_in_order(library: Schemas) -> None:
    content = edited(rollout(stepz=[], maxSurge=[1]), "spec/replicas", "3")
    content["metadata"] = {"name": "app", "lables": {}}
    assert [(each.rule, each.field, each.message) for each in library.validate(content)] == [
        ("schemas/unknown-field", "metadata.lables", "`lables` is not a field of Rollout.metadata; did you mean `labels`?"),  # noqa: E501
        ("schemas/invalid", "spec.replicas", 'spec.replicas must be an integer, not the string "3".'),
        ("schemas/invalid", "spec.strategy.canary.maxSurge", "spec.strategy.canary.maxSurge must be a string or an integer, not a list."),  # noqa: E501
        ("schemas/unknown-field", "spec.strategy.canary.stepz", "`stepz` is not a field of Rollout.spec.strategy.canary; did you mean `steps`?"),  # noqa: E501
    ]  # fmt: skip


def test_an_application_with_several_errors(library: Schemas) -> None:
    content = application(project=1, destinaton={}, syncPolicy={"automated": {"prune": "yes"}})
    assert [each.field for each in library.validate(content)] == [
        "spec.destinaton",
        "spec.project",
        "spec.syncPolicy.automated.prune",
    ]


def test_an_unknown_kind_can_not_be_checked_unless_it_is_exempt() -> None:
    content = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": META}
    with pytest.raises(UncheckableError, match=r"no schema of Widget \(example.com/v1\)") as caught:
        schemas.load().validate(content)
    assert caught.value.rule == "schemas/unknown-kind"
    exempt = Exemption(apiVersion="example.com/v1", kind="Widget", reason="the vendor publishes none")
    lenient = schemas.load(exempt=[exempt])
    assert lenient.validate(content) == ()
    assert lenient.plural("example.com/v1", "Widget") == "widgets"


def test_a_known_kind_is_checked_even_if_it_is_listed_as_exempt() -> None:
    exempt = Exemption(apiVersion="v1", kind="Namespace", reason="?")
    assert schemas.load(exempt=[exempt]).validate(plain("Namespace", spce={}))


def test_an_api_that_is_no_longer_served_is_unknown(library: Schemas) -> None:
    with pytest.raises(UncheckableError):
        library.validate({"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "metadata": META})


def test_plurals_and_scopes(library: Schemas) -> None:
    assert library.plural("networking.k8s.io/v1", "NetworkPolicy") == "networkpolicies"
    assert library.plural("argoproj.io/v1alpha1", "Rollout") == "rollouts"
    assert library.is_namespaced("apps/v1", "Deployment")
    assert not library.is_namespaced("v1", "Namespace")
    assert library.is_namespaced("rds.aws.m.upbound.io/v1beta1", "Instance")
    assert not library.knows("rds.aws.upbound.io/v1beta1", "Instance")


def test_every_built_in_kind_can_be_asked(library: Schemas) -> None:
    for version, kinds in core.resources().items():
        for kind in kinds:
            assert library.validate({"apiVersion": version, "kind": kind, "metadata": META, "nonsense": 1})


def test_the_digest_follows_what_the_tree_declares() -> None:
    assert schemas.load().digest == schemas.load().digest
    assert schemas.load([{"kind": "CustomResourceDefinition"}]).digest != schemas.load().digest


def test_exemptions_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "schemas.yaml"
    assert schemas.exemptions(file) == ()
    file.write_text("exempt:\n  - {apiVersion: v1, kind: Widget, reason: none is published}\n")
    assert schemas.exemptions(file) == (Exemption(apiVersion="v1", kind="Widget", reason="none is published"),)
    file.write_text("exempt:\n  - {apiVersion: v1, kind: Widget}\n")
    with pytest.raises(UncheckableError):
        schemas.exemptions(file)


def described(folder: Path, name: str, **changes: Any) -> Path:
    """A list of exemptions that says of Widget that `name` describes it, and that file."""
    entry = {"apiVersion": "example.com/v1", "kind": "Widget", "reason": "none is published", "described": name}
    (folder / "schemas.yaml").write_text(json.dumps({"exempt": [entry | changes]}))
    (folder / "widget.yaml").write_text(json.dumps(definition(fields(size={"type": "integer"}))))
    return folder / "schemas.yaml"


def test_a_kind_that_we_describe_ourselves_is_checked_by_that(tmp_path: Path) -> None:
    exempt = schemas.exemptions(described(tmp_path, "widget.yaml"))
    library = schemas.load(exempt=exempt)
    assert library.validate(widget({"size": 3})) == ()
    found = library.validate(widget({"size": "x", "colour": "red"}))
    assert [each.field for each in found] == ["spec.colour", "spec.size"]
    assert library.is_namespaced("example.com/v1", "Widget")
    assert (
        library.digest != schemas.load(exempt=[each.model_copy(update={"described": None}) for each in exempt]).digest
    )


def test_the_definition_of_the_tree_goes_before_our_own_description(tmp_path: Path) -> None:
    exempt = schemas.exemptions(described(tmp_path, "widget.yaml"))
    assert (
        schemas.load([definition(fields(size={"type": "string"}))], exempt=exempt).validate(widget({"size": "x"})) == ()
    )


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("missing.yaml", {}, "missing.yaml, by which Widget is described, has to be an ordinary file beside it"),
        ("../widget.yaml", {}, "has to be an ordinary file beside it"),
        ("link.yaml", {}, "has to be an ordinary file beside it"),
        ("widget.yaml", {"kind": "Gadget"}, r"widget.yaml, .* does not define Gadget \(example.com/v1\)"),
        ("empty.yaml", {}, "does not define Widget"),
    ],
)
def test_a_description_is_a_file_beside_the_list_that_defines_the_kind(
    name: str, changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    file = described(folder, name, **changes)
    (tmp_path / "widget.yaml").write_text((folder / "widget.yaml").read_text())
    (folder / "link.yaml").symlink_to(folder / "widget.yaml")
    (folder / "empty.yaml").write_text("")
    with pytest.raises(UncheckableError, match=sentence) as caught:
        schemas.exemptions(file)
    assert caught.value.rule == "schemas/exemptions"


def test_nothing_fetched_is_said_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOEPON_GITOPS_CACHE", str(tmp_path))
    assert not schemas.ready()
    with pytest.raises(UncheckableError, match="schemas fetch") as caught:
        schemas.load()
    assert caught.value.rule == "schemas/missing"


def test_fetching_compiles_the_definitions_of_a_module_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text(json.dumps(definition(fields(size={"type": "integer"}))))
    (tmp_path / "b.yaml").write_text("kind: Kustomization\n---\nkind: Other\n")
    module = modules.Module(path="example.com/x", version="v1.0.0", files=("*.yaml",))
    monkeypatch.setenv("KOEPON_GITOPS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(modules, "fetch", lambda pins, progress: iter([(module, tmp_path)]))
    steps: list[tuple[str, int, int]] = []
    schemas.fetch(lambda *step: steps.append(step))
    assert steps == [("Compiling the schemas", 2, 2)]
    assert [each.message for each in schemas.load().validate(widget({"size": "x"}))] == [
        'spec.size must be an integer, not the string "x".'
    ]
    schemas.fetch(lambda *step: pytest.fail("it is there already"))
    assert len(list((tmp_path / "cache" / "crds").iterdir())) == 1


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setenv("KOEPON_GITOPS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(modules, "fetch", lambda pins, progress: iter([]))
    with pytest.raises(UncheckableError, match="can't be kept") as caught:
        schemas.fetch(lambda *step: None)
    assert caught.value.rule == "schemas/cache"


ODD = st.sampled_from([None, "", "x", 0, -1, 1.5, True, [], {}, [None], {"x": None}, [{}]])


@settings(max_examples=400, deadline=None)
@given(content=st.sampled_from(GOOD), data=st.data())
def test_no_object_makes_the_checks_fail_themselves(
    library: Schemas, content: dict[str, Any], data: st.DataObject
) -> None:
    changed = copy.deepcopy(content)
    place: Any = changed
    while True:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(list(keys)))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.integers(0, 2)) == 0:
            if key not in {"apiVersion", "kind"} or place is not changed:
                place[key] = data.draw(ODD)
            break
        place = inner
    for problem in library.validate(changed):
        assert problem.message.endswith((".", "?"))
