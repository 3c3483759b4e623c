"""A generated repository: as many overlays of koepon-app as asked for, 13 objects each."""

import shutil
from pathlib import Path

from demo.sandbox import PRODUCTION

OBJECTS = 13
REPOSITORY = "https://github.com/koepon/koepon-gitops.git"

_OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: production
nameSuffix: "-{number}"
resources:
  - ../../koepon-app/overlays/production
  - extra.yaml
"""
_EXTRA = "".join(
    f"---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra-{letter}\ndata:\n  number: '{{number}}'\n"
    for letter in "abcd"
)
_APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: app-{number}
  namespace: argocd
spec:
  project: default
  source:
    repoURL: {repository}
    targetRevision: main
    path: apps/generated/{number}
  destination:
    name: production
    namespace: production
"""
_NAMESPACE = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: namespaces
  namespace: argocd
spec:
  project: default
  source:
    repoURL: {repository}
    targetRevision: main
    path: infrastructure/namespaces/production
  destination:
    name: production
    namespace: production
"""


def generate(root: Path, source: Path, overlays: int) -> None:
    """Write it under `root`, with the policies of `source`."""
    for name in PRODUCTION:
        if (source / name).is_dir():
            if name != "clusters":
                shutil.copytree(source / name, root / name)
        else:
            shutil.copy(source / name, root / name)
    (root / "clusters").mkdir()
    (root / "clusters" / "namespaces.yaml").write_text(_NAMESPACE.format(repository=REPOSITORY))
    (root / "policies" / "waivers.yaml").write_text("waivers: []\n")
    for number in range(overlays):
        folder = root / "apps" / "generated" / str(number)
        folder.mkdir(parents=True)
        (folder / "kustomization.yaml").write_text(_OVERLAY.format(number=number))
        (folder / "extra.yaml").write_text(_EXTRA.format(number=number))
        text = _APPLICATION.format(number=number, repository=REPOSITORY)
        (root / "clusters" / f"app-{number}.yaml").write_text(text)
