"""Change one scalar of a YAML file and nothing else: comments, order, quotes and line endings stay as they are.

Promotions are read by people, so the diff is one line. What can't be changed with certainty is refused, and the result
is read again: it has to differ from what was there in exactly that value.
"""

import re
from typing import Any, NamedTuple, NoReturn

import orjson

from koepon_gitops import scalars
from koepon_gitops.errors import ManifestError
from koepon_gitops.manifests import read_data
from koepon_gitops.nodes import BYTE_ORDER_MARK, Document, Kind, Node, decode, documents, parse
from koepon_gitops.places import Step, key_of

type Path = tuple[Step | tuple[str, str], ...]
"""Steps from the root: a key, an index, or `("name", "koepon/app")` for the list element whose `name` is that."""


def splice(text: bytes, path: Path, value: str) -> bytes:
    """The file with the text `value` at `path`; a last key that is missing is added as the last one of its mapping.

    Quotes stay; plain text gets them where it would mean something else without. Raises ManifestError
    splicing/{not-found,not-a-scalar,alias,several-documents,block-scalar,unsafe}, and manifests/* for a file that
    can't be read. The sentence names the line; the caller knows the file.
    """
    document, root = _only_document(text)
    before = _read(text)
    steps = _resolved(before, path)
    edit = _Splicer(document, steps).edit(root, before, value)
    content = decode(text, "")
    head, tail = content[: document.start + edit.start], content[document.start + edit.end :]
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK.encode()) else ""
    result = f"{mark}{head}{edit.text}{tail}".encode(errors="surrogatepass")
    _verify(result, _changed(before, steps, value), steps)
    return result


class _Edit(NamedTuple):
    """Characters `start` to `end` of a document, and what replaces them."""

    start: int
    end: int
    text: str


def _only_document(text: bytes) -> tuple[Document, Node]:
    try:
        parsed = [(each, parse(each.text, "", 1 + each.line)) for each in documents(decode(text, ""), "")]
    except ManifestError as error:
        raise _nameless(error) from error
    found = [(document, root) for document, root in parsed if root is not None]
    if len(found) > 1:
        line = 1 + found[1][0].line + found[1][1].line
        _refuse("several-documents", f"A second document begins on line {line}.", "Give it a file of its own.")
    if not found:
        _refuse("not-found", "The file is empty.")
    return found[0]


def _read(text: bytes) -> Any:
    try:
        return read_data(text, "")
    except ManifestError as error:
        raise _nameless(error) from error


def _nameless(error: ManifestError) -> ManifestError:
    line = error.where.removeprefix(":")
    return ManifestError(error.rule, f"Line {line}: {error.what}" if line else error.what, remedy=error.remedy)


def _refuse(what: str, sentence: str, remedy: str = "Edit the file by hand.") -> NoReturn:
    raise ManifestError(f"splicing/{what}", sentence, remedy=remedy)


def _resolved(data: Any, path: Path) -> tuple[Step, ...]:
    """The path with an index for each element that is named by a field."""
    steps: list[Step] = []
    for step in path:
        if not isinstance(step, tuple):
            steps.append(step)
        else:
            name, wanted = step
            shown = f"{_shown(steps) or 'the file'} has {{}} whose {name} is {wanted}"
            elements = data if isinstance(data, list) else []
            found = [at for at, each in enumerate(elements) if isinstance(each, dict) and each.get(name) == wanted]
            if len(found) != 1:
                what, count = ("unsafe", f"{len(found)} elements") if found else ("not-found", "no element")
                _refuse(what, f"{shown.format(count)}.")
            steps.append(found[0])
        data = _at(data, steps[-1])
    return tuple(steps)


def _at(data: Any, step: Step) -> Any:
    if isinstance(data, dict) and isinstance(step, str):
        return data.get(step)
    if isinstance(data, list) and isinstance(step, int) and 0 <= step < len(data):
        return data[step]
    return None


def _shown(steps: list[Step] | tuple[Step, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


class _Splicer:
    """Finds the characters of one document that hold the value at `steps`."""

    def __init__(self, document: Document, steps: tuple[Step, ...]) -> None:
        self.text, self.first_line, self.steps = document.text, 1 + document.line, steps

    def edit(self, node: Node, data: Any, value: str) -> _Edit:
        """What to replace by what so that the value at the end of the steps is `value`."""
        for depth, step in enumerate(self.steps):
            child = _child(node, step)
            if child is None:
                return self.addition(node, data, depth, value)
            if child.kind is Kind.ALIAS:
                self.refuse("alias", child, depth + 1, "is an alias: what it stands for is used elsewhere as well")
            node, data = child, _at(data, step)
        return self.replacement(node, value)

    def replacement(self, node: Node, value: str) -> _Edit:
        if node.kind is not Kind.SCALAR:
            self.refuse("not-a-scalar", node, len(self.steps), f"is a {node.kind}, not a single value")
        if node.style in ("|", ">"):
            self.refuse("block-scalar", node, len(self.steps), "is written as a block of lines")
        start = min(_PROPERTIES.match(self.text, node.start, node.end).end(), node.end)  # type: ignore[union-attr]
        touches = start == node.end and self.text[start - 1 : start] not in ("", " ", "\t", "\n")
        return _Edit(start, node.end, f"{' ' if touches else ''}{_written(value, node.style)}")

    def addition(self, node: Node, data: Any, depth: int, value: str) -> _Edit:
        """A new entry after the last one of a mapping."""
        step = self.steps[depth]
        if not isinstance(step, str) or node.kind is not Kind.MAPPING or depth < len(self.steps) - 1:
            self.refuse("not-found", node, depth + 1, "is not there")
        if isinstance(data, dict) and step in data:
            self.refuse("alias", node, depth + 1, "comes out of a merge key")
        entry = f"{_written(step, '')}: {_written(value, '')}"
        if node.flow:
            at = _end(node.children[-1]) if node.children else node.end - 1
            return _Edit(at, at, f", {entry}" if node.children else entry)
        at, line_break = self.line_after(node)
        indented = " " * node.children[0].column + entry
        ends_open = _LAST_BREAK.search(self.text, at - 1, at) is None
        return _Edit(at, at, f"{line_break}{indented}" if ends_open else f"{indented}{line_break}")

    def line_after(self, node: Node) -> tuple[int, str]:
        """Where the line after a block begins, and how lines end there."""
        end = _end(node)
        if before := _LAST_BREAK.search(self.text, max(end - 2, 0), end):
            return end, before[0]
        if after := _BREAK.search(self.text, end):
            return after.end(), after[0]
        first = _BREAK.search(self.text)
        return len(self.text), first[0] if first else "\n"

    def refuse(self, what: str, node: Node, depth: int, sentence: str) -> NoReturn:
        shown = _shown(self.steps[:depth]) or "The file"
        _refuse(what, f"{shown} {sentence} (line {self.first_line + node.line}).")


_PROPERTIES = re.compile(r"(?:[&!]\S*(?:\s|(?<=\s)#[^\r\n]*)*)*")
"""The anchor and the tag before a scalar."""
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_LAST_BREAK = re.compile(rf"(?:{_BREAK.pattern})\Z")


def _child(node: Node, step: Step) -> Node | None:
    if isinstance(step, int):
        inside = node.kind is Kind.SEQUENCE and 0 <= step < len(node.children)
        return node.children[step] if inside else None
    if node.kind is not Kind.MAPPING:
        return None
    return next((value for key, value in node.entries if key_of(key) == step), None)


def _end(node: Node) -> int:
    """Where the text of a node ends; libyaml lets a block end where the next thing begins."""
    while node.children and node.kind in (Kind.MAPPING, Kind.SEQUENCE) and not node.flow:
        node = node.children[-1]
    return node.end


def _written(value: str, style: str) -> str:
    """A text as YAML: in the quotes it had, without any when it is certain to stay that text."""
    if not style and _PLAIN.fullmatch(value) and scalars.resolve(value, "", plain=True) == value:
        return value
    if style == "'" and value.isprintable():
        return f"'{value.replace("'", "''")}'"
    return f'"{"".join(map(_escaped, value))}"'


_PLAIN = re.compile(
    r"(?!\.*[0-9][0-9eE_.:+-]*\Z|0[xX][0-9a-fA-F_]*\Z|0[bB][01_]*\Z|0[oO][0-7_]*\Z|[0-9]{4}-|\.[A-Za-z]+\Z)"
    r"[A-Za-z0-9_./][A-Za-z0-9_./@+:-]*(?<!:)"
)
"""Text that no YAML reader, of 1.1 or of 1.2, in a block or in braces, takes for a number, a date or syntax."""


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _verify(result: bytes, wanted: Any, steps: tuple[Step, ...]) -> None:
    try:
        found = read_data(result, "")
    except ManifestError as error:
        _refuse("unsafe", f"{_shown(steps)} can't be changed alone: {_nameless(error).what}")
    if orjson.dumps(found, option=orjson.OPT_SORT_KEYS) != orjson.dumps(wanted, option=orjson.OPT_SORT_KEYS):
        _refuse("unsafe", f"{_shown(steps)} can't be changed alone: more than its value would change with it.")


def _changed(data: Any, steps: tuple[Step, ...], value: str) -> Any:
    """The data with another value at `steps`; nothing given is modified."""
    if not steps:
        return value
    head, *rest = steps
    inner = _changed(_at(data, head), tuple(rest), value)
    if isinstance(data, dict):
        return {**data, head: inner}
    return [inner if index == head else each for index, each in enumerate(data)]
