"""What the API server's Go validation adds to the schemas, one field at a time, as JSON Schema.

`CONSTRAINTS` maps a definition to its fields; the empty field is the definition itself. Beside each block stands the Go
function it follows, in k8s.io/kubernetes v1.36.3 `pkg/apis/*/validation` unless a path is given. What several fields
decide together is in `coherence`.
"""

from koepon_gitops.kubernetes import administration, network, pods, workloads
from koepon_gitops.kubernetes.syntax import (
    LABEL,
    NATURAL,
    QUALIFIED,
    SEGMENT,
    SUBDOMAIN,
    Constraint,
    if_any,
    matching,
    must,
    texts,
)

_CORE = "io.k8s.api.core.v1."
_APPS = "io.k8s.api.apps.v1."
_BATCH = "io.k8s.api.batch.v1."
_RBAC = "io.k8s.api.rbac.v1."

CONSTRAINTS: dict[str, dict[str, Constraint]] = {
    **administration.CONSTRAINTS,
    **network.CONSTRAINTS,
    **pods.CONSTRAINTS,
    **workloads.CONSTRAINTS,
}

NAMES: dict[str, Constraint] = {
    # k8s.io/apimachinery pkg/api/validation.ValidateNamespaceName, NameIsDNSLabel
    f"{_CORE}Namespace": LABEL,
    f"{_CORE}Service": LABEL,  # RelaxedServiceNameValidation is on by default since 1.36
    # policy/validation has no rule: only k8s.io/apiserver registry/rest BeforeCreate's
    "io.k8s.api.policy.v1.PodDisruptionBudget": SEGMENT,
    f"{_APPS}StatefulSet": LABEL,
    f"{_BATCH}CronJob": matching(SUBDOMAIN["pattern"], "be a DNS name of at most 52 characters", 52),
    # rbac/validation.ValidateRBACName
    **{f"{_RBAC}{kind}": SEGMENT for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")},
    "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService": SEGMENT,
}
"""`metadata.name` where it is not the DNS subdomain of most kinds."""


def metadata(definition: str = "") -> Constraint:
    """What `metadata` of an object must have beyond what that of a template must (`ValidateObjectMetaAccessor`)."""
    return {
        "required": ["metadata"],
        "properties": {
            "metadata": {
                "type": "object",
                "properties": {
                    "name": if_any(NAMES.get(definition, SUBDOMAIN)),
                    "namespace": if_any(LABEL),
                    "finalizers": texts(QUALIFIED),
                    "generation": NATURAL,
                },
                "allOf": [must("have a name", anyOf=[_named("name"), _named("generateName")])],
            }
        },
    }


def _named(field: str) -> Constraint:
    return {"required": [field], "properties": {field: {"type": "string", "minLength": 1}}}
