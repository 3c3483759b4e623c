"""A bare git repository over HTTP on loopback: `git http-backend` behind Python's own server, as GitHub would be."""

import hashlib
import hmac
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests


class GitServer:
    """Serves every bare repository below `directory` at `http://127.0.0.1:PORT/<path>`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.reachable = True
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                if outer.reachable:
                    self._answer(*outer._backend(self))
                else:
                    self.send_error(503, "unreachable by order of the test")

            do_POST = do_GET

            def _answer(self, head: bytes, body: bytes) -> None:
                lines = [line.split(": ", 1) for line in head.decode().splitlines() if line]
                headers = dict(lines)
                self.send_response(int(headers.pop("Status", "200").split()[0]))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Argo CD asks often; a log of it helps nobody."""

        return Handler

    def _backend(self, request: BaseHTTPRequestHandler) -> tuple[bytes, bytes]:
        path, _, query = request.path.partition("?")
        length = int(request.headers.get("Content-Length") or 0)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "GIT_PROJECT_ROOT": str(self.directory),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "e2e",
            "REQUEST_METHOD": request.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=request.rfile.read(length), capture_output=True, env=environment, check=False
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        return head, body

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def push_event(webhook: str, secret: str, repository: str, before: str, after: str) -> None:
    """Tell Argo CD of a push to main, signed as GitHub signs."""
    body = json.dumps(
        {
            "ref": "refs/heads/main",
            "before": before,
            "after": after,
            "repository": {"html_url": repository.removesuffix(".git"), "default_branch": "main"},
            "commits": [],
        }
    ).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "X-GitHub-Event": "push",
        "X-Hub-Signature-256": f"sha256={signature}",
        "Content-Type": "application/json",
    }
    requests.post(webhook, data=body, headers=headers, timeout=10).raise_for_status()
