"""What policies/promotion.yaml allows: which image may go to which environment, and when.

An example of the form:

    registry: {region: ap-northeast-1}
    applications:
      koepon-app:
        image: koepon/app                     # ECR repository, and name in the overlays' `images:`
        overlays: {staging: apps/koepon-app/overlays/staging, ...}
    environments:                             # `after` and `follows` name another of them
      - {name: staging}
      - name: production
        after: staging                        # which must run the image now, since
        soak: 30                              # at least so many minutes
        freezes:
          - {reason: backup, from: "03:00", to: "04:00", timezone: Asia/Tokyo, days: [mon, tue]}
          - {reason: new year, from: "2026-12-30T00:00", to: "2027-01-04T00:00", timezone: Asia/Tokyo}
      - {name: dr, follows: production}       # changed in production's commit, never by itself
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Protocol
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, ValidationError

from koepon_gitops import manifests, nodes, places
from koepon_gitops.errors import ManifestError, RequestError
from koepon_gitops.freezes import Freeze
from koepon_gitops.model import Value

FILE = "promotion.yaml"
"""Its name among the policies."""

_MINUTE = timedelta(minutes=1)


def _folder(value: str) -> str:
    if value.startswith(("/", "-", "~")) or "\\" in value or not value.isprintable():
        raise ValueError("it has to be a folder, relative to the repository's root")
    if {"", ".", ".."} & set(value.split("/")):
        raise ValueError("it has to be written without `.`, `..` and empty parts")
    return value


type Name = Annotated[str, StringConstraints(pattern="^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
type Folder = Annotated[str, AfterValidator(_folder)]
type _Repository = Annotated[str, StringConstraints(pattern="^[a-z0-9]+([._/-][a-z0-9]+)*$", max_length=256)]


class Environment(Value):
    """A place that runs an application."""

    name: Name
    after: str | None = None
    soak: Annotated[int, Field(ge=0, strict=True)] = 0
    """Minutes that `after` must have run the image."""
    freezes: tuple[Freeze, ...] = ()
    follows: str | None = None

    def clock(self, moment: datetime) -> str:
        """A time for people, to the minute (rounded up), by the clock of the environment's freezes, else UTC."""
        late = moment + timedelta(seconds=59, microseconds=999_999)
        zone = ZoneInfo(self.freezes[0].timezone) if self.freezes else UTC
        return f"{late.astimezone(zone):%Y-%m-%d %H:%M %Z}"


class Target(Value):
    """What is written of an application: its ECR repository and the folder of each environment's overlay."""

    image: _Repository
    overlays: Annotated[dict[str, Folder], Field(min_length=1)]


class Promotable(Target):
    """An application whose image can be promoted."""

    name: str


class Region(Value):
    """Where ECR is."""

    region: Annotated[str, StringConstraints(pattern="^[a-z]{2}(-[a-z]+)+-[0-9]+$")]


class Layout(Value):
    """Which applications there are, in which environments, and how these come after one another."""

    applications: Annotated[dict[Name, Target], Field(min_length=1)]
    environments: Annotated[tuple[Environment, ...], Field(min_length=1)]

    def application(self, name: str | None = None) -> Promotable:
        """The application of that name, or the only one. Raises RequestError gates/unknown-application."""
        known = ", ".join(self.applications)
        if name is None and len(self.applications) > 1:
            what, remedy = "The repository has several applications.", f"Name one with --app: {known}."
            raise RequestError("gates/unknown-application", what, remedy=remedy)
        chosen = next(iter(self.applications)) if name is None else name
        if chosen not in self.applications:
            what = f"policies/promotion.yaml has no application {chosen!r}."
            raise RequestError("gates/unknown-application", what, remedy=f"It has: {known}.")
        return Promotable(name=chosen, **self.applications[chosen].model_dump())

    def environment(self, name: str) -> Environment:
        """The environment of that name, to be promoted to. Raises RequestError gates/unknown-environment."""
        found = next((each for each in self.environments if each.name == name), None)
        if found is None:
            what, remedy = f"There is no environment {name!r}.", f"There are: {', '.join(self.names)}."
            raise RequestError("gates/unknown-environment", what, remedy=remedy)
        if found.follows is not None:
            what, remedy = (
                f"{name} has the image of {found.follows}.",
                f"Use --env {found.follows}: both change at once.",
            )
            raise RequestError("gates/unknown-environment", what, remedy=remedy)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The environments one promotes to, as written."""
        return tuple(each.name for each in self.environments if each.follows is None)

    @property
    def order(self) -> tuple[str, ...]:
        """The environments one promotes to, each later than the one it comes `after`."""
        before = {each.name: [each.after] if each.after else [] for each in self.environments if not each.follows}
        return tuple(TopologicalSorter(before).static_order())

    def followers(self, environment: str) -> tuple[str, ...]:
        """The environments that change together with this one."""
        return tuple(each.name for each in self.environments if each.follows == environment)


class PromotionPolicy(Layout):
    """policies/promotion.yaml."""

    registry: Region


def load(file: Path, root: Path | None = None) -> PromotionPolicy:
    """Read the policy from a file, of which errors speak relative to `root`.

    Raises RequestError gates/missing, ManifestError gates/invalid and manifests/*.
    """
    name = name_of(file, root)
    if not file.exists(follow_symlinks=False):
        raise RequestError(
            "gates/missing",
            "Nothing says what may be promoted, and where to.",
            where=name,
            remedy="Write it; koepon_gitops/gates.py shows the form.",
        )
    if file.is_symlink() or not file.is_file():
        raise _invalid("This is not a file of the repository.", name)
    return read(file.read_bytes(), name)


def name_of(file: Path, root: Path | None) -> str:
    """How people are told of the file: never with the folders above the repository."""
    return file.relative_to(root).as_posix() if root and file.is_relative_to(root) else "/".join(file.parts[-2:])


def read(text: bytes, file: str) -> PromotionPolicy:
    """The policy out of its text; errors as in `load`."""
    try:
        policy = PromotionPolicy.model_validate(manifests.read_data(text, file))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = tuple(each for each in problem["loc"] if each != "[key]")
        raise _invalid(_sentence(key, problem), f"{file}:{line_of(text, file, key)}") from None
    for key, what in contradictions(policy):
        raise _invalid(f"{dotted(key)} {what}.", f"{file}:{line_of(text, file, key)}")
    return policy


type Key = tuple[str | int, ...]


def contradictions(policy: Layout) -> Iterator[tuple[Key, str]]:
    """Keys that are right by themselves, and wrong beside the others."""
    known = {each.name: each for each in policy.environments}
    for number, each in enumerate(policy.environments):
        where: Key = ("environments", number)
        if known[each.name] is not each:
            yield (*where, "name"), f"is {each.name}, as another environment's"
        for key, named in (("after", each.after), ("follows", each.follows)):
            if named is not None and (named not in known or known[named].follows is not None):
                yield (*where, key), f"names {named!r}, which is not an environment one promotes to"
        if each.follows is not None and (each.after or each.soak or each.freezes):
            yield (*where, "follows"), "can't stand beside after, soak or freezes: those of the one followed hold"
        if each.soak and each.after is None:
            yield (*where, "soak"), "means nothing without after: nothing has run the image before"
    try:
        _ = policy.order
    except CycleError as error:
        circle = " after ".join(map(str, error.args[1]))
        yield ("environments",), f"go in a circle: {circle}"
    for name, target in policy.applications.items():
        for environment in target.overlays:
            where = ("applications", name, "overlays", environment)
            if environment not in known:
                yield where, "is for an environment that is not there"
            elif (after := known[environment].after or known[environment].follows) and after not in target.overlays:
                yield where, f"needs one for {after} as well, where the image comes from"


def _sentence(key: Key, problem: Any) -> str:
    """pydantic's error in our words."""
    if not key:
        return "The file has to hold registry, applications and environments."
    if problem["type"] == "missing":
        return f"{dotted(key)} is missing."
    if problem["type"] == "extra_forbidden":
        return f"{dotted(key)} means nothing here."
    return f"{dotted(key)} can't be used: {problem['msg'].removeprefix('Value error, ')}."


def dotted(key: Key) -> str:
    """The key as a person writes it: `environments[1].soak`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).removeprefix(".")


def line_of(text: bytes, file: str, key: Key) -> int:
    """The line of the deepest part of the key that is there."""
    for document in nodes.documents(nodes.decode(text, file), file):
        if (node := nodes.parse(document.text, file)) is not None:
            return 1 + document.line + places.deepest(node, key)[1].line
    return 1


def _invalid(what: str, where: str) -> ManifestError:
    return ManifestError("gates/invalid", what, where=where, remedy="koepon_gitops/gates.py shows the form.")


class Running(Value):
    """What an environment runs."""

    tag: str
    since: AwareDatetime
    """When the commit that put it there was made."""


class Quarantined(Protocol):
    """Why a commit is not to be promoted again: it was rolled back."""

    @property
    def reason(self) -> str: ...
    @property
    def commit(self) -> str: ...
    @property
    def time(self) -> datetime: ...


def check(
    policy: PromotionPolicy,
    environment: str,
    tag: str,
    running: Mapping[str, Running],
    quarantined: Quarantined | None,
    now: datetime,
) -> None:
    """Refuse a promotion that may not be, now or ever. `running` is by environment, for the application in question.

    Raises RequestError gates/{quarantined,order,soak,frozen,unknown-environment}.
    """
    target = policy.environment(environment)
    if quarantined is not None:
        _refuse_quarantined(target, tag, quarantined)
    if target.after is not None:
        _check_order(target, target.after, tag, running.get(target.after), now)
    _check_freezes(target, now)


def _refuse_quarantined(target: Environment, tag: str, quarantined: Quarantined) -> None:
    raise RequestError(
        "gates/quarantined",
        f"{tag} was rolled back by commit {quarantined.commit} at {target.clock(quarantined.time)}: "
        f"{quarantined.reason.rstrip('.')}.",
        where=target.name,
        remedy=f'Promote a commit that mends it, or: promote {tag} --lift-quarantine "reason".',
    )


def _check_order(target: Environment, after: str, tag: str, found: Running | None, now: datetime) -> None:
    if found is None or found.tag != tag:
        runs = f"runs {found.tag}" if found else "runs nothing"
        raise RequestError(
            "gates/order",
            f"{tag} has to run in {after} first, which {runs}.",
            where=target.name,
            remedy=f"Use: promote {tag} --env {after}.",
        )
    allowed = found.since + target.soak * _MINUTE
    if now < allowed:
        minutes = max(0, (now - found.since) // _MINUTE)
        raise RequestError(
            "gates/soak",
            f"{tag} has run in {after} for {minutes} of {target.soak} minutes.",
            where=target.name,
            remedy=f"It can be promoted from {target.clock(allowed)} on.",
        )


def _check_freezes(target: Environment, now: datetime) -> None:
    holding = [(end, freeze) for freeze in target.freezes if (end := freeze.ends(now)) is not None]
    if holding:
        end, freeze = max(holding, key=lambda each: each[0])
        raise RequestError(
            "gates/frozen",
            f"Nothing is promoted until {end:%Y-%m-%d %H:%M %Z}: {freeze.reason.rstrip('.')}.",
            where=target.name,
            remedy="Promote then. A rollback is never frozen.",
        )
