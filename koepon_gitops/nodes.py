"""YAML text to nodes that know their place, by a parser that hostile text can't exhaust.

The parser is libyaml's event stream (no recursion); `manifests` gives the nodes values, `splicing` uses their places.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import yaml

from koepon_gitops.errors import ManifestError

MAX_STREAM = 32 * 1024 * 1024
"""Bytes of one file or rendering; a thousand overlays render to 13 MB."""
MAX_DOCUMENT = 1536 * 1024
"""Bytes of one object: etcd's default `--max-request-bytes` is 1.5 MiB."""
MAX_DEPTH = 200
"""Levels of nesting; the deepest published CRD has about 60, JSON writers stop at 254."""

BYTE_ORDER_MARK = "\ufeff"


class Kind(StrEnum):
    """What a node is."""

    SCALAR = "scalar"
    SEQUENCE = "sequence"
    MAPPING = "mapping"
    ALIAS = "alias"


@dataclass(slots=True)
class Node:
    """One node of a document. `start` and `end` count characters in the parsed text, `line` and `column` from 0."""

    kind: Kind
    start: int
    end: int
    line: int
    column: int
    text: str = ""
    tag: str = ""
    style: str = ""
    """How a scalar is written: `'`, `"`, `|`, `>` or empty for plain."""
    plain: bool = False
    """Whether YAML's implicit typing applies (`80` is a number, `"80"` is not)."""
    flow: bool = False
    children: list["Node"] = field(default_factory=list)
    """Elements of a sequence; keys and values in turn of a mapping; the target of an alias."""

    @property
    def entries(self) -> Iterator[tuple["Node", "Node"]]:
        """Key and value of each entry of a mapping, in the order written."""
        return zip(self.children[::2], self.children[1::2], strict=True)


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a stream, without its `---` line: `line` and `start` count lines and characters before it."""

    text: str
    line: int
    start: int


def decode(data: bytes, file: str) -> str:
    """UTF-8 bytes to text, without a leading byte order mark. Raises ManifestError manifests/{too-large,encoding}."""
    if len(data) > MAX_STREAM:
        raise ManifestError(
            "manifests/too-large",
            f"The file holds {len(data):,} bytes; at most {MAX_STREAM:,} are read.",
            where=file,
            remedy="Split it.",
        )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        what = f"This is not UTF-8: byte 0x{data[error.start]:02x}."
        raise _not_text(data, error.start, file, what, "Save the file as UTF-8.") from error
    text = text.removeprefix(BYTE_ORDER_MARK)
    if (bad := _UNPRINTABLE.search(text)) is not None:
        at = len(text[: bad.start()].encode())
        what = f"YAML does not allow the character U+{ord(bad[0]):04X}."
        raise _not_text(data, at, file, what, "Remove it, or write it as an escape in double quotes.")
    return text


def _not_text(data: bytes, at: int, file: str, what: str, remedy: str) -> ManifestError:
    line = data.count(b"\n", 0, at) + 1
    return ManifestError("manifests/encoding", what, where=f"{file}:{line}", remedy=remedy)


_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""What YAML's `c-printable` leaves out, and a byte order mark that is not the first character."""


def documents(text: str, file: str, first_line: int = 1) -> Iterator[Document]:
    """Split a stream as k8s.io/apimachinery's YAMLReader does: at each line that begins with `---`.

    Anything but a comment on that line is refused there and here.
    Raises ManifestError manifests/{invalid-yaml,too-large}.
    """
    start = line = 0
    for mark in _SEPARATOR.finditer(text):
        if (rest := mark[1].strip()) and not (mark[1][0] in " \t" and rest.startswith("#")):
            at = first_line + text.count("\n", 0, mark.start())
            raise ManifestError(
                "manifests/invalid-yaml",
                f"A line that begins with --- separates documents, and {rest[:40]!r} follows it.",
                where=f"{file}:{at}",
                remedy="Write it on the next line.",
            )
        yield _document(text[start : mark.start()], line, start, file, first_line)
        line += text.count("\n", start, mark.end())
        start = mark.end()
    yield _document(text[start:], line, start, file, first_line)


_SEPARATOR = re.compile(r"^---([^\n]*)(?:\n|\Z)", re.MULTILINE)


def _document(text: str, line: int, start: int, file: str, first_line: int) -> Document:
    size = len(text) if text.isascii() else len(text.encode())
    if size > MAX_DOCUMENT:
        raise ManifestError(
            "manifests/too-large",
            f"The object is written in {size:,} bytes; etcd stores at most {MAX_DOCUMENT:,}.",
            where=f"{file}:{first_line + line}",
            remedy="Split it, or keep the data outside the cluster.",
        )
    return Document(text, line, start)


def parse(text: str, file: str, first_line: int = 1) -> Node | None:
    """The root node of one document, None when it is empty.

    Raises ManifestError manifests/{invalid-yaml,too-deep} with the line.
    """
    builder = _Builder(text, file, first_line)
    try:
        loader = yaml.CSafeLoader(text)
        while (event := loader.get_event()) is not None and not isinstance(event, yaml.StreamEndEvent):
            builder.take(event)
    except yaml.YAMLError as error:
        raise _invalid(error, text, file, first_line) from error
    return builder.root


class _Builder:
    """Puts events together into nodes with an explicit stack: depth is counted, never recursed into."""

    def __init__(self, text: str, file: str, first_line: int) -> None:
        self.text, self.file, self.first_line = text, file, first_line
        self.root: Node | None = None
        self.documents = 0
        self.open: list[Node] = []
        self.anchors: dict[str, Node] = {}

    def take(self, event: yaml.Event) -> None:
        """One event of the stream."""
        match event:
            case yaml.ScalarEvent():
                self.place(_scalar(event, self.text), event.anchor)
            case yaml.MappingStartEvent():
                self.descend(_collection(Kind.MAPPING, event), event)
            case yaml.SequenceStartEvent():
                self.descend(_collection(Kind.SEQUENCE, event), event)
            case yaml.CollectionEndEvent():
                self.open.pop().end = event.end_mark.index
            case yaml.AliasEvent():
                self.place(self.alias(event), None)
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    raise self.error("invalid-yaml", "A second document begins without a --- line.", event)

    def descend(self, node: Node, event: yaml.CollectionStartEvent) -> None:
        if len(self.open) >= MAX_DEPTH:
            raise self.error("too-deep", f"The nesting is deeper than {MAX_DEPTH} levels.", event, "Flatten it.")
        self.place(node, event.anchor)
        self.open.append(node)

    def place(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = node
        if self.open:
            self.open[-1].children.append(node)
        else:
            self.root = node

    def alias(self, event: yaml.AliasEvent) -> Node:
        target = self.anchors.get(str(event.anchor))
        if target is None or target in self.open:
            what = "is not defined above it" if target is None else "contains itself"
            raise self.error("invalid-yaml", f"The anchor {event.anchor!r} {what}.", event)
        node = _collection(Kind.ALIAS, event)
        node.children.append(target)
        return node

    def error(self, rule: str, what: str, event: yaml.Event, remedy: str = "") -> ManifestError:
        place = f"{self.file}:{self.first_line + event.start_mark.line}"
        return ManifestError(f"manifests/{rule}", what, where=place, remedy=remedy)


def _scalar(event: yaml.ScalarEvent, text: str) -> Node:
    start = event.start_mark
    plain = event.implicit[0]
    if plain and text[start.index : start.index + 1] in ("!", "&") and _NOT_PLAIN.match(text, start.index):
        plain = False
    return Node(
        Kind.SCALAR,
        start.index,
        event.end_mark.index,
        start.line,
        start.column,
        text=event.value,
        tag=event.tag or "",
        style=event.style or "",
        plain=plain,
    )


_NOT_PLAIN = re.compile(r"(?:&\S+(?:\s|#[^\n]*)+)?!\s")
"""The tag `!` says that what follows is text; libyaml drops it."""


def _collection(kind: Kind, event: yaml.Event) -> Node:
    start = event.start_mark
    flow = bool(getattr(event, "flow_style", False))
    return Node(kind, start.index, event.end_mark.index, start.line, start.column, flow=flow)


def _invalid(error: yaml.YAMLError, text: str, file: str, first_line: int) -> ManifestError:
    if conflict := _CONFLICT.search(text):
        return ManifestError(
            "manifests/invalid-yaml",
            "This is a conflict that git left for somebody to resolve.",
            where=f"{file}:{first_line + text.count('\n', 0, conflict.start())}",
            remedy="Keep one side and remove the lines that begin with <<<<<<<, ======= and >>>>>>>.",
        )
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    context = getattr(error, "context", None)
    tab = mark is not None and text[mark.index : mark.index + 1] == "\t"
    return ManifestError(
        "manifests/invalid-yaml",
        f"This is not YAML: {f'{context}, ' if context else ''}{problem}.",
        where=f"{file}:{first_line + (mark.line if mark else 0)}",
        remedy="Indent with spaces, not tabs." if tab else _REMEDIES.get(problem, "Correct the syntax."),
    )


_CONFLICT = re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE)
_REMEDIES = {"did not find expected key": "Correct the indentation, here or in the lines above."}
