"""What a repository says about itself in `[tool.koepon_gitops]` of `pyproject.toml`: paths are computed from here."""

import os
import tomllib
from pathlib import Path

from pydantic import Field, ValidationError

from koepon_gitops.errors import RequestError
from koepon_gitops.model import Value


class Cluster(Value):
    """A cluster as Argo CD knows it: its API server and the labels that generators select it by."""

    server: str = ""
    labels: dict[str, str] = Field(default_factory=dict)


class Configuration(Value):
    """Settings of the repository under `--root`. Paths are relative to the root; the defaults suit any repository."""

    repository: str = ""
    """Its URL as Applications name it in `repoURL`. Empty: the git remotes decide, else whether the path exists."""
    clusters: str = "clusters"
    """The folder in which Applications are looked for; the whole tree when it is not there."""
    policies: str = "policies"
    """The folder with `admission/*.yaml` (policies) and their data."""
    branch: str = "main"
    """The branch Argo CD follows and promotions land on."""
    baseline: bool = True
    """Whether checkov's Kubernetes checks run beside our own."""
    exempt: tuple[str, ...] = Field(default=("tests",))
    """Folders in which no Application is looked for."""
    cluster: dict[str, Cluster] = Field(default_factory=dict)
    """Argo CD's clusters by name: its cluster Secrets are not in git, and cluster generators select by their labels."""


def load(root: Path) -> Configuration:
    """Read `pyproject.toml` under `root`; defaults when there is none. Raises RequestError when it is malformed."""
    file = root / "pyproject.toml"
    try:
        table = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
        return Configuration(**table.get("tool", {}).get("koepon_gitops", {}))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError, TypeError) as error:
        sentence = str(error).replace("\n", " ")
        raise RequestError(
            "configuration/invalid",
            f"[tool.koepon_gitops] can't be read: {sentence}.",
            where="pyproject.toml",
            remedy="Correct the table; koepon_gitops/configuration.py lists its keys.",
        ) from error


def cache_directory() -> Path:
    """Where fetched schemas, tools and results are kept: outside every work tree, safe to delete at any time."""
    if named := os.environ.get("KOEPON_GITOPS_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "koepon-gitops"
