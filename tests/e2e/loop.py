"""Production on loopback: this tree in a git repository over HTTP, four clusters, and Argo CD on the hub.

Each cluster is an API server of its own. One server registered four times would be cheaper by a gigabyte and three
starts, and wrong: dr's namespace is called production like production's, and both would be one. dr gets no
controllers: nothing is synced there until a disaster is declared.
"""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from demo.sandbox import Ecr, Sandbox
from koepon_gitops.schemas import PINS
from tests.e2e.argocd import NAMESPACE, ArgoCD
from tests.e2e.binaries import Binaries, pinned_directory
from tests.e2e.control_plane import ApiServer, Cluster, serving, webhook_secret
from tests.e2e.git_server import GitServer, push_event
from tests.e2e.kubernetes_client import Client
from tests.e2e.metrics import Metrics
from tests.e2e.processes import Supervisor, wait_for
from tests.e2e.stage import WITH_CROSSPLANE

ROOT = Path(__file__).parents[2]
APPLICATION = "koepon-app"
ENVIRONMENTS = ("staging", "production")
"""Those that follow git by themselves, each in a namespace of its name on a cluster of its name."""
ELSEWHERE = WITH_CROSSPLANE
"""Applications that are left out of git here: what makes their kinds is not there."""
DORMANT = {"namespaces-dr", "policies-dr", "koepon-app-dr"}
"""Applications that wait for a disaster to be declared."""
LIMIT = 60.0
"""Seconds after which something that should have happened has not."""


class Loop:
    """Everything between a command and the pods."""

    def __init__(self, supervisor: Supervisor, ecr: Ecr) -> None:
        self.supervisor, self.ecr = supervisor, ecr
        binaries = Binaries()
        self.servers = {name: ApiServer(supervisor.room(name), binaries) for name in ("hub", *ENVIRONMENTS, "dr")}
        for server in self.servers.values():
            server.install(_external_secrets())
        stages = (Path(__file__).parent / "stages.yaml").read_text()
        self.metrics = [Metrics(self.servers[name]) for name in ENVIRONMENTS]
        self.clusters = {name: Cluster(self.servers[name], stages) for name in ("hub", *ENVIRONMENTS)}
        self.hub = self.servers["hub"]
        self.secret = webhook_secret()
        registered = {name: server for name, server in self.servers.items() if name != "hub"}
        self.argocd = ArgoCD(self.hub, registered, self.secret)
        self.sandbox = Sandbox(supervisor.directory / "git", ROOT, ecr)
        self.git = GitServer(supervisor.directory / "git")
        self.url = f"{self.git.url}/remote.git"
        self._move_to_loopback()
        self.first = self.tip
        self.git.pushed = self.deliver
        self._apply_root()

    def _move_to_loopback(self) -> None:
        """The tree names the repository it is served from: here that is the GitServer's."""
        original = yaml.safe_load((ROOT / "clusters" / "hub" / "root.yaml").read_text())["spec"]["source"]["repoURL"]
        for file in self.sandbox.clone.rglob("*"):
            if file.is_file() and ".git" not in file.parts and original in (text := file.read_text("utf-8")):
                file.write_text(text.replace(original, self.url), "utf-8")
        for file in self.sandbox.clone.glob("clusters/*/*.yaml"):
            if yaml.safe_load(file.read_text("utf-8")).get("metadata", {}).get("name") in ELSEWHERE:
                listing = file.with_name("kustomization.yaml")
                listing.write_text(listing.read_text("utf-8").replace(f"  - {file.name}\n", ""), "utf-8")
                file.unlink()
        self.sandbox.git("remote", "set-url", "origin", self.url)
        self.sandbox.open_gates()

    def _apply_root(self) -> None:
        """What a person does once on a new hub, as clusters/kustomization.yaml says it. All else comes out of git."""
        command = ["kubectl", "--kubeconfig", self.hub.kubeconfig, "apply", "-k", self.sandbox.clone / "clusters"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def stop(self) -> None:
        """End what runs in this process; the supervisor ends the programs."""
        self.git.stop()
        for metrics in self.metrics:
            metrics.stop()

    def deliver(self, repository: str, before: str, after: str) -> None:
        """The webhook: what GitHub would do after a push."""
        push_event(self.argocd.webhook, self.secret, repository, before, after)

    @property
    def tip(self) -> str:
        """The commit git says should be live."""
        return self.git.tip("remote.git")

    def automated(self) -> list[str]:
        """The names of all Applications that follow git by themselves."""
        return sorted(
            each["metadata"]["name"]
            for each in self.applications()
            if "automated" in (each["spec"].get("syncPolicy") or {})
        )

    def written(self, environment: str) -> str:
        """The image that git's tip gives an environment, as `tag@digest`."""
        path = f"apps/{APPLICATION}/overlays/{environment}/kustomization.yaml"
        text = self.sandbox.git("--git-dir", str(self.sandbox.remote), "show", f"main:{path}")
        image = yaml.safe_load(text)["images"][0]
        return f"{image['newTag']}@{image['digest']}"

    def running(self, environment: str) -> list[str]:
        """The images of the pods that serve, as `tag@digest`."""
        pods = self.clusters[environment].ready_pods(environment, APPLICATION)
        return [_image(pod) for pod in pods]

    def deployment(self, environment: str) -> dict[str, Any]:
        """The Deployment as the environment's cluster has it."""
        return self.servers[environment].client.get("apps/v1", "Deployment", APPLICATION, environment)

    def settled(self) -> bool:
        """Whether the root has made all Applications, and all that follow git are Synced and Healthy at its tip."""
        found = {name: self.argocd.status(name) for name in self.automated()}
        right = ("Synced", "Healthy", self.tip)
        return set(found) == self.declared() - DORMANT and all(status == right for status in found.values())

    def declared(self) -> set[str]:
        """The names of the Applications in git."""
        self.pull()
        documents = [yaml.safe_load(file.read_text()) for file in self.sandbox.clone.glob("clusters/*/*.yaml")]
        return {each["metadata"]["name"] for each in documents if each["kind"] == "Application"} - ELSEWHERE

    def wait_settled(self, seconds: float = 2 * LIMIT) -> None:
        """Until `settled`. Raises TimeoutError with what every Application says."""
        try:
            self.wait("everything synced and healthy", self.settled, seconds)
        except TimeoutError as error:
            said = {name: (*self.argocd.status(name), self.complaint(name)) for name in self.automated()}
            raise TimeoutError(f"{error}\n{json.dumps(said, indent=1)}") from None

    def mend(self) -> None:
        """Undo whatever a failed test has left: faults, what was pushed by hand, Applications too many."""
        self.revive()
        self.git.reachable, self.git.pushed, self.git.asked = True, self.deliver, None
        self.hook.unlink(missing_ok=True)
        self.pull()
        overlays = f":!apps/{APPLICATION}/overlays"
        if self.sandbox.git("diff", "--name-only", self.first, "HEAD", "--", ".", overlays):
            self.sandbox.git("restore", "--source", self.first, "--staged", "--worktree", "--", ".", overlays)
            self.sandbox.commit("Mend what a test has left")
        self.prune_applications()
        for environment in ENVIRONMENTS:
            if not self.is_live(environment):
                self.argocd.look(f"{APPLICATION}-{environment}")
        self.wait_live(seconds=2 * LIMIT)

    def prune_applications(self) -> None:
        """Say yes, as a person would, to the pruning of Applications that git no longer holds; until they are gone."""
        declared = self.declared()

        def gone() -> bool:
            left = {each["metadata"]["name"] for each in self.applications()} - declared
            for name in {"root", *left} if left else ():
                with suppress(LookupError):
                    self.argocd.confirm(name)
            return not left

        self.wait("the end of Applications that git no longer holds", gone, pause=1)

    def applications(self) -> list[dict]:
        """All Applications on the hub."""
        return self.hub.client.list("argoproj.io/v1alpha1", "Application", NAMESPACE)

    @property
    def hook(self) -> Path:
        """The remote's hook that may refuse a push."""
        return self.sandbox.remote / "hooks" / "pre-receive"

    @contextmanager
    def watched(self, environment: str) -> Iterator[list[int]]:
        """How many pods served, looked at ten times a second; silence of the API server is no answer."""
        seen: list[int] = []
        done = threading.Event()
        cluster = self.clusters[environment]

        def look() -> None:
            client = Client(cluster.client.url)
            while not done.wait(0.1):
                with suppress(OSError, LookupError):
                    answer = client.request("GET", f"/api/v1/namespaces/{environment}/pods")
                    if answer.accepted:
                        seen.append(len(serving(answer.body["items"], APPLICATION)))

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            yield seen
        finally:
            done.set()
            watcher.join()

    def is_live(self, environment: str, revision: str | None = None) -> bool:
        """Synced to git's tip (or `revision`), Healthy, and its image in all ready pods, as many as are wanted."""
        revision = revision or self.tip
        if self.argocd.status(f"{APPLICATION}-{environment}") != ("Synced", "Healthy", revision):
            return False
        deployment = self.deployment(environment)["spec"]
        wanted = [self.written(environment)] * deployment["replicas"]
        return self.running(environment) == wanted and _image(deployment["template"]) == wanted[0]

    def wait_live(self, *environments: str, seconds: float = LIMIT) -> None:
        """Until git's tip is live in the environments, by default in all."""
        for environment in environments or ENVIRONMENTS:
            what = f"{environment} at {self.tip[:12]}"
            try:
                self.wait(what, lambda environment=environment: self.is_live(environment), seconds)
            except TimeoutError as error:
                raise TimeoutError(f"{error}\n{self.explain(environment)}") from None

    def explain(self, environment: str) -> str:
        """What Argo CD and the pods say now, for the reader of a failed test."""
        status = self.argocd.application(f"{APPLICATION}-{environment}").get("status", {})
        shown = {
            "sync": status.get("sync", {}).get("status"),
            "revision": status.get("sync", {}).get("revision"),
            "health": status.get("health"),
            "conditions": status.get("conditions"),
            "operation": {name: (status.get("operationState") or {}).get(name) for name in ("phase", "message")},
            "unhealthy": [
                each
                for each in status.get("resources", ())
                if each.get("status") != "Synced" or each.get("health", {}).get("status", "Healthy") != "Healthy"
            ],
            "pods": self.running(environment),
            "wanted": self.written(environment),
        }
        return json.dumps(shown, indent=1)

    def command(self, *arguments: str, expect: int = 0) -> str:
        """`python -m koepon_gitops ...` in the clone; its output."""
        done = self.sandbox.run(*arguments)
        assert done.returncode == expect, f"exit code {done.returncode}, not {expect}:\n{done.stdout}"
        return done.stdout

    def timed(self, environment: str, *arguments: str) -> float:
        """Seconds from a command's start until what it pushed is live in the environment."""
        started = time.monotonic()
        self.command(*arguments)
        self.wait_live(environment)
        return time.monotonic() - started

    def push(self, files: dict[str, str | None], message: str = "By hand") -> str:
        """A commit by hand, around all of CI; None removes a file."""
        self.pull()
        for name, content in files.items():
            file = self.sandbox.clone / name
            if content is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content, "utf-8")
        return self.sandbox.commit(message)

    def revert(self) -> str:
        """Undo the last commit by `git revert`, pushed."""
        self.pull()
        self.sandbox.git("revert", "--no-edit", "HEAD")
        self.sandbox.git("push", "--quiet", "origin", "HEAD:main")
        return self.tip

    def pull(self) -> None:
        """Bring the clone to git's tip, whatever was left in it."""
        self.sandbox.git("fetch", "--quiet", "origin", "main")
        self.sandbox.git("reset", "--quiet", "--hard", "FETCH_HEAD")

    def read(self, name: str) -> str:
        """A file of the clone."""
        self.pull()
        return (self.sandbox.clone / name).read_text("utf-8")

    def findings(self, *applications: str) -> list[dict[str, Any]]:
        """What `validate` says of the clone."""
        done = self.sandbox.run("validate", *applications, "--format", "json")
        try:
            found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
        except ValueError as error:
            raise AssertionError(done.stdout) from error
        return found

    def complaint(self, application: str) -> str:
        """Everything Argo CD says against an Application: its conditions and its last operation's results."""
        status = self.argocd.application(application).get("status", {})
        operation = status.get("operationState") or {}
        resources = (operation.get("syncResult") or {}).get("resources") or ()
        messages = [each.get("message", "") for each in (*status.get("conditions", ()), *resources)]
        return "\n".join((*messages, operation.get("message", "")))

    def revive(self) -> list[str]:
        """Start again what has ended by itself, as a kubelet would; its names."""
        dead = [(name, each) for name, each in self.supervisor.everything().items() if not each.running()]
        for _, process in dead:
            process.start()
        return [name for name, _ in dead]

    def wait(self, what: str, ready: Callable[[], object], seconds: float = LIMIT, pause: float = 0.05) -> None:
        """Poll until `ready` is true, reviving what has died."""

        def looked() -> object:
            self.revive()
            return ready()

        wait_for(what, looked, seconds, pause)


def _image(pod: dict) -> str:
    """What the first container of a pod or of a pod's template runs, as `tag@digest`."""
    return str(pod["spec"]["containers"][0]["image"].rpartition("/app:")[2])


def _external_secrets() -> list[dict]:
    """The definitions of External Secrets' kinds, from the module that `validate` takes them from."""
    module = pinned_directory(PINS, "github.com/external-secrets/external-secrets")
    names = ("externalsecrets", "secretstores")
    return [
        yaml.safe_load((module / "config" / "crds" / "bases" / f"external-secrets.io_{name}.yaml").read_text())
        for name in names
    ]
