"""`promote SHA`: an image into the next environment by one commit, proven to change that image and nothing else."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from koepon_gitops import changes, gates, history, messages, overlays, proving, report
from koepon_gitops.configuration import Configuration, load
from koepon_gitops.errors import RequestError
from koepon_gitops.gates import Promotable, PromotionPolicy, Running
from koepon_gitops.landing import Outcome, Proposal, land, served
from koepon_gitops.model import Image, Report
from koepon_gitops.overlays import Overlay
from koepon_gitops.proving import Proof, Switch
from koepon_gitops.registry import Registry, Release, check_form
from koepon_gitops.repository import Repository
from koepon_gitops.validation import Step, quiet


def promote(
    root: Path,
    reference: str,
    *,
    application: str | None = None,
    environment: str | None = None,
    lift_quarantine: str | None = None,
    dry_run: bool = False,
    now: datetime | None = None,
    pause: Callable[[float], None] = time.sleep,
    step: Step = quiet,
) -> Outcome:
    """Promote the image of a commit (7 to 40 hex digits) to an environment, by default the next that does not run it.

    The work tree is neither read nor changed: the commit is built on the remote branch's tip. `lift_quarantine` is the
    reason why a commit that was rolled back may run again. Raises RequestError for what can't be served and
    UncheckableError for what could not be asked; in both cases nothing has been pushed.
    """
    check_form(reference)
    if lift_quarantine is not None and not lift_quarantine.strip():
        raise RequestError(
            "promotion/no-reason",
            "A quarantine is lifted for a reason, and none is given.",
            remedy='Say why: --lift-quarantine "the database was to blame".',
        )
    repository, settings = Repository.open(root), load(root)
    moment = now or datetime.now(UTC)
    with served():
        policy = policy_at(repository, settings, repository.fetch(settings.branch))
    target = policy.application(application)
    step("Asking ECR", 0, 1)
    release = Registry(policy.registry.region).find(target.image, reference)

    def propose(tip: str) -> Proposal | Outcome:
        with changes.exported(repository, tip) as before:
            request = _Request(repository, settings, tip, before, target.name)
            chosen = environment or request.next_environment(release)
            if chosen is None:
                return Outcome(text=f"{release.tag} already runs everywhere. Nothing was changed.")
            switches = request.switches(chosen, release)
            if not switches:
                return Outcome(text=f"{release.tag} already runs in {chosen}. Nothing was changed.")
            request.check_gates(chosen, release.tag, moment, lifted=lift_quarantine is not None)
            contents = {switch.overlay.file: switch.content for switch in switches}
            with changes.exported(repository, tip, contents) as after:
                proof = proving.prove(repository, before, after, switches, moment, step)
            if proof.report.exit_code:
                return _refused(release, chosen, proof.report)
            if dry_run:
                return Outcome(text=_preview(release, chosen, switches, proof))
            message = _message(target.name, chosen, switches, lift_quarantine)
            return Proposal(changes=contents, message=message, text=_landed(target, chosen, switches, proof))

    return land(repository, settings.branch, propose, pause)


def policy_at(repository: Repository, settings: Configuration, tip: str) -> PromotionPolicy:
    """What may be promoted, as the remote branch says: a clone's own edits do not count."""
    name = f"{settings.policies}/{gates.FILE}"
    return gates.read(repository.read(tip, name), name)


class _Request:
    """What is asked of one tip of the branch: its overlays, its policy and its history."""

    def __init__(self, repository: Repository, settings: Configuration, tip: str, root: Path, application: str) -> None:
        self.repository, self.tip = repository, tip
        self.policy = gates.load(root / settings.policies / gates.FILE)
        self.target = self.policy.application(application)
        self.overlays = {name: overlays.read(root, self.target, name) for name in self.target.overlays}

    def next_environment(self, release: Release) -> str | None:
        """The first in promotion order that does not run the release."""
        return next(
            (name for name in self.policy.order if name in self.overlays and self.switches(name, release)), None
        )

    def switches(self, environment: str, release: Release) -> list[Switch]:
        """The overlays to change: the environment's and its followers', unless they run the release already."""
        self.policy.environment(environment)
        if environment not in self.overlays:
            raise RequestError(
                "promotion/no-overlay",
                f"{self.target.name} has no overlay for {environment}.",
                remedy=f"It has: {', '.join(self.overlays)}.",
            )
        concerned = [self.overlays[environment]]
        _check_repository(concerned[0], release)
        concerned += [self.overlays[name] for name in self.policy.followers(environment) if name in self.overlays]
        wanted = [(each, Image(name=each.image.name, tag=release.tag, digest=release.digest)) for each in concerned]
        return [Switch(overlay=overlay, image=image) for overlay, image in wanted if overlay.image != image]

    def check_gates(self, environment: str, tag: str, now: datetime, *, lifted: bool) -> None:
        """Order, soak, freezes, quarantine. Raises RequestError gates/*."""
        after = self.policy.environment(environment).after
        running = {after: self.running(after)} if after else {}
        files = [each.file for each in self.overlays.values()]
        quarantined = history.quarantine(self.repository, self.tip, self.target.name, files, self.target.image).get(tag)
        gates.check(self.policy, environment, tag, running, None if lifted else quarantined, now)

    def running(self, environment: str) -> Running:
        """What an environment runs, and since when git says so."""
        file = self.overlays[environment].file
        current = history.timeline(self.repository, self.tip, file, self.target.image)[0]
        return Running(tag=current.image.tag, since=current.time)


def _check_repository(overlay: Overlay, release: Release) -> None:
    if overlay.image.name != release.repository:
        raise RequestError(
            "promotion/other-registry",
            f"The overlay pulls from {overlay.image.name}, and the image is in {release.repository}.",
            where=overlay.file,
            remedy="Correct newName, or use credentials of the account it names.",
        )


def _message(application: str, environment: str, switches: Iterable[Switch], lift: str | None) -> str:
    first = next(iter(switches))
    trailers = {
        "Koepon-Action": "promotion",
        "Koepon-Application": application,
        "Koepon-Environment": environment,
        "Koepon-Image": str(first.image),
        "Koepon-Previous": str(first.overlay.image),
    }
    if lift is not None:
        trailers |= {"Koepon-Lift-Quarantine": first.image.tag, "Koepon-Reason": " ".join(lift.split())}
    subject = f"Promote {application} {first.image.tag[:12]} to {environment}"
    body = "\n".join(
        f"{each.overlay.folder}: {each.overlay.image.tag or 'untagged'} -> {each.image.tag}" for each in switches
    )
    return messages.with_trailers(subject, body, trailers)


def _landed(target: Promotable, environment: str, switches: Iterable[Switch], proof: Proof) -> str:
    first = next(iter(switches))
    objects = ", ".join(f"{each.object} of {each.application}" for each in proof.difference.changes)
    option = f" --app {target.name}"
    return "\n".join(
        (
            f"Promoted {target.name} to {environment}.",
            f"  from    {first.overlay.image.tag}",
            f"  to      {first.image.tag}",
            f"  digest  {first.image.digest}",
            f"  changes {objects}",
            "  commit  {commit}",
            "  pushed  {place}",
            f"Undo it with: python -m koepon_gitops rollback{option} --env {environment}",
        )
    )


def _preview(release: Release, environment: str, switches: Iterable[Switch], proof: Proof) -> str:
    diff = changes.text_difference({each.overlay.file: (each.overlay.text, each.content) for each in switches})
    head = f"Would promote {release.tag} to {environment}. Nothing was changed."
    return "\n".join((head, diff, str(proof.difference)))


def _refused(release: Release, environment: str, found: Report) -> Outcome:
    words = f"{release.tag} was not promoted to {environment}: the tree with it does not validate. Nothing was changed."
    return Outcome(text=f"{report.render(found, 'text')}{words}", exit_code=found.exit_code)
