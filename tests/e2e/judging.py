"""Asks an API server and this library the same questions, and compares what they say."""

import json
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from koepon_gitops import manifests
from koepon_gitops.cache import key
from koepon_gitops.configuration import cache_directory
from koepon_gitops.errors import GitOpsError
from koepon_gitops.model import Finding, Manifest, ObjectId
from tests.e2e.kubernetes_client import Answer
from tests.e2e.mutants import Mutant
from tests.e2e.stage import Stage, Tree

THREADS = 4


class Verdict(NamedTuple):
    """What one judge says. The server names policies for an object that is otherwise right; this library always."""

    unknown: bool = False
    """A field that does not exist."""
    invalid: bool = False
    """Anything else that the schema or the validation refuses."""
    denied: frozenset[str] = frozenset()
    """The policies that refuse it."""
    why: str = ""

    @property
    def word(self) -> str:
        """How the object fares: strict validation looks for unknown fields first, then at values, then at policies."""
        return "unknown field" if self.unknown else "reject" if self.invalid else "deny" if self.denied else "accept"


def agree(offline: Verdict, server: Verdict) -> bool:
    """Whether both refuse for the same kind of reason; where the server has two, one of them is enough."""
    if server.invalid:
        return offline.invalid or (server.unknown and offline.unknown)
    if server.unknown:
        return offline.unknown and not offline.invalid
    return not offline.unknown and not offline.invalid and offline.denied == server.denied


def offline(tree: Tree, mutant: Mutant) -> Verdict:
    """What `validate` would find, from the bytes of a file on."""
    base = mutant.base
    try:
        contents = manifests.read(mutant.text, "mutant.yaml")
    except GitOpsError as error:
        return Verdict(invalid=True, why=error.what)
    for content in contents:
        if isinstance(metadata := content["metadata"], dict) and base.id.namespace:
            metadata["namespace"] = metadata.get("namespace") or base.id.namespace
    made = [
        Manifest.model_construct(
            application=base.application, cluster=base.cluster, id=ObjectId.of(content), content=content, files=()
        )
        for content in contents
    ]
    return of_findings(tree.judge.findings(made))


def of_findings(findings: Iterable[Finding]) -> Verdict:
    """The verdict that findings amount to; what could not be checked counts as refused."""
    found = list(findings)
    return Verdict(
        unknown=any(each.rule == "schemas/unknown-field" for each in found),
        invalid=any("/" in each.rule and each.rule != "schemas/unknown-field" for each in found),
        denied=frozenset(each.rule for each in found if "/" not in each.rule),
        why="; ".join(each.message for each in found),
    )


_NAMED = re.compile(r"ValidatingAdmissionPolicy '([^']+)'")


def online(stage: Stage, mutant: Mutant) -> Verdict:
    """What the server says. Of an object with unknown fields it is asked again, without heeding them."""
    verdict = of_answer(stage.ask(mutant.base, mutant.text))
    if verdict.unknown:
        rest = of_answer(stage.ask(mutant.base, mutant.text, validation="Ignore"))
        return verdict._replace(invalid=rest.invalid, why=f"{verdict.why}; {rest.why}")
    return verdict


def of_answer(answer: Answer) -> Verdict:
    """The verdict of one answer. That the name is taken is found out last, by storing."""
    if answer.accepted or answer.body.get("reason") == "AlreadyExists":
        return Verdict()
    assert answer.code in {400, 403, 413, 422}, f"{answer.code}: {answer.message}"
    if "strict decoding error" in answer.message:
        unknown = "unknown field" in answer.message
        return Verdict(unknown=unknown, invalid=not unknown, why=answer.message)
    if denial := _NAMED.search(answer.message):
        denied = {name for warning in answer.warnings for name in _NAMED.findall(warning)}
        assert denial[1] in denied, f"{denial[1]} denies and does not warn: {answer.warnings}"
        return Verdict(denied=frozenset(denied), why=answer.message)
    return Verdict(invalid=True, why=answer.message)


class Memory:
    """The server's verdicts on disk, one line each: a run that was cut short goes on where it stopped."""

    def __init__(self, server: str, tree: Tree) -> None:
        self._file = cache_directory() / "truth" / f"{key(server, tree.digest)[:32]}.jsonl"
        self._lock = threading.Lock()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._known: dict[str, Verdict] = {}
        for line in self._file.read_text().splitlines() if self._file.is_file() else ():
            name, unknown, invalid, denied, why = json.loads(line)
            self._known[name] = Verdict(unknown, invalid, frozenset(denied), why)

    @staticmethod
    def name(mutant: Mutant) -> str:
        base = mutant.base
        return key(base.cluster, base.id.apiVersion, base.id.kind, base.id.namespace, mutant.text)

    def get(self, mutant: Mutant) -> Verdict | None:
        return self._known.get(self.name(mutant))

    def put(self, mutant: Mutant, verdict: Verdict) -> None:
        name = self.name(mutant)
        line = json.dumps([name, verdict.unknown, verdict.invalid, sorted(verdict.denied), verdict.why])
        with self._lock, self._file.open("a") as stream:
            stream.write(line + "\n")
            self._known[name] = verdict


def ask(stage: Stage, memory: Memory, mutants: Sequence[Mutant]) -> None:
    """Have the server's verdict on every mutant remembered, a cluster after the other."""
    todo = [mutant for mutant in mutants if memory.get(mutant) is None]
    for cluster in sorted({mutant.base.cluster for mutant in todo}):
        stage.set(cluster)
        with ThreadPoolExecutor(THREADS) as pool:
            list(
                pool.map(
                    lambda mutant: memory.put(mutant, online(stage, mutant)),
                    (mutant for mutant in todo if mutant.base.cluster == cluster),
                )
            )


class Limitation(NamedTuple):
    """A kind of disagreement that is known and stays, and why."""

    name: str
    reason: str
    explains: Callable[[Mutant, Verdict, Verdict], bool]
    """Of the mutant, the offline verdict and the server's."""


LIMITATIONS = (
    Limitation(
        "bare `variables`",
        "cel-expr-python has no value for the composed variables as a whole, so an expression of a policy that hands "
        "`variables` on, instead of reading `variables.NAME`, is refused here and taken by the server.",
        lambda mutant, offline, server: (
            mutant.base.id.kind == "ValidatingAdmissionPolicy"
            and server.word == "accept"
            and "only as `variables.NAME`" in offline.why
        ),
    ),
)


class Comparison(NamedTuple):
    """One mutant before both judges."""

    mutant: Mutant
    offline: Verdict
    server: Verdict

    @property
    def agrees(self) -> bool:
        return agree(self.offline, self.server)

    @property
    def limitation(self) -> str:
        """The name of what explains a disagreement; empty when nothing does, or there is none."""
        known = (each.name for each in LIMITATIONS if each.explains(*self))
        return "" if self.agrees else next(known, "")

    def __str__(self) -> str:
        here = f"{self.offline.word} {sorted(self.offline.denied)} {self.offline.why}"
        return f"{self.mutant}\n  offline: {here}\n  server: {self.server.word} {self.server.why}"


def compare(tree: Tree, memory: Memory, mutants: Sequence[Mutant]) -> list[Comparison]:
    """Both verdicts on each mutant, all of which the server has been asked about."""
    found = []
    for mutant in mutants:
        server = memory.get(mutant)
        assert server, f"the server was not asked about {mutant}"
        found.append(Comparison(mutant, offline(tree, mutant), server))
    return found
