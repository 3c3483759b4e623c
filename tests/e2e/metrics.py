"""The resource metrics API of a cluster, as metrics-server would serve it; kwok's pods use nothing that it could read.

Without it a HorizontalPodAutoscaler can't decide, and Argo CD calls it Degraded.
"""

import json
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests.e2e.control_plane import ApiServer
from tests.e2e.kubernetes_client import Client

GROUP_VERSION = "metrics.k8s.io/v1beta1"
USAGE = {"cpu": "60m", "memory": "96Mi"}
"""Of every container: below what any of our autoscalers aims at, so that each keeps its minimum."""


class Metrics:
    """Serves pod metrics on loopback and registers itself as the API server's metrics.k8s.io."""

    def __init__(self, api: ApiServer) -> None:
        self.client = Client(api.url)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*_certificate(api.directory))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self._register()

    def _register(self) -> None:
        metadata = {"name": "metrics-server", "namespace": "kube-system"}
        port = self.server.server_port
        service = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
        specification = {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "service": metadata | {"port": port},
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        }
        for content in (
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
            {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": "v1beta1.metrics.k8s.io"},
                "spec": specification,
            },
        ):
            answer = self.client.create(content)
            assert answer.accepted, answer.message

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                found = outer._answer(self.path)
                body = json.dumps(found or {"kind": "Status", "apiVersion": "v1", "code": 404}).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Autoscalers ask every 15 s; a log of it helps nobody."""

        return Handler

    def _answer(self, url: str) -> dict | None:
        path, parameters = urlsplit(url).path.rstrip("/"), dict(parse_qsl(urlsplit(url).query))
        if path == f"/apis/{GROUP_VERSION}":
            resource = {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["list"]}
            return {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": GROUP_VERSION,
                "resources": [resource],
            }
        prefix, suffix = f"/apis/{GROUP_VERSION}/namespaces/", "/pods"
        if not path.startswith(prefix) or not path.endswith(suffix):
            return None
        namespace = path.removeprefix(prefix).removesuffix(suffix)
        selector = {name: value for name, value in parameters.items() if name == "labelSelector"}
        pods = self.client.list("v1", "Pod", namespace, **selector)
        return {"kind": "PodMetricsList", "apiVersion": GROUP_VERSION, "metadata": {}, "items": [*map(_usage, pods)]}

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _usage(pod: dict) -> dict:
    metadata = {name: pod["metadata"].get(name, {}) for name in ("name", "namespace", "labels")}
    return {
        "metadata": metadata,
        # An autoscaler disregards what was measured before a pod had been ready for a whole window.
        "timestamp": (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "window": "0s",
        "containers": [{"name": each["name"], "usage": USAGE} for each in pod["spec"]["containers"]],
    }


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A throw-away certificate and its key."""
    certificate, key = folder / "metrics.crt", folder / "metrics.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key
