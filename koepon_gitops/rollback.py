"""`rollback`: the image an environment ran before, by one commit that is proven like a promotion and asks only git.

It writes the earlier image back into the overlay instead of running `git revert`: after a promotion both give the same
bytes, but later commits to the same file can't make this one conflict.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from koepon_gitops import changes, gates, history, manifests, messages, overlays, report, rescue
from koepon_gitops.configuration import Configuration, load
from koepon_gitops.errors import GitOpsError, RequestError
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
    quarantined,unpinned,moved-on,unproven} and history/shallow; nothing has been pushed then.
    """
    repository, settings = Repository.open(root), _settings(root)
    moment = now or datetime.now(UTC)
    asked: list[_Request] = []

    def propose(tip: str) -> Proposal | Outcome:
        with changes.exported(repository, tip) as before:
            request = _Request(repository, settings, tip, before, application, environment)
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
                    raise _unproven(error, request.line[0]) from error
            if proof.is_refused:
                return _refused(goal, request.environment, proof)
            if dry_run:
                return Outcome(text=_preview(goal, request.environment, switches, proof))
            message = _message(request.application, request.environment, request.line[0], goal)
            text = _landed(request.application, request.environment, request.line[0], goal, proof)
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
        layout = gates.layout(repository.read(tip, name), name)
        target = layout.application(application)
        self.repository, self.application = repository, target.name
        self.environment = environment or layout.order[-1]
        layout.environment(self.environment)
        if self.environment not in target.overlays:
            what = f"{target.name} has no overlay for {self.environment}."
            raise RequestError("rollback/no-overlay", what, remedy=f"It has: {', '.join(target.overlays)}.")
        concerned = [self.environment, *layout.followers(self.environment)]
        self.overlays = [overlays.read(root, target, each) for each in concerned if each in target.overlays]
        self.line = history.timeline(repository, tip, self.overlays[0].file, target.image)
        kustomizations = [f"{folder}/{NAMES[0]}" for folder in target.overlays.values()]
        self.bad = history.quarantine(repository, tip, target.name, kustomizations, target.image)

    @property
    def current(self) -> Image:
        """What the environment runs."""
        return self.overlays[0].image

    def check_running(self, tag: str | None) -> None:
        """Raises RequestError rollback/moved-on when it runs another image than the one that is to be taken away."""
        if tag is not None and (len(tag) < 7 or not self.current.tag.startswith(tag)):
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


def _unproven(error: GitOpsError, current: Deployment) -> RequestError:
    return RequestError(
        "rollback/unproven",
        f"Nothing was changed: what going back would do can't be shown. {error.what}",
        where=error.where,
        remedy=f"{error.remedy} By hand: git revert {current.commit[:12]}, and push it.".strip(),
    )


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


def _landed(application: str, environment: str, current: Deployment, goal: Deployment, proof: Rescue) -> str:
    objects = ", ".join(f"{each.object} of {each.application}" for each in proof.difference.changes)
    return "\n".join(
        (
            f"Rolled {application} in {environment} back.",
            f"  from    {current.image.tag} (quarantined)",
            f"  to      {goal.image.tag}",
            f"  digest  {goal.image.digest}",
            f"  changes {objects}",
            *(f"  new     {finding.severity}: {finding.rule}: {finding.message}" for finding in proof.fresh),
            *([f"  not validated, before or after: {proof.unjudged}"] if proof.unjudged else ()),
            "  commit  {commit}",
            "  pushed  {place}",
            f'If it was not to blame: promote {current.image.tag} --env {environment} --lift-quarantine "reason"',
        )
    )


def _preview(goal: Deployment, environment: str, switches: Sequence[Switch], proof: Rescue) -> str:
    diff = changes.text_difference({each.overlay.file: (each.overlay.text, each.content) for each in switches})
    head = f"Would roll {environment} back to {goal.image.tag}. Nothing was changed."
    return "\n".join((head, diff, str(proof.difference)))


def _refused(goal: Deployment, environment: str, proof: Rescue) -> Outcome:
    shown = Report(summary=Summary(findings=len(proof.fresh)), findings=proof.fresh)
    words = f"{environment} was not rolled back to {goal.image.tag}: that brings findings which are not there now."
    return Outcome(
        text=f"{report.render(shown, 'text')}{words} Nothing was changed; name another version with --to.",
        exit_code=shown.exit_code,
    )
