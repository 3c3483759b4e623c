"""Runs in checkov's own environment: a JSON array of Kubernetes objects on stdin, what checkov says of each on stdout.

Each object gives a list, in the order of ids, of `{"id", "name", "guideline", "keys"}` for a check that failed and
`{"id", "error"}` for one that could not look at it. The checks are called without checkov's command line, parsers and
graph: those take seconds to import, and grow worse than linearly. `CKV2_*`, which compare objects, need the graph and
are left out.
"""

import json
import sys
from typing import Any

FORBIDDEN = {
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.system",
    "socket.connect",
    "socket.getaddrinfo",
    "subprocess.Popen",
}
SKIPS = ("checkov.io/skip", "bridgecrew.io/skip", "cortex.io/skip")
"""Annotations by which an object would excuse itself. Exceptions are made in policies/waivers.yaml, with a reason."""


def main() -> None:
    """Answer one request."""
    sys.addaudithook(_stay_inside)
    answers, sys.stdout = sys.stdout, sys.stderr
    objects = json.load(sys.stdin, object_pairs_hook=_without_excuses)
    json.dump([_failures(each) for each in objects], answers)


def _stay_inside(event: str, _arguments: tuple[Any, ...]) -> None:
    """No network and no other program, whatever checkov's modules would like."""
    if event in FORBIDDEN:
        raise PermissionError(f"checkov wants {event}")


def _without_excuses(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping as the API server would keep it: null is absent."""
    return {key: value for key, value in pairs if value is not None and not any(skip in key for skip in SKIPS)}


def _failures(content: dict[str, Any]) -> list[dict[str, Any]]:
    from checkov.common.models.enums import CheckResult  # noqa: PLC0415 - after the audit hook
    from checkov.kubernetes.checks.resource.registry import registry  # noqa: PLC0415

    kind = content["kind"]
    found = []
    for check in registry.get_checks(kind):
        try:
            answer = check.run(
                scanned_file="", entity_configuration=content, entity_name=kind, entity_type=kind, skip_info={}
            )
        except Exception as error:
            found.append({"id": check.id, "error": type(error).__name__})
            continue
        if answer["result"] == CheckResult.FAILED:
            keys = [str(key) for key in answer.get("evaluated_keys") or ()]
            found.append({"id": check.id, "name": check.name, "guideline": check.guideline or "", "keys": keys})
    return sorted(found, key=lambda each: each["id"])


if __name__ == "__main__":
    main()
