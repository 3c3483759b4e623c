"""Policy files: each holds one ValidatingAdmissionPolicy, named like it, and its bindings; anything else is refused."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from koepon_gitops import manifests, nodes
from koepon_gitops.admission import Binding, Policy
from koepon_gitops.errors import ManifestError
from koepon_gitops.model import Finding, Json


class PolicyFile:
    """What one file holds. `name` is how people are told of it: never with the folders above the repository."""

    def __init__(self, text: bytes, name: str, policy: Policy, bindings: Sequence[Binding], place: "Place") -> None:
        self.text, self.name, self.policy, self.bindings, self.place = text, name, policy, tuple(bindings), place


def read(directory: Path, root: Path | None) -> tuple[PolicyFile, ...]:
    """Every file of a folder by name; none when there is no folder. Raises ManifestError policies/{invalid,unbound}."""
    return tuple(_parsed(_content(each, root), _name(each, root)) for each in _candidates(directory))


def sound(directory: Path, root: Path | None) -> tuple[tuple[PolicyFile, ...], tuple[Finding, ...]]:
    """The files that can be judged, and what is wrong with the others, or missing from what they tell people."""
    files, findings = [], []
    for each in _candidates(directory):
        try:
            file = _parsed(_content(each, root), _name(each, root))
        except ManifestError as error:
            findings.append(Finding.of_error(error))
        else:
            files.append(file)
            findings += _undocumented(file)
    return tuple(files), tuple(findings)


DOCUMENTATION = tuple(f"koepon.com/{word}" for word in ("requirement", "title", "reason", "remedy"))
"""The annotations that `explain` and every finding quote."""


def _undocumented(file: PolicyFile) -> Iterator[Finding]:
    given = file.policy.metadata.annotations
    if missing := [name for name in DOCUMENTATION if not given.get(name, "").strip()]:
        error = ManifestError(
            "policies/undocumented",
            f"The policy {file.policy.metadata.name} lacks {', '.join(missing)}.",
            where=file.place.line("metadata", "annotations"),
            remedy="Add the annotations: whoever is stopped by a policy has to learn why, and what to do.",
        )
        yield Finding.of_error(error)


def _candidates(directory: Path) -> Sequence[Path]:
    return sorted(each for each in directory.iterdir() if _is_policy(each)) if directory.is_dir() else ()


def _is_policy(file: Path) -> bool:
    return file.suffix in {".yaml", ".yml"} and file.stem != "kustomization"


def _name(file: Path, root: Path | None) -> str:
    if root and file.is_relative_to(root):
        return file.relative_to(root).as_posix()
    return "/".join(file.parts[-3:])


def _content(file: Path, root: Path | None) -> bytes:
    if file.is_symlink() or not file.is_file():
        raise _invalid(_name(file, root), "A policy has to be an ordinary file.")
    return file.read_bytes()


def _invalid(where: str, what: str) -> ManifestError:
    remedy = "Correct the policy; `kubectl explain validatingadmissionpolicy.spec` describes it."
    return ManifestError("policies/invalid", what, where=where, remedy=remedy)


def _parsed(text: bytes, file: str) -> PolicyFile:
    policy, bindings = None, []
    for document in nodes.documents(nodes.decode(text, file), file):
        first = 1 + document.line
        for content in manifests.read(document.text.encode(), file, first):
            where = Place(document.text, file, first)
            if content["kind"] == "ValidatingAdmissionPolicyBinding":
                bindings.append(_validated(Binding, content, where))
            elif content["kind"] != "ValidatingAdmissionPolicy" or policy:
                raise _invalid(
                    where.line(), "A file holds one ValidatingAdmissionPolicy and its bindings, nothing else."
                )
            else:
                policy, place = _validated(Policy, content, where), where
    if not policy:
        raise _invalid(file, "The file holds no ValidatingAdmissionPolicy.")
    _check_names(policy, bindings, place)
    return PolicyFile(text, file, policy, bindings, place)


def _check_names(policy: Policy, bindings: Sequence[Binding], place: "Place") -> None:
    name = policy.metadata.name
    stem = Path(place.file).stem
    if name != stem:
        raise _invalid(place.line("metadata", "name"), f"The policy is named {name}, its file {stem}.")
    if stray := [each for each in bindings if each.spec.policyName != name]:
        raise _invalid(
            place.file, f"The binding {stray[0].metadata.name} is for {stray[0].spec.policyName}, not {name}."
        )
    if len({each.metadata.name for each in bindings}) < len(bindings):
        raise _invalid(place.file, "Two bindings have the same name.")
    if not bindings:
        raise ManifestError(
            "policies/unbound",
            f"The policy {name} has no binding, so it applies to nothing.",
            where=place.line(),
            remedy="Add a ValidatingAdmissionPolicyBinding to the file.",
        )


class Place:
    """One document of a policy file, to say in which line something stands."""

    def __init__(self, text: str, file: str, first: int) -> None:
        self.text, self.file, self.first = text, file, first

    def line(self, *path: str | int) -> str:
        """`file:line` of the deepest part of the path that is there."""
        node = nodes.parse(self.text, self.file, self.first)
        line = node.line if node else 0
        for step in path:
            if node and node.kind is nodes.Kind.MAPPING:
                found = next(((name, value) for name, value in node.entries if name.text == str(step)), None)
                if not found:
                    break
                line, node = found[0].line, found[1]
            elif node and node.kind is nodes.Kind.SEQUENCE and isinstance(step, int) and step < len(node.children):
                node = node.children[step]
                line = node.line
        return f"{self.file}:{self.first + line}"


def _validated[T: (Policy, Binding)](model: type[T], content: Json, place: Place) -> T:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"]).lstrip(".")
        words = first["msg"].removeprefix("Value error, ")
        raise _invalid(place.line(*first["loc"]), f"{field or content['kind']}: {words}.") from error
