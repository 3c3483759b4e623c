"""What a repository says about itself in `[tool.koepon_gitops]` of `pyproject.toml`: paths are computed from here."""

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from koepon_gitops.errors import RequestError
from koepon_gitops.model import Value
from koepon_gitops.spelling import did_you_mean

FILE = "pyproject.toml"


class Cluster(Value):
    """A cluster as Argo CD knows it: its API server and the labels that generators select it by."""

    server: str = ""
    labels: dict[str, str] = Field(default_factory=dict)


class Configuration(Value):
    """Settings of the repository under `--root`. Paths are relative to the root; the defaults suit any repository."""

    repository: str = ""
    """Its URL as Applications name it in `repoURL`. Empty: the git remotes decide, else whether the path exists."""
    clusters: str = "clusters"
    """The folder in which Applications are looked for; when it is not named and not there, the whole tree."""
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
    file = root / FILE
    try:
        table = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
        return Configuration(**table.get("tool", {}).get("koepon_gitops", {}))
    except ValidationError as error:
        raise _wrong_key(error.errors()[0]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, AttributeError) as error:
        what = f"[tool.koepon_gitops] can't be read: {error}."
        raise RequestError("configuration/invalid", what, where=FILE, remedy="Correct the file.") from error


def _wrong_key(problem: Any) -> RequestError:
    """pydantic's complaint about the table in our words."""
    *holders, name = [str(step) for step in problem["loc"]]
    key = ".".join((*holders, name))
    what = f"`{key}` can't be used: {problem['msg'].removeprefix('Value error, ').lower()}."
    remedy = "Correct its value."
    if problem["type"] == "extra_forbidden":
        known = list((Cluster if holders else Configuration).model_fields)
        what = f"`{key}` is no setting of [tool.koepon_gitops]."
        remedy = f"{did_you_mean(name, known)}There are: {', '.join(known)}."
    return RequestError("configuration/invalid", what, where=FILE, remedy=remedy)


def cache_directory() -> Path:
    """Where fetched schemas, tools and results are kept: outside every work tree, safe to delete at any time."""
    if named := os.environ.get("KOEPON_GITOPS_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "koepon-gitops"
