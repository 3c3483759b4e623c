"""Services outside AWS: requests repeated until the answer is as wanted, and the ways of the secrets in them.

No secret is in git, in a claim, in a composed resource or in a status. Those that people hand over and those that are
generated stay in Parameter Store; a resource names the Kubernetes Secret that External Secrets makes of them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from composite import ORPHAN, Json, Resources

EXTERNAL_SECRETS = "external-secrets.io/v1"
GENERATORS = "generators.external-secrets.io/v1alpha1"
HTTP = "http.m.crossplane.io/v1alpha2"


class Call(NamedTuple):
    """What a request does in one situation. `url` and `body` are jq, asked of the payload and the last answer."""

    method: str
    url: str
    body: str = ""


class Injection(NamedTuple):
    """Where an answer's secrets go: by key, the jq that finds each. The provider writes placeholders in their stead."""

    secret: str
    keys: Mapping[str, str]


def add_request(
    resources: Resources,
    key: str,
    name: str,
    *,
    secret: str,
    payload: Json,
    calls: Mapping[str, Call],
    expected: str,
    removed: str = "",
    injection: Injection | None = None,
    owned: bool = False,
) -> str:
    """Add a Request of provider-http, which asks once a minute. `secret` holds the header `authorization`.

    `calls` by action: OBSERVE is asked first, then UPDATE while the jq `expected` says false, or CREATE while nothing
    is there (`removed` says true; without it, the answer is 404). Unless it is `owned`, nothing is undone when it goes:
    a Request without REMOVE would wait for that for ever. Returns the key.
    """
    namespace = resources.claim.namespace
    parameters: dict[str, Any] = {
        "waitTimeout": "30s",
        "headers": {
            "Authorization": [placeholder(secret, namespace, "authorization")],
            "Content-Type": ["application/json"],
        },
        "payload": {"baseUrl": payload["baseUrl"], "body": json.dumps(payload.get("body", {}))},
        "mappings": [
            {"action": action, "method": call.method, "url": call.url, **({"body": call.body} if call.body else {})}
            for action, call in calls.items()
        ],
        "expectedResponseCheck": {"type": "CUSTOM", "logic": expected},
    }
    if removed:
        parameters["isRemovedCheck"] = {"type": "CUSTOM", "logic": removed}
    if injection:
        parameters["secretInjectionConfigs"] = [
            {
                "secretRef": {"name": injection.secret, "namespace": namespace},
                "setOwnerReference": True,
                "keyMappings": [
                    {"secretKey": name, "responseJQ": found, "missingFieldStrategy": "preserve"}
                    for name, found in injection.keys.items()
                ],
            }
        ]
    spec: dict[str, Any] = {
        "forProvider": parameters,
        "providerConfigRef": {"kind": "ClusterProviderConfig", "name": "http"},
    }
    if not owned:
        spec["managementPolicies"] = list(ORPHAN)
    return resources.add(key, {"apiVersion": HTTP, "kind": "Request", "metadata": {"name": name}, "spec": spec})


def placeholder(secret: str, namespace: str, key: str) -> str:
    """What provider-http replaces by a value of a Secret, in bodies and headers, when it sends them."""
    return f"{{{{ {secret}:{namespace}:{key} }}}}"


def answer(resources: Resources, key: str) -> Any:
    """The last answer to a Request as JSON; None when there is none, or it was a refusal, or no JSON."""
    response = resources.claim.observed.get(key, {}).get("status", {}).get("response", {})
    if not 200 <= response.get("statusCode", 0) < 300:
        return None
    try:
        return json.loads(response.get("body", ""))
    except ValueError:
        return None


def unless_unseen(expected: str) -> str:
    """The jq `expected` where the answer is no refusal: what can't be seen is left as it is, whatever is wanted."""
    return f"(.response.statusCode | . < 200 or . >= 300) or ({expected})"


def quoted(value: object) -> str:
    """A value as a literal of jq, which is that of JSON."""
    return json.dumps(value)


def add_store(resources: Resources, name: str, service: str = "ParameterStore") -> str:
    """Add a SecretStore: Parameter Store or SecretsManager of the claim's region, as External Secrets' own role."""
    aws = {"service": service, "region": resources.claim.spec["region"]}
    return _add_external(resources, "SecretStore", name, {"provider": {"aws": aws}})


def add_pulled(
    resources: Resources,
    name: str,
    store: str,
    remote: Mapping[str, str],
    template: Mapping[str, str],
    *,
    properties: Sequence[str] = (),
    refresh: str = "1h",
) -> str:
    """Add an ExternalSecret: the Secret `name` with the keys of `template`, made of the parameters in `remote`.

    `properties` name those of `remote` that are a field of a JSON value. Returns its key.
    """
    data = [
        {"secretKey": key, "remoteRef": {"key": parameter, **({"property": key} if key in properties else {})}}
        for key, parameter in remote.items()
    ]
    spec = {
        "secretStoreRef": {"kind": "SecretStore", "name": store},
        "refreshInterval": refresh,
        "target": {
            "name": name,
            "creationPolicy": "Owner",
            "deletionPolicy": "Retain",
            "template": {"engineVersion": "v2", "data": dict(template)},
        },
        "data": data,
    }
    return _add_external(resources, "ExternalSecret", name, spec)


def add_generated(resources: Resources, name: str, store: str, parameter: str) -> None:
    """Add a password that is generated once and for all: kept in `parameter`, at hand as the Secret `name`.

    Letters and digits only: it becomes a part of URLs. A hub that is built anew finds the old one in Parameter Store.
    """
    password = {"length": 40, "digits": 10, "symbols": 0, "noUpper": False, "allowRepeat": True}
    resources.add(
        f"password/{name}",
        {"apiVersion": GENERATORS, "kind": "Password", "metadata": {"name": name}, "spec": password},
    )
    generator = {"generatorRef": {"apiVersion": GENERATORS, "kind": "Password", "name": name}}
    _add_push(resources, name, store, generator, {"password": parameter}, "IfNotExists")
    add_pulled(resources, name, store, {"password": parameter}, {"password": "{{ .password }}"})


def add_published(resources: Resources, secret: str, store: str, parameters: Mapping[str, str]) -> str:
    """Add the way of a Secret's keys to Parameter Store, from where the application's cluster takes them."""
    return _add_push(resources, secret, store, {"secret": {"name": secret}}, parameters, "Replace")


def platform_parameter(resources: Resources, name: str) -> str:
    """Where a secret of the platform is kept: not in `/koepon/<environment>/`, which the application may read."""
    return f"/koepon-platform/{resources.claim.namespace}/{name}"


def application_parameter(resources: Resources, name: str) -> str:
    """Where the application reads a secret."""
    return f"/koepon/{resources.claim.namespace}/{name}"


def _add_push(
    resources: Resources, name: str, store: str, selector: Json, parameters: Mapping[str, str], policy: str
) -> str:
    metadata = {
        "apiVersion": "kubernetes.external-secrets.io/v1alpha1",
        "kind": "PushSecretMetadata",
        "spec": {"secretType": "SecureString", "tags": resources.claim.tags},
    }
    spec = {
        "refreshInterval": "1h",
        "secretStoreRefs": [{"kind": "SecretStore", "name": store}],
        "updatePolicy": policy,
        "deletionPolicy": "None",
        "selector": selector,
        "data": [
            {"match": {"secretKey": key, "remoteRef": {"remoteKey": parameter}}, "metadata": metadata}
            for key, parameter in parameters.items()
        ],
    }
    return _add_external(resources, "PushSecret", name, spec, "external-secrets.io/v1alpha1")


def _add_external(resources: Resources, kind: str, name: str, spec: Json, api_version: str = EXTERNAL_SECRETS) -> str:
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}
    return resources.add(f"{kind.lower()}/{name}", manifest)
