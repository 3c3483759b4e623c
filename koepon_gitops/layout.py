"""What a rollback reads of policies/promotion.yaml: all that can be understood, and no guess at the rest.

A slip in a freeze or in another application must not stop an emergency, nor may it turn one environment, or one
application, into another's stand-in: where only a guess would name it, a person has to.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from koepon_gitops import gates, manifests
from koepon_gitops.errors import ManifestError, RequestError
from koepon_gitops.gates import Environment, Folder, Layout, Name, Promotable, Target
from koepon_gitops.spelling import nearest

_ASKED = ("name", "after", "follows")
"""The keys of an environment that matter to a rollback; soak time and freezes do not."""


class Partial(Layout):
    """The part of a layout that can be understood. `unread`: the keys of the rest, such as `environments[1]`."""

    applications: dict[Name, Target]
    environments: tuple[Environment, ...]
    unread: tuple[str, ...]
    file: str

    def application(self, name: str | None = None) -> Promotable:
        """As of a layout; one that can't be read is there all the same. Raises ManifestError gates/invalid for it."""
        others = [key for key in self.unread if key.startswith("applications.") and ".overlays." not in key]
        if name is None and self.applications and others:
            known = ", ".join((*self.applications, *(key.removeprefix("applications.") for key in others)))
            what, remedy = "The repository has several applications.", f"Name one with --app: {known}."
            raise RequestError("gates/unknown-application", what, remedy=remedy)
        if not self.applications or f"applications.{name}" in others:
            what = f"{', '.join(others) or 'applications'} can't be read."
            raise ManifestError("gates/invalid", what, where=self.file, remedy="koepon_gitops/gates.py shows the form.")
        return super().application(name)

    def chosen(self, target: Promotable, name: str | None) -> str:
        """The environment of that name, by default the last in promotion order.

        One with an overlay may be named although its own entry can't be read: only soak and freezes could be lost.
        Raises RequestError gates/unknown-environment.
        """
        if name is None:
            return self._last(target)
        is_read = any(each.name == name for each in self.environments)
        return name if self._hidden and name in target.overlays and not is_read else self.environment(name).name

    def left_out(self, target: Promotable) -> tuple[str, ...]:
        """The unread keys that could hold a follower, or a follower's overlay."""
        overlays = f"applications.{target.name}.overlays."
        return (*self._hidden, *(key for key in self.unread if key.startswith(overlays)))

    @property
    def _hidden(self) -> list[str]:
        return [key for key in self.unread if key.startswith("environments")]

    def _last(self, target: Promotable) -> str:
        doubts = [f"{key} can't be read" for key in self._hidden]
        doubts += [
            f"{gates.dotted(key)} {what}" for key, what in gates.contradictions(self) if key[0] == "environments"
        ]
        if doubts or not self.names:
            followers = {each.name for each in self.environments if each.follows}
            raise RequestError(
                "gates/unknown-environment",
                f"It is not certain which environment is the last: {(*doubts, 'there is none')[0]}.",
                where=self.file,
                remedy=f"Name one with --env: {', '.join(each for each in target.overlays if each not in followers)}.",
            )
        return self.order[-1]


def read(text: bytes, file: str) -> Partial:
    """The layout out of the policy's text. Raises ManifestError manifests/* when it is no YAML."""
    data = _mapping(manifests.read_data(text, file))
    unread: list[str] = []
    applications = dict(_applications(_mapping(data.get("applications")), unread))
    environments = tuple(_environments(data.get("environments"), unread))
    return Partial(applications=applications, environments=environments, unread=tuple(unread), file=file)


def _applications(written: Mapping[Any, Any], unread: list[str]) -> Iterator[tuple[str, Target]]:
    for name, each in written.items():
        key, fields = f"applications.{name}", _mapping(each)
        overlays = {}
        for environment, folder in _mapping(fields.get("overlays")).items():
            if _is(str, environment) and _is(Folder, folder):
                overlays[environment] = folder
            else:
                unread.append(f"{key}.overlays.{environment}")
        target = {"image": fields.get("image"), "overlays": overlays}
        if _is(Name, name) and _is(Target, target):
            yield name, Target.model_validate(target)
        else:
            unread.append(key)


def _environments(written: object, unread: list[str]) -> Iterator[Environment]:
    if not isinstance(written, list):
        unread.append("environments")
        return
    for index, each in enumerate(written):
        fields = _mapping(each)
        kept = {key: value for key, value in fields.items() if key in _ASKED}
        misspelt = any(nearest(str(key), _ASKED) for key in fields.keys() - set(_ASKED))
        if _is(Environment, kept) and not misspelt:
            yield Environment.model_validate(kept)
        else:
            unread.append(f"environments[{index}]")


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def _is(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True
