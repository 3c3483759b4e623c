"""Composes claims in a process of its own: JSON lines on stdin, an answer a line on stdout.

The first line is `{"modules": {name: source}, "builtins": [name], "imports": [name], "seconds": n, "memory": bytes}`;
each further one is a list of `{"composite": {...}, "inputs": [{...}], "observed": {key: resource}}`, answered by a line
each: `{"resources": {key: resource}, "status": {...}}`, or `{"failed": sentence, "module": name, "line": n}`, or
`{"late": true}`, or `{"refused": what}`.

What may do harm is loaded before the first module of a composition and shut afterwards: the built-in names it finds are
the few that are listed, only its own modules can be imported anew, and an audit hook refuses files, sockets, processes
and foreign functions, whoever asks for them.
"""

import builtins
import importlib
import importlib.abc
import importlib.machinery
import json
import logging
import os
import re
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any

function: Any = importlib.import_module("crossplane.pythonic.function")
protocol: Any = importlib.import_module("crossplane.pythonic.proto.v1.run_function_pb2")

HARMLESS = frozenset(
    {"compile", "exec", "import", "object.__delattr__", "object.__getattr__", "object.__setattr__", "sys._getframe"}
    | {"builtins.id", "sys._getframemodulename", "sys.unraisablehook"}
)
"""Audit events of defining classes, importing modules, which come from memory, and writing JSON."""
LONGEST = 300
"""Characters of an exception's sentence."""


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    start = json.loads(sys.stdin.readline())
    warm_up(start["imports"])
    bound(start["memory"])
    sys.stdout = sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    logging.disable(logging.CRITICAL)
    composer = Composer(start["modules"], start["builtins"], start["imports"], start["seconds"])
    for line in sys.stdin:
        for request in json.loads(line):
            answers.write(json.dumps(composer.answer(request), sort_keys=True) + "\n")
            answers.flush()


def warm_up(imports: Sequence[str]) -> None:
    """Load what is loaded at first use: afterwards no file can be read."""
    for name in imports:
        importlib.import_module(name)
    request = protocol.RunFunctionRequest()
    request.observed.composite.resource.update({"apiVersion": "v1", "kind": "None", "metadata": {"name": "none"}})
    request.input.update({"composite": "class None_(BaseComposite):\n  def compose(self):\n    str(self.spec)\n"})
    run(function.FunctionRunner(), request)


def bound(memory: int) -> None:
    """Limits that the process can't lift again: memory, minutes of CPU, and no byte written to a file."""
    for limit, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, 120), (resource.RLIMIT_FSIZE, 0)):
        resource.setrlimit(limit, (most, most))


class Late(BaseException):
    """A claim has used up its time. No Exception, so that the function's own handlers let it pass."""


class Runner(function.FunctionRunner):  # type: ignore[misc]
    """The function, keeping the exception of which it would make a message."""

    error: BaseException | None = None

    def fatal(self, request: Any, logger: Any, message: str, exception: BaseException | None = None) -> Any:
        self.error = exception
        return super().fatal(request, logger, message, exception)


class Composer:
    """The function with the modules mounted, and the guards around it."""

    def __init__(self, modules: Mapping[str, str], names: Sequence[str], imports: Sequence[str], seconds: float):
        self._modules, self._seconds = modules, seconds
        self._refused: list[str] = []
        self._runner = Runner()
        own = Mounted(modules, names, imports)
        sys.meta_path[:] = [own]
        function.Module = own.script
        signal.signal(signal.SIGVTALRM, _is_late)
        sys.addaudithook(self._stay_inside)

    def _stay_inside(self, event: str, _arguments: tuple[Any, ...]) -> None:
        if event not in HARMLESS:
            self._refused.append(event)
            raise PermissionError(f"a composition may not do {event}")

    def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """One claim, composed within its time."""
        self._refused.clear()
        signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds, self._seconds)
        try:
            answer = self._composed(asked)
        except Late:
            answer = {"late": True}
        except Exception as error:
            answer = self._failed(error, "")
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return {"refused": self._refused[0]} if self._refused else answer

    def _composed(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        request = protocol.RunFunctionRequest()
        request.observed.composite.resource.update(asked["composite"])
        for key, content in asked["observed"].items():
            request.observed.resources[key].resource.update(content)
        for given in asked["inputs"]:
            request.input.Clear()
            request.input.update(given)
            self._runner.error = None
            response = run(self._runner, request)
            for result in response.results:
                if result.severity == protocol.SEVERITY_FATAL:
                    return self._failed(self._runner.error, result.message)
            if wanted := [*response.requirements.resources, *response.requirements.extra_resources]:
                return {"failed": f"it asks the cluster for other objects ({wanted[0]})", "module": "", "line": 0}
            request.desired.CopyFrom(response.desired)
            request.context.CopyFrom(response.context)
        return {
            "resources": {key: plain(each.resource) for key, each in request.desired.resources.items()},
            "status": plain(request.desired.composite.resource).get("status") or {},
        }

    def _failed(self, error: BaseException | None, message: str) -> dict[str, Any]:
        """The exception's sentence and, of the lines it came through, the last that is the composition's own."""
        words = (
            f"{type(error).__name__}: {error}" if error and str(error) else type(error).__name__ if error else message
        )
        module, line = "", 0
        trace: TracebackType | None = error.__traceback__ if error else None
        while trace:
            name = trace.tb_frame.f_code.co_filename
            if name in self._modules or name == "<string>":
                module, line = name, trace.tb_lineno
            trace = trace.tb_next
        words = re.sub(r" at 0x[0-9a-f]+", "", " ".join(words.split()))
        return {"failed": words[:LONGEST], "module": module, "line": line}


def _is_late(_signal: int, _frame: FrameType | None) -> None:
    raise Late


def run(runner: Any, request: Any) -> Any:
    """Drive the function's coroutine by hand: there is nothing it could wait for."""
    step = runner.RunFunction(request, None)
    try:
        step.send(None)
    except StopIteration as done:
        return done.value
    step.close()
    raise RuntimeError("a composition may not wait")


class Mounted(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the mounted modules from memory, and gives them few built-in names."""

    def __init__(self, modules: Mapping[str, str], names: Sequence[str], imports: Sequence[str]) -> None:
        self._modules = modules
        self._importable = frozenset({*modules, *imports, "__future__"})
        self._builtins = {name: getattr(builtins, name) for name in (*names, "__build_class__", "__name__")}
        self._builtins["__import__"] = self._import

    def _import(self, name: str, *rest: Any) -> ModuleType:
        if name not in self._importable:
            raise ImportError(f"a composition may not import {name}")
        return builtins.__import__(name, *rest)

    def find_spec(self, name: str, _path: Any, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Nothing is found on disk any more."""
        return importlib.machinery.ModuleSpec(name, self) if name in self._modules else None

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's text, under its name as file name."""
        code: CodeType = compile(self._modules[module.__name__], module.__name__, "exec", dont_inherit=True)
        module.__dict__["__builtins__"] = self._builtins
        exec(code, module.__dict__)  # noqa: S102 - scanned before, and guarded as said above

    def script(self) -> Any:
        """What an inline script finds: the names of the function's library beside its own."""
        found = _SCRIPT()
        found.__builtins__ = self._builtins
        return found


_SCRIPT = function.Module


def plain(struct: Any) -> dict[str, Any]:
    """An object of the protocol as JSON; numbers without fraction are integers, as Crossplane writes them."""
    return {name: _value(value) for name, value in struct.fields.items()}


def _value(value: Any) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return plain(value.struct_value)
        case "list_value":
            return [_value(each) for each in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "null_value" | None:
            return None
        case kind:
            return getattr(value, kind)


if __name__ == "__main__":
    main()
