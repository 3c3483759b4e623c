"""This repository's own tree: what it promises, and that each promise is kept by a rule when someone breaks it."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from syrupy.assertion import SnapshotAssertion

from koepon_gitops import changes, checks, policies, waivers
from koepon_gitops.cache import Cache
from koepon_gitops.configuration import load
from koepon_gitops.model import Finding, ObjectId
from koepon_gitops.rendering import Rendered, Renderer
from koepon_gitops.validation import validate
from tests.test_rules import MUTATIONS
from tests.trees import separate_cache

ROOT = Path(__file__).parents[1]
SYNCED = ("apps", "clusters", "infrastructure", "policies")
FIRST = min(
    (each.expires for _, each in waivers.load(ROOT / "policies" / "waivers.yaml", ROOT).entries), default=date.max
)
NOW = datetime.combine(FIRST, time(12), UTC)
"""The last day on which every waiver holds."""
CLUSTERS = ("dr", "hub", "production", "staging")
ENVIRONMENTS = ("staging", "production", "dr")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for all tests here: what a test does not change is rendered and judged once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = separate_cache(tmp_path_factory.mktemp("cache"))
        patch.setenv("KOEPON_GITOPS_CACHE", str(folder))
        yield folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy to break."""
    for name in SYNCED:
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


class Slip(NamedTuple):
    """One slip of the pen: `old` becomes `new` in `file`. `line` begins the line that the finding points at."""

    rule: str
    file: str
    old: str
    new: str
    line: str
    environments: tuple[str, ...] = ENVIRONMENTS
    """Those it is found in."""
    at: str = ""
    """Where the finding points when that is another file."""


BASE = "apps/koepon-app/base"
DEPLOYMENT, INGRESS = f"{BASE}/deployment.yaml", f"{BASE}/ingress.yaml"
AUTOSCALER, BUDGET = f"{BASE}/horizontal-pod-autoscaler.yaml", f"{BASE}/pod-disruption-budget.yaml"
STAGING, PRODUCTION, DR = (f"apps/koepon-app/overlays/{each}/kustomization.yaml" for each in ENVIRONMENTS)
LIST, PROJECT, TO_DR = f"{BASE}/kustomization.yaml", "clusters/hub/projects/koepon.yaml", "clusters/dr/koepon-app.yaml"
SPACE = "infrastructure/namespaces/production/kustomization.yaml"
LABEL, ONLY = "koepon.com/environment", ("production",)
SPACES = "infrastructure/namespaces/base/namespace.yaml"
THREE = ("production", "dr")
"""Where production's figures hold."""
NAME, ONE = "- name: koepon/app", "[{name: koepon-app, count: 1}]"
APPLICATION = "apiVersion: argoproj.io/v1alpha1"

SLIPS = (
    Slip("environment-label", SPACE, f"{LABEL}:", "koepon.com/enviroment:", "labels:", ONLY, SPACES),
    Slip("environment-label", SPACE, f"{LABEL}: production", f"{LABEL}: prod", f"{LABEL}: prod", ONLY),
    Slip("hpa-bounds", AUTOSCALER, "maxReplicas: 10", "maxReplicas: 12", "spec:", THREE),
    Slip("hpa-bounds", AUTOSCALER, "minReplicas: 3", "minReplicas: 2", "spec:", THREE),
    Slip("hpa-bounds", AUTOSCALER, "averageUtilization: 70", "averageUtilization: 75", "spec:", THREE),
    Slip("hpa-bounds", AUTOSCALER, "averageUtilization: 80", "averageUtilization: 90", "spec:", THREE),
    Slip("image-pinned", PRODUCTION, "newTag: ", "newTag: latest # ", "newTag: latest", ("production",)),
    Slip("image-pinned", STAGING, "newTag: ", "newTag: 4b7e1c09a5d2 # ", "newTag: 4b7e1c09a5d2", ("staging",)),
    Slip("image-pinned", DR, "digest: ", "# digest: ", "newTag: ", ("dr",)),
    Slip("ingress-tls", INGRESS, "TLS13-1-2-Res-PQ-2025-09", "TLS-1-2-2017-01", "spec:"),
    Slip("ingress-tls", INGRESS, "ingressClassName: alb", "ingressClassName: nginx", "spec:"),
    Slip("ingress-tls", INGRESS, '    alb.ingress.kubernetes.io/ssl-redirect: "443"\n', "", "spec:"),
    Slip("ingress-tls", INGRESS, "- host: koepon.com", "- host: www.koepon.com", "spec:", THREE),
    Slip("max-unavailable-zero", DEPLOYMENT, "maxUnavailable: 0", "maxUnavailable: 1", "strategy:"),
    Slip("max-unavailable-zero", DEPLOYMENT, "      maxUnavailable: 0\n", "", "strategy:"),
    Slip("no-plain-secrets-in-env", DEPLOYMENT, "- name: NODE_ENV", "- name: JWT_SECRET", "containers:"),
    Slip("pod-disruption-budget", BUDGET, "maxUnavailable: 1", "maxUnavailable: 0", "maxUnavailable: 0"),
    Slip("pod-disruption-budget", BUDGET, "maxUnavailable: 1", "minAvailable: 3", "minAvailable: 3"),
    Slip("pod-disruption-budget", LIST, "  - pod-disruption-budget.yaml\n", "", "apiVersion: apps/v1", at=DEPLOYMENT),
    Slip("probes", DEPLOYMENT, "readinessProbe:", "startupProbe:", "containers:"),
    Slip("probes", DEPLOYMENT, "livenessProbe:", "startupProbe:", "containers:"),
    Slip("replicas", DEPLOYMENT, "replicas: 3", "replicas: 2", "replicas: 2", THREE),
    Slip("replicas", PRODUCTION, "images:", f"replicas: {ONE}\nimages:", f"replicas: {ONE}", ("production",)),
    Slip("resources", DEPLOYMENT, "              memory: 512Mi\n", "", "containers:"),
    Slip("resources", DEPLOYMENT, "              cpu: 200m\n", "", "containers:"),
    Slip("restricted-security-context", DEPLOYMENT, "runAsNonRoot: true", "runAsNonRoot: false", "containers:"),
    Slip("restricted-security-context", DEPLOYMENT, "runAsUser: 10001", "runAsUser: 0", "containers:"),
    Slip("restricted-security-context", DEPLOYMENT, "Filesystem: true", "Filesystem: false", "containers:"),
    Slip("restricted-security-context", DEPLOYMENT, "- ALL", "- NET_RAW", "containers:"),
    Slip("restricted-security-context", DEPLOYMENT, "type: RuntimeDefault", "type: Unconfined", "containers:"),
    Slip("service-account", DEPLOYMENT, "      serviceAccountName: koepon-app-sa\n", "", "spec:"),
    Slip("service-account", DEPLOYMENT, "      automountServiceAccountToken: false\n", "", "spec:"),
    Slip("topology-spread", DEPLOYMENT, "DoNotSchedule", "ScheduleAnyway", "topologySpreadConstraints:"),
    Slip("topology-spread", DEPLOYMENT, "kubernetes.io/zone", "kubernetes.io/rack", "topologySpreadConstraints:"),
    Slip("kustomize/image-unmatched", PRODUCTION, NAME, "- name: koepon/api", "- name: koepon/api", ("production",)),
    Slip("projects/kind", PROJECT, "Ingress\n", "Egress\n", "kind: Ingress", at=INGRESS),
    Slip("projects/destination", PROJECT, "- name: dr", "- name: dd", "namespace: production", ("dr",), TO_DR),
    Slip("projects/missing", TO_DR, "project: koepon", "project: koipon", "project: koipon", ("dr",)),
    Slip("applications/missing-path", TO_DR, "overlays/dr", "overlays/rd", "path: apps", ("dr",)),
)
"""Each rule broken in more than one way, and in the overlays as well as in the base."""


RELEASE = re.compile(":[0-9a-f]{40}@sha256:[0-9a-f]{64}")
"""What a promotion writes; no test here depends on which it is."""


def named(slip: Slip) -> str:
    return f"{slip.rule}: {' '.join(slip.new.split())[:40]}"


def edit(root: Path, slip: Slip) -> None:
    file = root / slip.file
    text = file.read_text("utf-8")
    assert text.count(slip.old) == 1, f"{slip.file} says {text.count(slip.old)} times {slip.old!r}"
    file.write_text(text.replace(slip.old, slip.new), "utf-8")


def where(root: Path, finding: Finding) -> tuple[str, str]:
    """The file and the line a person is sent to, as written there."""
    lines = (root / finding.path).read_text("utf-8").splitlines()
    return finding.path, lines[finding.line - 1].strip() if finding.line else ""


@pytest.mark.parametrize("slip", SLIPS, ids=named)
def test_a_slip_is_found_by_its_rule_alone_where_a_person_mends_it(slip: Slip, tree: Path) -> None:
    edit(tree, slip)
    found = [each for each in validate(tree, baseline=False, now=NOW).findings if not _of_promotion(each)]
    assert {finding.rule for finding in found} == {slip.rule}
    places = {where(tree, finding) for finding in found}
    assert {file for file, _ in places} == {slip.at or slip.file}
    assert all(line.startswith(slip.line) for _, line in places), places
    names = {finding.application.rpartition("-") for finding in found}
    assert {environment for _, _, environment in names} == set(slip.environments)
    assert len({application for application, _, _ in names}) == 1
    assert all(finding.severity == "error" and finding.remedy and not finding.unchecked for finding in found)


def _of_promotion(finding: Finding) -> bool:
    """What a slip means for the next promotion is said besides."""
    return finding.rule.startswith(("readiness/", "overlays/"))


def test_every_rule_is_broken_once_at_least() -> None:
    rules = {rule.id for rule in (*policies.load(ROOT / "policies" / "admission").rules, *checks.RULES)}
    assert rules - {"no-secret-manifests"} <= {slip.rule for slip in SLIPS} | set(MUTATIONS)


def test_a_secret_is_refused_by_the_project_and_by_its_rule(tree: Path) -> None:
    file = tree / STAGING
    file.write_text(
        f"{file.read_text()}secretGenerator:\n  - name: database\n    literals:\n      - password=hunter2\n"
    )
    found = validate(tree, baseline=False, now=NOW).findings
    assert {each.rule for each in found} == {"no-secret-manifests", "projects/kind"}
    assert {where(tree, each)[0] for each in found} == {STAGING}


def test_the_tree_is_clean_with_checkov_s_checks_as_well(tree: Path) -> None:
    report = validate(tree, now=NOW)
    assert (report.findings, report.exit_code) == ((), 0)
    assert {each.finding.rule for each in report.waived} == {"CKV_K8S_35"}


@pytest.fixture(scope="module")
def applications() -> Mapping[str, Rendered]:
    """Every Application by name, with its objects as written."""
    return {each.application.name: each for each in Renderer(ROOT, load(ROOT), cache=Cache("renders")).tree()}


type Objects = Mapping[str, Any]
"""The objects of one environment by kind."""


def objects(applications: Mapping[str, Rendered], environment: str) -> Objects:
    found = {}
    for name in (f"namespaces-{environment}", f"koepon-app-{environment}"):
        found |= {each.id.kind: each.content for each in applications[name].manifests}
    return found


def at(objects: Objects, path: str) -> Any:
    """`Kind.field.0.field`; keys with dots in them are written with `~` in place of the dots."""
    value: Any = objects
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step.replace("~", ".")]
    return value


POD = "Deployment.spec.template.spec"
CONTAINER = f"{POD}.containers.0"
ALB = "Ingress.metadata.annotations.alb~ingress~kubernetes~io"

REQUIRED = {
    "Deployment.metadata.name": "koepon-app",
    "Deployment.metadata.namespace": "production",
    "Deployment.spec.replicas": 3,
    "Deployment.spec.strategy.type": "RollingUpdate",
    "Deployment.spec.strategy.rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    f"{POD}.serviceAccountName": "koepon-app-sa",
    f"{CONTAINER}.name": "koepon-app",
    f"{CONTAINER}.resources.requests": {"memory": "256Mi", "cpu": "200m"},
    f"{CONTAINER}.resources.limits": {"memory": "512Mi", "cpu": "500m"},
    f"{CONTAINER}.ports.0": {"name": "http", "containerPort": 3000},
    f"{CONTAINER}.env.0": {"name": "NODE_ENV", "value": "production"},
    f"{CONTAINER}.env.1.name": "DATABASE_URL",
    f"{CONTAINER}.env.1.valueFrom": {"secretKeyRef": {"name": "koepon-secrets", "key": "database-url"}},
    f"{CONTAINER}.env.2.name": "REDIS_URL",
    f"{CONTAINER}.env.2.valueFrom": {"secretKeyRef": {"name": "koepon-secrets", "key": "redis-url"}},
    f"{CONTAINER}.livenessProbe.httpGet": {"path": "/api/health", "port": "http"},
    f"{CONTAINER}.livenessProbe.initialDelaySeconds": 30,
    f"{CONTAINER}.livenessProbe.periodSeconds": 30,
    f"{CONTAINER}.readinessProbe.httpGet": {"path": "/api/health/ready", "port": "http"},
    f"{CONTAINER}.readinessProbe.initialDelaySeconds": 5,
    f"{CONTAINER}.readinessProbe.periodSeconds": 10,
    "Service.metadata.name": "koepon-app-service",
    "Service.spec.selector": {"app": "koepon-app"},
    "Service.spec.ports": [{"name": "http", "port": 80, "targetPort": "http"}],
    "Ingress.metadata.name": "koepon-ingress",
    f"{ALB}/scheme": "internet-facing",
    f"{ALB}/security-groups": "koepon-alb-sg",
    f"{ALB}/listen-ports": '[{"HTTP": 80}, {"HTTPS": 443}]',
    "Ingress.spec.rules.0.host": "koepon.com",
    "Ingress.spec.rules.0.http.paths.0.path": "/",
    "Ingress.spec.rules.0.http.paths.0.pathType": "Prefix",
    "Ingress.spec.rules.0.http.paths.0.backend.service": {"name": "koepon-app-service", "port": {"name": "http"}},
    "HorizontalPodAutoscaler.spec.minReplicas": 3,
    "HorizontalPodAutoscaler.spec.maxReplicas": 10,
    "HorizontalPodAutoscaler.spec.scaleTargetRef.name": "koepon-app",
    "HorizontalPodAutoscaler.spec.metrics.0.resource.name": "cpu",
    "HorizontalPodAutoscaler.spec.metrics.0.resource.target.averageUtilization": 70,
    "HorizontalPodAutoscaler.spec.metrics.1.resource.name": "memory",
    "HorizontalPodAutoscaler.spec.metrics.1.resource.target.averageUtilization": 80,
    "HorizontalPodAutoscaler.spec.behavior.scaleUp": {
        "stabilizationWindowSeconds": 120,
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 120}],
    },
    "HorizontalPodAutoscaler.spec.behavior.scaleDown": {
        "stabilizationWindowSeconds": 300,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
    },
    "ServiceAccount.metadata.name": "koepon-app-sa",
    "ServiceAccount.metadata.annotations.eks~amazonaws~com/role-arn": "arn:aws:iam::123456789012:role/koepon-app-role",
    "ExternalSecret.spec.target.name": "koepon-secrets",
}
"""What the requirement document writes, where it can be had as written."""

DECIDED = {
    # For an NLB beside the ALB: one way in.
    "Service.spec.type": "ClusterIP",
    "Ingress.spec.ingressClassName": "alb",
    f"{ALB}/ssl-redirect": "443",
    # For TLS-1-2-2017-01, which AWS no longer recommends.
    f"{ALB}/ssl-policy": "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
    "Ingress.spec.tls": [{"hosts": ["koepon.com"]}],
    # For "deny all by default", and for zones and nodes that go away.
    f"{POD}.topologySpreadConstraints.0.topologyKey": "topology.kubernetes.io/zone",
    f"{POD}.topologySpreadConstraints.0.whenUnsatisfiable": "DoNotSchedule",
    "PodDisruptionBudget.spec.maxUnavailable": 1,
    f"{POD}.automountServiceAccountToken": False,
    f"{CONTAINER}.securityContext.readOnlyRootFilesystem": True,
    # What the policies go by: without it none of them concerns the namespace.
    "Namespace.metadata.labels.koepon~com/environment": "production",
    "Namespace.metadata.labels.pod-security~kubernetes~io/enforce": "restricted",
    "Namespace.metadata.labels.elbv2~k8s~aws/pod-readiness-gate-inject": "enabled",
}
"""What docs/decisions.md puts in the place of a contradiction, and what the document asks for in words."""


@pytest.mark.parametrize(("path", "figure"), [*REQUIRED.items(), *DECIDED.items()], ids=[*REQUIRED, *DECIDED])
def test_production_has_the_figures_of_the_requirements(
    applications: Mapping[str, Rendered], path: str, figure: object
) -> None:
    assert at(objects(applications, "production"), path) == figure


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_image_is_a_commit_and_its_digest(applications: Mapping[str, Rendered], environment: str) -> None:
    """For `koepon/app:latest` of the document; dr runs what production runs, out of its own region's registry."""
    image = at(objects(applications, environment), f"{CONTAINER}.image")
    region = "ap-southeast-1" if environment == "dr" else "ap-northeast-1"
    assert re.fullmatch(rf"123456789012\.dkr\.ecr\.{region}\.amazonaws\.com/koepon/app{RELEASE.pattern}", image)
    if environment == "dr":
        assert (
            image.rpartition("/")[2] == at(objects(applications, "production"), f"{CONTAINER}.image").rpartition("/")[2]
        )


def test_a_pod_drains_before_it_goes(applications: Mapping[str, Rendered]) -> None:
    """NFR-404: the ALB stops sending (10 s at most) and drains, then the process ends, then the kubelet kills."""
    production = objects(applications, "production")
    drain = int(at(production, f"{ALB}/target-group-attributes").removeprefix("deregistration_delay.timeout_seconds="))
    sleep = at(production, f"{CONTAINER}.lifecycle.preStop.sleep.seconds")
    assert drain + 10 <= sleep
    assert sleep + 20 <= at(production, f"{POD}.terminationGracePeriodSeconds")


@pytest.mark.parametrize("environment", ["staging", "dr"])
def test_what_another_environment_has_of_its_own(
    applications: Mapping[str, Rendered], environment: str, snapshot: SnapshotAssertion
) -> None:
    """Whatever more differs from production is a promise that production's tests do not keep there."""
    production, other = (in_production(applications[f"koepon-app-{each}"]) for each in ("production", environment))
    assert str(changes.compare([production], [other])) == snapshot


def in_production(rendered: Rendered) -> Rendered:
    """The same objects as if production had them, running no release in particular."""
    manifests = []
    for each in rendered.manifests:
        text = RELEASE.sub(":release", json.dumps(each.content))
        content = json.loads(text.replace('"namespace": "staging"', '"namespace": "production"'))
        manifests.append(each.model_copy(update={"content": content, "id": ObjectId.of(content)}))
    application = rendered.application.model_copy(update={"name": "koepon-app"})
    return rendered.model_copy(update={"application": application, "manifests": tuple(manifests)})


def declared(applications: Mapping[str, Rendered], kind: str) -> dict[str, dict[str, Any]]:
    """The objects of a kind that the root Application syncs, by name."""
    return {each.id.name: each.content for each in applications["root"].manifests if each.id.kind == kind}


def test_the_root_declares_everything(applications: Mapping[str, Rendered]) -> None:
    expected = {"root"} | {f"policies-{each}" for each in CLUSTERS}
    expected |= {f"{name}-{each}" for name in ("namespaces", "claims", "koepon-app") for each in ENVIRONMENTS}
    expected |= {"apis", "namespaces-hub"}
    assert declared(applications, "Application").keys() == applications.keys() == expected
    assert declared(applications, "AppProject").keys() == {"clusters", "default", "estate", "koepon", "platform"}


def test_every_application_follows_main_and_mends_itself(applications: Mapping[str, Rendered]) -> None:
    for name, application in declared(applications, "Application").items():
        spec = application["spec"]
        assert spec["source"]["targetRevision"] == "main", name
        assert spec["source"]["repoURL"] == load(ROOT).repository, name
        assert spec["project"] in {"clusters", "estate", "koepon", "platform"}, name
        automated = None if name.endswith("-dr") else {"prune": True, "selfHeal": True}
        assert spec["syncPolicy"].get("automated") == automated, name
        retry = spec["syncPolicy"]["retry"]
        assert (retry["limit"], retry["refresh"]) == (5, True), name
        assert "ServerSideApply=true" in spec["syncPolicy"]["syncOptions"], name
        assert application["metadata"]["namespace"] == "argocd", name


def test_an_application_is_written_where_it_is_synced_to(applications: Mapping[str, Rendered]) -> None:
    names = {"in-cluster": "hub", "staging": "staging", "production": "production", "dr": "dr"}
    for each in applications.values():
        name = each.application.name
        # Claims live on the hub, each environment's in a namespace; dr's wait where the rest of dr waits.
        cluster = "dr" if name == "claims-dr" else names[each.application.cluster]
        assert each.application.file.startswith(f"clusters/{cluster}/"), name
        assert name in {"root", "apis"} or name.startswith("claims-") or name.endswith(f"-{cluster}")


def test_namespaces_then_policies_then_the_application(applications: Mapping[str, Rendered]) -> None:
    waves = {
        name: int(content["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", "0"))
        for name, content in declared(applications, "Application").items()
    }
    for each in ENVIRONMENTS:
        assert waves[f"namespaces-{each}"] < waves[f"policies-{each}"] < waves[f"koepon-app-{each}"]


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_cluster_has_every_policy(applications: Mapping[str, Rendered], cluster: str) -> None:
    synced = {each.id.name for each in applications[f"policies-{cluster}"].manifests}
    assert synced == {file.stem for file in (ROOT / "policies" / "admission").glob("*.yaml")}


@pytest.mark.parametrize("project", ["clusters", "estate", "koepon", "platform"])
def test_a_project_names_its_sources_destinations_and_kinds(applications: Mapping[str, Rendered], project: str) -> None:
    spec = declared(applications, "AppProject")[project]["spec"]
    assert spec["sourceRepos"] == [load(ROOT).repository]
    listed = [*spec["destinations"], *spec["clusterResourceWhitelist"], *spec["namespaceResourceWhitelist"]]
    assert all(
        value and not set(value) & set("*?[{!") for entry in listed for key, value in entry.items() if key != "group"
    )
    assert all(not set(entry.get("group", "")) & set("*?[{!") for entry in listed)


def test_a_project_allows_what_is_used_and_nothing_more(applications: Mapping[str, Rendered]) -> None:
    for name, project in declared(applications, "AppProject").items():
        mine = [each for each in applications.values() if each.application.project == name]
        spec = project["spec"]
        listed = (*spec["clusterResourceWhitelist"], *spec.get("namespaceResourceWhitelist", ()))
        kinds = {(manifest.id.group, manifest.id.kind) for each in mine for manifest in each.manifests}
        assert {(entry["group"], entry["kind"]) for entry in listed} == kinds, name
        places = {(each.application.cluster, each.application.destination_namespace) for each in mine}
        assert {(entry["name"], entry["namespace"]) for entry in spec["destinations"]} == places, name


def test_the_default_project_is_closed(applications: Mapping[str, Rendered]) -> None:
    spec = declared(applications, "AppProject")["default"]["spec"]
    assert (spec["sourceRepos"], spec["destinations"], spec["clusterResourceWhitelist"]) == ([], [], [])
    assert spec["namespaceResourceBlacklist"] == [{"group": "*", "kind": "*"}]
