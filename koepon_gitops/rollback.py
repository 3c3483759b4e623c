"""`rollback`: the image an environment ran before, by one commit that is proven like a promotion and asks only git.

It writes the earlier image back into the overlay instead of running `git revert`: after a promotion both give the same
bytes, but later commits to the same file can't make this one conflict.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from koepon_gitops import changes, gates, history, layout, manifests, messages, overlays, report, rescue
from koepon_gitops.configuration import Configuration, load
from koepon_gitops.errors import GitOpsError, ManifestError, RequestError
from koepon_gitops.gates import Promotable
from koepon_gitops.history import Deployment, Quarantine
from koepon_gitops.landing import Outcome, Proposal, land
from koepon_gitops.model import Image, Report, Summary
from koepon_gitops.overlays import Overlay
from koepon_gitops.prescan import NAMES
from koepon_gitops.proving import Switch
from koepon_gitops.repository import Repository
from koepon_gitops.rescue import Rescue
from koepon_gitops.validation import Step, quiet


def rollback(
    root: Path,
    *,
    application: str | None = None,
    environment: str | None = None,
    to: str | None = None,
    running: str | None = None,
    dry_run: bool = False,
    now: datetime | None = None,
    pause: Callable[[float], None] = time.sleep,
    step: Step = quiet,
) -> Outcome:
    """Bring back the image that ran before the current one, or the one of the commit `to` (7 hex digits or more).

    `environment` is by default the last in promotion order: production. `running` is what it has to run now, else
    nothing is done. Images that were rolled back before are passed over. The current image is quarantined. Neither ECR
    nor a freeze nor anything that is wrong already stands in the way. Raises RequestError rollback/{nothing,never-ran,
    quarantined,unpinned,moved-on,blocked} and history/shallow; nothing has been pushed then.
    """
    repository, settings = Repository.open(root), _settings(root)
    moment = now or datetime.now(UTC)
    asked: list[_Request] = []

    def propose(tip: str) -> Proposal | Outcome:
        with changes.exported(repository, tip) as before:
            try:
                request = _Request(repository, settings, tip, before, application, environment)
            except ManifestError as error:
                raise _blocked(error, _BY_HAND) from error
            asked.append(request)
            request.check_running(running)
            if len(asked) > 1 and request.current != asked[0].current:
                return request.overtaken(asked[0].goal(to))
            goal = request.goal(to)
            switches = request.switches(goal)
            if not switches:
                return Outcome(text=f"{request.environment} already runs {goal.image.tag}. Nothing was changed.")
            contents = {switch.overlay.file: switch.content for switch in switches}
            with changes.exported(repository, tip, contents) as after:
                try:
                    proof = rescue.prove(repository, before, after, switches, moment, step)
                except GitOpsError as error:
                    raise _blocked(error, request.by_hand) from error
            if proof.is_refused:
                return _refused(goal, request, proof)
            if dry_run:
                return Outcome(text=_preview(goal, request, switches, proof))
            message = _message(request.application, request.environment, request.line[0], goal)
            text = _landed(request, goal, proof)
            return Proposal(changes=contents, message=message, text=text)

    return land(repository, settings.branch, propose, pause)


def _settings(root: Path) -> Configuration:
    """A slip in `pyproject.toml` must not stop an emergency: its defaults suit most repositories."""
    try:
        return load(root)
    except RequestError:
        return Configuration()


class _Request:
    """What is asked of one tip of the branch, read from no more of it than has to be there."""

    def __init__(
        self,
        repository: Repository,
        settings: Configuration,
        tip: str,
        root: Path,
        application: str | None,
        environment: str | None,
    ) -> None:
        name = f"{settings.policies}/{gates.FILE}"
        read = layout.read(repository.read(tip, name), name)
        target = read.application(application)
        self.repository, self.application = repository, target.name
        self.environment = read.chosen(target, environment)
        self.left_out = [f"{key} of {name}" for key in read.left_out(target)]
        if self.environment not in target.overlays:
            raise _no_overlay(target, self.environment, self.left_out)
        concerned = [self.environment, *read.followers(self.environment)]
        self.overlays = [overlays.read(root, target, each) for each in concerned if each in target.overlays]
        self.line = history.timeline(repository, tip, self.overlays[0].file, target.image)
        kustomizations = [f"{folder}/{NAMES[0]}" for folder in target.overlays.values()]
        self.bad = history.quarantine(repository, tip, target.name, kustomizations, target.image)

    @property
    def current(self) -> Image:
        """What the environment runs."""
        return self.overlays[0].image

    @property
    def by_hand(self) -> str:
        """What a person can do instead."""
        return f"By hand: git revert {self.line[0].commit[:12]}, and push it."

    @property
    def notes(self) -> Iterator[str]:
        """What may have been left behind."""
        if self.left_out:
            what = " and ".join(self.left_out)
            yield f"{what} can't be read: if it follows {self.environment}, it was left as it is."

    def check_running(self, tag: str | None) -> None:
        """Raises RequestError rollback/moved-on when it runs another image than the one that is to be taken away."""
        if tag is not None and len(tag) < 7:
            raise self._moved_on(
                f"{tag!r} is too short: 7 digits or more are needed. {self.environment} runs {self.current.tag}"
            )
        if tag is not None and not self.current.tag.startswith(tag):
            raise self._moved_on(f"{self.environment} does not run {tag}, it runs {self.current.tag}")

    def overtaken(self, goal: Deployment) -> Outcome:
        """What to say when somebody else changed the image while this rollback was under way."""
        if self.current == goal.image:
            words = f"Somebody else has rolled {self.environment} back to {goal.image.tag} meanwhile."
            return Outcome(text=f"{words} Nothing was changed.")
        raise self._moved_on(f"{self.environment} runs {self.current.tag} meanwhile")

    def _moved_on(self, what: str) -> RequestError:
        since = f": {self.line[0].subject}" if self.line else ""
        again = f"rollback --env {self.environment} --from {self.current.tag[:12]}"
        remedy = f"Nothing was changed. To take that away: {again}."
        return RequestError("rollback/moved-on", f"{what}{since.rstrip('.')}.", remedy=remedy)

    def goal(self, to: str | None) -> Deployment:
        """The deployment to go back to."""
        if to is not None:
            return _named(self.line, self.bad, to, self.environment)
        return _earlier(self.line, self.bad, self.environment)

    def switches(self, goal: Deployment) -> list[Switch]:
        """The overlays to change: the environment's and its followers'."""
        if goal.image == self.current:
            return []
        return list(filter(None, (_switch(self.repository, each, goal) for each in self.overlays)))


def _earlier(line: Sequence[Deployment], bad: Mapping[str, Quarantine], environment: str) -> Deployment:
    """What ran before what runs now got there: never what was left by an earlier rollback, nor what is newer."""
    _, *before = history.lineage(line) or (None,)
    for deployment in before:
        if deployment.image.tag not in bad:
            return deployment
    if len(line) < 2:
        what = f"{environment} has run this version only"
    elif before:
        tags = ", ".join(dict.fromkeys(each.image.tag[:12] for each in before))
        what = f"What {environment} ran before was rolled back itself: {tags}"
    else:
        what = f"{environment} ran nothing before this version but what was left again"
    raise RequestError("rollback/nothing", f"{what}.", remedy="Name a version with --to, or promote one that mends it.")


def _named(line: Sequence[Deployment], bad: Mapping[str, Quarantine], to: str, environment: str) -> Deployment:
    found = {deployment.image.tag: deployment for deployment in reversed(line) if deployment.image.tag.startswith(to)}
    ran = ", ".join(dict.fromkeys(deployment.image.tag[:12] for deployment in line[:10]))
    remedy = f"It has run, newest first: {ran}."
    if len(to) < 7:
        raise RequestError("rollback/never-ran", f"{to!r} is too short: 7 digits or more are needed.", remedy=remedy)
    if len(found) != 1:
        many = f"{len(found)} images begin with {to!r}" if found else f"No image begins with {to!r}"
        raise RequestError("rollback/never-ran", f"{many}, of those that {environment} has run.", remedy=remedy)
    tag, deployment = next(iter(found.items()))
    if tag in bad:
        raise RequestError(
            "rollback/quarantined",
            f"{tag} was rolled back itself: {bad[tag].reason.rstrip('.')}.",
            remedy=f'If it is right now: promote {tag} --env {environment} --lift-quarantine "reason".',
        )
    return deployment


_BY_HAND = (
    'By hand: `git log -3 --grep "Koepon-Action: promotion"` shows what was promoted last; git revert that commit, '
    "and push it."
)


def _blocked(error: GitOpsError, by_hand: str) -> RequestError:
    """What does stop an emergency: that it changed nothing, and what a person can do."""
    remedy = f"{error.remedy} {by_hand}".strip()
    return RequestError("rollback/blocked", f"Nothing was changed: {error.what}", where=error.where, remedy=remedy)


def _no_overlay(target: Promotable, environment: str, left_out: Sequence[str]) -> GitOpsError:
    what, known = f"{target.name} has no overlay for {environment}", ", ".join(target.overlays)
    if left_out:
        return ManifestError("gates/invalid", f"{what} that can be read: look at {' and '.join(left_out)}.")
    return RequestError("rollback/no-overlay", f"{what}.", remedy=f"It has: {known}.")


def _switch(repository: Repository, overlay: Overlay, goal: Deployment) -> Switch | None:
    """The image this overlay had when `goal` was deployed; None when it has it now, or had no entry then."""
    entry = overlays.written(
        manifests.read_data(repository.read(goal.commit, overlay.file), overlay.file), overlay.entry
    )
    if entry is None:
        return None
    tag, digest = str(entry.get("newTag") or ""), str(entry.get("digest") or "")
    if not tag or not digest:
        raise RequestError(
            "rollback/unpinned",
            f"At commit {goal.commit[:12]} the image had no tag or no digest, so what ran is not known.",
            where=overlay.file,
            remedy="Name a later version with --to.",
        )
    image = Image(name=overlay.image.name, tag=tag, digest=digest)
    return Switch(overlay=overlay, image=image) if image != overlay.image else None


def _message(application: str, environment: str, current: Deployment, goal: Deployment) -> str:
    trailers = {
        "Koepon-Action": "rollback",
        "Koepon-Application": application,
        "Koepon-Environment": environment,
        "Koepon-Image": str(goal.image),
        "Koepon-Previous": str(current.image),
        "Koepon-Quarantine": current.image.tag,
    }
    subject = f"Roll {application} in {environment} back to {goal.image.tag[:12]}"
    return messages.with_trailers(subject, f"This reverts commit {current.commit}.", trailers)


def _landed(request: _Request, goal: Deployment, proof: Rescue) -> str:
    objects = ", ".join(f"{each.object} of {each.application}" for each in proof.difference.changes)
    name, environment, bad = request.application, request.environment, request.current.tag
    return "\n".join(
        (
            f"Rolled {name} in {environment} back.",
            f"  from    {bad} (quarantined)",
            f"  to      {goal.image.tag}",
            f"  digest  {goal.image.digest}",
            f"  changes {objects}",
            *_remarks(request, proof),
            "  commit  {commit}",
            "  pushed  {place}",
            f'If it was not to blame: promote {bad} --env {environment} --lift-quarantine "reason"',
        )
    )


def _remarks(request: _Request, proof: Rescue) -> Iterator[str]:
    yield from (f"  new     {finding.severity}: {finding.rule}: {finding.message}" for finding in proof.fresh)
    yield from (f"  note    {sentence}" for sentence in (*request.notes, *proof.notes))


def _preview(goal: Deployment, request: _Request, switches: Sequence[Switch], proof: Rescue) -> str:
    diff = changes.text_difference({each.overlay.file: (each.overlay.text, each.content) for each in switches})
    head = f"Would roll {request.environment} back to {goal.image.tag}. Nothing was changed."
    return "\n".join((head, diff, str(proof.difference), *_remarks(request, proof)))


def _refused(goal: Deployment, request: _Request, proof: Rescue) -> Outcome:
    shown = Report(summary=Summary(findings=len(proof.fresh)), findings=proof.fresh)
    words = (
        f"{request.environment} was not rolled back to {goal.image.tag}: that brings findings which are not there now."
    )
    remedy = f"Nothing was changed; name another version with --to. {request.by_hand}"
    return Outcome(text=f"{report.render(shown, 'text')}{words} {remedy}", exit_code=shown.exit_code)
