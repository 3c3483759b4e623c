"""Secrecy: what must not be read in git."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from koepon_gitops.checks.registration import Fault, check
from koepon_gitops.checks.workloads import labels, part
from koepon_gitops.model import Manifest


@check(
    requirement="セキュリティ要件",
    remedy="Put the values into Parameter Store and commit an ExternalSecret that names them; "
    "replace what was committed, since history keeps it.",
)
def no_secret_manifests(manifests: Sequence[Manifest]) -> Iterator[Fault]:
    """No Secret is committed with its values.

    base64 is not encryption: what is in git is known to everyone who ever reads it, for ever. A Secret without values,
    which something in the cluster fills, may stand there, and so may a cluster that Argo CD is told of without
    credentials.
    """
    for manifest in manifests:
        if (manifest.id.apiVersion, manifest.id.kind) != ("v1", "Secret"):
            continue
        values = _values(manifest)
        if values and not _is_cluster_without_credentials(manifest, values):
            keys = ", ".join(sorted(values))
            yield Fault(manifest, f"it holds values: {keys}", next(name for name in _HOLDERS if _held(manifest, name)))


_HOLDERS = ("stringData", "data")


def _held(manifest: Manifest, name: str) -> Mapping[str, Any]:
    found = part(manifest.content, name)
    return found if isinstance(found, Mapping) else {}


def _values(manifest: Manifest) -> dict[str, str]:
    """By key, as the pods would read them; what is not base64 stays as written."""
    plain = {key: _decoded(value) for key, value in _held(manifest, "data").items()}
    return plain | {key: str(value) for key, value in _held(manifest, "stringData").items()}


def _decoded(value: Any) -> str:
    try:
        return base64.b64decode(str(value), validate=True).decode()
    except ValueError:
        return str(value)


_CLUSTER_KEYS = frozenset({"name", "server", "config", "namespaces", "clusterResources", "project", "shard"})
_CREDENTIALS = (("bearerToken",), ("password",), ("tlsClientConfig", "keyData"), ("tlsClientConfig", "certData"))


def _is_cluster_without_credentials(manifest: Manifest, values: Mapping[str, str]) -> bool:
    """Argo CD's declarative clusters: https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup."""
    if labels(part(manifest.content, "metadata")).get("argocd.argoproj.io/secret-type") != "cluster":
        return False
    try:
        config = json.loads(values.get("config") or "{}")
    except ValueError:
        return False
    return _CLUSTER_KEYS.issuperset(values) and not any(part(config, *path) for path in _CREDENTIALS)
