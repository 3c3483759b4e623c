"""The two services as their public descriptions say, as far as this repository uses them, on loopback.

Each is a plain object whose attributes are its state: a test reads them, spoils them to make drift, and sees repairs.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

type Answer = tuple[int, Any]
"""Status code and JSON."""
type Route = Callable[..., Answer]

HOSTNAME_STATES = ("2_initiated", "3_challenge_verified", "4_origin_setup_completed", "5_services_reconfigured")


@contextmanager
def served(service: "Service") -> Iterator[str]:
    """The base URL of a service as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            code, found = service.answer(self.command, self.path, body, self.headers)
            text = json.dumps(found).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Service:
    """What both have: a header that opens them, and the calls that changed something."""

    authorization: str
    down: bool = False
    """Whether every answer is 503."""
    blind: bool = False
    """Whether nothing can be read, while what changes something works."""
    changes: list[str] = field(default_factory=list)
    """`METHOD /path` of every call that was not for reading, in order."""

    def routes(self) -> Mapping[str, Route]:
        """By `METHOD path-pattern`: a function of the pattern's groups and the body."""
        raise NotImplementedError

    def answer(self, method: str, path: str, body: str, headers: Mapping[str, str]) -> Answer:
        """Answer a request as the service would."""
        reads = method == "GET" or "read-only" in path
        if self.down or (self.blind and reads):
            return 503, {"message": "Service Unavailable"}
        if headers.get("Authorization") != self.authorization:
            return 401, {"message": "Unauthorized"}
        if not reads:
            self.changes.append(f"{method} {path}")
        for route, function in self.routes().items():
            verb, _, pattern = route.partition(" ")
            if verb == method and (found := re.fullmatch(pattern, path)):
                return function(*found.groups(), **({"body": json.loads(body)} if body else {}))
        return 404, {"message": f"Cannot {method} {path}"}


@dataclass
class Project:
    """A Supabase project. It becomes healthy after it has been asked for a few times."""

    ref: str
    asked: dict[str, Any]
    engine: str
    status: str = "COMING_UP"
    patience: int = field(default=2, compare=False)
    addons: dict[str, str] = field(default_factory=dict)
    pool: dict[str, Any] = field(default_factory=lambda: {"default_pool_size": 15, "pool_mode": "transaction"})
    ssl: bool = False
    cidrs: list[str] = field(default_factory=lambda: ["0.0.0.0/0"])
    cidrs_v6: list[str] = field(default_factory=lambda: ["::/0"])
    hostname: str = ""
    hostname_state: str = "1_not_started"
    open_tables: int = 3
    unpublished: int = 2

    @property
    def public(self) -> dict[str, Any]:
        """As it is listed."""
        return {
            "id": self.ref,
            "ref": self.ref,
            "name": self.asked["name"],
            "organization_slug": self.asked["organization_slug"],
            "region": self.asked["region_selection"]["code"],
            "created_at": f"2026-11-24T00:00:00.{self.ref[-1]}Z",
            "status": self.status,
            "database": {
                "host": f"db.{self.ref}.supabase.co",
                "version": f"{self.engine}.8.1.121",
                "postgres_engine": self.engine,
            },
        }


@dataclass
class Supabase(Service):
    """The Management API."""

    projects: list[Project] = field(default_factory=list)
    engine: str = ""
    """The version of new projects, whatever is asked for; empty: what is asked for."""

    def routes(self) -> Mapping[str, Route]:
        one = r"/v1/projects/([a-z0-9]+)"
        return {
            "GET /v1/projects": self.list,
            "POST /v1/projects": self.create,
            f"DELETE {one}": self.remove,
            f"GET {one}/billing/addons": self.addons,
            f"PATCH {one}/billing/addons": self.apply_addon,
            f"GET {one}/config/database/pooler": self.pooler,
            f"PATCH {one}/config/database/pooler": self.set_pooler,
            f"GET {one}/ssl-enforcement": self.ssl,
            f"PUT {one}/ssl-enforcement": self.enforce_ssl,
            f"GET {one}/network-restrictions": self.network,
            f"POST {one}/network-restrictions/apply": self.restrict,
            f"GET {one}/custom-hostname": self.hostname,
            f"POST {one}/custom-hostname/(initialize|reverify|activate)": self.step,
            f"POST {one}/database/query(?:/read-only)?": self.query,
        }

    def project(self, ref: str) -> Project:
        """The project of a reference."""
        return next(each for each in self.projects if each.ref == ref)

    def list(self) -> Answer:
        for each in self.projects:
            each.patience -= 1
            if each.status == "COMING_UP" and each.patience <= 0:
                each.status = "ACTIVE_HEALTHY"
        found = [each.public for each in self.projects]
        self.projects = [each for each in self.projects if each.status != "GOING_DOWN"]
        return 200, found

    def create(self, body: dict[str, Any]) -> Answer:
        ref = f"abcdefghijklmnopqrs{len(self.projects)}"
        project = Project(ref, body, self.engine or body["postgres_engine"])
        project.addons["compute_instance"] = f"ci_{body['desired_instance_size']}"
        self.projects.append(project)
        return 201, project.public

    def remove(self, ref: str) -> Answer:
        """It is listed once more, on its way."""
        self.project(ref).status = "GOING_DOWN"
        return 200, {"id": 1, "ref": ref, "name": "gone"}

    def addons(self, ref: str) -> Answer:
        selected = [{"type": kind, "variant": {"id": variant}} for kind, variant in self.project(ref).addons.items()]
        return 200, {"selected_addons": selected, "available_addons": []}

    def apply_addon(self, ref: str, body: dict[str, str]) -> Answer:
        project = self.project(ref)
        if body["addon_type"] == "pitr" and project.addons["compute_instance"] in {"ci_nano", "ci_micro"}:
            return 400, {"message": "PITR requires a small compute or larger"}
        project.addons[body["addon_type"]] = body["addon_variant"]
        return 200, {}

    def pooler(self, ref: str) -> Answer:
        where = {"db_user": f"postgres.{ref}", "db_host": "aws-0-ap-northeast-1.pooler.supabase.com", "db_port": 6543}
        both = [{"database_type": kind, "db_name": "postgres", **where} for kind in ("READ_REPLICA", "PRIMARY")]
        return 200, [{**both[0], "default_pool_size": 1}, {**both[1], **self.project(ref).pool, "max_client_conn": 600}]

    def set_pooler(self, ref: str, body: dict[str, Any]) -> Answer:
        self.project(ref).pool |= body
        return 200, self.project(ref).pool

    def ssl(self, ref: str) -> Answer:
        return 200, {"currentConfig": {"database": self.project(ref).ssl}, "appliedSuccessfully": True}

    def enforce_ssl(self, ref: str, body: dict[str, Any]) -> Answer:
        self.project(ref).ssl = body["requestedConfig"]["database"]
        return self.ssl(ref)

    def network(self, ref: str) -> Answer:
        project = self.project(ref)
        config = {"dbAllowedCidrs": project.cidrs, "dbAllowedCidrsV6": project.cidrs_v6}
        return 200, {"entitlement": "allowed", "config": config, "status": "applied"}

    def restrict(self, ref: str, body: dict[str, Any]) -> Answer:
        project = self.project(ref)
        project.cidrs, project.cidrs_v6 = body["dbAllowedCidrs"], body["dbAllowedCidrsV6"]
        return 201, self.network(ref)[1]

    def hostname(self, ref: str) -> Answer:
        project = self.project(ref)
        if not project.hostname:
            return 400, {"message": "custom hostname is not configured"}
        records = [{"txt_name": f"_acme-challenge.{project.hostname}", "txt_value": "ca3-proof"}]
        result = {"hostname": project.hostname, "ssl": {"status": "pending", "validation_records": records}}
        data = {"success": True, "result": result}
        return 200, {"custom_hostname": project.hostname, "status": project.hostname_state, "data": data}

    def step(self, ref: str, action: str, body: dict[str, str]) -> Answer:
        project = self.project(ref)
        if action == "initialize":
            if "custom_domain" not in project.addons:
                return 400, {"message": "the custom domain add-on is missing"}
            project.hostname, project.hostname_state = body["custom_hostname"], HOSTNAME_STATES[0]
        elif action == "activate":
            if project.hostname_state != HOSTNAME_STATES[2]:
                return 400, {"message": "not ready"}
            project.hostname_state = HOSTNAME_STATES[3]
        elif project.hostname_state in HOSTNAME_STATES[:2]:
            project.hostname_state = HOSTNAME_STATES[HOSTNAME_STATES.index(project.hostname_state) + 1]
        return 201, self.hostname(ref)[1]

    def query(self, ref: str, body: dict[str, str]) -> Answer:
        """Not PostgreSQL: it knows which of the two subjects is meant, and whether to look or to act."""
        project, sql = self.project(ref), body["query"]
        subject = "open_tables" if "relrowsecurity" in sql else "unpublished"
        if sql.startswith("do "):
            setattr(project, subject, 0)
            return 201, []
        return 201, [{"missing": getattr(project, subject)}]


PLANS = {"fixed_250mb": 250 * 2**20, "fixed_1gb": 2**30, "fixed_5gb": 5 * 2**30, "fixed_10gb": 10 * 2**30}


def basic(email: str, key: str) -> str:
    """The header of HTTP Basic."""
    return f"Basic {base64.b64encode(f'{email}:{key}'.encode()).decode()}"


@dataclass
class Upstash(Service):
    """The Developer API for Redis."""

    databases: dict[str, dict[str, Any]] = field(default_factory=dict)
    endpoint: str = "fine-heron-12345"
    """A first part of a host name, or a whole one: the description allows both."""

    def routes(self) -> Mapping[str, Route]:
        one = r"([0-9a-f-]{36})"
        return {
            "POST /v2/redis/database": self.create,
            f"GET /v2/redis/database/{one}": self.get,
            rf"GET /v2/redis/database/{one}\?credentials=(hide)": self.get,
            f"DELETE /v2/redis/database/{one}": self.remove,
            f"POST /v2/redis/change-plan/{one}": self.change_plan,
            f"POST /v2/redis/update-regions/{one}": self.update_regions,
            f"PATCH /v2/redis/enable-dailybackup/{one}": self.enable_backup,
        }

    def create(self, body: dict[str, Any]) -> Answer:
        identity = f"96ad0856-03b1-4ee7-9666-e81abd03{len(self.databases):04d}"
        number = len(self.databases)
        self.databases[identity] = {
            "database_id": identity,
            "database_name": body["database_name"],
            "region": "global",
            "primary_region": body["primary_region"],
            "read_regions": body.get("read_regions", []),
            "port": 6379,
            "state": "active",
            "tls": body["tls"],
            "eviction": body["eviction"],
            "endpoint": self.endpoint,
            "db_disk_threshold": PLANS[body["plan"]],
            "daily_backup_enabled": False,
            "password": f"upstash-password-{number}",
            "rest_token": f"upstash-rest-token-{number}",
            "read_only_rest_token": f"upstash-read-only-token-{number}",
        }
        return 200, self.databases[identity]

    def get(self, identity: str, credentials: str = "show") -> Answer:
        found = self.databases.get(identity)
        if not found:
            return 404, "database not found"
        hidden = {"password", "rest_token", "read_only_rest_token"} if credentials == "hide" else set()
        return 200, {name: value for name, value in found.items() if name not in hidden}

    def remove(self, identity: str) -> Answer:
        del self.databases[identity]
        return 200, "OK"

    def change_plan(self, identity: str, body: dict[str, str]) -> Answer:
        self.databases[identity]["db_disk_threshold"] = PLANS[body["plan_name"]]
        return 200, "OK"

    def update_regions(self, identity: str, body: dict[str, Any]) -> Answer:
        self.databases[identity]["read_regions"] = body["read_regions"]
        return 200, "OK"

    def enable_backup(self, identity: str, body: dict[str, Any]) -> Answer:
        self.databases[identity]["daily_backup_enabled"] = True
        return 200, "OK"
