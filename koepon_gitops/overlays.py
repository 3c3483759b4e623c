"""Where an image is written: the `images:` entry of one environment's overlay, read and spliced."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from koepon_gitops import manifests, prescan
from koepon_gitops.errors import ManifestError
from koepon_gitops.gates import Promotable
from koepon_gitops.model import Image, Value
from koepon_gitops.splicing import splice
from koepon_gitops.tree import Files


class Overlay(Value):
    """One environment's overlay. `image` is what its entry says, under the name that pods pull."""

    environment: str
    folder: str
    file: str
    entry: str
    """The entry's `name`, by which the base refers to the image."""
    image: Image
    text: bytes

    def running(self, image: Image) -> bytes:
        """The file with another tag and digest in the entry, every other byte as it was."""
        text = self.text
        for field, value in (("newTag", image.tag), ("digest", image.digest)):
            if value != getattr(self.image, "tag" if field == "newTag" else field):
                text = splice(text, ("images", ("name", self.entry), field), value)
        return text


def read(root: Path, target: Promotable, environment: str) -> Overlay:
    """The overlay of an environment in the tree under `root`.

    Raises ManifestError overlays/{missing,no-entry} and what reading a hostile tree raises.
    """
    folder, files = target.overlays[environment], Files(root)
    place = files.locate(folder)
    file = prescan.kustomization_file(files, place.path) if place else None
    if file is None:
        what = f"The overlay of {environment} is not there."
        raise ManifestError("overlays/missing", what, where=folder, remedy="Correct it in policies/promotion.yaml.")
    text = files.content(file)
    entry = written(manifests.read_data(text, file), target.image)
    if entry is None:
        raise ManifestError(
            "overlays/no-entry",
            f"`images:` has no entry named {target.image}.",
            where=file,
            remedy="Add one with newName, newTag and digest: it is what `promote` writes.",
        )
    image = Image(
        name=str(entry.get("newName") or target.image),
        tag=str(entry.get("newTag") or ""),
        digest=str(entry.get("digest") or ""),
    )
    return Overlay(environment=environment, folder=folder, file=file, entry=target.image, image=image, text=text)


def written(kustomization: Any, name: str) -> Mapping[str, Any] | None:
    """The entry of that name in a kustomization's `images:`, if there is one."""
    entries = kustomization.get("images") if isinstance(kustomization, Mapping) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and entry.get("name") == name:
            return entry
    return None
