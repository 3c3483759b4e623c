"""Argo CD as plain processes on the hub's API server, with the clusters it syncs registered by name."""

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import requests
import yaml

from tests.e2e.binaries import Binaries, module_directory
from tests.e2e.control_plane import ApiServer
from tests.e2e.kubernetes_client import TOKEN
from tests.e2e.processes import Process, free_port, wait_for

NAMESPACE = "argocd"
PART_OF = {"app.kubernetes.io/part-of": "argocd"}
SETTINGS = {
    "ARGOCD_RECONCILIATION_TIMEOUT": "25s",
    "ARGOCD_RECONCILIATION_JITTER": "0s",
    "ARGOCD_SYNC_WAVE_DELAY": "0",
}
"""Production's settings, as Argo CD's manifests hand them to its programs.

`timeout.reconciliation` and its jitter (argocd-cm): a rollback has to be live within three minutes even when its
webhook is lost (NFR-404). Argo CD's own 120 s plus 60 s of jitter break that, because the one figure is both how often
an Application is looked at and how long repo-server believes its last `git ls-remote`: a commit is seen after twice
that at the latest. 25 s make it 50, which leaves ten seconds of a minute for the sync, and ask GitHub less than three
times a minute.

`controller.sync.wave.delay.seconds` (argocd-cmd-params-cm): by default every sync of the application stands still for
2 s between its two waves, in the hope that other controllers have seen what changed. Waves wait for health anyway, and
a pod that comes before its Secret waits for it.
"""


class ArgoCD:
    """repo-server, application-controller and server."""

    def __init__(self, hub: ApiServer, clusters: Mapping[str, ApiServer], secret: str) -> None:
        self.hub, self.clusters, self.secret = hub, clusters, secret
        self.binaries: Binaries = hub.binaries
        self.directory = hub.directory / "argocd"
        self.redis = f"127.0.0.1:{free_port()}"
        self.repo_server_port, self.server_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._install()
        hub.supervisor.start("redis", [str(self.binaries.redis), self.redis])
        self.repo_server = self._start_repo_server()
        self.controller = self._start_controller()
        self.server = self._start_server()
        wait_for("argocd-server", lambda: self.server.alive() and requests.get(f"{self.url}/healthz", timeout=2).ok)

    def _install(self) -> None:
        """Argo CD's kinds, its settings and the clusters it knows."""
        manifests = module_directory("argocd", "github.com/argoproj/argo-cd/v3") / "manifests"
        self.hub.install([yaml.safe_load(file.read_text()) for file in sorted(manifests.glob("crds/*-crd.yaml"))])
        self._create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        for name in ("argocd-cm", "argocd-rbac-cm", "argocd-cmd-params-cm"):
            shipped = yaml.safe_load((manifests / "base" / "config" / f"{name}.yaml").read_text())
            self._create(_named("ConfigMap", name) | {"data": shipped.get("data") or {}})
        secrets = {"webhook.github.secret": self.secret, "server.secretkey": self.secret}
        self._create(_named("Secret", "argocd-secret") | {"stringData": secrets})
        for name, api in self.clusters.items():
            config = {"bearerToken": TOKEN, "tlsClientConfig": {"insecure": True}}
            content = _named("Secret", f"cluster-{name}", {"argocd.argoproj.io/secret-type": "cluster"})
            self._create(content | {"stringData": {"name": name, "server": api.url, "config": json.dumps(config)}})

    def _create(self, content: dict) -> None:
        answer = self.hub.client.create(content)
        assert answer.accepted or answer.code == 409, answer.message

    def _environment(self, component: str) -> dict[str, str]:
        home = self.directory / component
        places = {
            "HOME": home,
            "TMPDIR": home / "tmp",
            "ARGOCD_TLS_DATA_PATH": home / "tls",
            "ARGOCD_SSH_DATA_PATH": home / "ssh",
            "ARGOCD_GNUPGHOME": home / "gnupg",
            "ARGOCD_GPG_DATA_PATH": home / "gpg",
            "ARGOCD_PLUGINSOCKFILEPATH": home / "plugins",
        }
        for place in places.values():
            place.mkdir(parents=True, exist_ok=True)
        return (
            {name: str(place) for name, place in places.items()}
            | SETTINGS
            | {
                "PATH": f"{self._tools()}:/usr/local/bin:/usr/bin:/bin",
                "KUBECONFIG": str(self.hub.kubeconfig),
                "ARGOCD_BINARY_NAME": f"argocd-{component}",
                "ARGOCD_FAKE_IN_CLUSTER": "true",
                "ARGOCD_GPG_ENABLED": "false",
                "ARGOCD_ASK_PASS_SOCK": str(home / "ask-pass.sock"),
            }
        )

    def _tools(self) -> Path:
        """What repo-server runs: kustomize, and the wrappers that Argo CD's image carries."""
        tools = self.directory / "tools"
        if not tools.is_dir():
            tools.mkdir(parents=True)
            hack = module_directory("argocd", "github.com/argoproj/argo-cd/v3") / "hack"
            for wrapper in hack.glob("*-wrapper.sh"):
                shutil.copy(wrapper, tools)
                (tools / wrapper.name).chmod(0o755)
            (tools / "kustomize").symlink_to(self.binaries.kustomize)
        return tools

    def _start_repo_server(self) -> Process:
        return self.hub.supervisor.start(
            "argocd-repo-server",
            [
                str(self.binaries.argocd),
                *("--address", "127.0.0.1", "--port", str(self.repo_server_port)),
                *("--metrics-address", "127.0.0.1", "--metrics-port", str(free_port())),
                *("--redis", self.redis, "--disable-tls", "--client-ca-path="),
            ],
            self._environment("repo-server"),
        )

    def _start_controller(self) -> Process:
        return self.hub.supervisor.start(
            "argocd-application-controller",
            [
                str(self.binaries.argocd),
                *("--kubeconfig", str(self.hub.kubeconfig), "--namespace", NAMESPACE),
                *("--metrics-port", str(free_port()), "--redis", self.redis),
                *("--repo-server", f"127.0.0.1:{self.repo_server_port}", "--repo-server-plaintext"),
            ],
            self._environment("application-controller"),
        )

    def _start_server(self) -> Process:
        return self.hub.supervisor.start(
            "argocd-server",
            [
                str(self.binaries.argocd),
                *("--kubeconfig", str(self.hub.kubeconfig), "--namespace", NAMESPACE),
                *("--address", "127.0.0.1", "--port", str(self.server_port)),
                *("--metrics-address", "127.0.0.1", "--metrics-port", str(free_port())),
                *("--redis", self.redis, "--repo-server", f"127.0.0.1:{self.repo_server_port}"),
                *("--repo-server-plaintext", "--insecure", "--disable-auth"),
            ],
            self._environment("server"),
        )

    @property
    def webhook(self) -> str:
        return f"{self.url}/api/webhook"

    def application(self, name: str) -> dict:
        return self.hub.client.get("argoproj.io/v1alpha1", "Application", name, NAMESPACE)

    def status(self, name: str) -> tuple[str, str, str]:
        """Sync status, health and revision; empty strings while Argo CD has not looked yet."""
        status = self.application(name).get("status", {})
        sync = status.get("sync", {})
        return sync.get("status", ""), status.get("health", {}).get("status", ""), sync.get("revision", "")

    def press_rollback(self, name: str, number: int) -> requests.Response:
        """What the button in Argo CD's page asks: the deployment of that number in the Application's history."""
        body = {"name": name, "id": number, "appNamespace": NAMESPACE}
        return requests.post(f"{self.url}/api/v1/applications/{name}/rollback", json=body, timeout=30)

    def sync_by_hand(self, name: str, revision: str) -> None:
        """Sync to a revision, as one can who may edit Applications: Argo CD's server would refuse."""
        operation = {"sync": {"revision": revision, "syncOptions": ["ServerSideApply=true"]}}
        answer = self.hub.client.merge(self.application(name), {"operation": operation})
        assert answer.accepted, answer.message

    def syncs(self, name: str) -> dict[int, str]:
        """The finished syncs Argo CD remembers: their revisions by number, oldest first."""
        return {each["id"]: each["revision"] for each in self.application(name)["status"].get("history", ())}

    def look(self, name: str) -> None:
        """Have an Application looked at now, and wait until it has been."""
        wanted = {"argocd.argoproj.io/refresh": "normal"}
        self.hub.client.merge(self.application(name), {"metadata": {"annotations": wanted}})
        wait_for(
            f"a look at {name}", lambda: not wanted.keys() & self.application(name)["metadata"]["annotations"].keys()
        )

    def confirm(self, name: str) -> None:
        """A person's yes to what an Application wants to prune or delete: all of it that was asked before now."""
        approved = {"argocd.argoproj.io/deletion-approved": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        self.hub.client.merge(self.application(name), {"metadata": {"annotations": approved}})


def _named(kind: str, name: str, labels: Mapping[str, str] | None = None) -> dict:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {**PART_OF, **(labels or {})}}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}
