"""Starts programs on loopback and stops every one of them, however the test run ends."""

import os
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
        except ChildProcessError:
            raise
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

    def running(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def alive(self) -> bool:
        """That it runs. Raises ChildProcessError with the end of its log when it has ended by itself."""
        if not self.running():
            tail = self.log.read_text(errors="replace")[-2000:]
            raise ChildProcessError(f"{self.name} ended with {self._process.returncode}:\n{tail}")
        return True

    def memory(self) -> int:
        """Resident bytes now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory runs out."""
        self._process.kill()

    def ask_to_end(self) -> None:
        """SIGTERM, without waiting."""
        if self._process.poll() is None:
            self._process.terminate()

    def stop(self, grace: float = 3) -> None:
        """Terminate, wait `grace` seconds, kill."""
        self.ask_to_end()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()


class Supervisor:
    """All programs of one session, by name. `room` gives a further cluster a folder of its own under the same care."""

    def __init__(self, directory: Path, logs: Path | None = None) -> None:
        self.directory, self.logs = directory, logs or directory / "logs"
        self.processes: dict[str, Process] = {}
        self.rooms: dict[str, Supervisor] = {}
        for folder in (self.directory, self.logs):
            folder.mkdir(parents=True, exist_ok=True)

    def room(self, name: str) -> "Supervisor":
        """Another supervisor, with its own folder and names; it is stopped together with this one."""
        self.rooms[name] = Supervisor(self.directory / name, self.logs / name)
        return self.rooms[name]

    def start(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> Process:
        """Start a program. Main thread only: the kernel takes the end of the thread that did for its parent's."""
        base = {"PATH": os.environ["PATH"], "HOME": str(self.directory)}
        process = Process(name, command, base | dict(environment or {}), self.logs / f"{name}.log", self.directory)
        self.processes[name] = process
        return process

    def everything(self) -> dict[str, Process]:
        """Its programs and those of its rooms, as `room/name`."""
        inner = {
            f"{room}/{name}": each for room, inside in self.rooms.items() for name, each in inside.everything().items()
        }
        return self.processes | inner

    def memory(self) -> dict[str, int]:
        """Resident bytes by program."""
        return {name: process.memory() for name, process in self.everything().items()}

    def stop(self) -> None:
        """Ask all to end, at once; whoever has not after 3 s is killed."""
        processes = self.everything().values()
        for process in processes:
            process.ask_to_end()
        deadline = time.monotonic() + 3
        for process in processes:
            process.stop(max(0, deadline - time.monotonic()))
        self.processes.clear()
        self.rooms.clear()
