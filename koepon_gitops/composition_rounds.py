"""What claims become when nothing is there yet, and once what they asked for is: until nothing changes any more."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from koepon_gitops import composition_processes, synthetic
from koepon_gitops.composition_processes import Answer, Processes
from koepon_gitops.composition_program import Program
from koepon_gitops.model import Json, Value

ROUNDS = 5
"""Times that what a claim became is observed and composed again, until that changes nothing."""
UID = "00000000-0000-4000-8000-000000000000"
"""In place of what the API server gives a claim."""

type Statuses = Callable[[str, str], Json]
"""The schema of a kind's status, by apiVersion and kind."""


class Problem(Value):
    """What is wrong with how a claim composes. `module`, `line`: where, if it is known; line 0 for nowhere."""

    rule: str
    message: str
    remedy: str = ""
    module: str = ""
    line: int = 0
    unchecked: bool = False


class Outcome(Value):
    """What one claim became: its resources by key, as Crossplane would apply them, or what kept them from it."""

    resources: dict[str, dict[str, Any]] = Field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def compose(programs: Sequence[Program], processes: Processes, statuses: Statuses) -> list[Outcome]:
    """The outcome of each claim."""
    courses = [_Course(program, statuses) for program in programs]
    for _ in range(1 + ROUNDS):
        open_ones = [each for each in courses if not each.is_over]
        if not open_ones:
            break
        for course, answers in zip(open_ones, processes.ask([each.request for each in open_ones]), strict=True):
            course.take(*answers)
    return [course.outcome() for course in courses]


class _Course:
    """One claim on its way through the rounds."""

    def __init__(self, program: Program, statuses: Statuses) -> None:
        self._program, self._statuses = program, statuses
        self._now: Json | None = None
        self._all: dict[str, dict[str, Any]] = {}
        self._changing: list[str] = []
        self._problems: list[Problem] = []
        self.is_over = False

    @property
    def request(self) -> Json:
        """What the worker is asked: the claim, and what exists after the last round."""
        composite, now = self._program.composite, self._now
        if now is None:
            return {"composite": composite, "inputs": self._program.inputs, "observed": {}}
        observed = {}
        for key, content in now["resources"].items():
            status = self._statuses(str(content.get("apiVersion", "")), str(content.get("kind", "")))
            observed[key] = synthetic.observed(applied(composite, key, content), status)
        conditions = synthetic.conditions()
        composite = {**composite, "status": {**now["status"], "conditions": conditions}}
        return {"composite": composite, "inputs": self._program.inputs, "observed": observed}

    def take(self, one: Answer, other: Answer) -> None:
        """What both processes say of the request."""
        if problem := _fault(one, other, "" if self._now is None else " once its resources are there"):
            self._problems.append(problem)
            self.is_over = True
            return
        incomplete = [key for key, each in one["resources"].items() if not _is_named(each)]
        if incomplete:
            self._problems.append(_incomplete(incomplete[0]))
            self.is_over = True
            return
        before = self._now or {"resources": {}, "status": {}}
        for key in sorted(before["resources"].keys() - one["resources"].keys()):
            self._problems.append(_vanishes(key))
        self._changing = sorted(_differing(before["resources"], one["resources"])) or ["its status"]
        self.is_over = self._now is not None and (before["resources"], before["status"]) == (
            one["resources"],
            one["status"],
        )
        self._now = one
        self._all |= one["resources"]

    def outcome(self) -> Outcome:
        """At the end, or after too many rounds."""
        problems = list(dict.fromkeys(self._problems))
        if not self.is_over:
            problems.append(_unstable(self._changing))
        made = {key: applied(self._program.composite, key, each) for key, each in sorted(self._all.items())}
        return Outcome(resources=made, problems=tuple(problems))


def applied(composite: Json, key: str, content: Json) -> dict[str, Any]:
    """A resource with what Crossplane adds (crossplane `composition_render.go`, RenderComposedResourceMetadata)."""
    claim = composite["metadata"]
    metadata = dict(content.get("metadata") or {})
    if claim.get("namespace"):
        metadata["namespace"] = claim["namespace"]
    metadata["labels"] = {**(metadata.get("labels") or {}), "crossplane.io/composite": claim["name"]}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), "crossplane.io/composition-resource-name": key}
    owner = {"apiVersion": composite["apiVersion"], "kind": composite["kind"], "name": claim["name"], "uid": UID}
    metadata["ownerReferences"] = [{**owner, "controller": True, "blockOwnerDeletion": True}]
    return {**content, "metadata": metadata}


def _fault(one: Answer, other: Answer, when: str) -> Problem | None:
    """What keeps the claim from being composed, if anything does."""
    if one.get("late") or other.get("late"):
        return Problem(
            rule="composition/timeout",
            message=f"composing it takes more than {composition_processes.CPU_SECONDS:g} s{when}",
            remedy="Look for a loop without end in its composition.",
            unchecked=True,
        )
    if refused := one.get("refused") or other.get("refused"):
        return Problem(
            rule="composition/forbidden",
            message=f"its composition tries {refused}{when}",
            remedy=FORBIDDEN_REMEDY,
        )
    if one != other:
        return Problem(
            rule="composition/nondeterministic",
            message=f"asked twice, it gives two results{when}: {_first_difference(one, other)} differs",
            remedy="Iterate over sorted(...), never over a set, and keep nothing from one claim to the next.",
        )
    if sentence := one.get("failed"):
        return Problem(
            rule="composition/failed",
            message=f"its composition fails{when}: {sentence}",
            remedy="Correct the claim or the composition; in the cluster nothing of it would be changed.",
            module=one.get("module", ""),
            line=one.get("line", 0),
        )
    return None


FORBIDDEN_REMEDY = "A composition computes; koepon_gitops/composition_scan.py lists what it may import and name."


def _first_difference(one: Any, other: Any, path: str = "") -> str:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted(one.keys() | other.keys()):
            if one.get(key) != other.get(key):
                return _first_difference(one.get(key), other.get(key), f"{path}.{key}" if path else key)
    return path.removeprefix("resources.")


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    return (key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


def _is_named(content: Json) -> bool:
    metadata = content.get("metadata")
    named = metadata.get("name") if isinstance(metadata, Mapping) else None
    return all(isinstance(each, str) and each for each in (content.get("apiVersion"), content.get("kind"), named))


def _incomplete(key: str) -> Problem:
    return Problem(
        rule="composition/incomplete",
        message=f"its resource {key} has no apiVersion, kind or metadata.name of its own",
        remedy="Name it: Crossplane would give it a name by chance, and another one when it is made again.",
    )


def _vanishes(key: str) -> Problem:
    return Problem(
        rule="composition/vanishes",
        message=f"its resource {key} is no longer asked for once it is there: Crossplane would delete it",
        remedy="Compose the same resources whatever is observed: what waits for a value is added, never taken away.",
    )


def _unstable(changing: Sequence[str]) -> Problem:
    return Problem(
        rule="composition/unstable",
        message=f"it still changes after {ROUNDS} rounds of composing what is there: {', '.join(changing[:3])}",
        remedy="Derive each value from the claim, or from what others report, never from what was composed before.",
    )
