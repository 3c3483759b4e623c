"""The rendered tree as both judges see it: this library, and an API server that holds its definitions and policies.

A cluster at a time is *set* on one API server: its Namespaces with their labels, under the same policies. That is as
faithful as a server for each, because an object is judged by the definitions, the policies and its Namespace alone,
and those are replaced whole; and it is three starts and a gigabyte cheaper.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from koepon_gitops import configuration, evaluation, modules, placement, policies, rendering, schemas
from koepon_gitops.cache import Cache, key
from koepon_gitops.model import Json, Manifest
from tests.e2e.control_plane import ApiServer
from tests.e2e.kubernetes_client import Answer, Client
from tests.e2e.processes import wait_for

ROOT = Path(__file__).parents[2]
WITH_CROSSPLANE = frozenset({"apis", "claims-staging", "claims-production", "claims-dr"})
"""Applications of which only Crossplane makes the kinds: it is not part of this control plane yet."""
_MARK = "koepon.com/e2e-cluster"
_SENTINEL = "e2e-sentinel"
_POLICY, _BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"


class Tree:
    """This repository's tree, rendered once, with the offline judge of all its objects."""

    def __init__(self, root: Path = ROOT) -> None:
        settings = configuration.load(root)
        written = rendering.Renderer(root, settings, cache=Cache("renders")).tree()
        folder = root / settings.policies
        self.library = schemas.load(placement.definitions(written), exempt=schemas.exemptions(folder / "schemas.yaml"))
        placed = placement.placed(written, self.library)
        self.clusters = placement.by_cluster(each for each in placed if each.application.name not in WITH_CROSSPLANE)
        self.policies = policies.load(folder / "admission")
        self.judge = evaluation.Judge(self.library, self.policies, self.clusters)

    @property
    def manifests(self) -> Iterator[Manifest]:
        for cluster in sorted(self.clusters):
            yield from self.clusters[cluster]

    @cached_property
    def admission(self) -> tuple[Json, ...]:
        """The policies, then the bindings, each once: every cluster has the same."""
        found = {
            manifest.id: manifest.content for manifest in self.manifests if manifest.id.kind in {_POLICY, _BINDING}
        }
        return tuple(sorted(found.values(), key=lambda content: (content["kind"], content["metadata"]["name"])))

    def namespaces(self, cluster: str) -> tuple[Json, ...]:
        """The Namespaces that the tree declares on a cluster."""
        return tuple(each.content for each in self.clusters[cluster] if each.id.kind == "Namespace")

    @property
    def others(self) -> tuple[Json, ...]:
        """Bare ones for those that the tree's objects go into and that a person creates."""
        declared = {each.id.name for each in self.manifests if each.id.kind == "Namespace"}
        names = sorted({each.id.namespace for each in self.manifests if each.id.namespace} - declared)
        return tuple({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names)

    @property
    def definitions(self) -> tuple[dict[str, Any], ...]:
        """The CustomResourceDefinitions of the custom kinds used, from the pinned modules."""
        return tuple(each for found in self._pinned.values() for each in found)

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules they are from, as PATH@VERSION."""
        return tuple(self._pinned)

    @cached_property
    def _pinned(self) -> dict[str, list[dict[str, Any]]]:
        groups = {each.id.group for each in self.manifests if each.id.group}
        kinds = {(each.id.group, each.id.kind) for each in self.manifests}
        pinned: dict[str, list[dict[str, Any]]] = {}
        for module, directory in modules.fetch(schemas.PINS, lambda *_: None):
            for file in modules.files(module, directory):
                text = file.read_text("utf-8")
                if any(f"group: {group}\n" in text for group in groups):
                    found = [each for each in yaml.load_all(text, yaml.CSafeLoader) if each and _declares(each, kinds)]
                    pinned.setdefault(str(module), []).extend(found)
        return {name: found for name, found in pinned.items() if found}

    @cached_property
    def digest(self) -> str:
        """Of what is installed on the API server: its verdicts hold as long as this stays."""
        installed = [self.definitions, self.admission, *(self.namespaces(each) for each in sorted(self.clusters))]
        return key(yaml.dump(installed, Dumper=yaml.CSafeDumper))


def _declares(definition: Json, kinds: set[tuple[str, str]]) -> bool:
    spec = definition.get("spec") or {}
    return (spec.get("group"), (spec.get("names") or {}).get("kind")) in kinds


class Stage:
    """An API server with a tree's definitions and policies, and the Namespaces of one cluster at a time.

    Beside each binding stands one that warns: a refusal names one policy only, warnings name each.
    """

    def __init__(self, api: ApiServer, tree: Tree) -> None:
        self.api, self.tree, self.cluster = api, tree, ""
        self._local = threading.local()
        api.install(list(tree.definitions))
        policies_, bindings = (
            [each for each in tree.admission if each["kind"] == kind] for kind in (_POLICY, _BINDING)
        )
        for content in (*tree.others, *policies_, *bindings, *map(_warning, bindings), *_sentinel()):
            answer = api.client.create(content)
            assert answer.accepted or answer.code == 409, f"{content['metadata']['name']}: {answer.message}"
        wait_for("the policies", self._reaches("none", "default"))

    @property
    def client(self) -> Client:
        """One for each thread: connections are not shared."""
        if not hasattr(self._local, "client"):
            self._local.client = Client(self.api.url)
        client: Client = self._local.client
        return client

    def set(self, cluster: str) -> None:
        """Replace the Namespaces by those of the cluster, and wait until the policies go by them."""
        if cluster == self.cluster:
            return
        for content in self.tree.namespaces(cluster):
            marked = {**content, "metadata": {**content["metadata"]}}
            marked["metadata"]["annotations"] = {**(content["metadata"].get("annotations") or {}), _MARK: cluster}
            answer = self.api.client.create(marked)
            if answer.code == 409:
                answer = self.api.client.request("PUT", self.api.client.path(marked), marked)
            assert answer.accepted, answer.message
            wait_for(
                f"the policies in {content['metadata']['name']}", self._reaches(cluster, content["metadata"]["name"])
            )
        self.cluster = cluster

    def _reaches(self, cluster: str, namespace: str) -> Callable[[], bool]:
        metadata = {"name": _SENTINEL, "namespace": namespace}
        probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        return lambda: f"cluster {cluster}." in self.api.client.create(probe, dry_run=True).message

    def ask(self, base: Manifest, text: bytes, validation: str = "Strict") -> Answer:
        """A server-side dry run of creating what the text holds in place of `base`."""
        path = self.client.path(base.content, named=False)
        return self.client.request(
            "POST", path, text, content_type="application/yaml", dryRun="All", fieldValidation=validation
        )


def _warning(binding: Json) -> Json:
    metadata = {"name": f"{binding['metadata']['name']}-warns"}
    return {**binding, "metadata": metadata, "spec": {**binding["spec"], "validationActions": ["Warn"]}}


def _sentinel() -> Iterable[Json]:
    """Created last and in force: then all others are. It tells which cluster's Namespace it sees."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "asked", "expression": f"object.metadata.name == '{_SENTINEL}'"}],
        "validations": [
            {
                "expression": "false",
                "messageExpression": "'cluster ' + "
                f"namespaceObject.metadata.?annotations[?'{_MARK}'].orValue('none') + '.'",
            }
        ],
    }
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": _SENTINEL}}
    yield {**head, "kind": _POLICY, "spec": spec}
    yield {**head, "kind": _BINDING, "spec": {"policyName": _SENTINEL, "validationActions": ["Deny"]}}
