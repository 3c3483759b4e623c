"""Charts in this repository to objects, where `helm` is installed: the only module that runs helm."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from koepon_gitops import manifests
from koepon_gitops.cache import Cache, key
from koepon_gitops.errors import ManifestError, UncheckableError
from koepon_gitops.model import Application, Rendering, Source
from koepon_gitops.tree import Files, Kind

TEMPLATE_SECONDS = 60


def available() -> bool:
    """Whether `helm` is on PATH."""
    return shutil.which("helm") is not None


def render(source: Source, application: Application, cache: Cache, files: Files) -> Rendering:
    """The objects of a chart, by `helm template` as Argo CD calls it, in a copy that holds the chart and nothing else.

    Raises ManifestError helm/{missing,failed,outside-chart}; UncheckableError helm/{empty,timeout,unsupported}.
    """
    chart = files.locate(source.path or ".")
    if chart is None or chart.kind is not Kind.FOLDER:
        raise ManifestError("helm/missing", f"The chart {source.path} is not there.", remedy="Correct source.path.")
    names = tuple(sorted(_files(files, chart.path)))
    contents = (part for name in names for part in (name, files.digest(name)))
    values = source.model_dump_json(include={"helm", "path"})
    name = key("helm", values, application.name, application.destination_namespace, *contents)
    if stored := cache.get(name):
        return Rendering.model_construct(objects=tuple(orjson.loads(stored)), files=names, digest=name, cached=True)
    with TemporaryDirectory(prefix="koepon-gitops-") as folder:
        root = Path(folder)
        for file in names:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_bytes(files.content(file))
        text = _run(root, chart.path, list(_options(source, root, chart.path)), application, source)
    objects = manifests.read(text, f"{chart.path} (rendered)")
    if not objects:
        raise UncheckableError("helm/empty", "The chart renders to nothing.", where=chart.path)
    cache.put(name, orjson.dumps(objects))
    return Rendering.model_construct(objects=objects, files=names, digest=name, cached=False)


def _files(files: Files, folder: str) -> Iterator[str]:
    for name, kind in files.listing(folder).items():
        path = f"{folder}/{name}" if folder != "." else name
        if kind is Kind.FOLDER and not name.startswith("."):
            yield from _files(files, path)
        elif kind is not Kind.FOLDER and (place := files.locate(path)) is not None and place.kind is Kind.FILE:
            yield place.path


_SUPPORTED = frozenset(
    {
        "releaseName",
        "valueFiles",
        "values",
        "valuesObject",
        "parameters",
        "skipCrds",
        "ignoreMissingValueFiles",
        "version",
        "namespace",
        "kubeVersion",
        "apiVersions",
        "skipTests",
        "skipSchemaValidation",
    }
)


def _options(source: Source, root: Path, chart: str) -> Iterator[str]:
    helm = source.helm
    if unknown := sorted(helm.keys() - _SUPPORTED):
        raise UncheckableError("helm/unsupported", f"The Application's helm option {unknown[0]} is not known here.")
    yield from (f"--{'skip' if helm.get('skipCrds') else 'include'}-crds",)
    for given in helm.get("valueFiles") or ():
        file = (root / chart / str(given)).resolve()
        if "://" in str(given) or str(given).startswith("$") or not file.is_relative_to(root.resolve()):
            what = f"The value file {given} is not a file of the chart's folder."
            raise ManifestError("helm/outside-chart", what, remedy="Move it next to the chart.")
        if file.is_file() or not helm.get("ignoreMissingValueFiles"):
            yield f"--values={file}"
    written = helm.get("valuesObject") or helm.get("values")
    if written:
        file = root / ".values.yaml"
        file.write_bytes(orjson.dumps(written) if isinstance(written, dict) else str(written).encode())
        yield f"--values={file}"
    for parameter in helm.get("parameters") or ():
        flag = "--set-string" if parameter.get("forceString") else "--set"
        yield f"{flag}={parameter['name']}={str(parameter['value']).replace(',', chr(92) + ',')}"
    if helm.get("kubeVersion"):
        yield f"--kube-version={helm['kubeVersion']}"
    yield from (f"--api-versions={each}" for each in helm.get("apiVersions") or ())
    yield from (flag for name, flag in _FLAGS.items() if helm.get(name))


_FLAGS = {"skipTests": "--skip-tests", "skipSchemaValidation": "--skip-schema-validation"}


def _run(root: Path, chart: str, options: list[str], application: Application, source: Source) -> bytes:
    release = str(source.helm.get("releaseName") or application.name)
    namespace = str(source.helm.get("namespace") or application.destination_namespace or "default")
    command = [
        shutil.which("helm") or "helm",
        "template",
        *options,
        f"--namespace={namespace}",
        "--",
        release,
        f"./{chart}",
    ]
    environment = {"PATH": "/nonexistent", "HOME": str(root), "HTTPS_PROXY": "http://127.0.0.1:9"}
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, check=False, timeout=TEMPLATE_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        what = f"helm gave no answer within {TEMPLATE_SECONDS} s."
        raise UncheckableError("helm/timeout", what, where=chart) from error
    if done.returncode:
        words = " ".join(done.stderr.decode(errors="replace").split()).replace(f"{root}/", "")
        raise ManifestError(
            "helm/failed", f"helm can't render this: {words.removeprefix('Error: ')[:500].rstrip('.')}.", where=chart
        )
    return done.stdout
