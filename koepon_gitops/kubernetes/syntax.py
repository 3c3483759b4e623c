"""The syntaxes of Kubernetes values as JSON Schema: names, labels, ports, quantities, times.

`x-must` completes the sentence "FIELD must ..." and has no other effect. An empty string or a null counts as absent
wherever Go would apply a default.
"""

from typing import Any

type Constraint = dict[str, Any]


def must(words: str, **constraint: Any) -> Constraint:
    return {**constraint, "x-must": words}


def one_of(*values: str) -> Constraint:
    """An enumeration with a default: absent, null and empty are the default."""
    return {"enum": [*values, "", None], "x-values": list(values)}


def exactly(*values: str) -> Constraint:
    return {"enum": list(values)}


def given(name: str) -> Constraint:
    return {"type": "object", "required": [name], "properties": {name: {"not": {"type": "null"}}}}


def one_field(*names: str) -> Constraint:
    return must(f"set exactly one of {', '.join(names)}", oneOf=[*map(given, names), {"not": {"type": "object"}}])


def one_field_at_most(*names: str) -> Constraint:
    pairs = [(a, b) for index, a in enumerate(names) for b in names[index + 1 :]]
    return {"allOf": [must(f"not set both {a} and {b}", **{"not": {"allOf": [given(a), given(b)]}}) for a, b in pairs]}


def if_any(constraint: Constraint) -> Constraint:
    """The constraint on a string unless it is empty, which counts as absent."""
    return {"if": {"type": "string", "minLength": 1}, "then": constraint}


def matching(pattern: str, words: str, longest: int) -> Constraint:
    return must(words, pattern=pattern, maxLength=longest)


def texts(constraint: Constraint) -> Constraint:
    """A list of such strings. A null among them is an empty one to Go."""
    return {"items": {"type": "string", **constraint}}


# k8s.io/apimachinery pkg/util/validation
LABEL_PATTERN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
QUALIFIED_PATTERN = rf"^({LABEL_PATTERN}(\.{LABEL_PATTERN})*/)?([A-Za-z0-9][-A-Za-z0-9_.]{{0,61}})?[A-Za-z0-9]$"
_DNS = "lower case letters, digits and '-', beginning and ending with a letter or digit"

LABEL = matching(rf"^{LABEL_PATTERN}$", f"be a DNS label (at most 63 {_DNS})", 63)
SUBDOMAIN = matching(
    rf"^{LABEL_PATTERN}(\.{LABEL_PATTERN})*$", f"be a DNS name (labels of {_DNS}, joined by dots)", 253
)
SEGMENT = must("not be '.' or '..' nor contain '/' or '%'", pattern="^[^/%]*$", **{"not": {"enum": [".", ".."]}})
SHORT_PREFIX = {"not": {"type": "string", "pattern": "^[!-.0-~]{254}"}}
"""What stands before the slash of a qualified name has at most 253 characters, as what has no slash."""
QUALIFIED = matching(QUALIFIED_PATTERN, "be a name such as app or example.com/app", 317) | SHORT_PREFIX
LABEL_VALUE = matching(
    "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
    "be at most 63 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit",
    63,
)
PORT_NAME = must(
    "be a port name (at most 15 lower case letters, digits and '-', with a letter, no '--')",
    pattern="^([a-z0-9]|[a-z0-9](-?[a-z0-9])*)$",
    maxLength=15,
    allOf=[{"pattern": "[a-z]"}],
)
WILDCARD_HOST = matching(
    rf"^(\*\.)?{LABEL_PATTERN}(\.{LABEL_PATTERN})*$",
    f"be a host name (labels of {_DNS}, joined by dots), with '*.' in front at most",
    253,
)
FILE_KEY = matching(r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$", "be a file name (letters, digits, '-', '_', '.')", 253)
ENVIRONMENT_NAME = must("be printable ASCII without '='", pattern="^[ -<>-~]+$")
C_IDENTIFIER = must("be a C identifier", pattern="^[A-Za-z_][A-Za-z0-9_]*$")
PORT = must("be between 1 and 65535", minimum=1, maximum=65535)
NATURAL = must("not be negative", minimum=0)
POSITIVE = must("be at least 1", minimum=1)
USER = must("be between 0 and 2147483647", minimum=0, maximum=2147483647)
MODE = must("be a file mode between 0 and 0777 (octal)", minimum=0, maximum=511)
ADDRESS = must("be an IP address", pattern=r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$")
SOME = {"minLength": 1}
FILLED = {"type": "array", "minItems": 1}
SPEC_NEEDED: dict[str, Constraint] = {"": {"required": ["spec"], "properties": {"spec": {"type": "object"}}}}
"""Without a spec, Go validates an empty one, which lacks what is required."""
PROTOCOL = one_of("TCP", "UDP", "SCTP")
RESOURCE_NAME = must(
    "be cpu, memory, ephemeral-storage or hugepages-SIZE, or have a domain as in example.com/gpu",
    pattern=r"^(cpu|memory|ephemeral-storage|hugepages-.+|[^/]+/[^/]+)$",
)
LABELS: Constraint = {"propertyNames": QUALIFIED, "additionalProperties": LABEL_VALUE}
PORT_OR_NAME: Constraint = {"if": {"type": "string"}, "then": PORT_NAME, "else": PORT}
NUMBER_OR_PERCENT: Constraint = {
    "if": {"type": "string"},
    "then": must("be a whole number or a percentage such as 25%", pattern="^[0-9]+%$"),
    "else": NATURAL,
}
SHARE: Constraint = {"allOf": [NUMBER_OR_PERCENT, must("be at most 100%", pattern="^(0*[0-9]{1,2}|0*100)%$")]}
CIDR = must(
    "be a CIDR such as 10.0.0.0/16",
    pattern=r"^([0-9]{1,3}(\.[0-9]{1,3}){3}/([0-9]|[12][0-9]|3[0-2])|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*/([0-9]{1,2}|1[01][0-9]|12[0-8]))$",
)

# k8s.io/apimachinery pkg/api/resource ParseQuantity, Quantity.UnmarshalJSON: a bare number is allowed, and so are
# spaces around it; digits that are not there count as 0
QUANTITY = must(
    "be a quantity such as 200m, 0.5, 256Mi or 1e3",
    type=["string", "number", "null"],
    pattern=r"^ *[+-]?[0-9]*(\.[0-9]*)?([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)? *$",
    **{"not": {"type": "string", "pattern": "^ *$"}},
)
AMOUNT = must("not be negative", minimum=0, **{"not": {"type": "string", "pattern": "^ *-[.0]*[1-9]"}})
AMOUNTS = {"propertyNames": {"allOf": [QUALIFIED, RESOURCE_NAME]}, "additionalProperties": AMOUNT}
# k8s.io/apimachinery pkg/apis/meta/v1 Time.UnmarshalJSON
TIME = must(
    "be a time such as 2026-01-31T12:00:00Z",
    type=["string", "null"],
    pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$",
)
FORMATS: dict[str, Constraint] = {
    "int32": {"minimum": -(2**31), "maximum": 2**31 - 1},
    "int64": {"minimum": -(2**63), "maximum": 2**63 - 1},
    # encoding/base64.StdEncoding, which skips line ends
    "byte": must("be base64", pattern=r"^([A-Za-z0-9+/\r\n]{4})*([A-Za-z0-9+/\r\n]{2}==|[A-Za-z0-9+/\r\n]{3}=)?\s*$"),
}
"""Numbers and bytes as Go's decoder takes them into its types."""

# k8s.io/apimachinery pkg/util/intstr
NUMBER_OR_NAME: Constraint = {"type": ["integer", "string", "null"], **FORMATS["int32"]}
