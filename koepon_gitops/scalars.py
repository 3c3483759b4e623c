"""What one YAML scalar means to Kubernetes: the rules of go.yaml.in/yaml/v2 `resolve.go`, then of JSON.

Kubernetes reads YAML 1.1 as Go's library understands it: `no` is false, `0644` is 420, `1:20` stays text.
tests/golden/go-yaml.json holds what that library answered.
"""

import base64
import binascii
import math
import re
import struct
from decimal import Decimal

type Scalar = str | bool | int | float | None

_TAG = "tag:yaml.org,2002:"
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SIGNED_BINARY = re.compile(r"0b([-+][01]+)")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ][0-9].*)?")
_MAX_INT64, _MIN_INT64, _MAX_UINT64 = 2**63 - 1, -(2**63), 2**64 - 1
_MAX_DIGITS = 70
"""More digits than any 64-bit number has in base 2; longer ones are floats or text."""


def resolve(text: str, tag: str, *, plain: bool) -> Scalar:
    """The value of a scalar as Go holds it before JSON: integers up to 64 bits, floats, text, true, false, None.

    `plain` says that nothing but its look decides its type. Raises ValueError when it can't be what its tag says.
    """
    if tag in ("", "!"):
        return _implicit(text) if plain else text
    match tag.removeprefix(_TAG) if tag.startswith(_TAG) else "":
        case "str":
            return text
        case "timestamp":
            return _timestamp(text)
        case "binary":
            return _binary(text)
        case "bool" | "int" | "float" | "null" as name:
            return _tagged(text, name)
    return text


def _implicit(text: str) -> Scalar:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] == ".":
        return _float(text)
    if text[0] not in "+-0123456789":
        return text
    digits = text.replace("_", "")
    number = _integer(digits)
    if number is not None:
        return number
    value = _float(digits)
    return text if isinstance(value, str) else value


def _integer(digits: str) -> int | None:
    """Go's `strconv.ParseInt(digits, 0, 64)`, else ParseUint, else the library's own `0b-1`."""
    if len(digits) > _MAX_DIGITS:
        return None
    if signed := _SIGNED_BINARY.fullmatch(digits):
        number = int(signed[1], 2)
        return number if _MIN_INT64 <= number <= _MAX_INT64 else None
    if not (match := _INTEGER.fullmatch(digits)):
        return None
    sign, *forms = match.groups()
    form, base = next((form, base) for form, base in zip(forms, (16, 2, 8, 10), strict=True) if form is not None)
    number = int(form, base)
    if not sign and number <= _MAX_UINT64:
        return number
    number = -number if sign == "-" else number
    return number if _MIN_INT64 <= number <= _MAX_INT64 else None


def _float(text: str) -> float | str:
    if _FLOAT.fullmatch(text) and not math.isinf(value := float(text)):
        return value
    return text


def _binary(text: str) -> str:
    try:
        return base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True).decode(errors="replace")
    except binascii.Error as error:
        raise ValueError("is not base64") from error


def _timestamp(text: str) -> str:
    """Kept as it is written once it looks like one."""
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError("is not of type timestamp")
    return text


def _tagged(text: str, name: str) -> Scalar:
    value = _implicit(text)
    if name == "float" and type(value) is int and value <= _MAX_INT64:
        return float(value)
    kinds = {"bool": bool, "int": int, "float": float, "null": type(None)}
    if type(value) is not kinds[name]:
        raise ValueError(f"is not of type {name}")
    return value


def as_json(value: Scalar) -> Scalar:
    """A scalar after Go has written it as JSON and the API server has read it: a number is an int64, else a float64.

    Raises ValueError for infinity and not-a-number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("has no form in JSON")
        if not value.is_integer() or abs(value) >= 1e21:
            return value
        value = int(Decimal(repr(value)))
    return value if _MIN_INT64 <= value <= _MAX_INT64 else float(value)


def as_key(value: Scalar) -> str:
    """A scalar as the key of a JSON object, as sigs.k8s.io/yaml converts it. Raises ValueError when it refuses to."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() if value <= _MAX_INT64:
            return str(value)
        case float():
            return _short_float(value)
    raise ValueError("can't be a key")


def _short_float(value: float) -> str:
    """Go's `strconv.FormatFloat(value, 'g', -1, 32)`: the shortest digits that a 32-bit float needs."""
    if math.isnan(value):
        return ".nan"
    if abs(value) > 3.4028235677973366e38:
        return ".inf" if value > 0 else "-.inf"
    single = struct.unpack("f", struct.pack("f", value))[0]
    digits = next(text for n in range(17) if _single(text := f"{single:.{n}e}") == single)
    mantissa, _, exponent = digits.partition("e")
    if -4 <= int(exponent) < 6:
        return format(Decimal(digits).normalize(), "f") if single else f"{single:g}"
    return f"{mantissa}e{int(exponent):+03d}"


def _single(text: str) -> float:
    return float(struct.unpack("f", struct.pack("f", float(text)))[0])
