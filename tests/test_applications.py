"""Which Applications a tree declares, and what their sources are rendered as."""

import shutil
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from koepon_gitops.errors import UncheckableError
from tests.trees import CONFIG_MAP, DEPLOYMENT, REPOSITORY, application, findings, objects, rendered, renderer, write

KUSTOMIZED = {
    "apps/web/kustomization.yaml": "resources: [deployment.yaml, settings.yaml]",
    "apps/web/deployment.yaml": DEPLOYMENT,
    "apps/web/settings.yaml": CONFIG_MAP,
}


def test_one_application(tmp_path: Path) -> None:
    web = rendered(write(tmp_path, {**KUSTOMIZED, "clusters/a/web.yaml": application()}))["web"]
    assert objects(web) == ["ConfigMap settings", "Deployment web", "Application argocd/web"]
    assert (web.application.cluster, web.application.destination_namespace) == ("in-cluster", "web")
    assert (web.application.file, web.application.line) == ("clusters/a/web.yaml", 1)
    assert not web.findings


def test_the_line_of_an_application_in_a_stream(tmp_path: Path) -> None:
    text = f"# first\n{application('one')}---\n\n# second\n{application('two')}"
    tree = rendered(write(tmp_path, {**KUSTOMIZED, "clusters/both.yaml": text}))
    assert [each.application.line for each in tree.values()] == [2, text[: text.index("# second")].count("\n") + 2]


def test_an_app_of_apps_declares_what_it_renders_to(tmp_path: Path) -> None:
    files = {
        **KUSTOMIZED,
        "clusters/kustomization.yaml": "namePrefix: live-\nresources: [web.yaml]",
        "clusters/web.yaml": application(),
        "bootstrap/root.yaml": application("root", "clusters"),
    }
    tree = rendered(write(tmp_path, files), clusters=".")
    assert list(tree) == ["live-web", "root"]
    assert objects(tree["root"]) == ["Application live-web", "Application argocd/root"]
    assert objects(tree["live-web"]) == ["ConfigMap settings", "Deployment web"]


def test_applications_without_end(tmp_path: Path) -> None:
    """A chain of Applications, each declared by the one before."""
    files = {f"chain/{n}/next.yaml": application(f"app-{n + 1}", f"chain/{n + 1}") for n in range(30)}
    write(tmp_path, {**files, "clusters/first.yaml": application("app-0", "chain/0")})
    with pytest.raises(UncheckableError, match="Applications declare Applications without end"):
        rendered(tmp_path)


def test_nothing_to_check(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    with pytest.raises(UncheckableError) as caught:
        rendered(write(tmp_path, {"clusters/settings.yaml": CONFIG_MAP}))
    assert str(caught.value) == snapshot


def test_a_patch_is_no_application_and_a_lone_one_is_a_mistake(tmp_path: Path) -> None:
    files = {
        **KUSTOMIZED,
        "clusters/kustomization.yaml": "resources: [web.yaml]\npatches: [{path: patch.yaml}]",
        "clusters/web.yaml": application(),
        "clusters/patch.yaml": """
            apiVersion: argoproj.io/v1alpha1
            kind: Application
            metadata: {name: web}
            spec: {project: special}
            """,
        "clusters/root.yaml": application("root", "clusters"),
    }
    tree = renderer(write(tmp_path, files))
    found = {each.application.name: each.application.project for each in tree.tree()}
    assert (found, tree.findings) == ({"root": "default", "web": "special"}, [])
    (tmp_path / "clusters/kustomization.yaml").write_text("resources: [web.yaml]")
    (tmp_path / "clusters/lone.yaml").write_text((tmp_path / "clusters/patch.yaml").read_text().replace("web", "lone"))
    alone = renderer(tmp_path)
    assert [len(each.manifests) for each in alone.tree() if each.application.name == "web"] == [2]
    assert [(each.rule, each.path) for each in alone.findings] == [("applications/incomplete", "clusters/lone.yaml")]


@pytest.mark.parametrize(
    "options",
    [
        "directory: {recurse: true}",
        "directory: {recurse: true, exclude: 'deep/*'}",
        "directory: {recurse: true, include: '{one,*/three}.yaml'}",
        "directory: {include: 'nothing*'}",
        "directory: {exclude: '[ot]*.yaml'}",
    ],
)
def test_plain_folders(tmp_path: Path, options: str, snapshot: SnapshotAssertion) -> None:
    files = {
        "plain/one.yaml": CONFIG_MAP.replace("settings", "one"),
        "plain/two.json": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "two"}}',
        "plain/deep/three.yaml": CONFIG_MAP.replace("settings", "three"),
        "plain/skipped.yaml": "# +argocd:skip-file-rendering\n" + CONFIG_MAP,
        "plain/notes.txt": "not yaml: [",
        "clusters/plain.yaml": application("plain", "plain", source=options),
    }
    plain = rendered(write(tmp_path, files))["plain"]
    assert (objects(plain), findings(plain)) == snapshot


def test_several_sources_and_a_reference(tmp_path: Path) -> None:
    text = f"""
        apiVersion: argoproj.io/v1alpha1
        kind: Application
        metadata: {{name: many}}
        spec:
          destination: {{server: https://kubernetes.default.svc, namespace: web}}
          sources:
            - {{repoURL: {REPOSITORY}, path: apps/web}}
            - {{repoURL: {REPOSITORY}, path: plain}}
            - {{repoURL: {REPOSITORY}, ref: values}}
            - {{repoURL: https://charts.example, chart: redis, targetRevision: 1.2.3}}
            - {{repoURL: {REPOSITORY}, path: apps/web, targetRevision: v1.0}}
        """
    files = {**KUSTOMIZED, "plain/one.yaml": CONFIG_MAP.replace("settings", "one"), "clusters/many.yaml": text}
    many = rendered(write(tmp_path, files))["many"]
    assert objects(many) == ["ConfigMap settings", "Deployment web", "ConfigMap one", "Application argocd/many"]
    assert [finding.message for finding in many.findings] == [
        "https://charts.example redis was not rendered: it is a chart of another repository.",
        f"{REPOSITORY} apps/web was not rendered: it follows v1.0, and this tree becomes main.",
    ]


@pytest.mark.parametrize(
    "source",
    [
        "targetRevision: main\nplugin: {name: x}",
        "plugin: {}",
        "kustomize: {namePrefix: a}\ndirectory: {recurse: true}",
    ],
)
def test_sources_that_are_not_rendered_say_so(tmp_path: Path, source: str, snapshot: SnapshotAssertion) -> None:
    web = rendered(write(tmp_path, {**KUSTOMIZED, "clusters/web.yaml": application(source=source)}))["web"]
    assert findings(web) == snapshot


def test_one_name_for_two_applications(tmp_path: Path) -> None:
    tree = renderer(write(tmp_path, {**KUSTOMIZED, "clusters/a.yaml": application(), "clusters/b.yaml": application()}))
    tree.tree()
    assert [(each.rule, each.path) for each in tree.findings] == [
        ("applications/duplicate-application", "clusters/b.yaml")
    ]


@pytest.mark.parametrize("path", ["apps/other", "/etc", "../x", "-x", "apps/web/settings.yaml", "apps/link"])
def test_paths_that_are_not_folders_of_the_repository(tmp_path: Path, path: str, snapshot: SnapshotAssertion) -> None:
    write(
        tmp_path, {**KUSTOMIZED, "clusters/web.yaml": application(path=path), "clusters/two.yaml": application("two")}
    )
    (tmp_path / "apps/link").symlink_to("/etc")
    tree = renderer(tmp_path)
    found = {each.application.name: findings(each) for each in tree.tree()}
    loose = [f"{finding.rule} {finding.path}: {finding.message}" for finding in tree.findings]
    assert (found.get("web", []) + loose) == snapshot
    assert found["two"] == []


def test_a_file_that_can_not_be_read_hides_no_other(tmp_path: Path) -> None:
    broken = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nkind: Application\n"
    tree = renderer(write(tmp_path, {**KUSTOMIZED, "clusters/a.yaml": broken, "clusters/b.yaml": application()}))
    assert [each.application.name for each in tree.tree()] == ["web"]
    assert [(finding.rule, finding.path, finding.line) for finding in tree.findings] == [
        ("manifests/duplicate-key", "clusters/a.yaml", 3)
    ]


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("https://git.example/team/gitops", True),
        ("https://GIT.example/team/gitops.git/", True),
        ("git@git.example:team/gitops.git", True),
        ("ssh://git@git.example/team/gitops", True),
        ("https://git.example/team/other", False),
    ],
)
def test_a_repository_has_several_urls(tmp_path: Path, url: str, local: bool) -> None:
    text = application().replace(REPOSITORY, url)
    web = rendered(write(tmp_path, {**KUSTOMIZED, "clusters/web.yaml": text}))["web"]
    assert (not web.findings) is local


CHART = {
    "chart/Chart.yaml": "{apiVersion: v2, name: chart, version: 1.0.0}",
    "chart/values.yaml": "colour: blue",
    "chart/templates/settings.yaml": CONFIG_MAP.replace("blue", "{{ .Values.colour }}"),
}


def test_a_chart_without_helm_is_counted_as_not_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    chart = rendered(write(tmp_path, {**CHART, "clusters/chart.yaml": application("chart", "chart")}))["chart"]
    assert [(each.rule, each.severity, each.message) for each in chart.findings] == [
        ("applications/not-rendered", "info", f"{REPOSITORY} chart was not rendered: helm is not on PATH.")
    ]


SET = """
    apiVersion: argoproj.io/v1alpha1
    kind: ApplicationSet
    metadata: {{name: set, namespace: argocd}}
    spec:
      {settings}
      template:
        metadata: {{name: '{name}'}}
        spec:
          project: default
          source: {{repoURL: {repository}, path: '{path}'}}
          destination: {{name: '{cluster}', namespace: web}}
    """
CLUSTERS = {"hub": {"labels": {"tier": "control"}}, "staging": {"labels": {"tier": "work"}, "server": "https://s"}}


def application_set(settings: str, name: str, path: str = "apps/web", cluster: str = "in-cluster") -> str:
    return SET.format(settings=settings, name=name, path=path, cluster=cluster, repository=REPOSITORY)


@pytest.mark.parametrize(
    "text",
    [
        application_set("generators: [{list: {elements: [{env: a}, {env: b, values: {x: y}}]}}]", "web-{{env}}"),
        application_set(
            "goTemplate: true\n      generators: [{list: {elements: [{env: {id: a}}]}}]", "{{ .env.id }}-web"
        ),
        application_set(
            f"generators: [{{git: {{repoURL: {REPOSITORY}, revision: main, directories: [{{path: apps/*}}, "
            "{path: apps/b, exclude: true}]}}]",
            "{{path.basename}}-{{path[0]}}",
            "{{path}}",
        ),
        application_set(
            f"goTemplate: true\n      generators: [{{git: {{repoURL: {REPOSITORY}, revision: main, directories: "
            "[{path: apps/*}]}}]",
            "{{.path.basenameNormalized}}-{{index .path.segments 0}}",
            "{{.path.path}}",
        ),
        application_set(
            "generators: [{clusters: {selector: {matchLabels: {tier: work}}, values: {a: b}}}]",
            "{{name}}-{{metadata.labels.tier}}-{{values.a}}",
            cluster="{{server}}",
        ),
        application_set("goTemplate: true\n      generators: [{clusters: {}}]", "{{.name}}-{{.metadata.labels.tier}}"),
    ],
)
def test_application_sets(tmp_path: Path, text: str, snapshot: SnapshotAssertion) -> None:
    more = {"apps/b/kustomization.yaml": "resources: [../web]", "apps/C_c/kustomization.yaml": "resources: [../web]"}
    tree = rendered(write(tmp_path, {**KUSTOMIZED, **more, "clusters/set.yaml": text}), cluster=CLUSTERS)
    assert [
        (name, each.application.cluster, each.application.sources[0].path) for name, each in tree.items()
    ] == snapshot


@pytest.mark.parametrize(
    "text",
    [
        application_set("generators: [{pullRequest: {}}]", "x"),
        application_set("generators: [{matrix: {generators: []}}]", "x"),
        application_set("generators: [{list: {elementsYaml: x}}]", "x"),
        application_set("generators: [{list: {elements: [{a: b}]}, selector: {}}]", "x"),
        application_set(f"generators: [{{git: {{repoURL: {REPOSITORY}, files: [{{path: x}}]}}}}]", "x"),
        application_set("generators: [{list: {elements: [{a: b}]}}]", "{{c}}"),
        application_set("goTemplate: true\n      generators: [{list: {elements: [{a: b}]}}]", "{{ .a | upper }}"),
        application_set("goTemplate: true\n      generators: [{list: {elements: [{a: b}]}}]", "{{ .c }}"),
        application_set("templatePatch: x\n      generators: [{list: {elements: [{a: b}]}}]", "{{a}}"),
        application_set("generators: [{clusters: {selector: {matchLabels: {tier: work}}}}]", "{{name}}"),
    ],
)
def test_what_is_not_evaluated_is_never_passed_over(tmp_path: Path, text: str, snapshot: SnapshotAssertion) -> None:
    tree = renderer(write(tmp_path, {**KUSTOMIZED, "clusters/set.yaml": text, "clusters/web.yaml": application()}))
    tree.tree()
    assert [f"{each.rule} {each.path}: {each.message} {each.remedy}" for each in tree.findings] == snapshot


@pytest.mark.skipif(shutil.which("helm") is None, reason="helm is optional, and its absence is tested above")
def test_a_chart_with_helm(tmp_path: Path) -> None:
    options = "helm: {valuesObject: {colour: green}}"
    files = {**CHART, "clusters/chart.yaml": application("chart", "chart", source=options)}
    chart = rendered(write(tmp_path, files))["chart"]
    assert chart.manifests[0].content["data"] == {"colour": "green"}
