"""Claims to managed resources: what Crossplane would create, composed by the function that composes in the cluster.

What is run, and why that is bearable. A composition is Python that a pull request may have written, and composing means
running it. Run is only what Crossplane would run: the modules in the ConfigMap that is mounted into the function, and
scripts in a Composition; and only

1. after `composition_scan` has read all of it and found nothing but computation: few imports, few built-in names, no
   way to the interpreter's inside (else `composition/forbidden`, and none of it runs);
2. in processes of its own (`composition_processes`) with an empty environment, no credentials in reach, limits on
   time and memory, whose questions and answers are plain JSON;
3. behind `data/composition_worker.py`: built-in names are those few, modules come from memory, and an audit hook
   refuses files, sockets, processes and foreign functions.

None of the three is a wall by itself (Python has none); to do harm, code has to pass a reviewer's eye and all of them,
and it would then be an unprivileged process with the rights of CI's `validate` job, which holds no secret either.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from koepon_gitops import composition_rounds, composition_scan, placement
from koepon_gitops.cache import Cache, key
from koepon_gitops.composition_processes import WORKER, Processes
from koepon_gitops.composition_program import INSTALLED, Apis, Gap, Program
from koepon_gitops.composition_rounds import FORBIDDEN_REMEDY, Outcome, Problem
from koepon_gitops.errors import GitOpsError, UncheckableError
from koepon_gitops.model import Finding, Manifest, ObjectId, Severity
from koepon_gitops.provenance import Provenance
from koepon_gitops.rendering import Rendered
from koepon_gitops.schemas import Schemas
from koepon_gitops.tree import Files

type Step = Callable[[str, int, int], None]


def composed(
    tree: Sequence[Rendered],
    library: Schemas,
    files: Files,
    store: Cache,
    step: Step = lambda _what, _done, _total: None,
) -> tuple[Rendered, ...]:
    """The same tree with the resources of every claim beside it, and with what keeps claims from being composed.

    A claim that the API server would refuse is not composed: `schemas` says why.
    """
    clusters = placement.by_cluster(tree)
    apis = {cluster: Apis(manifests) for cluster, manifests in clusters.items()}
    if not any(each.definitions for each in apis.values()):
        return tuple(tree)
    composer = _Composer(library, files, store, apis)
    claims = [each for rendered in tree for each in rendered.manifests if composer.is_claim(each)]
    answers = {id(claim): answer for claim, answer in zip(claims, composer.answers(claims, step), strict=True)}
    return tuple(
        _extended(rendered, [answers[id(each)] for each in rendered.manifests if id(each) in answers])
        for rendered in tree
    )


class _Answer(NamedTuple):
    """What one claim gives. `digest` changes with it; `files` decide it."""

    manifests: tuple[Manifest, ...] = ()
    findings: tuple[Finding, ...] = ()
    digest: str = ""
    files: frozenset[str] = frozenset()


def _extended(rendered: Rendered, answers: Sequence[_Answer]) -> Rendered:
    if not answers:
        return rendered
    return rendered.model_copy(
        update={
            "manifests": (*rendered.manifests, *(made for answer in answers for made in answer.manifests)),
            "findings": (*rendered.findings, *(found for answer in answers for found in answer.findings)),
            "digest": key(rendered.digest, *(answer.digest for answer in answers)),
            "files": rendered.files.union(*(answer.files for answer in answers)),
            "claims": len(answers),
        }
    )


class _Composer:
    """Composes the claims of one tree; what the cache holds is not composed again."""

    def __init__(self, library: Schemas, files: Files, store: Cache, apis: Mapping[str, Apis]) -> None:
        self._library, self._cache, self._apis = library, store, apis
        self._places = _Places(files)
        self._kinds = frozenset(kind for each in apis.values() for kind in each.definitions)

    def is_claim(self, manifest: Manifest) -> bool:
        """Whether a definition of the tree, on whatever cluster, makes it one."""
        return (manifest.id.apiVersion, manifest.id.kind) in self._kinds

    def answers(self, claims: Sequence[Manifest], step: Step) -> list[_Answer]:
        """What each claim gives."""
        programs = [self._program(claim) for claim in claims]
        names = [self._name(each) if isinstance(each, Program) else "" for each in programs]
        outcomes = {
            name: Outcome.model_validate_json(found) for name in names if name and (found := self._cache.get(name))
        }
        missing = {
            name: (claim, each)
            for claim, each, name in zip(claims, programs, names, strict=True)
            if isinstance(each, Program) and name not in outcomes
        }
        if missing:
            step("Composing", 0, len(missing))
            outcomes |= self._composed(missing)
            step("Composing", len(missing), len(missing))
        return [
            self._answer(claim, each, outcomes[name]) if isinstance(each, Program) else self._gap(claim, each)
            for claim, each, name in zip(claims, programs, names, strict=True)
        ]

    def _program(self, claim: Manifest) -> Program | Gap:
        apis = self._apis[claim.cluster]
        if (claim.id.apiVersion, claim.id.kind) not in apis.definitions:
            return Gap(
                "missing-definition",
                f"no CompositeResourceDefinition of {claim.id.kind} is on cluster {claim.cluster}",
                claim,
            )
        try:
            return apis.program(claim)
        except Gap as gap:
            return gap
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            what = f"its definition, Composition or function is malformed ({type(error).__name__}: {error})"
            return Gap("unsupported", what, claim)

    def _name(self, program: Program) -> str:
        """Everything an outcome depends on."""
        content = [program.composite, program.inputs, program.modules]
        return key(
            _own_sources(), self._library.digest, program.package, orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        )

    def _composed(self, missing: Mapping[str, tuple[Manifest, Program]]) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        mounts: dict[str, dict[str, Program]] = {}
        for name, (claim, program) in missing.items():
            if self._is_refused(claim):
                outcomes[name] = Outcome()
            else:
                mount = key(orjson.dumps(program.modules, option=orjson.OPT_SORT_KEYS))
                mounts.setdefault(mount, {})[name] = program
        for programs in mounts.values():
            outcomes |= self._composed_alike(programs)
        for name, outcome in outcomes.items():
            if not any(each.unchecked for each in outcome.problems):
                self._cache.put(name, outcome.model_dump_json().encode())
        return outcomes

    def _is_refused(self, claim: Manifest) -> bool:
        """Whether the API server would not take the claim, or nobody can tell: `evaluation` says so."""
        try:
            return bool(self._library.validate(claim.content))
        except GitOpsError:
            return True

    def _composed_alike(self, programs: Mapping[str, Program]) -> dict[str, Outcome]:
        """Claims of one mount. The processes load the function while its modules are looked through."""
        modules = next(iter(programs.values())).modules
        scripts = {name: text for each in programs.values() for name, text in each.scripts.items()}
        with Processes() as processes:
            refused = composition_scan.scan(modules, scripts)
            outcomes = {
                name: Outcome(
                    problems=tuple(_forbidden(each) for each in refused if each.module in {*modules, *program.scripts})
                )
                for name, program in programs.items()
            }
            free = {name: program for name, program in programs.items() if not outcomes[name].problems}
            if free:
                processes.mount(modules)
                try:
                    made = composition_rounds.compose(list(free.values()), processes, self._library.status)
                except UncheckableError as error:
                    broken = Problem(rule=error.rule, message=error.what, remedy=error.remedy, unchecked=True)
                    made = [Outcome(problems=(broken,))] * len(free)
                outcomes |= dict(zip(free, made, strict=True))
        return outcomes

    def _answer(self, claim: Manifest, program: Program, outcome: Outcome) -> _Answer:
        manifests = tuple(_managed(claim, content) for content in outcome.resources.values())
        problems = [*outcome.problems, *self._misplaced(claim, manifests)]
        return _Answer(
            manifests=manifests,
            findings=tuple(self._finding(claim, program, each) for each in problems),
            digest=key(outcome.model_dump_json()),
            files=program.files,
        )

    def _misplaced(self, claim: Manifest, manifests: Iterable[Manifest]) -> Iterator[Problem]:
        """Resources that Crossplane could not create for this claim, or that stand for others in turn."""
        for made in manifests:
            if self.is_claim(made):
                yield Problem(
                    rule="composition/unsupported",
                    message=f"it composes {made.id}, a claim in turn, which is not followed",
                    remedy="Compose the resources themselves.",
                    unchecked=True,
                )
            elif claim.id.namespace and self._is_cluster_wide(made):
                yield Problem(
                    rule="composition/cluster-scoped",
                    message=f"it composes {made.id.kind} {made.id.name}, which lives in no namespace, from within one",
                    remedy="Use the namespaced kind (its API group has `.m.` in it).",
                )

    def _is_cluster_wide(self, made: Manifest) -> bool:
        try:
            return not self._library.is_namespaced(made.id.apiVersion, made.id.kind)
        except UncheckableError:
            return False

    def _gap(self, claim: Manifest, gap: Gap) -> _Answer:
        path, line = self._places.of(gap.manifest, gap.field)
        finding = Finding(
            rule=f"composition/{gap.rule}",
            severity=Severity.ERROR,
            application=claim.application,
            object=claim.id,
            path=path,
            line=line,
            message=f"It can't be composed: {gap.what}.",
            remedy="Declare what is missing on the claim's cluster, or write it in a way that is understood.",
            unchecked=gap.unchecked,
        )
        return _Answer(findings=(finding,), digest=key(finding.model_dump_json()), files=frozenset(gap.manifest.files))

    def _finding(self, claim: Manifest, program: Program, problem: Problem) -> Finding:
        place = self._places.of_code(program, problem.module, problem.line) if problem.module else None
        message = f"{problem.message[0].upper()}{problem.message[1:]}"
        path, line = self._places.of(claim)
        if place and problem.rule == "composition/forbidden":
            path, line = place
        elif place:
            message += f" ({place[0]}:{place[1]})"
        return Finding(
            rule=problem.rule,
            severity=Severity.ERROR,
            application=claim.application,
            object=claim.id,
            path=path,
            line=line,
            message=f"{message}.",
            remedy=problem.remedy,
            unchecked=problem.unchecked,
        )


def _managed(claim: Manifest, content: dict[str, Any]) -> Manifest:
    return Manifest.model_construct(
        application=claim.application,
        cluster=claim.cluster,
        id=ObjectId.of(content),
        content=content,
        files=claim.files,
        claim=claim.id,
    )


def _forbidden(violation: composition_scan.Violation) -> Problem:
    return Problem(
        rule="composition/forbidden",
        message=f"the composition is not run: {violation.message}",
        remedy=FORBIDDEN_REMEDY,
        module=violation.module,
        line=violation.line,
    )


class _Places:
    """Where people find objects and modules in the tree."""

    def __init__(self, files: Files) -> None:
        self._files, self._provenance = files, Provenance(files)

    def of(self, manifest: Manifest, field: str = "") -> tuple[str, int]:
        """File and line of an object, or of a field of it."""
        probe = Finding(rule="", severity=Severity.INFO, message="", field=field)
        located = self._provenance.locate(probe, manifest)
        return located.path, located.line

    def of_code(self, program: Program, module: str, line: int) -> tuple[str, int]:
        """A line of a module in the file that has its text, or of a script in its Composition."""
        if (origin := program.origins.get(module)) is None:
            return self._of_script(program, module, line)
        text = program.modules[module].encode()
        for path in origin.files:
            if path.endswith(".py") and self._files.content(path) == text:
                return path, line
        return self.of(origin)[0], 0

    def _of_script(self, program: Program, module: str, line: int) -> tuple[str, int]:
        names = list(program.scripts)
        index = names.index(module) if module in names else 0
        path, first = self.of(program.composition, f"spec.pipeline[{index}].input.composite")
        return path, first + line if first else 0


@cache
def _own_sources() -> bytes:
    """The code that composes, and the version of the function it asks."""
    here = Path(__file__).parent
    names = (
        *sorted(here.glob("composition*.py")),
        here / "defaults.py",
        here / "synthetic.py",
        here / "crds.py",
        WORKER,
    )
    return key(INSTALLED, *(name.read_bytes() for name in names)).encode()
