"""Small GitOps trees, written out for one test."""

from pathlib import Path
from textwrap import dedent

from koepon_gitops.cache import Cache
from koepon_gitops.configuration import Configuration, cache_directory
from koepon_gitops.model import Source
from koepon_gitops.rendering import Rendered, Renderer

REPOSITORY = "https://git.example/team/gitops.git"

CONFIG_MAP = """
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: settings}
    data: {colour: blue}
    """

DEPLOYMENT = """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec:
          containers:
            - {name: web, image: team/web}
    """


def application(name: str = "web", path: str = "apps/web", *, extra: str = "", source: str = "") -> str:
    """An Application of this repository; `source` and `extra` are lines of its source and its metadata."""
    inner = "".join(f"    {line}\n" for line in dedent(source).strip().splitlines())
    more = "".join(f"  {line}\n" for line in dedent(extra).strip().splitlines())
    return (
        f"apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: {name}\n{more}"
        f"spec:\n  project: default\n  source:\n    repoURL: {REPOSITORY}\n    path: {path}\n{inner}"
        "  destination: {name: in-cluster, namespace: web}\n"
    )


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    """Write the files under `root`, without the indentation they share."""
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else dedent(content).lstrip("\n").encode())
    return root


def source(path: str, **options: object) -> Source:
    """A source of this repository."""
    return Source.model_validate({"repo_url": REPOSITORY, "path": path, **options})


def renderer(root: Path, *, cached: bool = False, **settings: object) -> Renderer:
    """A renderer whose tree is known as REPOSITORY."""
    configuration = Configuration.model_validate({"repository": REPOSITORY, **settings})
    return Renderer(root, configuration, cache=Cache("renders", enabled=cached))


def rendered(root: Path, **settings: object) -> dict[str, Rendered]:
    """Every Application of the tree by name."""
    return {each.application.name: each for each in renderer(root, **settings).tree()}


def objects(each: Rendered) -> list[str]:
    """What an Application became, as `Kind name`."""
    return [str(manifest.id) for manifest in each.manifests]


def findings(each: Rendered) -> list[str]:
    """What is wrong with it, as `rule where: message`."""
    return [f"{finding.rule} {finding.path}:{finding.line}: {finding.message}" for finding in each.findings]


def separate_cache(folder: Path) -> Path:
    """A cache that holds what is fetched and built once (schemas, programs) and no result of any run."""
    for room in ("crds", "core-schemas", "bin"):
        (cache_directory() / room).mkdir(parents=True, exist_ok=True)
        (folder / room).symlink_to(cache_directory() / room)
    return folder
