"""What a composition may be made of: plain computation, seen from its syntax before anything of it runs.

A composition is code of a pull request that `validate` runs. It may import a few modules of the standard library that
compute and touch nothing, `crossplane.pythonic`, and the modules mounted beside it; it may name what those say they
offer and no other built-in; it may reach for nothing that leads from a value to the interpreter.
"""

import ast
import builtins
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

COMPUTING = (
    *("collections", "collections.abc", "dataclasses", "enum", "functools", "hashlib", "ipaddress", "itertools"),
    *("json", "re", "textwrap", "typing"),
)
"""Modules of the standard library: no clock, chance, file, network, environment or process in what they offer."""
PYTHONIC = "crossplane.pythonic"
_PYTHONIC_NAMES = frozenset(
    {"B64Decode", "B64Encode", "BaseComposite", "Json", "List", "Map", "Unknown", "Yaml", "YamlAll", "append"}
)
_EVALUATING = frozenset(
    {"ForwardRef", "file_digest", "get_type_hints", "global_enum", "make_dataclass", "no_type_check"}
    | {"singledispatch", "singledispatchmethod"}
)
"""What those modules offer that runs text as code, or reads files."""

BUILTINS = frozenset(
    {"ArithmeticError", "AssertionError", "AttributeError", "Ellipsis", "Exception", "False", "IndexError", "KeyError"}
    | {"LookupError", "None", "NotImplemented", "NotImplementedError", "OverflowError", "RuntimeError", "StopIteration"}
    | {"True", "TypeError", "UnicodeError", "ValueError", "ZeroDivisionError", "abs", "all", "any", "ascii", "bin"}
    | {"bool", "bytearray", "bytes", "callable", "chr", "classmethod", "dict", "divmod", "enumerate", "filter", "float"}
    | {"format", "frozenset", "hex", "int", "isinstance", "issubclass", "iter", "len", "list", "map", "max", "min"}
    | {"next", "object", "oct", "ord", "pow", "print", "property", "range", "repr", "reversed", "round", "set", "slice"}
    | {"sorted", "staticmethod", "str", "sum", "super", "tuple", "type", "zip"}
)
"""The built-in names that a composition may use, and all that it finds when it runs."""
_NEVER = frozenset(
    {"breakpoint", "compile", "delattr", "eval", "exec", "getattr", "globals", "input", "locals", "open", "setattr"}
    | {"vars"}
)
"""Built-in names that are refused even where a variable is called so."""
_INNER = frozenset(
    {"ag_code", "ag_frame", "cr_code", "cr_frame", "cr_origin", "f_back", "f_builtins", "f_code", "f_globals"}
    | {"f_locals", "gi_code", "gi_frame", "gi_yieldfrom", "tb_frame", "tb_next", "mro"}
)
"""Attributes without underscores that lead into the interpreter."""
_METHODS = frozenset(
    {"__bool__", "__call__", "__contains__", "__enter__", "__eq__", "__exit__", "__format__", "__ge__", "__getitem__"}
    | {"__gt__", "__hash__", "__init__", "__iter__", "__le__", "__len__", "__lt__", "__ne__", "__or__", "__post_init__"}
    | {"__repr__", "__str__"}
)
"""Special methods that a class may define."""


class Violation(NamedTuple):
    """What a module has that it may not have. `line` counts from 1."""

    module: str
    line: int
    message: str


def scan(modules: Mapping[str, str], scripts: Mapping[str, str]) -> tuple[Violation, ...]:
    """Everything that is refused in the mounted modules and the inline scripts, each a source by its name."""
    found: list[Violation] = []
    trees: dict[str, ast.Module] = {}
    for name, source in {**modules, **scripts}.items():
        if name in modules and (name in sys.stdlib_module_names or name.partition(".")[0] == "crossplane"):
            found.append(Violation(name, 1, f"it hides the module {name} that Python or the function needs"))
        try:
            trees[name] = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = error.lineno if isinstance(error, SyntaxError) and error.lineno else 1
            words = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
            found.append(Violation(name, line, f"it is not Python: {words}"))
    offered = {name: _defined(trees[name]) for name in modules if name in trees}
    for name, tree in trees.items():
        try:
            found += [Violation(name, line, message) for line, message in _Scan(offered).violations(tree)]
        except RecursionError:
            found.append(Violation(name, 1, "it is nested too deeply to be looked at"))
    return tuple(sorted(set(found)))


def _defined(tree: ast.Module) -> frozenset[str]:
    """The names a module makes itself or has from another by `from ... import`; not the modules it imports."""
    names: set[str] = set()
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.TypeAlias(name=ast.Name(id=name)):
                names.add(name)
            case ast.ImportFrom(names=aliases):
                names |= {alias.asname or alias.name for alias in aliases}
    return frozenset(names)


@cache
def _offers(module: str) -> frozenset[str]:
    """The public names of a module that computes, without other modules it happens to hold."""
    loaded = import_module(module)
    listed = getattr(loaded, "__all__", None) or [name for name in dir(loaded) if not name.startswith("_")]
    return frozenset(name for name in listed if not isinstance(getattr(loaded, name), ModuleType)) - _EVALUATING


class _Scan:
    """One look at one module. `offered`: the names that each mounted module makes."""

    def __init__(self, offered: Mapping[str, frozenset[str]]) -> None:
        self._offered = offered
        self._bound: dict[str, str] = {}
        """Names in this module that stand for a module."""
        self._own: set[str] = set()
        """Names that this module gives to something of its own."""

    def violations(self, tree: ast.Module) -> Iterator[tuple[int, str]]:
        nodes = list(ast.walk(tree))
        for node in nodes:
            if isinstance(node, ast.Import):
                yield from ((node.lineno, message) for message in self._imported(node))
        qualified = {
            id(node.value) for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        }
        self._own = {name for node in nodes for name in _made(node)}
        for node in nodes:
            for message in (*self._reaching(node, qualified), *self._stating(node)):
                yield getattr(node, "lineno", 1), message

    def _imported(self, node: ast.Import) -> Iterator[str]:
        for alias in node.names:
            if self._names_of(alias.name) is None or alias.name == PYTHONIC:
                yield _no_import(alias.name)
            elif "." in alias.name and not alias.asname:
                yield f"it imports {alias.name}; write `from {alias.name} import ...`"
            else:
                self._bound[alias.asname or alias.name] = alias.name

    def _names_of(self, module: str) -> frozenset[str] | None:
        """What may be had of a module; None when the module may not be imported."""
        if module in self._offered:
            return self._offered[module]
        if module == PYTHONIC:
            return _PYTHONIC_NAMES
        return _offers(module) if module in COMPUTING else None

    def _reaching(self, node: ast.AST, qualified: set[int]) -> Iterator[str]:
        """What is refused of names and attributes."""
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in self._bound:
                if attribute not in (self._names_of(self._bound[name]) or ()) or not isinstance(node.ctx, ast.Load):
                    yield f"it reaches for {name}.{attribute}"
            case ast.Attribute(attr=attribute):
                yield from _inner(attribute)
            case ast.MatchClass(kwd_attrs=attributes):
                for attribute in attributes:
                    yield from _inner(attribute)
            case ast.Name(id=name) if name in self._bound:
                if id(node) not in qualified:
                    yield f"it hands on or replaces the module {name}; only `{name}.<name>` may be used"
            case ast.Name(id=name):
                if _is_refused(name) and (name in _NEVER or name not in self._own or _is_dunder(name)):
                    yield f"it uses {name}"

    def _stating(self, node: ast.AST) -> Iterator[str]:
        """What is refused of statements."""
        match node:
            case ast.ImportFrom(module=module, names=aliases, level=level):
                yield from self._imported_from("." * level + (module or ""), aliases)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                if _is_dunder(name) and name not in _METHODS:
                    yield f"it defines {name}"
            case ast.Global(names=names):
                yield f"it changes the global {names[0]}, which one claim would leave behind for the next"
            case ast.ExceptHandler(type=None):
                yield "it catches every exception, even that which ends it; name what is meant"

    def _imported_from(self, module: str, aliases: list[ast.alias]) -> Iterator[str]:
        names = frozenset({"annotations"}) if module == "__future__" else self._names_of(module)
        if names is None:
            yield _no_import(module)
            return
        for alias in aliases:
            if alias.name not in names:
                yield f"it imports {alias.name} from {module}"


def _no_import(module: str) -> str:
    return f"it imports {module}"


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _inner(attribute: str) -> Iterator[str]:
    if (_is_dunder(attribute) and attribute not in ("__init__", "__name__")) or attribute in _INNER:
        yield f"it reaches for the attribute {attribute}"


def _is_refused(name: str) -> bool:
    return (name not in BUILTINS and name in _ALL_BUILTINS) or (_is_dunder(name) and name != "__name__")


_ALL_BUILTINS = frozenset(dir(builtins))


def _made(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
