"""Metadata, configuration, access and admission policies."""

from koepon_gitops.kubernetes.syntax import (
    C_IDENTIFIER,
    FILE_KEY,
    FILLED,
    LABEL_PATTERN,
    LABEL_VALUE,
    LABELS,
    QUALIFIED,
    QUALIFIED_PATTERN,
    SEGMENT,
    SHORT_PREFIX,
    SOME,
    SPEC_NEEDED,
    SUBDOMAIN,
    Constraint,
    exactly,
    given,
    if_any,
    matching,
    must,
    one_field,
    one_of,
)

_CORE = "io.k8s.api.core.v1."
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_RBAC = "io.k8s.api.rbac.v1."
_ADMISSION = "io.k8s.api.admissionregistration.v1."

_ALL_OR_NAMED = must(
    "not name others beside *",
    **FILLED,
    **{"not": {"minItems": 2, "contains": {"const": "*"}}},
)


def _filled(field: str) -> Constraint:
    return {"required": [field], "properties": {field: FILLED}}


_SECURITY_MODES = ("enforce", "audit", "warn")
_SECURITY_LEVEL = exactly("privileged", "baseline", "restricted")
_SECURITY_VERSION = must(
    "be latest or a version such as v1.36", type="string", pattern=r"^(latest|v1\.(0|[1-9][0-9]*))$"
)

_EXPRESSION = must("not be blank", type="string", pattern=r"\S")
_RESERVED = (
    *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"),
    *("let", "loop", "package", "namespace", "return", "var", "void", "while"),
)

CONSTRAINTS: dict[str, dict[str, Constraint]] = {
    # k8s.io/apimachinery pkg/api/validation.ValidateObjectMetaAccessor
    f"{_META}ObjectMeta": {
        "labels": LABELS,
        "annotations": {"propertyNames": matching("(?i)" + QUALIFIED_PATTERN, QUALIFIED["x-must"], 317) | SHORT_PREFIX},
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
    # k8s.io/pod-security-admission admission.ValidateNamespace
    f"{_CORE}Namespace": {
        "metadata": {
            "properties": {
                "labels": {
                    "properties": {
                        **{f"pod-security.kubernetes.io/{mode}": _SECURITY_LEVEL for mode in _SECURITY_MODES},
                        **{f"pod-security.kubernetes.io/{mode}-version": _SECURITY_VERSION for mode in _SECURITY_MODES},
                    }
                }
            }
        }
    },
    # core/validation.ValidateConfigMap, ValidateSecret
    f"{_CORE}ConfigMap": {"data": {"propertyNames": FILE_KEY}, "binaryData": {"propertyNames": FILE_KEY}},
    f"{_CORE}Secret": {"data": {"propertyNames": FILE_KEY}, "stringData": {"propertyNames": FILE_KEY}},
    # rbac/validation.ValidatePolicyRule, ValidateRoleBindingSubject
    f"{_RBAC}PolicyRule": {
        "": {
            "if": {"required": ["nonResourceURLs"], "properties": {"nonResourceURLs": FILLED}},
            "then": must(
                "not name resources beside nonResourceURLs",
                properties={name: {"maxItems": 0} for name in ("apiGroups", "resources", "resourceNames")},
            ),
            "else": {
                "required": ["apiGroups", "resources"],
                "properties": {"apiGroups": FILLED, "resources": FILLED},
            },
        },
        "verbs": FILLED,
    },
    f"{_RBAC}RoleRef": {
        "kind": exactly("Role", "ClusterRole"),
        "name": {**SEGMENT, **SOME},
        "apiGroup": one_of("rbac.authorization.k8s.io"),
    },
    f"{_RBAC}Subject": {
        "": {
            "if": {"required": ["kind"], "properties": {"kind": {"const": "ServiceAccount"}}},
            "then": {"properties": {"name": SUBDOMAIN, "apiGroup": {"enum": ["", None]}}},
            "else": {"properties": {"apiGroup": one_of("rbac.authorization.k8s.io")}},
        },
        "kind": exactly("ServiceAccount", "User", "Group"),
        "name": SOME,
    },
    f"{_RBAC}ClusterRoleBinding": {
        "subjects": {
            "items": {
                "if": {"required": ["kind"], "properties": {"kind": {"const": "ServiceAccount"}}},
                "then": {"required": ["namespace"], "properties": {"namespace": {"type": "string", **SOME}}},
            }
        }
    },
    # admissionregistration/validation.validateValidatingAdmissionPolicySpec, validateMatchResources, validateRule
    f"{_ADMISSION}ValidatingAdmissionPolicy": SPEC_NEEDED,
    f"{_ADMISSION}ValidatingAdmissionPolicySpec": {
        "": {
            "required": ["matchConstraints"],
            "allOf": [
                must(
                    "have validations or auditAnnotations", anyOf=[_filled("validations"), _filled("auditAnnotations")]
                )
            ],
        },
        "matchConstraints": {"type": "object", "required": ["resourceRules"], "properties": {"resourceRules": FILLED}},
        "failurePolicy": {"enum": ["Fail", "Ignore", None]},
        "paramKind": {
            "required": ["apiVersion", "kind"],
            "properties": {
                "apiVersion": must(
                    "be a version such as v1 or apps/v1",
                    type="string",
                    pattern=rf"^({LABEL_PATTERN}(\.{LABEL_PATTERN})*/)?[a-z]([-a-z0-9]*[a-z0-9])?$",
                ),
                "kind": must("be the name of a kind", type="string", pattern="^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$"),
            },
        },
    },
    f"{_ADMISSION}MatchResources": {
        "matchPolicy": {"enum": ["Exact", "Equivalent", None]},
        **{name: {"items": {"type": "object"}} for name in ("resourceRules", "excludeResourceRules")},
    },
    f"{_ADMISSION}NamedRuleWithOperations": {
        "": {"required": ["apiGroups", "apiVersions", "operations", "resources"]},
        "apiGroups": _ALL_OR_NAMED,
        "apiVersions": {"allOf": [_ALL_OR_NAMED], "items": {"type": "string", **SOME}},
        "operations": {"allOf": [_ALL_OR_NAMED], "items": exactly("CREATE", "UPDATE", "DELETE", "CONNECT", "*")},
        "resources": {**FILLED, "items": {"type": "string", **SOME}},
        "scope": {"enum": ["Cluster", "Namespaced", "*", None]},
    },
    f"{_ADMISSION}ValidatingAdmissionPolicyBindingSpec": {
        "policyName": SUBDOMAIN,
        "validationActions": {
            **FILLED,
            "uniqueItems": True,
            "items": exactly("Deny", "Warn", "Audit"),
            "allOf": [
                must(
                    "not have both Deny and Warn",
                    **{"not": {"allOf": [{"contains": {"const": "Deny"}}, {"contains": {"const": "Warn"}}]}},
                )
            ],
        },
        "paramRef": {
            "allOf": [one_field("name", "selector"), given("parameterNotFoundAction")],
            "properties": {"parameterNotFoundAction": exactly("Allow", "Deny"), "name": {**SEGMENT, **SOME}},
        },
    },
    # validateValidation, validateMatchCondition, validateVariable, validateAuditAnnotation
    f"{_ADMISSION}Validation": {
        "expression": _EXPRESSION,
        "message": if_any(must("be one line that is not blank", pattern=r"^\s*\S([^\n\r]*\S)?\s*$")),
        "messageExpression": if_any(_EXPRESSION),
        "reason": {"enum": ["Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge", None]},
    },
    f"{_ADMISSION}MatchCondition": {
        "": {"required": ["name", "expression"]},
        "name": {"type": "string", **QUALIFIED},
        "expression": _EXPRESSION,
    },
    f"{_ADMISSION}Variable": {"name": {**C_IDENTIFIER, "not": {"enum": _RESERVED}}, "expression": _EXPRESSION},
}
