"""Commit messages and their trailers, by the rules of `git interpret-trailers --parse --no-divider` (trailer.c)."""

import re
from collections.abc import Mapping, Sequence

from koepon_gitops import harmless
from koepon_gitops.errors import RequestError


def trailers(message: str) -> Mapping[str, str]:
    """The `Key: value` lines of the last paragraph, keys as written, folded values on one line.

    Only the last paragraph counts, never the title, and only if it is made of trailers alone (or holds one git itself
    writes, such as `Signed-off-by: `, and no more than three other lines to each trailer). Of equal keys the last wins.
    """
    found: dict[str, str] = {}
    key = ""
    for line in _block(message):
        if line[0] in _SPACES and key:
            found[key] = f"{found[key]} {line.strip(_SPACES)}".strip()
        elif match := _TRAILER.match(line):
            key = match["key"]
            found[key] = match["value"].strip(_SPACES)
        else:
            key = ""
    return found


_SPACES = " \t\n\r\v\f"
_TRAILER = re.compile(r"(?P<key>[A-Za-z0-9-]+)[ \t]*:(?P<value>.*)", re.DOTALL)
_BY_GIT = ("Signed-off-by: ", "(cherry picked from commit ")


def _block(message: str) -> Sequence[str]:
    """The lines of the trailer block; none when the last paragraph is not one."""
    lines = message.split("\n")
    while lines and (not lines[-1].strip(_SPACES) or lines[-1].startswith("#")):
        lines.pop()
    gaps = [number for number, line in enumerate(lines) if not line.strip(_SPACES)]
    block = lines[gaps[-1] + 1 :] if gaps else ()
    return block if _is_trailers(block) else ()


def _is_trailers(block: Sequence[str]) -> bool:
    count = others = continued = 0
    by_git = False
    for line in reversed(block):
        if line.startswith(_BY_GIT):
            by_git = True
            count, continued = count + 1, 0
        elif line[0] in _SPACES:
            continued += 1
        elif line[0] == "#":
            others, continued = others + continued, 0
        elif _TRAILER.match(line):
            count, continued = count + 1, 0
        else:
            others, continued = others + 1 + continued, 0
    others += continued
    return bool(count) and (not others or (by_git and count * 3 >= others))


def with_trailers(subject: str, body: str, values: Mapping[str, str]) -> str:
    """A message that ends with the trailers, of which `trailers` reads exactly `values`.

    Raises RequestError messages/invalid when a key, a value or the subject can't stand on one line.
    """
    for key, value in values.items():
        if not _KEY.fullmatch(key) or not value.isprintable() or value != value.strip() or not value:
            raise _invalid(f"{key}: {value}")
    if not subject.isprintable() or not subject.strip() or subject.startswith("#"):
        raise _invalid(subject)
    block = "\n".join(f"{key}: {value}" for key, value in values.items())
    return "\n\n".join(part for part in (subject.strip(), body.strip(), block) if part) + "\n"


_KEY = re.compile("[A-Za-z0-9][A-Za-z0-9-]*")


def _invalid(line: str) -> RequestError:
    what = f"{harmless.exact(line)!r} can't be a line of a commit message."
    return RequestError("messages/invalid", what, remedy="Write it as one line of printable text.")


def reverted(message: str) -> tuple[str, ...]:
    """The commits that a message of `git revert` names: 40 hex digits each."""
    return tuple(_REVERTS.findall(message))


_REVERTS = re.compile(r"\bthis reverts commit ([0-9a-f]{40})\b", re.IGNORECASE)
