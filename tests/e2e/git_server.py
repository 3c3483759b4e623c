"""A bare git repository over HTTP on loopback: `git http-backend` behind Python's own server, as GitHub would be."""

import hashlib
import hmac
import json
import os
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests


class GitServer:
    """Serves every bare repository below `directory` at `http://127.0.0.1:PORT/<path>`; what REMOTE_USER may, all may.

    `pushed(repository's URL, before, after)` is called after main has moved, as GitHub calls a webhook: after the
    answer to the push, from elsewhere. `asked(path)` is called before a request is served.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.reachable = True
        self.pushed: Callable[[str, str, str], None] | None = None
        self.asked: Callable[[str], None] | None = None
        self._pushing = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                if not outer.reachable:
                    self.send_error(503, "unreachable by order of the test")
                elif self.path.endswith("/git-receive-pack"):
                    self._answer(*outer._receive(self))
                else:
                    if outer.asked:
                        outer.asked(self.path)
                    self._answer(*outer._backend(self))

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

    def _receive(self, request: BaseHTTPRequestHandler) -> tuple[bytes, bytes]:
        name = request.path.removesuffix("/git-receive-pack").strip("/")
        with self._pushing:
            before = self.tip(name)
            answer = self._backend(request)
            after = self.tip(name)
        if self.pushed and after != before:
            threading.Thread(target=self.pushed, args=(f"{self.url}/{name}", before, after), daemon=True).start()
        return answer

    def tip(self, name: str) -> str:
        """The commit main of a repository stands at; 40 zeros before the first."""
        command = ["git", "--git-dir", self.directory / name, "rev-parse", "--verify", "--quiet", "refs/heads/main"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "0" * 40

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
