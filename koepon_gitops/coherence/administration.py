"""Configuration and admission policies."""

from collections.abc import Iterator, Sequence

from koepon_gitops.coherence import expressions
from koepon_gitops.coherence.reporting import each, problem, repeated
from koepon_gitops.model import Json, Problem

_LARGEST = 1024 * 1024


def config_map(content: Json) -> Iterator[Problem]:
    """core/validation.ValidateConfigMap."""
    data, binary = content.get("data") or {}, content.get("binaryData") or {}
    for name in sorted(data.keys() & binary.keys()):
        yield problem(f"data[{name}]", "must not be in binaryData as well")
    size = sum(len((value or "").encode()) for value in data.values())
    size += sum(len(value or "") * 3 // 4 for value in binary.values())
    if size > _LARGEST:
        yield problem("data", f"must be at most {_LARGEST} bytes in all, not {size}")


_SECRET_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def secret(content: Json) -> Iterator[Problem]:
    """core/validation.ValidateSecret."""
    given = {**(content.get("data") or {}), **(content.get("stringData") or {})}
    for name in _SECRET_KEYS.get(content.get("type") or "", ()):
        if name not in given:
            yield problem(f"data[{name}]", f"is required for a secret of the type {content['type']}")
    if content.get("type") == "kubernetes.io/basic-auth" and not {"username", "password"} & given.keys():
        yield problem("data[username]", "or data[password] is required for a secret of this type")


def admission_policy(content: Json) -> Iterator[Problem]:
    """admissionregistration/validation.validateMatchConditions, validateResources, and what `expressions` says."""
    spec = content["spec"]
    yield from repeated(spec.get("matchConditions") or (), "name", "spec.matchConditions")
    for name in ("resourceRules", "excludeResourceRules"):
        for index, rule in each((spec.get("matchConstraints") or {}).get(name)):
            yield from _resources(rule["resources"], f"spec.matchConstraints.{name}[{index}].resources")
    yield from expressions.problems(spec)


def _resources(resources: Sequence[str], path: str) -> Iterator[Problem]:
    plain = [each for each in resources if "/" not in each]
    if "*/*" in resources and len(resources) > 1:
        yield problem(path, "must not name others beside */*")
    if "*" in plain and plain[-1] != "*":
        yield problem(path, "must not name other resources beside *")
