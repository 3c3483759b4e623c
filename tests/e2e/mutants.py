"""Objects spoilt at one place by operators that know no rule of Kubernetes: only what JSON looks like.

Where an object is sent is not spoilt: apiVersion, kind and namespace decide the URL.
"""

import copy
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from koepon_gitops.cache import key
from koepon_gitops.model import Json, Manifest

type Path = tuple[str | int, ...]


class Mutant(NamedTuple):
    """A spoilt object as the bytes both judges read, and what it is made of."""

    base: Manifest
    operator: str
    place: str
    text: bytes

    def __str__(self) -> str:
        return f"{self.operator} at {self.place} of {self.base.cluster} {self.base.id}"


def generate(bases: Sequence[Manifest], seed: int, count: int) -> tuple[Mutant, ...]:
    """`count` different mutants. Kinds take turns, so that a kind with many objects is not all there is."""
    draw = random.Random(seed)
    kinds = [list(each) for each in _by_kind(bases)]
    weights = [sum(len(list(_places(each.content))) for each in kind) ** 0.5 for kind in kinds]
    found: dict[str, Mutant] = {}
    unspoilt = {key(each.cluster, _text(each.content)) for each in bases}
    while len(found) < count:
        base = draw.choice(draw.choices(kinds, weights)[0])
        content = copy.deepcopy(base.content)
        times = 1 if draw.random() < 0.9 else 2
        spoilt = [each for each in (_spoil(draw, content) for _ in range(times)) if each]
        if len(spoilt) < times:
            continue
        operator = spoilt[0][0] if times == 1 else "two of these"
        text = _text(content)
        name = key(base.cluster, text)
        if name not in unspoilt and _stays(base.content, content):
            found.setdefault(name, Mutant(base, operator, " and ".join(_shown(place) for _, place in spoilt), text))
    return tuple(found.values())


def _spoil(draw: random.Random, content: Any) -> tuple[str, Path] | None:
    """Spoil the content in place; the operator and where, or None when it found no place it can spoil."""
    operator = draw.choice(sorted(OPERATORS))
    places = list(_places(content))
    for place in draw.sample(places, k=min(20, len(places))):
        if OPERATORS[operator](draw, content, place):
            return operator, place
    return None


def _stays(base: Json, content: Any) -> bool:
    """Whether the spoilt object, if it names a namespace, names the one it is sent to."""
    metadata = content.get("metadata")
    named = metadata.get("namespace") if isinstance(metadata, dict) else None
    return named in {None, "", base["metadata"].get("namespace")} if isinstance(named, str | None) else True


def _by_kind(bases: Sequence[Manifest]) -> Iterator[list[Manifest]]:
    """Distinct objects, grouped by kind."""
    kinds: dict[tuple[str, str], dict[bytes, Manifest]] = {}
    for base in bases:
        same = kinds.setdefault((base.id.apiVersion, base.id.kind), {})
        same.setdefault(_text(base.content), base)
    return (list(kinds[name].values()) for name in sorted(kinds))


def _text(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


_ADDRESS = frozenset({("apiVersion",), ("kind",), ("metadata", "namespace")})


def _places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in an object but its address, the whole object excluded."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in entries:
        if (*path, name) not in _ADDRESS:
            yield (*path, name)
            yield from _places(part, (*path, name))


def _shown(place: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")


def _at(content: Any, place: Path) -> Any:
    for part in place:
        content = content[part]
    return content


def _put(content: Any, place: Path, value: Any) -> bool:
    _at(content, place[:-1])[place[-1]] = value
    return True


type Operator = Callable[[random.Random, Any, Path], bool]
"""Spoils the content in place at or near the place; false when it can't there."""

_VALUES: tuple[Any, ...] = ("text", "7", 7, -1.5, True, False, [], ["text"], [7], [{}], {}, {"name": "text"}, {"a": 1})


def _wrong_type(draw: random.Random, content: Any, place: Path) -> bool:
    kind = type(_at(content, place))
    return _put(content, place, copy.deepcopy(draw.choice([each for each in _VALUES if type(each) is not kind])))


def _wrapped(draw: random.Random, content: Any, place: Path) -> bool:
    """The same value one level deeper, or one level up."""
    value = _at(content, place)
    if isinstance(value, list) and len(value) == 1 and draw.random() < 0.5:
        return _put(content, place, value[0])
    return _put(content, place, draw.choice([[value], {"value": value}, json.dumps(value)]))


def _null(_draw: random.Random, content: Any, place: Path) -> bool:
    return _put(content, place, None)


def _missing(_draw: random.Random, content: Any, place: Path) -> bool:
    del _at(content, place[:-1])[place[-1]]
    return True


def _unknown(draw: random.Random, content: Any, place: Path) -> bool:
    """A key that is new at this place: invented, or taken from another."""
    value = _at(content, place)
    names = [path[-1] for path in _places(content) if isinstance(path[-1], str)]
    name = draw.choice(["zzz", "x-extra", draw.choice(names)])
    if not isinstance(value, dict) or name in value:
        return False
    value[name] = copy.deepcopy(draw.choice(_VALUES))
    return True


def _renamed(draw: random.Random, content: Any, place: Path) -> bool:
    """A key misspelt or given another form; its value stays."""
    parent, name = _at(content, place[:-1]), place[-1]
    if not isinstance(name, str):
        return False
    middle = draw.randrange(len(name) or 1)
    spellings = [name.upper(), name.capitalize(), name[:middle] + name[middle + 1 :], name + "s", *NAMES]
    if (spelt := draw.choice(spellings)) in parent:
        return False
    entries = [(spelt if each == name else each, value) for each, value in parent.items()]
    parent.clear()
    parent.update(entries)
    return True


def _outsider(draw: random.Random, content: Any, place: Path) -> bool:
    """A word that is near the one that stands there, or far from it."""
    if not isinstance(value := _at(content, place), str):
        return False
    forms = [
        value.upper(),
        value.lower(),
        value.capitalize(),
        f"{value}s",
        value[:-1],
        f" {value}",
        f"{value}\n",
        "Other",
    ]
    return _put(content, place, draw.choice(forms))


def _borrowed(draw: random.Random, content: Any, place: Path) -> bool:
    """A value of the same type from elsewhere in the object."""
    value = _at(content, place)
    others = [_at(content, path) for path in _places(content)]
    return _put(content, place, copy.deepcopy(draw.choice([each for each in others if type(each) is type(value)])))


def _empty(draw: random.Random, content: Any, place: Path) -> bool:
    value = _at(content, place)
    return _put(content, place, type(value)() if draw.random() < 0.7 else draw.choice(["", [], {}]))


def _repeated(draw: random.Random, content: Any, place: Path) -> bool:
    """A list entry twice, side by side or apart; one of them may be changed at one place."""
    entries = _at(content, place[:-1])
    if not isinstance(entries, list):
        return False
    copied = copy.deepcopy(entries[place[-1]])
    if isinstance(copied, dict) and copied and draw.random() < 0.5:
        copied.pop(draw.choice(list(copied)))
    entries.insert(draw.choice([0, len(entries)]), copied)
    return True


def _number(draw: random.Random, content: Any, place: Path) -> bool:
    value = _at(content, place)
    if not isinstance(value, int | float) and not (isinstance(value, str) and draw.random() < 0.05):
        return False
    return _put(content, place, draw.choice(NUMBERS))


def _flipped(draw: random.Random, content: Any, place: Path) -> bool:
    """A small change of sense: a flag turned, a number one off or many times it, a text cut where it can be cut."""
    value = _at(content, place)
    if isinstance(value, bool):
        return _put(content, place, not value)
    if isinstance(value, int):
        return _put(content, place, draw.choice([value + 1, value - 1, -value, value * 10, value // 2]))
    if not isinstance(value, str):
        return False
    parts = re.split(r"([^A-Za-z0-9]+)", value)
    cut = draw.randrange(len(parts))
    digits = re.sub(r"[0-9]+", lambda match: str(int(match[0]) + draw.choice([-1, 1, 100])), value, count=1)
    return _put(content, place, draw.choice(["".join(parts[:cut]), "".join(parts[cut:]), value + value, digits]))


def _text_of(forms: Sequence[Any], likely: str) -> Operator:
    """Puts one of the forms in place of a text or number: of any in a tenth of cases, else of one that looks alike."""

    def operator(draw: random.Random, content: Any, place: Path) -> bool:
        value = _at(content, place)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return False
        if not re.fullmatch(likely, str(value)) and draw.random() > 0.1:
            return False
        return _put(content, place, draw.choice(forms))

    return operator


NAMES = (
    *("A", "a_b", "a.b", "-a", "a-", "a--b", "a..b", ".a", "a.", "_", "a/b", "a/b/c", "/a", "a/", "x.io/", "日本", "é"),
    *(" a", "a ", "a b", "a\tb", "a\n", "1", "1a", "0", "1.2.3.4", "*", "*.a", ".", "..", "%", "a%2Fb", "a=b", "a:b"),
    *("x" * 15, "x" * 16, "x" * 52, "x" * 53, "x" * 63, "x" * 64, "x" * 253, "x" * 254, f"{'x' * 63}.{'y' * 63}"),
    *("a.io/" + "x" * 63, "a.io/" + "x" * 64, "x" * 253 + "/a", "x" * 254 + "/a", "A.io/b", "true", "null", ""),
)
QUANTITIES = (
    *("0", "1", "-1", "+1", "1.5", ".5", "5.", "1e3", "1E3", "1e-3", "1e", "e3", "1k", "1K", "1m", "1M", "1Mi", "1mi"),
    *("1Ki", "1ki", "100n", "1u", "1Ei", "1000Ei", "1e30", "0.0001", "1 Gi", "1Gi ", "0x10", "1_000", "1,000", "10%"),
    *("100%", "101%", "-1%", "1.5%", "%", "", "NaN", "inf", "1Gi1", "12345678901234567890", 0, 1, 1.5, -1, 0.0001, 1e3),
)
DURATIONS = (
    *("0", "0s", "5m", "90", "1h30m", "1h 30m", "1.5h", "-5s", "+5s", "5 m", "1d", "1w", "PT5M", "1us", "1µs", "1ns"),
    *("1ms", "1h-5m", "m", "5", "5S", "5M", "1m1h", ".5s", "5.s", "1e3s", "2562047h", "2562048h", "", 5, 0, -5),
)
NUMBERS = (
    *(
        0,
        1,
        -1,
        2,
        100,
        101,
        511,
        512,
        3600,
        3601,
        32767,
        32768,
        65535,
        65536,
        2**31 - 1,
        2**31,
        -(2**31),
        -(2**31) - 1,
    ),
    *(2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 1.0, 1.5, -0.0, 1e3, 1e19, 1e-7, 0.1),
)

OPERATORS: dict[str, Operator] = {
    "borrowed value": _borrowed,
    "duration form": _text_of(DURATIONS, r"[0-9.]+(ns|us|ms|[smhd])?"),
    "empty value": _empty,
    "enum outsider": _outsider,
    "integer edge": _number,
    "missing field": _missing,
    "name syntax": _text_of(NAMES, r"[-A-Za-z0-9./]+"),
    "null": _null,
    "quantity form": _text_of(QUANTITIES, r"[0-9.]+([kKMGTPEmnu]i?|%)?"),
    "renamed key": _renamed,
    "repeated entry": _repeated,
    "small change": _flipped,
    "unknown field": _unknown,
    "wrapped value": _wrapped,
    "wrong type": _wrong_type,
}
