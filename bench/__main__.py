"""`make bench`: every figure of speed that the README names, as medians and ratios of one run on this machine.

`python -m bench [SECTION...]` runs some of: repository scale unchanged verbs race start.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench import estate, peers
from demo.sandbox import Ecr, Sandbox
from koepon_gitops import kustomize, rendering
from koepon_gitops.cache import Cache
from koepon_gitops.configuration import load

ROOT = Path(__file__).parents[1]
RUNS = 5
OVERLAYS = 1000
PYTHON = sys.executable


def seconds(action: Callable[[], object], runs: int = RUNS) -> float:
    """The median wall-clock time of some runs."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return median(times)


def say(what: str, figure: str, bar: str = "") -> None:
    """One line of the table: what, how long, and the bar."""
    print(f"{what:<66} {figure:>18}   {bar}", flush=True)


def gitops(*arguments: str, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """Run the command line and give its output; any exit code but 0 ends the bench."""
    command = [PYTHON, "-m", "koepon_gitops", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)} gave {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def synced_folders() -> list[str]:
    """The folders that this repository's Applications sync, each as often as it is synced."""
    tree = rendering.Renderer(ROOT, load(ROOT), cache=Cache("renders", enabled=False)).tree()
    return [source.path for each in tree for source in each.application.sources]


def repository(folder: Path) -> None:
    """The whole repository with every result forgotten, against kustomize and kubeconform over the same folders.

    kubeconform passes over claims, whose schemas it can't have; `validate` composes them and judges what they become.
    """
    command, folders = [*peers.kubeconform(folder), "-summary", "-ignore-missing-schemas"], synced_folders()
    peer = seconds(lambda: peers.one_after_another(command, ROOT, folders))
    ours = seconds(lambda: gitops("validate", "--no-cache"))
    (folder / "plain").mkdir()
    plain = folder / "plain"
    for name in ("apps", "clusters", "infrastructure", "policies"):
        shutil.copytree(ROOT / name, plain / name)
    text = (ROOT / "pyproject.toml").read_text()
    (plain / "pyproject.toml").write_text(
        text.replace("[tool.koepon_gitops]\n", "[tool.koepon_gitops]\nbaseline = false\n")
    )
    (plain / "policies" / "waivers.yaml").write_text("waivers: []\n")
    without = seconds(lambda: gitops("validate", "--no-cache", "--root", str(plain)))
    say(f"kustomize build | kubeconform, {len(folders)} folders one after another", f"{peer:.2f} s")
    say("validate --no-cache without checkov", f"{without:.2f} s  x{without / peer:.2f}", "no slower: <= x1.00")
    say("validate --no-cache", f"{ours:.2f} s  x{ours / peer:.2f}", "no slower: <= x1.00")


_STAGES = """
import json, sys, time
from pathlib import Path
from koepon_gitops import evaluation, placement, policies, rendering, schemas
from koepon_gitops.cache import Cache
from koepon_gitops.configuration import load
root = Path(sys.argv[1])
started = time.perf_counter()
written = rendering.Renderer(root, load(root), cache=Cache("renders", enabled=sys.argv[2] == "cached")).tree()
rendered = time.perf_counter()
library = schemas.load(placement.definitions(written))
tree = placement.placed(written, library)
judge = evaluation.Judge(library, policies.load(root / "policies" / "admission"), placement.by_cluster(tree))
found = evaluation.evaluate(judge, tree, Cache("evaluations", enabled=False), lambda *_: None)
judged = time.perf_counter()
print(json.dumps({"render": rendered - started, "judge": judged - rendered, "findings": len(found),
    "broken": [finding.message for each in tree for finding in each.findings],
    "objects": sum(len(each.manifests) for each in tree), "renders": sum(each.renders for each in tree)}))
"""


def scale(folder: Path) -> None:
    """A thousand overlays: our schemas and policies, against kubeconform's schemas on the same rendered objects."""
    root = folder / "estate"
    root.mkdir()
    estate.generate(root, ROOT, OVERLAYS)
    stages = [_stages(root, "uncached"), *(_stages(root, "cached") for _ in range(3))]
    objects = int(stages[0]["objects"])
    folders = [f"./apps/generated/{number}" for number in range(OVERLAYS)]
    alone = seconds(lambda: _all_at_once(root, folders), runs=1)
    (folder / "rendered").mkdir()
    _render_into(root, folders, folder / "rendered")
    command = [*peers.kubeconform(folder), "-n", str(os.process_cpu_count()), "-summary", str(folder / "rendered")]
    peer = seconds(lambda: subprocess.run(command, check=True, capture_output=True), runs=3)
    judged = median(float(stage["judge"]) for stage in stages)
    rendered = float(stages[0]["render"])
    say(f"kubeconform alone, {OVERLAYS} overlays rendered before", f"{peer:.2f} s")
    say(
        f"schemas and policies together, {objects:,} objects",
        f"{judged:.2f} s  x{judged / peer:.2f}",
        "<= 1.5 s on 4 cores",
    )
    say(f"kustomize itself, {OVERLAYS} builds in parallel", f"{alone:.2f} s")
    say(
        f"rendering, {stages[0]['renders']} builds",
        f"{rendered:.2f} s  x{rendered / alone:.2f}",
        "kustomize's own time",
    )


def _stages(root: Path, cached: str) -> dict[str, float]:
    done = subprocess.run([PYTHON, "-c", _STAGES, str(root), cached], cwd=ROOT, check=True, capture_output=True)
    found: dict[str, float] = json.loads(done.stdout)
    if found["findings"] or found["broken"]:
        sys.exit(f"bench: the generated estate has findings: {found}")
    return found


def _build(root: Path, folder: str) -> bytes:
    return subprocess.run([*kustomize.executable(), folder], cwd=root, check=True, capture_output=True).stdout


def _all_at_once(root: Path, folders: list[str]) -> None:
    with ThreadPoolExecutor(os.process_cpu_count()) as pool:
        list(pool.map(lambda folder: _build(root, folder), folders))


def _render_into(root: Path, folders: list[str], target: Path) -> None:
    with ThreadPoolExecutor(os.process_cpu_count()) as pool:
        for number, text in enumerate(pool.map(lambda folder: _build(root, folder), folders)):
            (target / f"{number}.yaml").write_bytes(text)


def unchanged(folder: Path) -> None:
    """The second run, and the run after one overlay was edited, Python's start included."""
    root = folder / "tree"
    root.mkdir()
    for name in ("apps", "clusters", "infrastructure", "policies"):
        shutil.copytree(ROOT / name, root / name)
    shutil.copy(ROOT / "pyproject.toml", root)
    gitops("validate", "--root", str(root))
    say("validate, nothing changed", f"{seconds(lambda: gitops('validate', '--root', str(root))):.2f} s", "<= 0.3 s")
    overlay = root / "apps/koepon-app/overlays/staging/kustomization.yaml"
    text, numbers = overlay.read_text(), iter(range(100))

    def edit_and_validate() -> None:
        overlay.write_text(f"{text}# {next(numbers)}\n")
        gitops("validate", "--root", str(root))

    say("validate, one overlay changed", f"{seconds(edit_and_validate):.2f} s", "<= 0.5 s")


def verbs(folder: Path) -> None:
    """promote and rollback as commands, with moto as ECR and a remote on disk."""
    ecr = Ecr()
    sandbox = Sandbox(folder / "sandbox", ROOT, ecr)
    sandbox.open_gates()
    releases = iter([ecr.release(f"release {number}") for number in range(RUNS)])
    promoted = seconds(lambda: gitops("promote", next(releases), cwd=sandbox.clone, environment=sandbox.environment))
    staging = ("rollback", "--env", "staging")
    rolled = seconds(lambda: gitops(*staging, cwd=sandbox.clone, environment=sandbox.environment), runs=RUNS - 1)
    ecr.stop()
    say("promote", f"{promoted:.2f} s", "<= 2 s")
    say("rollback", f"{rolled:.2f} s", "<= 2 s")


def race(folder: Path) -> None:
    """Ten promoters at once, each in a clone and a process of its own."""
    ecr = Ecr()
    sandbox = Sandbox(folder / "race", ROOT, ecr)
    shas = [ecr.release(f"racer {number}") for number in range(10)]
    clones = [folder / f"racer-{number}" for number in range(10)]
    for clone in clones:
        sandbox.git("clone", "--quiet", str(sandbox.remote), str(clone), at=folder)
    started = time.perf_counter()
    with ThreadPoolExecutor(10) as pool:
        runs = list(
            pool.map(lambda sha, clone: sandbox.run("promote", sha, "--env", "staging", at=clone), shas, clones)
        )
    took = time.perf_counter() - started
    ecr.stop()
    landed = sum(run.returncode == 0 for run in runs)
    commits = int(sandbox.git("rev-list", "--count", "main", at=sandbox.remote)) - 1
    if landed != commits:
        sys.exit(f"bench: {landed} promoters say they landed, and {commits} commits are there")
    say("10 promoters racing for one branch", f"{landed} landed, {took:.1f} s", "none lost")


def start(_folder: Path) -> None:
    """How long the library takes to be imported, and the command line to answer."""
    python = seconds(lambda: subprocess.run([PYTHON, "-c", "pass"], check=True))
    imported = seconds(lambda: subprocess.run([PYTHON, "-c", "import koepon_gitops"], check=True))
    say("import koepon_gitops, beyond Python's own start", f"{(imported - python) * 1000:.0f} ms", "<= 100 ms")
    say("--help", f"{seconds(lambda: gitops('--help')) * 1000:.0f} ms", "<= 200 ms")


SECTIONS = {each.__name__: each for each in (repository, scale, unchanged, verbs, race, start)}


def main() -> None:
    """Run the sections named, all of them by default."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Speed, as ratios measured in one run.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"one of: {' '.join(SECTIONS)}")
    named = parser.parse_args().sections
    if unknown := set(named) - set(SECTIONS):
        parser.error(f"no section is called {', '.join(sorted(unknown))}; there are {' '.join(SECTIONS)}")
    print(f"{os.process_cpu_count()} processors, medians of {RUNS} runs; x is the ratio to the line above it.")
    for name in named or SECTIONS:
        with TemporaryDirectory(prefix="koepon-bench-") as folder:
            SECTIONS[name](Path(folder))


if __name__ == "__main__":
    main()
