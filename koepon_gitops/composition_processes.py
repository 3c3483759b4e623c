"""The processes in which compositions run: two, alike but for the order of questions and the seed of Python's hashes.

They have nothing to steal and nowhere to go: an empty environment, no arguments, an empty folder, their limits, and
`data/composition_worker.py` between a composition and everything else.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

import orjson

from koepon_gitops import composition_scan
from koepon_gitops.errors import UncheckableError

WORKER = Path(__file__).parent / "data" / "composition_worker.py"
CPU_SECONDS = 2.0
"""Computing time of one claim, which the process itself keeps."""
CLOCK_SECONDS = 30.0
"""Time on the clock for an answer, the process's start included; then it is ended from outside."""
MEMORY = 1 << 30
"""Bytes of address space of a process."""

type Answer = Mapping[str, Any]
"""What the worker says of one claim; data/composition_worker.py has the form."""


class Processes:
    """Both processes. They start at once and load the function; `mount` gives them what they are to run."""

    def __init__(self) -> None:
        self._both = _Process("1"), _Process("2")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        for each in self._both:
            each.end()

    def mount(self, modules: Mapping[str, str]) -> None:
        """What was scanned and is now to be run. To be called once."""
        for each in self._both:
            each.modules = modules

    def ask(self, requests: Sequence[Any]) -> list[tuple[Answer, Answer]]:
        """What both say of each claim. Raises UncheckableError composition/worker when one does not even start."""
        first, second = self._both
        with ThreadPoolExecutor(2) as pool:
            one = pool.submit(first.ask, requests)
            other = pool.submit(second.ask, requests[::-1])
            return list(zip(one.result(), other.result()[::-1], strict=True))


class _Process:
    def __init__(self, seed: str) -> None:
        self._seed = seed
        self.modules: Mapping[str, str] = {}
        self._start()

    def _start(self) -> None:
        self._buffer, self._fresh = b"", True
        self._started = subprocess.Popen(
            # -I would have Python ignore the seed; -P and -s are the rest of it, and the environment is empty besides.
            [sys.executable, "-P", "-s", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PYTHONHASHSEED": self._seed, "PATH": "/nonexistent", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"},
        )
        self._stdin = cast("IO[bytes]", self._started.stdin)
        self._stdout = cast("IO[bytes]", self._started.stdout)

    def ask(self, requests: Sequence[Any]) -> list[Answer]:
        """An answer to each. One that ends the process is asked no more; the others are asked in a new one."""
        answers: list[Answer] = []
        while len(answers) < len(requests):
            fresh = self._fresh
            came = self._ask(requests[len(answers) :])
            answers += came
            if len(answers) < len(requests):
                code = self._ended()
                if fresh and not came and code > 0:
                    raise _not_started(code)
                late = -code in (signal.SIGKILL, signal.SIGXCPU)
                answers.append({"late": True} if late else {"failed": f"its process ended with {code}"})
                self._start()
        return answers

    def _ask(self, requests: Sequence[Any]) -> list[Answer]:
        """The answers that come until the process ends or falls silent."""
        question = orjson.dumps(requests) + b"\n"
        if self._fresh:
            question = orjson.dumps(self._beginning()) + b"\n" + question
            self._fresh = False
        answers: list[Answer] = []
        with suppress(BrokenPipeError):
            self._stdin.write(question)
            self._stdin.flush()
            while len(answers) < len(requests) and (line := self._line()):
                answers.append(orjson.loads(line))
        return answers

    def _beginning(self) -> Mapping[str, Any]:
        return {
            "modules": self.modules,
            "builtins": sorted(composition_scan.BUILTINS),
            "imports": [*composition_scan.COMPUTING, composition_scan.PYTHONIC],
            "seconds": CPU_SECONDS,
            "memory": MEMORY,
        }

    def _line(self) -> bytes:
        """The next line; empty when none comes in time."""
        handle = self._stdout.fileno()
        until = time.monotonic() + CLOCK_SECONDS
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([handle], [], [], max(0.0, until - time.monotonic()))
            data = os.read(handle, 1 << 20) if ready else b""
            if not data:
                return b""
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _ended(self) -> int:
        """The exit code, or less than 0 for a signal: our own when it still runs."""
        with suppress(subprocess.TimeoutExpired):
            self._started.wait(0.5)
        self.end()
        return self._started.returncode

    def end(self) -> None:
        """Nothing is left of it."""
        self._started.kill()
        self._started.wait()
        for pipe in (self._stdin, self._stdout):
            with suppress(BrokenPipeError):
                pipe.close()


def _not_started(code: int) -> UncheckableError:
    return UncheckableError(
        "composition/worker",
        f"The process that composes claims ended with exit code {code} before it answered.",
        where=WORKER.name,
        remedy="Run `make clean setup` to install crossplane-function-pythonic anew.",
    )
