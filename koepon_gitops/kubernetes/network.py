"""Services, Ingresses and NetworkPolicies."""

from koepon_gitops.kubernetes.syntax import (
    CIDR,
    LABEL,
    LABEL_PATTERN,
    LABELS,
    PORT,
    PORT_NAME,
    PORT_OR_NAME,
    PROTOCOL,
    QUALIFIED,
    SPEC_NEEDED,
    SUBDOMAIN,
    WILDCARD_HOST,
    Constraint,
    exactly,
    given,
    if_any,
    matching,
    must,
    one_field,
    one_of,
    texts,
)

_CORE = "io.k8s.api.core.v1."
_NETWORKING = "io.k8s.api.networking.v1."

CONSTRAINTS: dict[str, dict[str, Constraint]] = {
    # core/validation.ValidateService, validateServicePort
    f"{_CORE}ServiceSpec": {
        "type": one_of("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"),
        "selector": LABELS,
        "sessionAffinity": one_of("None", "ClientIP"),
        "externalTrafficPolicy": one_of("Cluster", "Local"),
        "internalTrafficPolicy": {"enum": ["Cluster", "Local", None]},
        "ipFamilyPolicy": {"enum": ["SingleStack", "PreferDualStack", "RequireDualStack", None]},
        "ipFamilies": {"items": exactly("IPv4", "IPv6"), "maxItems": 2},
        "externalName": if_any(matching(rf"^{LABEL_PATTERN}(\.{LABEL_PATTERN})*\.?$", SUBDOMAIN["x-must"], 254)),
    },
    f"{_CORE}ClientIPConfig": {"timeoutSeconds": must("be between 1 and 86400", minimum=1, maximum=86400)},
    f"{_CORE}ServicePort": {
        "port": PORT,
        "name": if_any(LABEL),
        "protocol": PROTOCOL,
        # SetDefaults_Service: 0 and "" become the port
        "targetPort": {"if": {"enum": [0, "", None]}, "else": PORT_OR_NAME},
        "nodePort": must("be between 0 and 65535", minimum=0, maximum=65535),
        "appProtocol": QUALIFIED,
    },
    f"{_CORE}Service": SPEC_NEEDED,
    # networking/validation.ValidateNetworkPolicySpec, ValidateNetworkPolicyPeer, ValidateIPBlock
    f"{_NETWORKING}NetworkPolicySpec": {"policyTypes": {"items": exactly("Ingress", "Egress"), "maxItems": 2}},
    f"{_NETWORKING}NetworkPolicyPeer": {
        "": {
            "allOf": [
                must(
                    "set ipBlock, podSelector or namespaceSelector",
                    anyOf=[given("ipBlock"), given("podSelector"), given("namespaceSelector")],
                ),
                must(
                    "not set ipBlock together with a selector",
                    **{
                        "not": {
                            "allOf": [
                                given("ipBlock"),
                                {"anyOf": [given("podSelector"), given("namespaceSelector")]},
                            ]
                        }
                    },
                ),
            ]
        }
    },
    f"{_NETWORKING}NetworkPolicyPort": {
        "port": PORT_OR_NAME,
        "protocol": {"enum": ["TCP", "UDP", "SCTP", None]},
        "endPort": PORT,
    },
    f"{_NETWORKING}IPBlock": {"cidr": CIDR, "except": {"items": {"type": "string", **CIDR}}},
    # networking/validation.ValidateIngressSpec
    f"{_NETWORKING}Ingress": SPEC_NEEDED,
    f"{_NETWORKING}IngressSpec": {
        "": must(
            "set rules or defaultBackend",
            anyOf=[
                given("defaultBackend"),
                {"required": ["rules"], "properties": {"rules": {"type": "array", "minItems": 1}}},
            ],
        ),
        "ingressClassName": SUBDOMAIN,
    },
    f"{_NETWORKING}IngressRule": {"host": if_any(WILDCARD_HOST)},
    f"{_NETWORKING}IngressTLS": {"hosts": texts(WILDCARD_HOST), "secretName": if_any(SUBDOMAIN)},
    f"{_NETWORKING}HTTPIngressRuleValue": {"paths": {"type": "array", "minItems": 1}},
    f"{_NETWORKING}HTTPIngressPath": {"pathType": exactly("Exact", "Prefix", "ImplementationSpecific")},
    f"{_NETWORKING}IngressBackend": {"": one_field("service", "resource")},
    f"{_NETWORKING}IngressServiceBackend": {"": {"required": ["port"]}, "name": LABEL},
    f"{_NETWORKING}ServiceBackendPort": {
        "": must(
            "set either a name or a number",
            oneOf=[
                {"required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}},
                {"required": ["number"], "properties": {"number": {"type": "integer", "not": {"const": 0}}}},
            ],
        ),
        "name": if_any(PORT_NAME),
        "number": must("be between 1 and 65535", minimum=0, maximum=65535),
    },
}
