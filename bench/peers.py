"""kubeconform with the schemas we have, as what `validate` is compared with."""

import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import orjson

from koepon_gitops import kustomize, schemas
from koepon_gitops.programs import Program

KUBECONFORM = Program(
    name="kubeconform",
    pins=Path(__file__).parents[1] / "tools" / "kubeconform",
    package="github.com/yannh/kubeconform/cmd/kubeconform",
)


CORE = (
    "configmap-v1",
    "deployment-apps-v1",
    "horizontalpodautoscaler-autoscaling-v2",
    "ingress-networking-v1",
    "namespace-v1",
    "networkpolicy-networking-v1",
    "poddisruptionbudget-policy-v1",
    "service-v1",
    "serviceaccount-v1",
    "validatingadmissionpolicy-admissionregistration-v1",
    "validatingadmissionpolicybinding-admissionregistration-v1",
)
CUSTOM = ("argoproj.io", "external-secrets.io")


def kubeconform(folder: Path) -> list[str]:
    """The command that judges what it reads, offline, by a self-contained copy of our schemas in `folder`."""
    KUBECONFORM.build()
    core = sorted(Path(kubernetes_validate.__file__).parent.glob("kubernetes-json-schema/*-local-strict"))[-1]
    definitions = orjson.loads((core / "_definitions.json").read_bytes())["$defs"]
    for name in CORE:
        schema = orjson.loads((core / f"{name}.json").read_bytes())
        (folder / f"{name}.json").write_bytes(orjson.dumps(_inlined(schema, definitions)))
    _write_custom_kinds(folder)
    places = [f"{folder}/{{{{.ResourceKind}}}}{suffix}.json" for suffix in ("{{.KindSuffix}}", "-{{.Group}}")]
    return [str(KUBECONFORM.file), *(word for place in places for word in ("-schema-location", place))]


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if reference := schema.get("$ref"):
        return _inlined(definitions[reference.rpartition("/")[2]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items()}


def _write_custom_kinds(folder: Path) -> None:
    directory = schemas._directory()
    index: dict[str, dict[str, list[Any]]] = orjson.loads((directory / "index.json").read_bytes())
    for version, kinds in index.items():
        group = version.partition("/")[0]
        for kind, (_plural, _namespaced, name) in kinds.items():
            if group in CUSTOM:
                schema = orjson.loads((directory / name).read_bytes())[0]
                schema["properties"]["metadata"] = {"type": "object"}
                (folder / f"{kind.lower()}-{group}.json").write_bytes(orjson.dumps(schema))


def one_after_another(command: list[str], root: Path, folders: list[str]) -> None:
    """`kustomize build FOLDER | kubeconform` for each folder; plain folders go to kubeconform as they are."""
    for folder in folders:
        if (root / folder / "kustomization.yaml").is_file():
            build = [*kustomize.executable(), folder]
            rendered = subprocess.run(build, cwd=root, check=True, capture_output=True).stdout
            subprocess.run([*command, "-"], input=rendered, check=True, capture_output=True)
        else:
            subprocess.run([*command, folder], cwd=root, check=True, capture_output=True)
