"""`make demo`: three releases, one of them bad, through all three verbs, in a sandbox that is thrown away."""

import sys
import textwrap
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from demo.sandbox import Ecr, Sandbox


class Story:
    """Tells what happens and runs it; remembers when something went other than the story says."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.surprises: list[str] = []

    def tell(self, words: str) -> None:
        """A sentence between commands."""
        print(f"\n# {words}", flush=True)

    def run(self, *arguments: str, expect: int = 0) -> None:
        """A command, its output, and its exit code when it is not 0."""
        command = f"python -m koepon_gitops {' '.join(arguments)}"
        print(f"$ {command}", flush=True)
        done = self.sandbox.run(*arguments)
        print(done.stdout.rstrip(), flush=True)
        if done.returncode:
            print(f"(exit code {done.returncode})", flush=True)
        if done.returncode != expect:
            self.surprises.append(f"{command}: exit code {done.returncode}, not {expect}")


def tell(story: Story, good: str, bad: str, mended: str) -> None:
    """The story."""
    story.tell("Production, as this repository declares it.")
    story.run("validate")
    story.tell("A new image goes to the environment that comes first.")
    story.run("promote", good[:12])
    story.tell("Production wants it to have run in staging for half an hour.")
    story.run("promote", good, expect=2)
    story.tell("A sandbox can't wait: from here on its policy has no waiting time and no freezes.")
    story.sandbox.open_gates()
    story.run("promote", good)
    story.tell("Another release. It passes staging, and turns out to be bad in production.")
    story.run("promote", bad)
    story.run("promote", bad)
    story.run("rollback")
    story.tell("What was rolled back stays out.")
    story.run("promote", bad, "--env", "production", expect=2)
    story.tell("The release that mends it.")
    story.run("promote", mended)
    story.run("promote", mended)
    story.tell("What git remembers, newest first:")
    print(textwrap.indent(story.sandbox.git("log", "--format=%h %s", "origin/main"), "  "), flush=True)


def main() -> int:
    """Tell the story; 1 when a command did not do what the story says."""
    started = time.monotonic()
    ecr = Ecr()
    try:
        with TemporaryDirectory(prefix="koepon-demo-") as folder:
            sandbox = Sandbox(Path(folder), Path(__file__).parents[1], ecr)
            good, bad, mended = (ecr.release(name) for name in ("good", "bad", "mended"))
            story = Story(sandbox)
            tell(story, good, bad, mended)
    finally:
        ecr.stop()
    for surprise in story.surprises:
        print(f"demo: {surprise}", file=sys.stderr)
    print(f"\nThe demo took {time.monotonic() - started:.0f} s and left nothing behind.")
    return int(bool(story.surprises))


if __name__ == "__main__":
    sys.exit(main())
