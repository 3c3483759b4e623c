"""What Argo CD edits in a kustomization before it builds it: `spec.source.kustomize` of an Application.

As `util/kustomize/kustomize.go` of Argo CD 3.5, which calls `kustomize edit`, and as those commands of kustomize 5.8.
"""

from collections.abc import Callable, Mapping
from typing import Any

from koepon_gitops.errors import ManifestError, UncheckableError
from koepon_gitops.model import Image

type Content = dict[str, Any]

_WITHOUT_EFFECT = frozenset(
    {
        "version",
        "kubeVersion",
        "apiVersions",
        "forceCommonLabels",
        "forceCommonAnnotations",
        "labelWithoutSelector",
        "labelIncludeTemplates",
        "commonAnnotationsEnvsubst",
    }
)
"""Options that only say how others are applied, or concern charts inside kustomizations, which are refused."""


def edited(content: Mapping[str, Any], options: Mapping[str, Any]) -> Content:
    """The kustomization as Argo CD would build it.

    Raises UncheckableError kustomize/unsupported-option for an option that is not known here or needs values only
    Argo CD has (`$ARGOCD_APP_REVISION`); ManifestError kustomize/invalid for one that is malformed.
    """
    result = dict(content)
    for name, value in options.items():
        if name in _WITHOUT_EFFECT or not value:
            continue
        if name not in _EDITS:
            raise _unsupported(f"The Application's kustomize option {name} is not known here.")
        if name in ("images", "commonLabels", "commonAnnotations") and "$" in str(value):
            raise _unsupported(
                f"The Application's kustomize option {name} holds a variable that only Argo CD can fill."
            )
        try:
            _EDITS[name](result, value, options)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            what = f"The Application's kustomize option {name} can't be applied: {error}."
            raise ManifestError("kustomize/invalid", what) from error
    return result


def _unsupported(what: str) -> UncheckableError:
    return UncheckableError("kustomize/unsupported-option", what, remedy="Write it into the kustomization instead.")


def _set(field: str) -> Callable[[Content, Any, Mapping[str, Any]], None]:
    def apply(content: Content, value: Any, _options: Mapping[str, Any]) -> None:
        content[field] = value

    return apply


def _images(content: Content, value: list[str], _options: Mapping[str, Any]) -> None:
    """`kustomize edit set image`: `name=new:tag`, `name:tag`, `name@digest`; `*` keeps what is there."""
    entries = {str(entry["name"]): entry for entry in content.get("images") or ()}
    for argument in value:
        name, separator, reference = argument.partition("=")
        image = Image.parse(reference if separator else argument)
        name = name if separator else image.name
        previous = entries.get(name, {})
        new_name = previous.get("newName", "") if image.name == "*" else image.name if separator else ""
        tag = previous.get("newTag", "") if image.tag == "*" else image.tag
        written = {"name": name, "newName": new_name, "newTag": tag, "digest": image.digest}
        entries[name] = {key: given for key, given in written.items() if given}
    content["images"] = [entries[name] for name in sorted(entries)]


def _replicas(content: Content, value: list[dict[str, Any]], _options: Mapping[str, Any]) -> None:
    entries = {entry["name"]: entry for entry in content.get("replicas") or ()}
    for entry in value:
        entries[entry["name"]] = {"name": entry["name"], "count": int(entry["count"])}
    content["replicas"] = list(entries.values())


def _labels(content: Content, value: dict[str, str], options: Mapping[str, Any]) -> None:
    if options.get("labelWithoutSelector"):
        templates = bool(options.get("labelIncludeTemplates"))
        entry = {"pairs": value, "includeSelectors": False, "includeTemplates": templates}
        content["labels"] = [*(content.get("labels") or ()), entry]
        return
    _add(content, "commonLabels", value, forced=bool(options.get("forceCommonLabels")))


def _annotations(content: Content, value: dict[str, str], options: Mapping[str, Any]) -> None:
    _add(content, "commonAnnotations", value, forced=bool(options.get("forceCommonAnnotations")))


def _add(content: Content, field: str, value: dict[str, str], *, forced: bool) -> None:
    """`kustomize edit add label`: a key that is there already is an error unless forced."""
    present = content.get(field) or {}
    if not forced and (twice := sorted(present.keys() & value.keys())):
        raise ValueError(f"{twice[0]} is already in the kustomization")
    content[field] = {**present, **value}


def _append(field: str) -> Callable[[Content, Any, Mapping[str, Any]], None]:
    def apply(content: Content, value: list[Any], _options: Mapping[str, Any]) -> None:
        present = content.get(field) or []
        content[field] = [*present, *(each for each in value if each not in present)]

    return apply


_EDITS: dict[str, Callable[[Content, Any, Mapping[str, Any]], None]] = {
    "namePrefix": _set("namePrefix"),
    "nameSuffix": _set("nameSuffix"),
    "namespace": _set("namespace"),
    "images": _images,
    "replicas": _replicas,
    "commonLabels": _labels,
    "commonAnnotations": _annotations,
    "patches": _append("patches"),
    "components": _append("components"),
}
