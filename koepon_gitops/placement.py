"""What a rendered tree holds: its objects where Argo CD would put them, by cluster, and those declared twice."""

from collections.abc import Iterable, Iterator

from koepon_gitops.errors import UncheckableError
from koepon_gitops.model import Finding, Json, Manifest, ObjectId, Severity
from koepon_gitops.projects import IN_CLUSTER, Scopes
from koepon_gitops.rendering import Rendered


def placed(tree: Iterable[Rendered], scopes: Scopes) -> tuple[Rendered, ...]:
    """Argo CD puts a namespaced object that names no namespace into its Application's destination; so do we.

    An object of an unknown kind stays as it is: `evaluation` says that it can't be checked.
    """
    return tuple(
        rendered.model_copy(
            update={
                "manifests": tuple(
                    _in_namespace(manifest, rendered.application.destination_namespace, scopes)
                    for manifest in rendered.manifests
                )
            }
        )
        for rendered in tree
    )


def _in_namespace(manifest: Manifest, namespace: str, scopes: Scopes) -> Manifest:
    identity = manifest.id
    if not namespace or identity.namespace or not _is_namespaced(identity, scopes):
        return manifest
    metadata = {**manifest.content["metadata"], "namespace": namespace}
    return Manifest.model_construct(
        application=manifest.application,
        cluster=manifest.cluster,
        id=identity.model_copy(update={"namespace": namespace}),
        content={**manifest.content, "metadata": metadata},
        files=manifest.files,
    )


def _is_namespaced(identity: ObjectId, scopes: Scopes) -> bool:
    try:
        return scopes.is_namespaced(identity.apiVersion, identity.kind)
    except UncheckableError:
        return False


def by_cluster(rendered: Iterable[Rendered]) -> dict[str, list[Manifest]]:
    """All objects, grouped by the cluster they are synced to."""
    clusters: dict[str, list[Manifest]] = {}
    for each in rendered:
        for manifest in each.manifests:
            clusters.setdefault(manifest.cluster, []).append(manifest)
    return clusters


def duplicates(rendered: Iterable[Rendered]) -> Iterator[Finding]:
    """Objects declared twice on one cluster: two owners would undo each other's changes for ever.

    One without a name is made anew at each sync (`generateName`), and so never twice.
    """
    owners: dict[tuple[str, str, str, str, str], Manifest] = {}
    for each in rendered:
        for manifest in each.manifests:
            identity = manifest.id
            place = (manifest.cluster, identity.group, identity.kind, identity.namespace, identity.name)
            if not manifest.content["metadata"].get("name"):
                continue
            if place not in owners:
                owners[place] = manifest
            elif manifest.claim or owners[place].claim:
                yield _composed_twice(manifest, owners[place])
            else:
                yield _declared_twice(manifest, owners[place])


def _declared_twice(manifest: Manifest, owner: Manifest) -> Finding:
    what = f"{manifest.id} on cluster {manifest.cluster} is already declared by Application {owner.application}."
    return Finding(
        rule="applications/duplicate-object",
        severity=Severity.ERROR,
        application=manifest.application,
        object=manifest.id,
        message=what,
        remedy="Keep it in one of the two: with selfHeal on, each undoes what the other applies.",
    )


def _composed_twice(manifest: Manifest, owner: Manifest) -> Finding:
    owners = [str(each.claim or f"Application {each.application}") for each in (owner, manifest)]
    return Finding(
        rule="composition/duplicate-object",
        severity=Severity.ERROR,
        application=manifest.application,
        object=manifest.id,
        message=f"{manifest.id} on cluster {manifest.cluster} is made twice: by {owners[0]} and by {owners[1]}.",
        remedy="Name one of the two otherwise: Crossplane refuses to control what another claim controls.",
    )


def projects_of(rendered: Iterable[Rendered]) -> dict[str, Json]:
    """AppProjects by name, from the objects synced to the cluster Argo CD runs on."""
    return {
        manifest.id.name: manifest.content
        for each in rendered
        for manifest in each.manifests
        if manifest.id.kind == "AppProject" and manifest.id.group == "argoproj.io" and manifest.cluster == IN_CLUSTER
    }


def definitions(tree: Iterable[Rendered]) -> Iterator[Json]:
    """The kinds the tree itself declares: CustomResourceDefinitions and Crossplane's CompositeResourceDefinitions."""
    for manifest in (each for rendered in tree for each in rendered.manifests):
        if manifest.id.kind in {"CustomResourceDefinition", "CompositeResourceDefinition"}:
            yield manifest.content
