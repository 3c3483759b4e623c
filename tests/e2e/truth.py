"""How far this library and an API server agree, as a page: `python -m tests.e2e.truth [MUTANTS [SEED]]`.

With the defaults it writes docs/agreement.md; otherwise it prints the page and every distruth.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import urllib3

from tests.e2e import judging, mutants
from tests.e2e.binaries import KUBERNETES, Binaries
from tests.e2e.control_plane import ApiServer
from tests.e2e.judging import Comparison
from tests.e2e.processes import Supervisor
from tests.e2e.stage import ROOT, Stage, Tree

SEED, COUNT = 20261124, 6000
PAGE = ROOT / "docs" / "agreement.md"
_WORDS = ("accept", "unknown field", "reject", "deny")


def page(tree: Tree, found: Sequence[Comparison], seed: int) -> str:
    """The page in Markdown."""
    return "\n".join([*_introduction(tree, found, seed), *_confusion(found), *_limitations(found), *_breakdowns(found)])


def _introduction(tree: Tree, found: Sequence[Comparison], seed: int) -> Iterator[str]:
    unexplained = sum(not each.agrees and not each.limitation for each in found)
    yield from (
        "# Agreement with a real API server",
        "",
        "Written by `python -m tests.e2e.truth`; `tests/e2e/test_truth.py` asks the same on every change.",
        "",
        "Every object of the rendered tree is accepted by kube-apiserver in a strict server-side dry run. Then the "
        "objects are spoilt at one place (a tenth: at two) by operators that know no rule, and the same bytes go to "
        "the server and to `validate`'s schemas and policies. Asked is whether the object is accepted, has a field "
        "that does not exist, is otherwise rejected, or is denied, and by which policies.",
        "",
        f"- different mutants: **{len(found)}**, seed {seed}",
        f"- unexplained disagreements: **{unexplained}**",
        f"- kube-apiserver {KUBERNETES}; definitions of {', '.join(tree.modules)}",
        f"- policies: {len(tree.policies.rules)}, in force as ValidatingAdmissionPolicies with their bindings",
        "",
    )


def _confusion(found: Sequence[Comparison]) -> Iterator[str]:
    pairs = Counter((each.server.word, each.offline.word) for each in found)
    yield from (
        "## Verdicts",
        "",
        f"| server / offline | {' | '.join(_WORDS)} |",
        "| --- |" + " ---: |" * len(_WORDS),
    )
    for server in _WORDS:
        yield f"| {server} | {' | '.join(str(pairs[server, offline]) for offline in _WORDS)} |"
    yield from (
        "",
        "The server stops at the first kind of objection, and `validate` names all. Off the diagonal and in agreement "
        "are objects to which both have the same objection and one has a further one: where the server found an "
        "unknown field, it was asked again without heeding it.",
        "",
    )


def _limitations(found: Sequence[Comparison]) -> Iterator[str]:
    yield from ("## Known limitations", "", "| what | mutants | why |", "| --- | ---: | --- |")
    counts = Counter(each.limitation for each in found)
    for each in judging.LIMITATIONS:
        yield f"| {each.name} | {counts[each.name]} | {each.reason} |"
    yield ""


def _breakdowns(found: Sequence[Comparison]) -> Iterator[str]:
    yield from _breakdown("kind", found, lambda each: each.mutant.base.id.kind)
    yield from _breakdown("operator", found, lambda each: each.mutant.operator)
    denied = Counter(policy for each in found for policy in each.server.denied)
    yield from ("## By policy", "", "| policy | mutants it denies |", "| --- | ---: |")
    yield from (f"| {policy} | {count} |" for policy, count in sorted(denied.items()))
    yield ""


def _breakdown(what: str, found: Sequence[Comparison], part: Callable[[Comparison], str]) -> Iterator[str]:
    columns = ("mutants", *_WORDS, "disagreements")
    yield from (f"## By {what}", "", f"| {what} | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns))
    for name in sorted({part(each) for each in found}):
        these = [each for each in found if part(each) == name]
        words = Counter(each.server.word for each in these)
        figures = (len(these), *(words[word] for word in _WORDS), sum(not each.agrees for each in these))
        yield f"| {name} | {' | '.join(map(str, figures))} |"
    yield ""


def judged(tree: Tree, count: int, seed: int, stage: Callable[[], Stage]) -> list[Comparison]:
    """Both verdicts on `count` mutants; the server is started only for those it was never asked about."""
    spoilt = mutants.generate(list(tree.manifests), seed, count)
    memory = judging.Memory(Binaries().kube_apiserver.name, tree)
    if any(memory.get(each) is None for each in spoilt):
        judging.ask(stage(), memory, spoilt)
    return judging.compare(tree, memory, spoilt)


def main(arguments: Sequence[str]) -> None:
    """Print or write the page."""
    count, seed = ([int(each) for each in arguments] + [COUNT, SEED][len(arguments) :])[:2]
    urllib3.disable_warnings()  # the server's certificate is its own
    tree = Tree()
    with tempfile.TemporaryDirectory(prefix="koepon-gitops-") as folder:
        supervisor = Supervisor(Path(folder))
        try:
            found = judged(tree, count, seed, lambda: Stage(ApiServer(supervisor, Binaries()), tree))
        finally:
            supervisor.stop()
    text = page(tree, found, seed)
    for each in found:
        if not each.agrees:
            print(each)
    print(text)
    if (count, seed) == (COUNT, SEED):
        PAGE.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
