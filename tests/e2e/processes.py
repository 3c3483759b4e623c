"""Starts programs on loopback and stops every one of them, however the test run ends."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def free_port() -> int:
    """A TCP port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, ready: Callable[[], object], seconds: float = 60, pause: float = 0.05) -> None:
    """Poll `ready` until it is true. Raises TimeoutError naming `what`."""
    deadline = time.monotonic() + seconds
    reason = ""
    while time.monotonic() < deadline:
        try:
            if ready():
                return
        except (OSError, AssertionError, LookupError) as error:
            reason = f": {error}"
        time.sleep(pause)
    raise TimeoutError(f"{what} was not there after {seconds} s{reason}")


class Process:
    """One running program. The kernel kills it when the test run dies (`setpriv --pdeathsig`)."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path, cwd: Path) -> None:
        self.name, self.command, self.environment, self.log, self.cwd = name, command, dict(environment), log, cwd
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.command],
                env=self.environment,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        """Whether it runs. Raises ChildProcessError with the end of its log when it has ended by itself."""
        if self._process.poll() is not None:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise ChildProcessError(f"{self.name} ended with {self._process.returncode}:\n{tail}")
        return True

    def memory(self) -> int:
        """Resident bytes now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stop(self, grace: float = 3) -> None:
        """Terminate, wait `grace` seconds, kill."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()


class Supervisor:
    """All programs of one session: started by name, stopped in reverse order."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: dict[str, Process] = {}

    def start(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> Process:
        logs = self.directory / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        base = {"PATH": os.environ["PATH"], "HOME": str(self.directory)}
        process = Process(name, command, base | dict(environment or {}), logs / f"{name}.log", self.directory)
        self.processes[name] = process
        return process

    def memory(self) -> dict[str, int]:
        """Resident bytes by program."""
        return {name: process.memory() for name, process in self.processes.items()}

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.stop()
        self.processes.clear()
