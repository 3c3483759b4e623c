"""The values Kubernetes adds to CEL: quantities, versions, IP addresses and networks, URLs.

The engine takes no new types, so that each is a map of one entry: its kind, and its canonical text, so that equal
things are equal. Given a text or value that is not of the kind, every function raises ValueError.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_UP, Decimal, localcontext
from functools import partial
from typing import Any
from urllib.parse import quote, unquote_plus, unquote_to_bytes

type Value = Mapping[str, str]
type Function = Callable[..., Any]


def _text(kind: str, value: Value) -> str:
    if set(value) != {kind}:
        raise ValueError(f"no such overload: this is not a {kind}")
    return value[kind]


def _is(make: Function, *arguments: Any) -> bool:
    try:
        make(*arguments)
    except ValueError:
        return False
    return True


def quantity(text: str) -> Value:
    """apimachinery `resource.ParseQuantity`: rounded up to a nano, at most 2^63-1.

    `isInteger` and `asInteger` are not to be had: to Kubernetes 1000m is no integer, though it equals 1.
    """
    match = _QUANTITY.fullmatch(text)
    if not match or len(text) > 100:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    number, suffix = match[1], match[2]
    with localcontext(prec=400):
        if suffix in _SUFFIXES:
            value = Decimal(number) * _SUFFIXES[suffix]
        else:
            value = Decimal(number).scaleb(max(-200, min(200, int(suffix[1:]))))
        return _of_number(min(abs(value), _LARGEST).copy_sign(value).quantize(_NANO, rounding=ROUND_UP))


_QUANTITY = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,9}|)")
_SUFFIXES = {suffix: Decimal(1000) ** power for power, suffix in enumerate("num_kMGTPE", start=-3)}
_SUFFIXES |= {f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)}
_SUFFIXES[""] = _SUFFIXES.pop("_")
_LARGEST, _NANO = Decimal(2**63 - 1), Decimal("1e-9")


def _of_number(number: Decimal) -> Value:
    return {"quantity": f"{number.normalize():f}" if number else "0"}


def _number(value: Value) -> Decimal:
    return Decimal(_text("quantity", value))


def _added(value: Value, other: Value | int, sign: int = 1) -> Value:
    with localcontext(prec=400):
        return _of_number(_number(value) + sign * (other if isinstance(other, int) else _number(other)))


def semver(text: str, normalize: bool = False) -> Value:
    """Semantic Versioning 2.0. `normalize`: a leading v, leading zeros and missing parts are mended first.

    What follows `+` does not count when versions are compared, and is dropped.
    """
    if normalize:
        text = text.removeprefix("v")
        core = re.split("[-+]", text, maxsplit=1)[0]
        parts = [part.lstrip("0") or "0" for part in core.split(".")]
        text = ".".join((*parts, *["0"] * (3 - len(parts)))) + text[len(core) :]
    if not _SEMVER.fullmatch(text):
        raise ValueError(f"{text!r} is not a semantic version")
    return {"semver": text.partition("+")[0]}


_PRE = r"(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_SEMVER = re.compile(
    r"(0|[1-9][0-9]{0,18})\.(0|[1-9][0-9]{0,18})\.(0|[1-9][0-9]{0,18})"
    rf"(?:-({_PRE}(?:\.{_PRE})*))?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)


def _part(index: int, value: Value) -> int:
    return int(_text("semver", value).split("-")[0].split(".")[index])


def _precedence(value: Value) -> tuple[Any, ...]:
    """semver.org, 11: a version before its release is lower; numbers are lower than words."""
    [(major, minor, patch, before)] = _SEMVER.findall(_text("semver", value))
    words = [(0, int(word), "") if word.isdecimal() else (1, 0, word) for word in before.split(".") if word]
    return int(major), int(minor), int(patch), not words, words


def _compared(value: Value, other: Value) -> int:
    key: Function = _precedence if "semver" in value else _number
    return int(key(value) > key(other)) - int(key(value) < key(other))


type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
type Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def _parsed(text: str) -> Address:
    address = ipaddress.ip_address(text)
    if getattr(address, "ipv4_mapped", None) or getattr(address, "scope_id", None):
        raise ValueError(f"{text!r} has a zone or is an IPv4-mapped IPv6 address")
    return address


def ip(text: str) -> Value:
    """Go's `netip.ParseAddr`, without zones and IPv4 inside IPv6."""
    return {"ip": str(_parsed(text))}


def _address(value: Value) -> Address:
    return _parsed(_text("ip", value))


def _is_global(value: Value) -> bool:
    """Go's `Addr.IsGlobalUnicast`: private addresses are."""
    address = _address(value)
    others = address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
    return not others and str(address) != "255.255.255.255"


def _is_local_multicast(value: Value) -> bool:
    address = _address(value)
    bits = address.packed
    return bits[:3] == b"\xe0\0\0" if address.version == 4 else bits[0] == 0xFF and bits[1] & 0x0F == 2


def cidr(text: str) -> Value:
    """Go's `netip.ParsePrefix`: bits after the prefix stay."""
    address, slash, length = text.partition("/")
    if not slash or not re.fullmatch(r"0|[1-9][0-9]{0,2}", length):
        raise ValueError(f"network address parse error: {text!r}")
    _parsed(address)
    return {"cidr": str(ipaddress.ip_interface(text))}


def _interface(value: Value) -> Interface:
    return ipaddress.ip_interface(_text("cidr", value))


def _contains_ip(value: Value, other: Value | str) -> bool:
    return (_parsed(other) if isinstance(other, str) else _address(other)) in _interface(value).network


def _contains_cidr(value: Value, other: Value | str) -> bool:
    outer, inner = _interface(value).network, _interface(cidr(other) if isinstance(other, str) else other).network
    return outer.overlaps(inner) and outer.prefixlen <= inner.prefixlen


def _masked(value: Value) -> Value:
    return {"cidr": str(_interface(value).network)}


def url(text: str) -> Value:
    """Go's `url.ParseRequestURI`: with a scheme, or a path from the root."""
    match = _URL.fullmatch(text)
    if not match or (match["host"] is not None and not _HOST.fullmatch(match["host"].rpartition("@")[2])):
        raise ValueError(f"URL parse error during conversion from string: {text!r}")
    return {"url": text}


_URL = re.compile(
    r"\*|(?=/|[A-Za-z][A-Za-z0-9+.-]*:)(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):)?(?://(?P<host>[^/?#\x00-\x1f\x7f]*))?"
    r"(?P<path>(?:[^?#%\x00-\x1f\x7f]|%[0-9A-Fa-f]{2})*)(?:\?(?P<query>[^#\x00-\x1f\x7f]*))?(?:#[^\x00-\x1f\x7f]*)?"
)
_HOST = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%25[^\]]+)?)\]"
    r"""|(?P<name>[^\s<>"%\\^`{|}\[\]:]*))(?::(?P<port>[0-9]*))?"""
)


def _part_of_url(name: str, value: Value) -> str:
    match = _URL.fullmatch(_text("url", value))
    return (match and match[name]) or ""


def _host(part: str, value: Value) -> str:
    """`six`, `name` or `port` of the host."""
    match = _HOST.fullmatch(_part_of_url("host", value).rpartition("@")[2])
    return (match and match[part]) or ""


def _escaped_path(value: Value) -> str:
    """Go's `URL.EscapedPath`: as written if it could be, else escaped anew."""
    path = _part_of_url("path", value)
    if _part_of_url("scheme", value) and not path.startswith("/"):
        return ""
    return path if _VALID_PATH.fullmatch(path) else quote(unquote_to_bytes(path), safe="$&+,/:;=@-_.~")


_VALID_PATH = re.compile(r"[A-Za-z0-9_.~!$&'()*+,;=:@\[\]/%-]*")


def _query(value: Value) -> dict[str, list[str]]:
    """Go's `url.ParseQuery`, which skips what has a semicolon or a bad escape."""
    found: dict[str, list[str]] = {}
    for pair in _part_of_url("query", value).split("&"):
        if pair and ";" not in pair and not re.search("%(?![0-9A-Fa-f]{2})", pair):
            name, _, text = pair.partition("=")
            found.setdefault(unquote_plus(name), []).append(unquote_plus(text))
    return found


FUNCTIONS: Mapping[str, Function] = {
    "isQuantity(string) bool": partial(_is, quantity),
    "quantity(string) value": quantity,
    "value.asApproximateFloat() double": lambda value: float(_number(value)),
    "sign(value) int": lambda value: int(_number(value) > 0) - int(_number(value) < 0),
    "value.add(value) value": _added,
    "value.add(int) value": _added,
    "value.sub(value) value": partial(_added, sign=-1),
    "value.sub(int) value": partial(_added, sign=-1),
    "value.compareTo(value) int": _compared,
    "value.isLessThan(value) bool": lambda value, other: _compared(value, other) < 0,
    "value.isGreaterThan(value) bool": lambda value, other: _compared(value, other) > 0,
    "isSemver(string) bool": partial(_is, semver),
    "isSemver(string,bool) bool": partial(_is, semver),
    "semver(string) value": semver,
    "semver(string,bool) value": semver,
    "value.major() int": partial(_part, 0),
    "value.minor() int": partial(_part, 1),
    "value.patch() int": partial(_part, 2),
    "isIP(string) bool": partial(_is, ip),
    "ip(string) value": ip,
    "ip.isCanonical(string) bool": lambda text: str(_parsed(text)) == text,
    "value.family() int": lambda value: _address(value).version,
    "value.isUnspecified() bool": lambda value: _address(value).is_unspecified,
    "value.isLoopback() bool": lambda value: _address(value).is_loopback,
    "value.isLinkLocalUnicast() bool": lambda value: _address(value).is_link_local,
    "value.isLinkLocalMulticast() bool": _is_local_multicast,
    "value.isGlobalUnicast() bool": _is_global,
    "isCIDR(string) bool": partial(_is, cidr),
    "cidr(string) value": cidr,
    "value.ip() value": lambda value: {"ip": str(_interface(value).ip)},
    "value.masked() value": _masked,
    "value.prefixLength() int": lambda value: _interface(value).network.prefixlen,
    "value.containsIP(string) bool": _contains_ip,
    "value.containsIP(value) bool": _contains_ip,
    "value.containsCIDR(string) bool": _contains_cidr,
    "value.containsCIDR(value) bool": _contains_cidr,
    "string(value) string": lambda value: _text("cidr" if "cidr" in value else "ip", value),
    "isURL(string) bool": partial(_is, url),
    "url(string) value": url,
    "value.getScheme() string": lambda value: _part_of_url("scheme", value).lower(),
    "value.getHost() string": lambda value: _part_of_url("host", value).rpartition("@")[2],
    "value.getHostname() string": lambda value: _host("six", value) or _host("name", value),
    "value.getPort() string": partial(_host, "port"),
    "value.getEscapedPath() string": _escaped_path,
    "value.getQuery() map": _query,
}
"""Signature (parameters and result in CEL's words, `value` for any of these kinds) to what computes it."""
