"""Objects to findings: every object against its schema and the admission policies, in parallel, each result kept."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor

import orjson
from pydantic import TypeAdapter

from koepon_gitops.cache import Cache, key
from koepon_gitops.errors import GitOpsError
from koepon_gitops.model import Finding, Json, Manifest, Severity
from koepon_gitops.policies import PolicySet
from koepon_gitops.rendering import Rendered
from koepon_gitops.schemas import Schemas

OBJECTS_WORTH_A_PROCESS = 1500
"""Below this a further process costs more (about 30 ms to start and warm) than it saves."""

_FINDINGS = TypeAdapter(tuple[Finding, ...])


class Judge:
    """The schemas and policies of one run, with what policies may look at on each cluster.

    `clusters`: every object of the tree by cluster; Namespaces and parameters are looked up there.
    """

    def __init__(self, schemas: Schemas, policies: PolicySet, clusters: Mapping[str, Sequence[Manifest]]) -> None:
        self.schemas, self.policies = schemas, policies
        self.namespaces = {cluster: _namespaces(manifests) for cluster, manifests in clusters.items()}
        self.parameters = {cluster: policies.parameters(manifests) for cluster, manifests in clusters.items()}
        self._surroundings = {
            cluster: key(
                orjson.dumps([self.namespaces[cluster], self.parameters[cluster]], option=orjson.OPT_SORT_KEYS)
            )
            for cluster in clusters
        }

    def key(self, rendered: Rendered) -> str:
        """Everything the findings of this Application depend on."""
        around = sorted({self._surroundings[manifest.cluster] for manifest in rendered.manifests})
        return key(rendered.digest, self.schemas.digest, self.policies.digest, *around)

    def findings(self, manifests: Sequence[Manifest]) -> Iterator[Finding]:
        """What the schemas and then the policies say. What an object violates counts even if no schema accepts it."""
        malformed = set()
        for manifest in manifests:
            for finding in self._schema_findings(manifest):
                malformed.add(manifest.id)
                yield finding
        yield from self.policies.evaluate(manifests, self.namespaces, self.parameters, self.schemas, malformed)

    def _schema_findings(self, manifest: Manifest) -> Iterator[Finding]:
        try:
            problems = self.schemas.validate(manifest.content)
        except GitOpsError as error:
            finding = Finding.of_error(error, manifest.application)
            yield finding.model_copy(update={"object": manifest.id, "path": "", "line": 0})
            return
        for problem in problems:
            yield Finding(
                rule=problem.rule,
                severity=Severity.ERROR,
                application=manifest.application,
                object=manifest.id,
                field=problem.field,
                message=problem.message,
                remedy=f"Correct the field; `kubectl explain {manifest.id.kind.lower()}` describes it.",
            )


def _namespaces(manifests: Sequence[Manifest]) -> dict[str, Json]:
    return {
        manifest.id.name: manifest.content
        for manifest in manifests
        if manifest.id.kind == "Namespace" and manifest.id.apiVersion == "v1"
    }


def evaluate(
    judge: Judge, tree: Sequence[Rendered], cache: Cache, step: Callable[[str, int, int], None]
) -> list[Finding]:
    """Findings of every object of every Application given; what the cache holds is not computed again."""
    keys = {rendered.application.name: judge.key(rendered) for rendered in tree}
    findings: list[Finding] = []
    todo = []
    for rendered in tree:
        if stored := cache.get(keys[rendered.application.name]):
            findings.extend(_FINDINGS.validate_json(stored))
        else:
            todo.append(rendered)
    for done, (rendered, found) in enumerate(_judged(judge, todo), start=1):
        cache.put(keys[rendered.application.name], _FINDINGS.dump_json(found))
        findings.extend(found)
        step("Checking", done, len(todo))
    return findings


def _judged(judge: Judge, todo: Sequence[Rendered]) -> Iterator[tuple[Rendered, tuple[Finding, ...]]]:
    objects = sum(len(rendered.manifests) for rendered in todo)
    workers = min(os.process_cpu_count() or 1, objects // OBJECTS_WORTH_A_PROCESS + 1)
    if workers == 1:
        yield from ((rendered, tuple(judge.findings(rendered.manifests))) for rendered in todo)
        return
    global _judge, _todo
    _judge, _todo = judge, todo
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
        chunk = max(1, len(todo) // (workers * 4))
        yield from zip(todo, pool.map(_findings_of, range(len(todo)), chunksize=chunk), strict=True)


def _findings_of(index: int) -> tuple[Finding, ...]:
    return tuple(_judge.findings(_todo[index].manifests))


_judge: Judge
_todo: Sequence[Rendered] = ()
