"""`rollback`: the image an environment ran before, by one commit that is proven like a promotion and asks only git.

It writes the earlier image back into the overlay instead of running `git revert`: after a promotion both give the same
bytes, but later commits to the same file can't make this one conflict.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from koepon_gitops import changes, gates, history, manifests, messages, overlays, proving, report, validation
from koepon_gitops.configuration import load
from koepon_gitops.errors import RequestError
from koepon_gitops.history import Deployment, Quarantine
from koepon_gitops.landing import Outcome, Proposal, land
from koepon_gitops.model import Finding, Image, Report, Severity, in_order
from koepon_gitops.overlays import Overlay
from koepon_gitops.proving import Proof, Switch
from koepon_gitops.repository import Repository
from koepon_gitops.validation import Question, Step, quiet


def rollback(
    root: Path,
    *,
    application: str | None = None,
    environment: str | None = None,
    to: str | None = None,
    dry_run: bool = False,
    now: datetime | None = None,
    pause: Callable[[float], None] = time.sleep,
    step: Step = quiet,
) -> Outcome:
    """Bring back the image that ran before the current one, or the one of the commit `to` (7 hex digits or more).

    `environment` is by default the last in promotion order: production. Images that were rolled back before are passed
    over. The current image is quarantined. Neither ECR nor a freeze nor
    a finding that is there already stands in the way. Raises RequestError rollback/{nothing,never-ran,quarantined,
    unpinned} and history/shallow; nothing has been pushed then.
    """
    repository, settings = Repository.open(root), load(root)
    moment = now or datetime.now(UTC)

    def propose(tip: str) -> Proposal | Outcome:
        with changes.exported(repository, tip) as before:
            policy = gates.load(before / settings.policies / gates.FILE)
            target = policy.application(application)
            chosen = environment or policy.order[-1]
            policy.environment(chosen)
            known = {name: overlays.read(before, target, name) for name in target.overlays}
            if chosen not in known:
                what = f"{target.name} has no overlay for {chosen}."
                raise RequestError("rollback/no-overlay", what, remedy=f"It has: {', '.join(known)}.")
            overlay = known[chosen]
            line = history.timeline(repository, tip, overlay.file, target.image)
            files = [each.file for each in known.values()]
            bad = history.quarantine(repository, tip, target.name, files, target.image)
            goal = _goal(line, bad, to, chosen)
            if goal.image == overlay.image:
                return Outcome(text=f"{chosen} already runs {goal.image.tag}. Nothing was changed.")
            concerned = [overlay, *(known[name] for name in policy.followers(chosen) if name in known)]
            switches = list(filter(None, (_switch(repository, each, goal) for each in concerned)))
            contents = {switch.overlay.file: switch.content for switch in switches}
            with changes.exported(repository, tip, contents) as after:
                proof = proving.prove(repository, before, after, switches, moment, step)
            present = validation.answer(
                before, Question(remotes=repository.remotes(), baseline=False, today=moment.date()), step=step
            )
            fresh = _new_findings(present, proof.report)
            if any(finding.unchecked or finding.severity is Severity.ERROR for finding in fresh):
                return _refused(goal, chosen, proof.report, fresh)
            if dry_run:
                return Outcome(text=_preview(goal, chosen, switches, proof))
            message = _message(target.name, chosen, line[0], goal)
            text = _landed(target.name, chosen, line[0], goal, proof, fresh)
            return Proposal(changes=contents, message=message, text=text)

    return land(repository, settings.branch, propose, pause)


def _goal(line: Sequence[Deployment], bad: Mapping[str, Quarantine], to: str | None, environment: str) -> Deployment:
    """The deployment to go back to."""
    current = line[0].image if line else None
    if to is None:
        for deployment in line[1:]:
            if deployment.image != current and deployment.image.tag not in bad:
                return deployment
        raise RequestError(
            "rollback/nothing",
            f"Before this image {environment} has run none that was not rolled back itself.",
            remedy="Promote a commit that mends it.",
        )
    found = {deployment.image.tag: deployment for deployment in reversed(line) if deployment.image.tag.startswith(to)}
    if len(to) < 7 or len(found) != 1:
        ran = ", ".join(dict.fromkeys(deployment.image.tag[:12] for deployment in line[:10]))
        what = f"{len(found)} images that {environment} has run begin with {to!r}."
        raise RequestError("rollback/never-ran", what, remedy=f"It has run, newest first: {ran}.")
    tag, deployment = next(iter(found.items()))
    if tag in bad:
        raise RequestError(
            "rollback/quarantined",
            f"{tag} was rolled back itself: {bad[tag].reason.rstrip('.')}.",
            remedy=f'If it is right now: promote {tag} --env {environment} --lift-quarantine "reason".',
        )
    return deployment


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


def _new_findings(before: Report, after: Report) -> list[Finding]:
    """What `validate` says of the tree after and did not say before; lines may have moved."""
    known = {_identity(finding) for finding in before.findings}
    return [finding for finding in in_order(after.findings) if _identity(finding) not in known]


def _identity(finding: Finding) -> tuple[object, ...]:
    return finding.rule, finding.application, finding.object, finding.field, finding.path, finding.message


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


def _landed(
    application: str, environment: str, current: Deployment, goal: Deployment, proof: Proof, fresh: Sequence[Finding]
) -> str:
    objects = ", ".join(f"{each.object} of {each.application}" for each in proof.difference.changes)
    warnings = [f"  new     {finding.severity}: {finding.rule}: {finding.message}" for finding in fresh]
    return "\n".join(
        (
            f"Rolled {application} in {environment} back.",
            f"  from    {current.image.tag} (quarantined)",
            f"  to      {goal.image.tag}",
            f"  digest  {goal.image.digest}",
            f"  changes {objects}",
            *warnings,
            "  commit  {commit}",
            "  pushed  {place}",
            f'If it was not to blame: promote {current.image.tag} --env {environment} --lift-quarantine "reason"',
        )
    )


def _preview(goal: Deployment, environment: str, switches: Sequence[Switch], proof: Proof) -> str:
    diff = changes.text_difference({each.overlay.file: (each.overlay.text, each.content) for each in switches})
    head = f"Would roll {environment} back to {goal.image.tag}. Nothing was changed."
    return "\n".join((head, diff, str(proof.difference)))


def _refused(goal: Deployment, environment: str, found: Report, fresh: Sequence[Finding]) -> Outcome:
    """Deny in a cluster is what an error here is: Argo CD would push the old version and the API server refuse it."""
    shown = found.model_copy(update={"findings": tuple(fresh)})
    words = f"{environment} was not rolled back to {goal.image.tag}: that brings findings which are not there now."
    return Outcome(
        text=f"{report.render(shown, 'text')}{words} Nothing was changed; name another version with --to.",
        exit_code=shown.exit_code,
    )
