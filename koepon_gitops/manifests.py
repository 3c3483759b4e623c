"""YAML to objects, exactly as Kubernetes reads it; whatever could be read in two ways is refused with its line.

Two readers give one answer. Text whose scalars mean the same in YAML 1.1 and 1.2 goes to `yaml_rs`; the rest, and
all that it refuses, goes to libyaml's events and the rules of Go (`scalars`), an order of magnitude slower.
"""

import re
from typing import Any

import yaml_rs

from koepon_gitops import scalars
from koepon_gitops.errors import ManifestError
from koepon_gitops.nodes import MAX_DEPTH, Document, Kind, Node, decode, documents, parse


def read(text: bytes, file: str, first_line: int = 1) -> tuple[dict[str, Any], ...]:
    """Every object in a YAML stream, in order; empty documents are dropped, lists (`items`) flattened as Argo CD does.

    `first_line` is the line of `file` at which `text` begins. Raises ManifestError
    manifests/{invalid-yaml,duplicate-key,too-large,too-deep,alias-bomb,encoding,not-an-object}.
    """
    objects = []
    for document in documents(decode(text, file), file, first_line):
        if (value := _value(document, file, first_line)) is not None:
            objects += _objects(value, f"{file}:{first_line + document.line + _blank_lines(document.text)}")
    return tuple(objects)


def _blank_lines(text: str) -> int:
    """How many lines of comments and nothing a document begins with."""
    match = _PREAMBLE.match(text)
    return match[0].count("\n") if match else 0


_PREAMBLE = re.compile(r"(?:[ \t\r]*(?:#[^\n]*)?\n)*")


def _objects(value: Any, where: str) -> list[dict[str, Any]]:
    """The objects one document stands for: itself, or the items of a list (for Argo CD, whatever has `items`)."""
    _check_type(value, where)
    items = value.get("items")
    if not isinstance(items, list):
        _check_name(value, where)
        return [value]
    for item in items:
        _check_type(item, where)
        _check_name(item, where)
    return items


def _check_type(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise _not_an_object(f"This is {_SHAPES.get(type(value), 'a value')}, not a Kubernetes object.", where)
    for name in ("apiVersion", "kind"):
        if not isinstance(value.get(name), str) or not value[name]:
            raise _not_an_object(f"The object has no {name}.", where)


def _check_name(value: dict[str, Any], where: str) -> None:
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        raise _not_an_object(f"The {value['kind']} has no metadata.", where)
    name = metadata.get("name") or metadata.get("generateName")
    if not isinstance(name, str):
        raise _not_an_object(f"The {value['kind']} has no metadata.name that is text.", where)


_SHAPES: dict[type, str] = {list: "a list", str: "text", int: "a number", float: "a number", bool: "true or false"}


def _not_an_object(what: str, where: str) -> ManifestError:
    remedy = "Give it apiVersion, kind and metadata.name, or move the file out of the synced folder."
    return ManifestError("manifests/not-an-object", what, where=where, remedy=remedy)


def read_all(text: bytes, file: str) -> tuple[Any, ...]:
    """Every value in a YAML stream that need not hold Kubernetes objects (patches), read as strictly as `read` does."""
    return tuple(value for _, value in _values(text, file))


def _values(text: bytes, file: str) -> list[tuple[Document, Any]]:
    return [
        (document, value)
        for document in documents(decode(text, file), file)
        if (value := _value(document, file, 1)) is not None
    ]


def read_data(text: bytes, file: str) -> Any:
    """The one value in a YAML file that holds no Kubernetes objects (a kustomization, data), read as strictly.

    None when it is empty. Raises ManifestError manifests/* as `read` does; several documents are invalid-yaml.
    """
    found = _values(text, file)
    if len(found) > 1:
        raise ManifestError(
            "manifests/invalid-yaml",
            "The file holds several documents, where one is read.",
            where=f"{file}:{1 + found[1][0].line}",
            remedy="Keep one of them.",
        )
    return found[0][1] if found else None


def _value(document: Document, file: str, first_line: int) -> Any:
    if not document.text:
        return None
    text = document.text.replace("\r\n", "\n") if "\r" in document.text else document.text
    if not _RARE.search(text) and _UNAMBIGUOUS.fullmatch(text):
        try:
            return yaml_rs.loads(text, parse_datetime=False)
        except ValueError:
            pass
    return exact(document.text, file, first_line + document.line)


_RARE = re.compile("[\t\r\x85\u2028\u2029]")
"""Breaks and blanks that only one of the two versions knows."""
_WORD = r"(?:[yYnN]|[yY]es|YES|[nN]o|NO|[oO]n|ON|[oO]ff|OFF)"
_PLAIN_WORD = r"(?:~|[nN]ull|NULL|[tT]rue|TRUE|[fF]alse|FALSE)"
_QUOTED = r"""(?:"(?:[^"\\\n]|\\[ntr"\\])*+"|'(?:[^'\n]|'')*+')"""
_KEY = rf"(?:(?!(?:{_WORD}|{_PLAIN_WORD}):)(?:[A-Za-z]|\.(?!inf:|nan:)[a-z])[A-Za-z0-9_./-]*+|{_QUOTED})"
_TEXT = (  # begins like a word, a path, a flag or a quantity, and does not read as a boolean or a number
    rf"(?!{_WORD}[ ]*+(?:\n|\#))"
    r"(?:[A-Za-z/$(]|--?[A-Za-z]|[^\x00-\xa0\u2028\u2029]|[0-9](?![-+0-9_.:a-fA-FxXoO]*+[ ]*+(?:\n|\#)))"
    r"[^:#\n]*+(?:(?::(?![ \n])|(?<![ ])\#)[^:#\n]*+)*+"
)
_NUMBER = r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{0,9}[1-9])?(?=[ \n])"
_SCALAR = rf"(?:{_TEXT}|{_NUMBER}|{_QUOTED}|\{{\}}|\[\]|~(?=[ \n]))"
_END = r"[ ]*+(?:(?<=[ ])\#[^\n]*+)?\n"
_UNAMBIGUOUS = re.compile(
    rf"""(?:
        [ ]*+(?:\#[^\n]*+)?\n
      | ([ ]{{0,90}}+)(?:
            {_KEY}:[ ]\|[-+]?\n\1[ ]++[^ \n][^\n]*+\n(?:\1[ ][^\n]*+\n|[ ]*+\n)*+
          | -[ ](?:{_KEY}:[ ]\|[-+]?\n\1[ ]{{3}}[ ]*+[^ \n][^\n]*+\n(?:\1[ ]{{3}}[^\n]*+\n|[ ]*+\n)*+)
          | (?:-[ ]++){{0,4}}+(?:{_KEY}:(?:[ ]++{_SCALAR})?|{_SCALAR}){_END}
        )
    )*+""",
    re.VERBOSE,
)
"""A document made of lines that YAML 1.1 and 1.2 read alike. One form too many gives wrong answers."""

_MAX_ALIASED = 20_000
"""Nodes that aliases may repeat in one document. Go refuses by ratio, which is checked as well."""


def exact(text: str, file: str, first_line: int = 1) -> Any:
    """The value of one document by the rules of Go. Raises ManifestError manifests/* with the line."""
    root = parse(text, file, first_line)
    return None if root is None else _Exact(file, first_line).value(root, 0)


class _Exact:
    """Gives one document its values. `count` and `aliased` are nodes visited, in all and through aliases."""

    def __init__(self, file: str, first_line: int) -> None:
        self.file, self.first_line = file, first_line
        self.count = self.aliased = self.within = 0

    def value(self, node: Node, depth: int) -> Any:
        self.count += 1
        self.aliased += self.within > 0
        if self.aliased > _MAX_ALIASED or (self.count > 1000 and self.aliased > 0.99 * self.count):
            raise self.error("alias-bomb", "Aliases repeat more than a hundred times what is written.", node)
        if depth > MAX_DEPTH:
            raise self.error("too-deep", f"The nesting is deeper than {MAX_DEPTH} levels.", node, "Flatten it.")
        match node.kind:
            case Kind.SCALAR:
                return self.scalar(node)
            case Kind.SEQUENCE:
                return [self.value(child, depth + 1) for child in node.children]
            case Kind.MAPPING:
                return self.mapping(node, depth)
        self.within += 1
        value = self.value(node.children[0], depth)
        self.within -= 1
        return value

    def scalar(self, node: Node) -> scalars.Scalar:
        try:
            return scalars.as_json(scalars.resolve(node.text, node.tag, plain=node.plain))
        except ValueError as error:
            raise self.error("invalid-yaml", f"{node.text[:40]!r} {error}.", node, "Quote it.") from error

    def mapping(self, node: Node, depth: int) -> dict[str, Any]:
        """Merge keys take effect where they stand, as in Go: what is after one wins, what is before it loses."""
        result: dict[str, Any] = {}
        written: dict[str, int] = {}
        for key, value in node.entries:
            if _is_merge(key):
                for merged in self.merged(value, depth):
                    result.update(merged)
                continue
            name = self.key(key)
            if name in written:
                raise self.error(
                    "duplicate-key",
                    f"The key {name!r} is already on line {self.first_line + written[name]}.",
                    key,
                    "Remove one of the two.",
                )
            written[name] = key.line
            result[name] = self.value(value, depth + 1)
        return result

    def merged(self, node: Node, depth: int) -> list[dict[str, Any]]:
        """The mappings of a merge key, the one that wins last."""
        target = node.children[0] if node.kind is Kind.ALIAS else node
        sources = reversed(node.children) if node.kind is Kind.SEQUENCE else [node]
        if target.kind in (Kind.MAPPING, Kind.SEQUENCE) and not (target is not node and target.kind is Kind.SEQUENCE):
            values = [self.value(source, depth + 1) for source in sources]
            if all(isinstance(value, dict) for value in values):
                return values
        raise self.error("invalid-yaml", "A merge key << takes a mapping or a sequence of mappings.", node)

    def key(self, node: Node) -> str:
        target = node.children[0] if node.kind is Kind.ALIAS else node
        try:
            if target.kind is not Kind.SCALAR:
                raise ValueError("can't be a key")
            return scalars.as_key(scalars.resolve(target.text, target.tag, plain=target.plain))
        except ValueError as error:
            shown = repr(target.text[:40]) if target.kind is Kind.SCALAR else f"A {target.kind}"
            raise self.error("invalid-yaml", f"{shown} {error}.", node, "Write a key of text.") from error

    def error(self, rule: str, what: str, node: Node, remedy: str = "Write it out.") -> ManifestError:
        place = f"{self.file}:{self.first_line + node.line}"
        return ManifestError(f"manifests/{rule}", what, where=place, remedy=remedy)


def _is_merge(key: Node) -> bool:
    if key.kind is not Kind.SCALAR or key.text != "<<":
        return False
    return key.plain or key.tag == "tag:yaml.org,2002:merge"
