"""The Kubernetes API over HTTPS, as plainly as it is documented: no client library stands between test and server."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3

TOKEN = "loopback-only"
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


@dataclass(frozen=True)
class Answer:
    """What the server said: its status code, the object or Status, and the warnings a user would see."""

    code: int
    body: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.code < 300

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))


@dataclass
class Client:
    """One API server. `url` as `https://127.0.0.1:PORT`; its certificate is the throw-away one it made itself."""

    url: str
    _resources: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {TOKEN}"
        self.session.verify = False
        self.session.trust_env = False

    def request(self, method: str, path: str, body: object = None, **parameters: str) -> Answer:
        kind = parameters.pop("content_type", "application/json")
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        response = self.session.request(
            method, self.url + path, params=parameters, data=data, headers={"Content-Type": kind}, timeout=60
        )
        try:
            answer = response.json()
        except ValueError:
            answer = {"message": response.text}
        return Answer(response.status_code, answer, _warnings(response.headers))

    def ready(self) -> bool:
        return self.session.get(f"{self.url}/readyz", timeout=5).text == "ok"

    def resource(self, api_version: str, kind: str) -> dict[str, Any]:
        """The APIResource of a kind. Raises LookupError while the server does not serve it."""
        prefix = "/apis" if "/" in api_version else "/api"
        if f"{api_version}/{kind}" not in self._resources:
            answer = self.request("GET", f"{prefix}/{api_version}")
            for each in answer.body.get("resources", ()):
                if "/" not in each["name"]:
                    self._resources[f"{api_version}/{each['kind']}"] = each | {"prefix": f"{prefix}/{api_version}"}
        if f"{api_version}/{kind}" not in self._resources:
            raise LookupError(f"the server does not serve {api_version} {kind}")
        return self._resources[f"{api_version}/{kind}"]

    def path(self, content: Mapping[str, Any], *, named: bool = True) -> str:
        """The URL path of an object, or of its collection."""
        resource = self.resource(content["apiVersion"], content["kind"])
        metadata = content.get("metadata") or {}
        space = f"/namespaces/{metadata.get('namespace') or 'default'}" if resource["namespaced"] else ""
        name = f"/{metadata['name']}" if named else ""
        return f"{resource['prefix']}{space}/{resource['name']}{name}"

    def apply(self, content: Mapping[str, Any], *, dry_run: bool = False, strict: bool = True) -> Answer:
        """Server-side apply, as Argo CD does."""
        parameters = {"fieldManager": "e2e", "force": "true", "fieldValidation": "Strict" if strict else "Warn"}
        if dry_run:
            parameters["dryRun"] = "All"
        body = json.dumps(content).encode()
        return self.request(
            "PATCH", self.path(content), body, content_type="application/apply-patch+yaml", **parameters
        )

    def create(self, content: Mapping[str, Any], *, dry_run: bool = False, validation: str = "Strict") -> Answer:
        parameters = {"fieldValidation": validation} | ({"dryRun": "All"} if dry_run else {})
        return self.request("POST", self.path(content, named=False), content, **parameters)

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        """The object as stored. Raises LookupError when it is not there."""
        metadata = {"name": name, "namespace": namespace}
        answer = self.request("GET", self.path({"apiVersion": api_version, "kind": kind, "metadata": metadata}))
        if not answer.accepted:
            raise LookupError(answer.message)
        return answer.body

    def list(self, api_version: str, kind: str, namespace: str = "", **parameters: str) -> list[dict[str, Any]]:
        resource = self.resource(api_version, kind)
        space = f"/namespaces/{namespace}" if namespace else ""
        items = self.request("GET", f"{resource['prefix']}{space}/{resource['name']}", **parameters).body.get(
            "items", []
        )
        return [{"apiVersion": api_version, "kind": kind, **item} for item in items]

    def merge(self, content: Mapping[str, Any], patch: object, **parameters: str) -> Answer:
        return self.request(
            "PATCH", self.path(content), patch, content_type="application/merge-patch+json", **parameters
        )

    def delete(self, content: Mapping[str, Any]) -> Answer:
        return self.request("DELETE", self.path(content))


def _warnings(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The texts of `Warning: 299 - "text"` headers, which requests joins with commas."""
    raw = headers.get("Warning", "")
    return tuple(part.split('"')[0] for part in raw.split('299 - "')[1:])
