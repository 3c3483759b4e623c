"""What one object alone cannot show: predicates over all objects of a cluster, a module per subject."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from koepon_gitops.checks import availability as availability
from koepon_gitops.checks import identity as identity
from koepon_gitops.checks import network as network
from koepon_gitops.checks import secrecy as secrecy
from koepon_gitops.checks.registration import REGISTERED, Check
from koepon_gitops.errors import GitOpsError
from koepon_gitops.model import Finding, Manifest, Rule, Severity

CHECKS: tuple[Check, ...] = tuple(REGISTERED)
RULES: tuple[Rule, ...] = tuple(each.rule for each in CHECKS)


def run(manifests: Sequence[Manifest], policies: Path, today: date) -> Iterator[Finding]:
    """What the checks say of one cluster today, given all its objects, and data such as `policies/reachability.yaml`.

    A check that fails is a finding, and exit code 3.
    """
    for each in CHECKS:
        try:
            yield from each(manifests, policies, today)
        except GitOpsError as error:
            yield Finding.of_error(error).model_copy(update={"rule": each.rule.id, "unchecked": True})
        except Exception as error:
            yield Finding(
                rule=each.rule.id,
                severity=Severity.ERROR,
                requirement=each.rule.requirement,
                message=f"The check {each.rule.id} broke off: {type(error).__name__}: {error}.",
                remedy=f"Mend {each.rule.file}: a check has to bear any object.",
                unchecked=True,
            )
