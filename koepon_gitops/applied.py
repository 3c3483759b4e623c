"""`render APPLICATION`: its objects as Argo CD would apply them, its claims composed, as one YAML stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from koepon_gitops import changes, composition, placement, schemas
from koepon_gitops.cache import Cache
from koepon_gitops.configuration import load
from koepon_gitops.errors import RequestError
from koepon_gitops.repository import Repository
from koepon_gitops.spelling import did_you_mean
from koepon_gitops.tree import Files


def text(root: Path, application: str, revision: str | None = None) -> str:
    """The stream, of the work tree or of a commit. Raises RequestError applications/unknown; and as rendering does."""
    repository = Repository.open(root)
    with _tree(repository, root, revision) as folder:
        tree = changes.rendered(folder, repository)
        exempt = schemas.exemptions(folder / load(folder).policies / "schemas.yaml")
        library = schemas.load(placement.definitions(tree), exempt=exempt)
        tree = composition.composed(placement.placed(tree, library), library, Files(folder), Cache("compositions"))
    names = sorted(each.application.name for each in tree)
    for rendered in tree:
        if rendered.application.name == application:
            changes.refuse(rendered.findings)
            documents = (dict(manifest.content) for manifest in rendered.manifests)
            stream: str = yaml.dump_all(
                documents, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120
            )
            return stream
    raise RequestError(
        "applications/unknown",
        f"No Application is named {application}.",
        remedy=f"{did_you_mean(application, names)}The tree declares: {', '.join(names)}.",
    )


@contextmanager
def _tree(repository: Repository, root: Path, revision: str | None) -> Iterator[Path]:
    if revision is None:
        yield root
        return
    with changes.exported(repository, revision) as folder:
        yield folder
