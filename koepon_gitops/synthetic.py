"""A status as a provider might report it, made of the definition of a kind: always the same for the same resource.

It is there to see what a composition does once it observes something; no value of it is true.
"""

from typing import Any

from koepon_gitops.model import Json

TIME = "2026-01-01T00:00:00Z"
LIKE = (
    ("arn", "arn:aws:service:ap-northeast-1:123456789012:{}"),
    ("url", "https://{}.example.com"),
    ("uri", "https://{}.example.com"),
    ("issuer", "https://{}.example.com/id/0123456789ABCDEF"),
    ("endpoint", "{}.example.com"),
    ("body", "{{}}"),
)
"""What a text looks like whose field's name ends so; others are words."""


def observed(manifest: Json, status: Json) -> dict[str, Any]:
    """The resource once it is ready: `status` is the structural schema of its kind's status, empty if unknown.

    `atProvider` echoes what `forProvider` asks for, as it does when nothing drifts.
    """
    name = str(manifest["metadata"]["name"])
    annotations = {"crossplane.io/external-name": name, **(manifest["metadata"].get("annotations") or {})}
    found = value(status, "", name) if status else {}
    if isinstance(found.get("atProvider"), dict):
        asked = (manifest.get("spec") or {}).get("forProvider") or {}
        found["atProvider"] |= {field: part for field, part in asked.items() if field in found["atProvider"]}
        if "id" in found["atProvider"]:
            found["atProvider"]["id"] = annotations["crossplane.io/external-name"]
    found["conditions"] = conditions()
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}, "status": found}


def conditions() -> list[dict[str, Any]]:
    """Crossplane's own, both true."""
    same = {"status": "True", "reason": "Available", "lastTransitionTime": TIME}
    return [{"type": each, **same} for each in ("Ready", "Synced")]


def value(schema: Json, field: str, name: str) -> Any:
    """A value that a schema accepts: every property, one element of each list, one entry of each map."""
    if schema.get("default") is not None:
        return schema["default"]
    if enum := schema.get("enum"):
        return enum[0]
    if "properties" in schema:
        return {each: value(part, each, name) for each, part in schema["properties"].items()}
    if isinstance(others := schema.get("additionalProperties"), dict):
        return {"key": value(others, field, name)}
    match schema.get("type"):
        case "array":
            return [value(schema.get("items") or {}, field, name)]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "string":
            return TIME if schema.get("format") == "date-time" else _text(field, name)
        case _:
            return 1 if schema.get("x-kubernetes-int-or-string") else {}


def _text(field: str, name: str) -> str:
    lower = field.lower()
    form = next((form for ending, form in LIKE if lower.endswith(ending)), "{}")
    return form.format(f"{name}-{lower}")
