"""`validate`: one question about a tree, answered by the pipeline, or at once when nothing has changed since."""

import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from koepon_gitops import fingerprint
from koepon_gitops.cache import Cache, key
from koepon_gitops.configuration import Configuration, load
from koepon_gitops.model import Report, Value

if TYPE_CHECKING:
    from koepon_gitops.repository import Repository

type Step = Callable[[str, int, int], None]
"""Told of progress: what is being done, how many are done, of how many."""


def quiet(_what: str, _done: int, _total: int) -> None:
    """No progress shown."""


class Question(Value):
    """What `validate` is asked about a tree."""

    applications: tuple[str, ...] = ()
    """Report on these Applications only; empty: on all."""
    changed: tuple[str, ...] | None = None
    """Report only on Applications made of any of these files; None: on all."""
    policies: Path | None = None
    """A folder in place of the repository's own policies."""
    remotes: tuple[str, ...] = ()
    """The URLs by which the tree's own repository is known."""
    baseline: bool = True
    """Whether checkov's checks run as well."""
    today: date
    """Waivers expire by it."""


def validate(
    root: Path,
    *,
    applications: tuple[str, ...] = (),
    policies: Path | None = None,
    revision: str | None = None,
    changed_since: str | None = None,
    cached: bool = True,
    baseline: bool = True,
    now: datetime | None = None,
    step: Step = quiet,
) -> Report:
    """Check the work tree under `root`, or the commit `revision`, and report.

    `applications` and `changed_since` narrow what is reported on, never what is looked at: a rule that spans several
    objects always sees all of them. Raises RequestError for names and revisions that do not exist.
    """
    started = time.monotonic()
    settings = load(root)
    question = Question(
        applications=tuple(sorted(applications)),
        changed=_changed_files(root, changed_since, revision),
        policies=policies,
        remotes=() if settings.repository else _repository(root).remotes(),
        baseline=baseline,
        today=(now or datetime.now(UTC)).date(),
    )
    if revision is None:
        report = answer(root, question, cached=cached, step=step)
    else:
        with TemporaryDirectory(prefix="koepon-gitops-") as folder:
            _repository(root).export(revision, Path(folder))
            report = answer(Path(folder), question, cached=cached, step=step)
    seconds = round(time.monotonic() - started, 3)
    return report.model_copy(update={"summary": report.summary.model_copy(update={"seconds": seconds})})


def _changed_files(root: Path, since: str | None, revision: str | None) -> tuple[str, ...] | None:
    return None if since is None else tuple(sorted(_repository(root).changed_files(since, revision)))


def _repository(root: Path) -> "Repository":
    from koepon_gitops.repository import Repository  # noqa: PLC0415 - costs 0.1 s that most runs save

    return Repository.open(root)


def answer(root: Path, question: Question, *, cached: bool = True, step: Step = quiet) -> Report:
    """The report on the folder `root`, which need not be a git repository: `promotion` asks about trees it built."""
    settings = load(root)
    memory = Cache("runs", enabled=cached)
    name = _key(root, settings, question) if cached else ""
    if stored := memory.get(name):
        report = Report.model_validate_json(stored)
        return report.model_copy(update={"notes": (*report.notes, "Nothing has changed since the last run.")})

    from koepon_gitops import pipeline  # noqa: PLC0415 - schemas, CEL and kustomize cost 0.2 s that most runs save

    report = pipeline.run(root, settings, question, cached=cached, step=step)
    if report.exit_code != 3:
        memory.put(name, report.model_dump_json().encode())
    return report


def _key(root: Path, settings: Configuration, question: Question) -> str:
    """Everything an answer depends on: the question, the tree's bytes, this library and the tools at hand."""
    return key(
        question.model_dump_json(),
        settings.model_dump_json(),
        fingerprint.of(root),
        fingerprint.of(question.policies) if question.policies else "",
        fingerprint.of(Path(__file__).parent),
        sys.version,
        shutil.which("helm") or "",
    )
