"""A real control plane as plain processes: etcd, kube-apiserver, controllers, scheduler, kwok nodes."""

import secrets
import subprocess
from pathlib import Path

import yaml

from tests.e2e.binaries import Binaries
from tests.e2e.kubernetes_client import TOKEN, Client
from tests.e2e.processes import Process, Supervisor, free_port, wait_for

ZONES = ("ap-northeast-1a", "ap-northeast-1c", "ap-northeast-1d")
CONTROLLERS = (
    "node-lifecycle-controller",
    "deployment-controller",
    "replicaset-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "namespace-controller",
    "garbage-collector-controller",
    "endpointslice-controller",
    "disruption-controller",
    "horizontal-pod-autoscaler-controller",
    "validatingadmissionpolicy-status-controller",
)
STAGES = (
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-complete",
    "pod/fast/pod-delete",
)


class ApiServer:
    """etcd and kube-apiserver on free ports of loopback, data in `directory`; nothing else runs."""

    def __init__(self, supervisor: Supervisor, binaries: Binaries) -> None:
        self.supervisor, self.binaries, self.directory = supervisor, binaries, supervisor.directory
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._start_etcd()
        self.process = self._start()
        self.client = Client(self.url)
        self.kubeconfig = self._write_kubeconfig()
        wait_for("kube-apiserver", lambda: self.process.alive() and self.client.ready())

    def _start_etcd(self) -> None:
        self.etcd, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.supervisor.start(
            "etcd",
            [
                str(self.binaries.etcd),
                *("--data-dir", str(self.directory / "etcd")),
                *("--listen-client-urls", self.etcd, "--advertise-client-urls", self.etcd),
                *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                *("--initial-cluster", f"default={peer}"),
                "--unsafe-no-fsync",
            ],
        )

    def _start(self) -> Process:
        key = self.directory / "service-account.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        tokens = self.directory / "tokens.csv"
        tokens.write_text(f"{TOKEN},admin,admin,system:masters\n")
        return self.supervisor.start(
            "kube-apiserver",
            [
                str(self.binaries.kube_apiserver),
                f"--etcd-servers={self.etcd}",
                "--service-account-issuer=https://local",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--service-cluster-ip-range=10.96.0.0/16",
                f"--token-auth-file={tokens}",
                "--authorization-mode=RBAC",
                f"--cert-dir={self.directory / 'certificates'}",
                f"--secure-port={self.port}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                "--endpoint-reconciler-type=none",
            ],
        )

    def _write_kubeconfig(self) -> Path:
        file = self.directory / "kubeconfig"
        file.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "e2e", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}],
                    "users": [{"name": "e2e", "user": {"token": TOKEN}}],
                    "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
                    "current-context": "e2e",
                }
            )
        )
        return file

    def install(self, definitions: list[dict]) -> None:
        """Create CustomResourceDefinitions and wait until the server serves each of them."""
        for definition in definitions:
            answer = self.client.create(definition)
            assert answer.accepted or answer.code == 409, answer.message
        for definition in definitions:
            spec = definition["spec"]
            for version in (each["name"] for each in spec["versions"] if each["served"]):
                wait_for(
                    spec["names"]["kind"],
                    lambda spec=spec, version=version: self.client.resource(
                        f"{spec['group']}/{version}", spec["names"]["kind"]
                    ),
                )


class Cluster:
    """The API server plus everything that makes pods run: controllers, scheduler, and kwok for nodes and kubelets.

    `stages` are kwok's for further kinds (YAML), which the API server must know already: what controllers that can't
    run here would write into their status.
    """

    def __init__(self, api: ApiServer, stages: str = "") -> None:
        self.api, self.client = api, api.client
        supervisor, binaries = api.supervisor, api.binaries
        key = api.directory / "service-account.key"
        supervisor.start(
            "kube-controller-manager",
            [
                str(binaries.kube_controller_manager),
                f"--kubeconfig={api.kubeconfig}",
                "--use-service-account-credentials=false",
                "--leader-elect=false",
                f"--service-account-private-key-file={key}",
                f"--secure-port={free_port()}",
                "--bind-address=127.0.0.1",
                f"--cert-dir={api.directory / 'controller-manager'}",
                f"--controllers={','.join(CONTROLLERS)}",
            ],
        )
        supervisor.start(
            "kube-scheduler",
            [
                str(binaries.kube_scheduler),
                f"--kubeconfig={api.kubeconfig}",
                "--leader-elect=false",
                f"--secure-port={free_port()}",
                "--bind-address=127.0.0.1",
                f"--cert-dir={api.directory / 'scheduler'}",
            ],
        )
        configuration = api.directory / "stages.yaml"
        configuration.write_text("---\n".join((*map(binaries.kwok_stage, STAGES), stages)))
        supervisor.start(
            "kwok",
            [
                str(binaries.kwok),
                "--manage-all-nodes",
                f"--kubeconfig={api.kubeconfig}",
                f"--config={configuration}",
                "--node-lease-duration-seconds=40",
                f"--server-address=127.0.0.1:{free_port()}",
            ],
        )
        self._add_nodes()

    def _add_nodes(self, per_zone: int = 2) -> None:
        for zone in ZONES:
            for number in range(per_zone):
                name = f"node-{zone[-2:]}-{number}"
                labels = {"topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": name, "type": "kwok"}
                size = {"cpu": "8", "memory": "32Gi", "pods": "110"}
                answer = self.client.create(
                    {
                        "apiVersion": "v1",
                        "kind": "Node",
                        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
                        "status": {"allocatable": size, "capacity": size},
                    }
                )
                assert answer.accepted, answer.message
        wait_for("nodes", self._nodes_ready)

    def _nodes_ready(self) -> bool:
        nodes = self.client.list("v1", "Node")
        return bool(nodes) and all(_is_ready(node) and not node["spec"].get("taints") for node in nodes)

    def ready_pods(self, namespace: str, application: str) -> list[dict]:
        """The pods of an application that serve."""
        return serving(self.client.list("v1", "Pod", namespace), application)


def serving(pods: list[dict], application: str) -> list[dict]:
    """Those of an application that are Ready and not going away."""
    wanted = [pod for pod in pods if pod["metadata"].get("labels", {}).get("app") == application]
    return [pod for pod in wanted if _is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]


def _is_ready(content: dict) -> bool:
    conditions = content.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def webhook_secret() -> str:
    """A secret of this run, shared by the git server and Argo CD."""
    return secrets.token_hex(16)
