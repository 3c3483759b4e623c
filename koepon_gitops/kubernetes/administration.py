"""Metadata, configuration, access and admission policies."""

from koepon_gitops.kubernetes.syntax import (
    C_IDENTIFIER,
    FILE_KEY,
    LABEL,
    LABEL_VALUE,
    LABELS,
    NATURAL,
    QUALIFIED,
    QUALIFIED_PATTERN,
    SEGMENT,
    SOME,
    SUBDOMAIN,
    Constraint,
    exactly,
    if_any,
    matching,
    must,
)

_CORE = "io.k8s.api.core.v1."
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_RBAC = "io.k8s.api.rbac.v1."
_ADMISSION = "io.k8s.api.admissionregistration.v1."

CONSTRAINTS: dict[str, dict[str, Constraint]] = {
    # k8s.io/apimachinery pkg/api/validation.ValidateObjectMetaAccessor
    f"{_META}ObjectMeta": {
        "labels": LABELS,
        "annotations": {"propertyNames": matching("(?i)" + QUALIFIED_PATTERN, QUALIFIED["x-must"], 317)},
        "namespace": if_any(LABEL),
        "finalizers": {"items": QUALIFIED},
        "generation": NATURAL,
    },
    f"{_META}OwnerReference": {"apiVersion": SOME, "kind": SOME, "name": SOME, "uid": SOME},
    # k8s.io/apimachinery pkg/apis/meta/v1/validation.ValidateLabelSelector
    f"{_META}LabelSelector": {"matchLabels": LABELS},
    f"{_META}LabelSelectorRequirement": {
        "": {
            "if": {"properties": {"operator": {"enum": ["In", "NotIn"]}}, "required": ["operator"]},
            "then": must(
                "name values for the operators In and NotIn",
                required=["values"],
                properties={"values": {"type": "array", "minItems": 1}},
            ),
            "else": must(
                "name no values for the operators Exists and DoesNotExist", properties={"values": {"maxItems": 0}}
            ),
        },
        "key": QUALIFIED,
        "operator": exactly("In", "NotIn", "Exists", "DoesNotExist"),
        "values": {"items": LABEL_VALUE},
    },
    # core/validation.ValidateConfigMap, ValidateSecret
    f"{_CORE}ConfigMap": {"data": {"propertyNames": FILE_KEY}, "binaryData": {"propertyNames": FILE_KEY}},
    f"{_CORE}Secret": {"data": {"propertyNames": FILE_KEY}, "stringData": {"propertyNames": FILE_KEY}},
    # rbac/validation.ValidatePolicyRule, ValidateRoleBinding
    f"{_RBAC}PolicyRule": {"verbs": {"type": "array", "minItems": 1}},
    f"{_RBAC}RoleRef": {"kind": exactly("Role", "ClusterRole"), "name": {**SEGMENT, **SOME}},
    f"{_RBAC}Subject": {"kind": exactly("ServiceAccount", "User", "Group"), "name": SOME},
    # admissionregistration/validation.validateValidatingAdmissionPolicySpec
    f"{_ADMISSION}ValidatingAdmissionPolicySpec": {"failurePolicy": {"enum": ["Fail", "Ignore", None]}},
    f"{_ADMISSION}ValidatingAdmissionPolicyBindingSpec": {
        "policyName": SUBDOMAIN,
        "validationActions": {"type": "array", "minItems": 1, "items": exactly("Deny", "Warn", "Audit")},
    },
    f"{_ADMISSION}Validation": {
        "expression": SOME,
        "reason": {"enum": ["Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge", None]},
    },
    f"{_ADMISSION}MatchCondition": {"name": QUALIFIED, "expression": SOME},
    f"{_ADMISSION}Variable": {"name": C_IDENTIFIER, "expression": SOME},
    f"{_ADMISSION}ParamKind": {"": {"required": ["apiVersion", "kind"]}},
}
