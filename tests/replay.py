"""What provider-http v1.0.14 does with a Request, once a minute, against any service that answers HTTP.

Written after its documentation and compared with its source: which mapping is taken, what jq is asked of, when
something is there, removed or up to date, and how secrets are put into requests and taken out of answers. The
provider's jq is gojq, here it is jq itself; default checks, other owners' Secrets and timeouts are left out.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import jq

METHODS = {"CREATE": "POST", "OBSERVE": "GET", "UPDATE": "PUT", "REMOVE": "DELETE"}
PLACEHOLDER = re.compile(r"\{\{\s*([^:{}\s]+):([^:{}\s]+):([^:{}\s]+)\s*\}\}")

type Secrets = dict[tuple[str, str], dict[str, str]]
"""What Secrets hold, by (namespace, name) and key."""


class MissingSecretError(LookupError):
    """A Secret is named that is not there."""


class RefusedError(ValueError):
    """Something can't be filled in: jq fails, or finds nothing."""


@dataclass
class Sent:
    """What goes out, with the placeholders that the status shows."""

    method: str
    url: str
    body: str
    headers: dict[str, str]


@dataclass
class Provider:
    """One Request in a cluster with `secrets`. `send` reaches the service: method, URL, body, headers."""

    manifest: dict[str, Any]
    secrets: Secrets
    send: Callable[[str, str, str, Mapping[str, str]], tuple[int, str]]
    namespace: str = "production"
    status: dict[str, Any] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    """The actions in which something was sent."""
    exists: bool = True
    """Whether the object is still in the cluster."""

    @property
    def observed(self) -> dict[str, Any]:
        """The object as Crossplane sees it."""
        return {**self.manifest, "status": self.status}

    def poll(self, times: int = 1) -> None:
        """Reconcile: observe, then create or update if that is called for."""
        for _ in range(times):
            try:
                found = self._observe()
            except (RefusedError, MissingSecretError):
                continue
            policies = self._policies
            try:
                if not found.exists and "Create" in policies:
                    self._act("CREATE")
                elif found.exists and not found.as_expected and "Update" in policies:
                    self._act("UPDATE")
            except (RefusedError, MissingSecretError):
                continue

    def delete(self) -> None:
        """Reconcile an object that is being deleted: gone at once, or as soon as it is seen to be removed."""
        if "Delete" not in self._policies:
            self.exists = False
            return
        if not self._observe().exists:
            self.exists = False
            return
        self._act("REMOVE")

    @property
    def _policies(self) -> set[str]:
        policies = set(self.manifest["spec"].get("managementPolicies", ["*"]))
        return policies if policies != {"*"} else {"Create", "Observe", "Update", "Delete"}

    @property
    def _parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = self.manifest["spec"]["forProvider"]
        return parameters

    def _observe(self) -> "Observation":
        """Raises RefusedError when what was there can't be asked for any more."""
        mapping = self._mapping("OBSERVE")
        assert mapping
        known = self._is_known()
        try:
            request = self._filled(mapping)
        except (RefusedError, MissingSecretError):
            if known:
                raise
            return Observation(exists=False)
        code, body = self._sent(request)
        if not known and not 200 <= code < 300:
            return Observation(exists=False)
        answer = {"statusCode": code, "body": body}
        check = self._parameters.get("isRemovedCheck")
        if self._says(check["logic"], answer) if check else code == 404:
            return Observation(exists=False)
        answer["body"] = self._without_secrets(body)
        expected = self._says(self._parameters["expectedResponseCheck"]["logic"], answer)
        self._keep(request, answer)
        self.log.append("OBSERVE")
        return Observation(exists=True, as_expected=expected)

    def _act(self, action: str) -> None:
        mapping = self._mapping(action)
        if not mapping:
            return
        request = self._filled(mapping)
        code, body = self._sent(request)
        self._keep(request, {"statusCode": code, "body": self._without_secrets(body)})
        self.log.append(action)

    def _is_known(self) -> bool:
        code = self.status.get("response", {}).get("statusCode", 0)
        return bool(code) and not (self.status["requestDetails"]["method"] == "POST" and code >= 400)

    def _mapping(self, action: str) -> dict[str, Any] | None:
        """The first of the action; failing that, the first with the method that the action has by default."""
        mappings = self._parameters["mappings"]
        named = [each for each in mappings if each.get("action") == action]
        alike = [each for each in mappings if each.get("method") == METHODS[action]]
        return next(iter(named + alike), None)

    def _filled(self, mapping: Mapping[str, Any]) -> Sent:
        """From the last answer; if that gives no valid request, from the last answer of which every mapping could be
        filled in. The word null in it makes a request invalid."""
        request = None
        with suppress(RefusedError):
            request = self._filled_from(mapping, self.status.get("response", {}))
        if request and "null" not in f"{request.url}{request.body}{request.headers}":
            return request
        return self._filled_from(mapping, self.status.get("cache", {}).get("response", {}))

    def _filled_from(self, mapping: Mapping[str, Any], response: Mapping[str, Any]) -> Sent:
        context = self._context(response)
        url = _text(_asked(mapping["url"], context))
        if not url.startswith(("http://", "https://")):
            raise RefusedError(f"not a URL: {url}")
        body = ""
        if mapping.get("body"):
            found = _asked(mapping["body"], context)
            body = json.dumps(found, sort_keys=True) if isinstance(found, dict) else _text(found)
        headers = {}
        for name, [value] in self._parameters.get("headers", {}).items():
            try:
                headers[name] = _text(_asked(value, context))
            except RefusedError:
                headers[name] = value
        self._with_secrets(body)
        return Sent(mapping.get("method") or METHODS[mapping["action"]], url, body, headers)

    def _context(self, response: Mapping[str, Any]) -> dict[str, Any]:
        """What jq sees: the parameters and the answer, texts that are JSON objects parsed, secrets filled in."""
        filled = {**response, "body": self._with_secrets(response.get("body", ""))} if response else {}
        return _parsed({**self._parameters, "response": filled})

    def _sent(self, request: Sent) -> tuple[int, str]:
        headers = {name: self._with_secrets(value) for name, value in request.headers.items()}
        try:
            return self.send(request.method, request.url, self._with_secrets(request.body), headers)
        except URLError:
            return 0, ""

    def _with_secrets(self, text: str) -> str:
        def value(found: re.Match[str]) -> str:
            name, namespace, key = found.groups()
            if (namespace, name) not in self.secrets:
                raise MissingSecretError(name)
            return self.secrets[namespace, name].get(key, "")

        return PLACEHOLDER.sub(value, text)

    def _without_secrets(self, body: str) -> str:
        """Put the secrets of an answer where the Request says, and placeholders in their stead."""
        whole = _parsed({"body": body})
        for config in self._parameters.get("secretInjectionConfigs", []):
            name, namespace = config["secretRef"]["name"], config["secretRef"]["namespace"]
            secret = self.secrets.setdefault((namespace, name), {})
            for mapping in config["keyMappings"]:
                key = mapping["secretKey"]
                try:
                    value = _asked(mapping["responseJQ"], whole)
                except RefusedError:
                    value = None
                if value is None:
                    assert mapping["missingFieldStrategy"] == "preserve"
                    continue
                secret[key] = value if isinstance(value, str) else json.dumps(value)
                body = body.replace(f'"{secret[key]}"', f'"{{{{{name}:{namespace}:{key}}}}}"')
        return body

    def _says(self, logic: str, answer: Mapping[str, Any]) -> bool:
        found = _asked(self._with_secrets(logic), self._context(answer))
        if not isinstance(found, bool):
            raise RefusedError(f"no boolean: {found}")
        return found

    def _keep(self, request: Sent, answer: Mapping[str, Any]) -> None:
        self.status["response"] = dict(answer)
        self.status["requestDetails"] = {"method": request.method, "url": request.url, "body": request.body}
        if 200 <= answer["statusCode"] < 300 and all(self._could_be_sent(each, answer) for each in self._mappings()):
            self.status["cache"] = {"response": dict(answer)}

    def _mappings(self) -> Iterator[dict[str, Any]]:
        yield from self._parameters["mappings"]

    def _could_be_sent(self, mapping: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
        try:
            request = self._filled_from(mapping, answer)
        except (RefusedError, MissingSecretError):
            return False
        return "null" not in f"{request.url}{request.body}{request.headers}"


@dataclass(frozen=True)
class Observation:
    """What an observation finds."""

    exists: bool
    as_expected: bool = False


def over_http(base: str) -> Callable[[str, str, str, Mapping[str, str]], tuple[int, str]]:
    """Reach a service at `base` on loopback, whatever host a URL names."""

    def send(method: str, url: str, body: str, headers: Mapping[str, str]) -> tuple[int, str]:
        address = base + re.sub(r"^https://[^/]+", "", url)
        try:
            with urlopen(Request(address, body.encode() or None, dict(headers), method=method), timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    return send


def _asked(query: str, value: Any) -> Any:
    """The first result. Raises RefusedError: a query that is none, that fails, or that finds nothing."""
    try:
        return next(iter(_compiled(query).input_value(value)))
    except (ValueError, StopIteration) as error:
        raise RefusedError(str(error)) from error


_compiled = cache(jq.compile)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise RefusedError(f"no text: {value}")
    return value


def _parsed(value: Any) -> Any:
    """Texts below maps that hold a JSON object, as that object; arrays stay texts."""
    if isinstance(value, dict):
        return {name: _object(part) if isinstance(part, str) else _parsed(part) for name, part in value.items()}
    return value


def _object(text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, dict) else text
