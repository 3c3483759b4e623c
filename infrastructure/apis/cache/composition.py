"""A Cache: Redis at Upstash or in ElastiCache, and its address for the application.

Either way the application finds `redis-url` in Parameter Store. What is in a cache may be lost: no service here keeps
backups of it for more than days.
"""

from typing import NamedTuple

import outside
from composite import Composite, Json, Resources
from outside import Call, Injection

API = "https://api.upstash.com/v2"
DATABASE = "request/database"


class Size(NamedTuple):
    """What holds an amount of memory at each service. `bytes`: the least that counts as that amount."""

    bytes: int
    plan: str
    node: str


SIZES = {
    "250MB": Size(250 * 10**6, "fixed_250mb", "cache.t4g.micro"),
    "1GB": Size(10**9, "fixed_1gb", "cache.t4g.small"),
    "2GB": Size(2 * 10**9, "fixed_5gb", "cache.t4g.medium"),
    "5GB": Size(5 * 10**9, "fixed_5gb", "cache.m7g.large"),
    "10GB": Size(10**10, "fixed_10gb", "cache.r7g.large"),
}


class Cache(Composite):
    """One shape of claim, two services."""

    @staticmethod
    def build(resources: Resources) -> None:
        """Add the cache of the service that the claim names."""
        outside.add_store(resources, store(resources))
        if resources.claim.spec["service"] == "upstash":
            add_upstash(resources)
        else:
            add_elasticache(resources)
        secret = resources.claim.spec["connectionSecret"]
        parameters = {"redis-url": outside.application_parameter(resources, "redis-url")}
        outside.add_published(resources, secret, store(resources), parameters)


def store(resources: Resources) -> str:
    """The SecretStore of this claim's secrets."""
    return f"{resources.claim.name}-cache"


def add_upstash(resources: Resources) -> None:
    """The database; then, once it is there, its replicas and its daily backup."""
    names = ("upstash-email", "upstash-api-key")
    parameters = {name.replace("-", "_"): outside.platform_parameter(resources, name) for name in names}
    header = {"authorization": 'Basic {{ printf "%s:%s" .upstash_email .upstash_api_key | b64enc }}'}
    outside.add_pulled(resources, api_secret(resources), store(resources), parameters, header)
    add_database(resources)
    found = outside.answer(resources, DATABASE)
    database = found if isinstance(found, dict) else {}
    known = database.get("database_id", "") if database.get("state") == "active" else ""
    add_read_regions(resources, known)
    if resources.claim.spec["dailyBackup"]:
        add_daily_backup(resources, known)


def api_secret(resources: Resources) -> str:
    """The Secret with the header that the API asks for."""
    return f"{resources.claim.name}-upstash-api"


SECRETS = {
    "password": ".body.password",
    "rest-token": ".body.rest_token",
    "read-only-rest-token": ".body.read_only_rest_token",
    # An endpoint is a whole host name, or the first part of one. Nothing is written when the answer has no password.
    "redis-url": '.body | select(.password) | (.endpoint | if contains(".") then . else . + ".upstash.io" end) as $host'
    ' | "rediss://default:\\(.password)@\\($host):\\(.port)"',
}
"""Every secret that an answer of Upstash may have: what is not named here would be seen in the Request's status."""


def add_database(resources: Resources) -> None:
    """The database. Its id is known from the answer to its creation, or from the claim where it is there already: the
    list, in which its name could be looked for, has the credentials of all databases."""
    spec = resources.claim.spec
    size = SIZES[spec["memory"]]
    body = {
        "database_name": spec["name"],
        "platform": "aws",
        "primary_region": spec["region"],
        "read_regions": read_regions(spec),
        "plan": size.plan,
        "eviction": spec["eviction"],
        "tls": True,
    }
    existing = spec["upstash"].get("databaseId")
    known = outside.quoted(existing) if existing else '(.response.body.database_id // error("none"))'
    outside.add_request(
        resources,
        DATABASE,
        spec["name"],
        secret=api_secret(resources),
        payload={"baseUrl": API, "body": body},
        calls={
            "OBSERVE": Call("GET", f'.payload.baseUrl + "/redis/database/" + {known}'),
            "CREATE": Call("POST", '.payload.baseUrl + "/redis/database"', ".payload.body"),
            "UPDATE": Call(
                "POST", f'.payload.baseUrl + "/redis/change-plan/" + {known}', "{plan_name: .payload.body.plan}"
            ),
            "REMOVE": Call("DELETE", f'.payload.baseUrl + "/redis/database/" + {known}'),
        },
        # The plan is not among what Upstash tells, but how much fits is.
        expected=outside.unless_unseen(f".response.body.db_disk_threshold >= {size.bytes}"),
        injection=Injection(spec["connectionSecret"], SECRETS),
        owned=not spec["retain"],
    )
    if spec["retain"]:
        resources.protect(DATABASE)


def read_regions(spec: Json) -> list[str]:
    """Where replicas are that can be read."""
    return sorted(spec["upstash"].get("readRegions", []))


def add_read_regions(resources: Resources, known: str) -> None:
    """The replicas, should they become others than they were made."""
    wanted = read_regions(resources.claim.spec)
    add_setting(
        resources,
        known,
        "regions",
        Call("POST", f'.payload.baseUrl + "/redis/update-regions/{known}"', ".payload.body"),
        f"((.response.body.read_regions // []) | sort) == {outside.quoted(wanted)}",
        {"read_regions": wanted},
    )


def add_daily_backup(resources: Resources, known: str) -> None:
    """A backup each day, which Upstash keeps for one to three days."""
    enable = Call("PATCH", f'.payload.baseUrl + "/redis/enable-dailybackup/{known}"', ".payload.body")
    add_setting(resources, known, "backup", enable, ".response.body.daily_backup_enabled == true", {})


def add_setting(resources: Resources, known: str, name: str, update: Call, expected: str, body: Json) -> None:
    """One Request for one setting, as soon as the database is there. It asks without seeing credentials."""
    key = f"request/{name}"
    observe = Call("GET", f'.payload.baseUrl + "/redis/database/{known}?credentials=hide"')
    resources.once(
        known,
        key,
        lambda: outside.add_request(
            resources,
            key,
            f"{resources.claim.spec['name']}-{name}",
            secret=api_secret(resources),
            payload={"baseUrl": API, "body": body},
            calls={"OBSERVE": observe, "CREATE": observe, "UPDATE": update},
            expected=outside.unless_unseen(expected),
        ),
    )


def add_elasticache(resources: Resources) -> None:
    """A replication group with automatic failover between zones, encrypted, with a generated password."""
    claim, spec = resources.claim, resources.claim.spec
    cluster = spec["elasticache"]
    name, region, network = spec["name"], {"region": spec["region"]}, cluster["network"]
    password = f"{claim.name}-cache-password"
    parameter = outside.platform_parameter(resources, "cache-password")
    outside.add_generated(resources, password, store(resources), parameter)
    subnets = [{"name": f"{network}-private-{zone}"} for zone in cluster["zones"]]
    description = f"The private subnets of {network}."
    resources.aws("elasticache/SubnetGroup", name, {**region, "subnetIdRefs": subnets, "description": description})
    group = resources.aws(
        "elasticache/ReplicationGroup",
        name,
        {
            **region,
            "description": f"Sessions and caches of {claim.namespace}.",
            "engine": "redis",
            "engineVersion": "7.1",
            "nodeType": SIZES[spec["memory"]].node,
            "port": 6379,
            "numCacheClusters": cluster["nodes"],
            "automaticFailoverEnabled": cluster["nodes"] > 1,
            "multiAzEnabled": cluster["nodes"] > 1,
            "transitEncryptionEnabled": True,
            "transitEncryptionMode": "required",
            "atRestEncryptionEnabled": "true",
            "authTokenSecretRef": {"name": password, "key": "password"},
            "authTokenUpdateStrategy": "ROTATE",
            "parameterGroupName": "default.redis7",
            "subnetGroupNameRef": {"name": name},
            "securityGroupIdRefs": [{"name": f"{network}-redis-sg"}],
            "snapshotRetentionLimit": cluster["snapshotDays"] if spec["dailyBackup"] else 0,
            "snapshotWindow": cluster["snapshotWindow"],
            "maintenanceWindow": cluster["maintenanceWindow"],
            **({"finalSnapshotIdentifier": f"{name}-final"} if spec["retain"] else {}),
            "applyImmediately": False,
            "autoMinorVersionUpgrade": "true",
        },
        stateful=spec["retain"],
    )
    add_elasticache_connection(resources, group, parameter)


def add_elasticache_connection(resources: Resources, group: str, parameter: str) -> None:
    """The URL of whichever node is the primary, as soon as AWS has named it."""
    secret, address = resources.claim.spec["connectionSecret"], resources.claim.seen(group, "primaryEndpointAddress")
    url = f"rediss://:{{{{ .password }}}}@{address}:6379"
    resources.once(
        address,
        f"externalsecret/{secret}",
        lambda: outside.add_pulled(resources, secret, store(resources), {"password": parameter}, {"redis-url": url}),
    )
