"""What a run measured; `python -m tests.e2e.figures` writes it into docs/control-plane.md."""

import json
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from tests.e2e.binaries import build_seconds

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "control-plane.md"
BEGIN, END = "<!-- measured: python -m tests.e2e.figures -->", "<!-- end of what was measured -->"


class Figures:
    """Seconds, bytes and verdicts by name, kept in `folder`; a run replaces those it measures anew."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "figures.json"
        self.values: dict[str, dict[str, Any]] = json.loads(self.file.read_text()) if self.file.is_file() else {}

    def note(self, table: str, name: str, value: object) -> None:
        """Keep one figure."""
        self.values.setdefault(table, {})[name] = value
        self.values["run"] = {"date": date.today().isoformat(), "processors": os.cpu_count()}
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(json.dumps(self.values, indent=1))

    @contextmanager
    def timed(self, table: str, name: str) -> Iterator[None]:
        """Keep how many seconds it took; None when it failed."""
        self.note(table, name, None)
        started = time.monotonic()
        yield
        self.note(table, name, round(time.monotonic() - started, 2))


def page(values: Mapping[str, Mapping[str, Any]], builds: Mapping[str, float]) -> str:
    """The measured part of the page, as Markdown. Raises KeyError when the run did not measure everything."""
    run, memory, live, drills = values["run"], values["memory"], values["live"], values["drills"]
    passed = sum(seconds is not None for seconds in drills.values())
    total = f"{sum(memory.values()) / 2**20:,.0f} MiB in {len(memory)} processes"
    largest = sorted(memory.items(), key=lambda item: -item[1])[:5]
    parts = (
        f"Measured on {run['date']} with {run['processors']} processors.",
        "**Build, once:** " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in builds.items()) + ".",
        "**Start:** " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in values["start"].items()) + ".",
        f"**Memory of the loop:** {total}; most: "
        + ", ".join(f"{name} {size / 2**20:,.0f}" for name, size in largest)
        + ".",
        _table(
            ("from the command's start until live", "rounds", "median s", "worst s", "bar s"),
            [_row(name, **each) for name, each in live.items()],
        ),
        f"**Drills: {passed} passed of {len(drills)} tried.** Seconds until all was right again, faults included:",
        _table(
            ("drill", "s"),
            [(name, "failed" if seconds is None else f"{seconds:.1f}") for name, seconds in drills.items()],
        ),
    )
    return "\n\n".join(parts)


def _row(name: str, seconds: Sequence[float], bar: float) -> tuple[object, ...]:
    return name, len(seconds), f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}", f"{bar:g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main() -> None:
    """Put the last run's figures into the page."""
    values = json.loads((ROOT / ".e2e" / "figures.json").read_text())
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{page(values, build_seconds())}\n\n{END}{after}")
    print(f"{PAGE.relative_to(ROOT)} tells what was measured on {values['run']['date']}.")


if __name__ == "__main__":
    main()
