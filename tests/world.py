"""A small production for tests of promotion and rollback: three environments, a real remote, moto's ECR."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo.sandbox import Ecr
from koepon_gitops import promotion, rollback
from koepon_gitops.landing import Outcome
from tests.conftest import Clone
from tests.trees import REPOSITORY, application, write

ACCOUNT = "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/koepon/app"
FIRST = "f" * 40
DIGEST = "sha256:" + "0" * 64
NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
"""Nine hours and a half after every commit that the git fixtures make."""

POLICY = """
    registry: {region: ap-northeast-1}
    applications:
      web:
        image: koepon/app
        overlays: {staging: apps/web/staging, production: apps/web/production, dr: apps/web/dr}
    environments:
      - {name: staging}
      - {name: production, after: staging, soak: 30}
      - {name: dr, follows: production}
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
            - {name: web, image: koepon/app}
    """


def overlay(environment: str) -> str:
    """An overlay with the image that runs at first."""
    return f"""
        # {environment}
        resources: [../base]
        namespace: {environment}
        images:
          - name: koepon/app
            newName: {ACCOUNT}
            newTag: {FIRST}  # written by promote
            digest: {DIGEST}
        """


def files() -> dict[str, str | bytes]:
    """The tree."""
    found: dict[str, str | bytes] = {
        "pyproject.toml": f'[tool.koepon_gitops]\nrepository = "{REPOSITORY}"\nbaseline = false\n',
        "policies/promotion.yaml": POLICY,
        "apps/web/base/kustomization.yaml": "resources: [deployment.yaml]",
        "apps/web/base/deployment.yaml": DEPLOYMENT,
    }
    for environment in ("staging", "production", "dr"):
        found[f"apps/web/{environment}/kustomization.yaml"] = overlay(environment)
        found[f"clusters/{environment}.yaml"] = application(f"web-{environment}", f"apps/web/{environment}").replace(
            "{name: in-cluster, namespace: web}", f"{{name: {environment}, namespace: {environment}}}"
        )
    return found


class World:
    """The clone a person works in, its remote, and ECR."""

    def __init__(self, clone: Clone, remote: Clone, ecr: Ecr) -> None:
        self.clone, self.remote, self.ecr = clone, remote, ecr
        write(clone.folder, files())
        clone.git("add", "--all")
        clone.git("commit", "--quiet", "-m", "Production")
        clone.push()

    @property
    def tip(self) -> str:
        """The remote branch's commit."""
        return self.remote.git("rev-parse", "main")

    def promote(self, reference: str, environment: str | None = None, **options: object) -> Outcome:
        """`promote`, at NOW, never waiting."""
        given = {"now": NOW, "pause": lambda _seconds: None, **options}
        return promotion.promote(self.clone.folder, reference, environment=environment, **given)  # type: ignore[arg-type]

    def rollback(self, environment: str | None = None, **options: object) -> Outcome:
        """`rollback`, at NOW, never waiting."""
        given = {"now": NOW, "pause": lambda _seconds: None, **options}
        return rollback.rollback(self.clone.folder, environment=environment, **given)  # type: ignore[arg-type]

    def runs(self, environment: str) -> str:
        """The tag that the remote branch gives an environment."""
        text = self.remote.git("show", f"main:apps/web/{environment}/kustomization.yaml")
        return text.partition("newTag: ")[2].split()[0]

    def edit(self, files: dict[str, str], message: str = "Edit") -> str:
        """A commit by hand, pushed."""
        self.clone.git("pull", "--quiet", "--ff-only", "origin", "main")
        write(self.clone.folder, dict(files))
        self.clone.git("add", "--all")
        self.clone.git("commit", "--quiet", "-m", message)
        self.clone.push()
        return self.tip


@pytest.fixture(scope="session")
def ecr() -> Iterator[Ecr]:
    """One server a session; releases are named apart."""
    server = Ecr()
    yield server
    server.stop()


@pytest.fixture
def world(clone: Clone, remote: Clone, ecr: Ecr, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """A world of its own for one test; only ECR is shared."""
    for name, value in ecr.environment.items():
        monkeypatch.setenv(name, value)
    return World(clone, remote, ecr)
