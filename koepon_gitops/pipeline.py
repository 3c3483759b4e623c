"""The pipeline on one screen: applications -> objects, composed -> schemas, policies, checks -> waivers -> report."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from koepon_gitops import (
    baseline,
    checks,
    composition,
    evaluation,
    placement,
    places,
    policies,
    projects,
    provenance,
    readiness,
    rendering,
    schemas,
    waivers,
)
from koepon_gitops.cache import Cache
from koepon_gitops.configuration import Configuration
from koepon_gitops.errors import RequestError, UncheckableError
from koepon_gitops.model import Finding, Manifest, Report, Severity, Summary, Waived, in_order
from koepon_gitops.policies import PolicySet
from koepon_gitops.rendering import Rendered
from koepon_gitops.spelling import did_you_mean
from koepon_gitops.tree import Files
from koepon_gitops.validation import Question, Step


def run(root: Path, settings: Configuration, question: Question, *, cached: bool, step: Step) -> Report:
    """Answer the question by rendering and checking what is under `root`."""
    rules_folder = question.policies or root / settings.policies
    renderer = rendering.Renderer(
        root, settings, remotes=question.remotes, cache=Cache("renders", enabled=cached), step=step
    )
    written = renderer.tree()
    library = schemas.load(placement.definitions(written), exempt=schemas.exemptions(rules_folder / "schemas.yaml"))
    placed = placement.placed(written, library)
    tree = composition.composed(placed, library, renderer.files, Cache("compositions", enabled=cached), step)
    chosen = _chosen(tree, question)
    clusters = placement.by_cluster(tree)
    rules, flaws = policies.sound(rules_folder / "admission", root)
    judge = evaluation.Judge(library, rules, clusters)

    findings = [
        *renderer.findings,
        *renderer.unlisted,
        *flaws,
        *(finding for rendered in tree for finding in rendered.findings),
    ]
    findings += placement.duplicates(tree)
    findings += readiness.findings(root, rules_folder, tree)
    findings += _project_violations(tree, library, settings)
    findings += evaluation.evaluate(judge, chosen, Cache("evaluations", enabled=cached), step)
    for manifests in clusters.values():
        findings += checks.run(manifests, rules_folder, question.today)
    if settings.baseline and question.baseline:
        step("Asking checkov", 0, 1)
        findings += _baseline(chosen, Cache("baseline", enabled=cached))

    names = {rendered.application.name for rendered in chosen}
    asked = (each for each in findings if not each.application or each.application in names)
    located = _located(renderer.files, asked, tree)
    exceptions = waivers.load(rules_folder / "waivers.yaml", root)
    whole = question.baseline and len(chosen) == len(tree) and _is_rendered(renderer, tree) and not flaws
    kept, waived = waivers.apply(located, exceptions, question.today, whole=whole)
    notes = (
        []
        if rules.rules or flaws
        else [_no_policies(rules_folder, with_checkov=settings.baseline and question.baseline)]
    )
    return _report(chosen, in_order(kept), waived, rules, notes)


def _no_policies(folder: Path, *, with_checkov: bool) -> str:
    who = "the pipeline's own checks and checkov's" if with_checkov else "only the pipeline's own checks"
    return f"No policies in {folder.name}/admission: {who} ran."


def _manifests(tree: Iterable[Rendered]) -> list[Manifest]:
    return [manifest for rendered in tree for manifest in rendered.manifests]


def _is_rendered(renderer: rendering.Renderer, tree: Iterable[Rendered]) -> bool:
    """Whether there is nothing of which a waiver could have covered the findings, had it been rendered."""
    failures = (each for rendered in tree for each in rendered.findings if each.severity is Severity.ERROR)
    return not renderer.findings and next(failures, None) is None


def _synced(rendered: Rendered) -> list[Manifest]:
    """What Argo CD itself applies."""
    return [manifest for manifest in rendered.manifests if not manifest.claim]


def _baseline(chosen: Sequence[Rendered], cache: Cache) -> Sequence[Finding]:
    try:
        return baseline.scan(_manifests(chosen), cache)
    except UncheckableError as error:
        return [Finding.of_error(error)]


def _chosen(tree: Sequence[Rendered], question: Question) -> tuple[Rendered, ...]:
    names = {rendered.application.name for rendered in tree}
    if unknown := sorted(set(question.applications) - names):
        raise RequestError(
            "applications/unknown",
            f"No Application is named {unknown[0]}.",
            remedy=f"{did_you_mean(unknown[0], names)}The tree declares: {', '.join(sorted(names))}.",
        )
    return tuple(
        rendered
        for rendered in tree
        if (not question.applications or rendered.application.name in question.applications)
        and (question.changed is None or _touched(rendered, frozenset(question.changed)))
    )


def _touched(rendered: Rendered, changed: frozenset[str]) -> bool:
    return rendered.application.file in changed or not changed.isdisjoint(rendered.files)


def _project_violations(
    tree: Iterable[Rendered], library: schemas.Schemas, settings: Configuration
) -> Iterator[Finding]:
    declared = placement.projects_of(tree)
    for rendered in tree:
        yield from projects.violations(rendered.application, declared, _synced(rendered), library, settings.cluster)


def _located(files: Files, findings: Iterable[Finding], tree: Iterable[Rendered]) -> Iterator[Finding]:
    """Findings about objects, and about fields of Applications, with the file and line a person edits to mend them.

    A managed resource has its claim's.
    """
    manifests = {(each.application, each.id): each for each in reversed(_manifests(tree))}
    origin = provenance.Provenance(files)
    for finding in findings:
        manifest = manifests.get((finding.application, finding.object)) if finding.object else None
        if manifest and manifest.claim and not finding.path:
            claim = manifests[finding.application, manifest.claim]
            at = origin.locate(finding.model_copy(update={"field": ""}), claim)
            named = finding.rule.startswith("composition/")
            said = finding.message if named else f"{finding.message.rstrip('.')}. It is composed from {manifest.claim}."
            yield finding.model_copy(update={"path": at.path, "line": at.line, "message": said})
        elif manifest and not finding.path:
            yield origin.locate(finding, manifest)
        elif finding.path and finding.field:
            line = places.locate(files.content(finding.path), "Application", finding.application, finding.field)
            yield finding.model_copy(update={"line": line or finding.line})
        else:
            yield finding


def _report(
    chosen: Sequence[Rendered],
    findings: Iterable[Finding],
    waived: Sequence[Waived],
    rules: PolicySet,
    notes: Sequence[str],
) -> Report:
    found = tuple(findings)
    known = (*rules.rules, *checks.RULES)
    return Report(
        summary=Summary(
            applications=len(chosen),
            objects=sum(len(_synced(rendered)) for rendered in chosen),
            claims=sum(rendered.claims for rendered in chosen),
            managed_resources=sum(len(rendered.manifests) - len(_synced(rendered)) for rendered in chosen),
            rules=len(known),
            waived=len(waived),
            findings=len(found),
        ),
        findings=found,
        waived=tuple(waived),
        rules=known,
        notes=tuple(notes),
    )
