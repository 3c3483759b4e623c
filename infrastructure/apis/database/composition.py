"""A Database: PostgreSQL at Supabase or in RDS, its backups, its connections, and its address for the application.

Either way the application finds `database-url` in Parameter Store. Everything that Supabase has only after the project
exists waits for the project to be healthy and to run the version that the claim asks for.
"""

from collections.abc import Mapping
from typing import Any

import outside
import supabase_settings
from composite import Composite, Json, Resources
from outside import Call

API = "https://api.supabase.com/v1"
PROJECT = "request/project"
POOLER = "request/pooler"

INSTANCES = {"small": "db.t4g.small", "medium": "db.t4g.medium", "large": "db.r6g.large"}


class Database(Composite):
    """One shape of claim, two services."""

    @staticmethod
    def build(resources: Resources) -> None:
        """Add the database of the service that the claim names."""
        outside.add_store(resources, store(resources))
        if resources.claim.spec["service"] == "supabase":
            add_supabase(resources)
        else:
            add_rds(resources)
        secret = resources.claim.spec["connectionSecret"]
        parameters = {"database-url": outside.application_parameter(resources, "database-url")}
        outside.add_published(resources, secret, store(resources), parameters)


def store(resources: Resources) -> str:
    """The SecretStore of this claim's secrets."""
    return f"{resources.claim.name}-database"


def add_supabase(resources: Resources) -> None:
    """The project; then, once it is healthy, what is set in it."""
    add_supabase_secrets(resources)
    add_project(resources)
    found = project(resources)
    for key, value in (("state", found.get("status")), ("engine", engine(found) if found else "")):
        if value:
            resources.status[key] = value
    reference = found["ref"] if is_ready(resources, found) else ""
    for setting in supabase_settings.settings(resources.claim.spec):
        add_setting(resources, reference, setting)
    if "customDomain" in resources.claim.spec["supabase"]:
        add_custom_domain(resources, reference)
    add_supabase_connection(resources)


def add_supabase_secrets(resources: Resources) -> None:
    """The access token, which a person puts into Parameter Store, as a header; and the generated password."""
    token = {"token": outside.platform_parameter(resources, "supabase-access-token")}
    header = {"authorization": "Bearer {{ .token }}"}
    outside.add_pulled(resources, api_secret(resources), store(resources), token, header)
    parameter = outside.platform_parameter(resources, "database-password")
    outside.add_generated(resources, password_secret(resources), store(resources), parameter)


def api_secret(resources: Resources) -> str:
    """The Secret with the header that the API asks for."""
    return f"{resources.claim.name}-supabase-api"


def password_secret(resources: Resources) -> str:
    """The Secret with the generated password."""
    return f"{resources.claim.name}-database-password"


def add_project(resources: Resources) -> None:
    """The project, found by its name: a hub that is built anew takes the old one over instead of making a second."""
    claim, spec = resources.claim, resources.claim.spec
    body = {
        "name": spec["name"],
        "organization_slug": spec["supabase"]["organization"],
        "region_selection": {"type": "specific", "code": spec["region"]},
        "desired_instance_size": spec["size"],
        "postgres_engine": spec["version"],
        "db_pass": outside.placeholder(password_secret(resources), claim.namespace, "password"),
    }
    name, region = outside.quoted(spec["name"]), outside.quoted(spec["region"])
    named = (
        '[.response.body | if type == "string" then fromjson else [.] end | .[]'
        f" | select(.name == {name} and .region == {region})"
        ' | select(.status != "REMOVED" and .status != "GOING_DOWN")] | sort_by(.created_at)'
    )
    outside.add_request(
        resources,
        PROJECT,
        spec["name"],
        secret=api_secret(resources),
        payload={"baseUrl": API, "body": body},
        calls={
            "OBSERVE": Call("GET", '.payload.baseUrl + "/projects"'),
            "CREATE": Call("POST", '.payload.baseUrl + "/projects"', ".payload.body"),
            "REMOVE": Call("DELETE", f'.payload.baseUrl + "/projects/" + ({named} | .[0].ref // error("none"))'),
        },
        expected="true",
        # Not when the API is out of order: a second project would be made.
        removed=f".response.statusCode == 200 and ({named} | length == 0)",
        owned=not spec["retain"],
    )
    if spec["retain"]:
        resources.protect(PROJECT)


def project(resources: Resources) -> Json:
    """The project as the API describes it, the oldest of its name; empty as long as it is not known."""
    found = outside.answer(resources, PROJECT)
    spec = resources.claim.spec
    ours = [
        each
        for each in (found if isinstance(found, list) else [found])
        if isinstance(each, dict) and (each.get("name"), each.get("region")) == (spec["name"], spec["region"])
    ]
    return min(ours, key=lambda each: str(each.get("created_at")), default={})


def is_ready(resources: Resources, found: Json) -> bool:
    """Whether it can be set up. A project of another version is not used: PostgreSQL doesn't go back."""
    return found.get("status") == "ACTIVE_HEALTHY" and engine(found) == resources.claim.spec["version"]


def engine(found: Json) -> str:
    """The major version of PostgreSQL; the field for it is not documented, so the full version stands in."""
    database = found.get("database") or {}
    return str(database.get("postgres_engine") or database.get("version") or "").partition(".")[0]


def add_setting(resources: Resources, reference: str, setting: supabase_settings.Setting) -> None:
    """One Request for one setting, as soon as the project can be set up. There is nothing to create: CREATE, to which
    the provider comes when it could not look at first, looks again."""
    calls = {"OBSERVE": setting.observe, "CREATE": setting.observe, "UPDATE": setting.update}
    add_to_project(resources, reference, setting.name, setting.body, calls, setting.expected)


def add_to_project(
    resources: Resources, known: str, name: str, body: Json, calls: Mapping[str, Call], expected: str
) -> str:
    """Add a Request below a project, as soon as its reference is known. An outage changes nothing. Returns its key."""
    key = f"request/{name}"

    def add() -> None:
        outside.add_request(
            resources,
            key,
            f"{resources.claim.spec['name']}-{name}",
            secret=api_secret(resources),
            payload={"baseUrl": f"{API}/projects/{known}", "body": body},
            calls=calls,
            expected=outside.unless_unseen(expected),
        )

    resources.once(known, key, add)
    return key


def add_custom_domain(resources: Resources, reference: str) -> None:
    """The add-on, then the host name with the two DNS records that prove and carry it. It is the API's, not
    PostgreSQL's."""
    domain = resources.claim.spec["supabase"]["customDomain"]
    add_setting(resources, reference, supabase_settings.addon("domain", "custom_domain", "cd_default"))
    host = outside.quoted(domain["hostname"])
    base = '.payload.baseUrl + "/custom-hostname'
    differs = f".response.body.custom_hostname != {host}"
    proven = '.response.body.status | startswith("4_")'
    step = f'if {differs} then "initialize" elif ({proven}) then "activate" else "reverify" end'
    hostname = add_to_project(
        resources,
        reference if has_addon(resources, "request/domain", "cd_default") else "",
        "hostname",
        {"custom_hostname": domain["hostname"]},
        {
            "OBSERVE": Call("GET", f'{base}"'),
            "CREATE": Call("POST", f'{base}/initialize"', ".payload.body"),
            "UPDATE": Call("POST", f'{base}/" + ({step})', f"if {differs} then .payload.body else {{}} end"),
        },
        f'.response.body | .custom_hostname == {host} and (.status | startswith("5_"))',
    )
    target = [f"{reference}.supabase.co"] if reference else []
    add_record(resources, domain, "cname", domain["hostname"], "CNAME", target)
    challenge = validation(outside.answer(resources, hostname))
    name = challenge.get("txt_name", "")
    add_record(resources, domain, "challenge", name, "TXT", [challenge["txt_value"]] if name else [])


def has_addon(resources: Resources, key: str, variant: str) -> bool:
    """Whether an add-on has been seen among those of the project."""
    found = outside.answer(resources, key)
    selected = found.get("selected_addons", []) if isinstance(found, dict) else []
    return any(each["variant"]["id"] == variant for each in selected)


def validation(found: Any) -> Json:
    """The record {txt_name, txt_value} by which the host name is proven to be ours; empty as long as none is asked."""
    result = ((found.get("data") or {}).get("result") or {}) if isinstance(found, dict) else {}
    records: list[Json] = (result.get("ssl") or {}).get("validation_records") or []
    return records[0] if records else {}


def add_record(resources: Resources, domain: Json, suffix: str, name: str, kind: str, values: list[str]) -> None:
    """A DNS record in the zone that the claim names, once its value is known."""
    record = f"{resources.claim.name}-database-{suffix}"
    parameters = {"zoneIdRef": {"name": domain["zone"]}, "name": name, "type": kind, "ttl": 300, "records": values}
    resources.once(values, f"record/{record}", lambda: resources.aws("route53/Record", record, parameters))


def add_supabase_connection(resources: Resources) -> None:
    """The URL by the pooler, as soon as the pooler says where it is."""
    found = outside.answer(resources, POOLER)
    poolers = found if isinstance(found, list) else []
    primary: Json = next((each for each in poolers if each.get("database_type") == "PRIMARY"), {})
    url = "postgresql://{db_user}:{{{{ .password }}}}@{db_host}:{db_port}/{db_name}?sslmode=require"
    password = {"password": outside.platform_parameter(resources, "database-password")}
    add_connection(resources, store(resources), password, url.format(**primary) if primary else "")


def add_connection(
    resources: Resources, from_store: str, remote: Mapping[str, str], url: str, *, of_json: bool = False
) -> None:
    """The Secret of the connection, from which the application's parameter is made."""
    secret = resources.claim.spec["connectionSecret"]
    resources.once(
        url,
        f"externalsecret/{secret}",
        lambda: outside.add_pulled(
            resources,
            secret,
            from_store,
            remote,
            {"database-url": url},
            properties=tuple(remote) if of_json else (),
            refresh="5m" if of_json else "1h",
        ),
    )


def add_rds(resources: Resources) -> None:
    """An instance in two zones, encrypted by a key of its own, whose password nobody has ever typed."""
    spec, rds = resources.claim.spec, resources.claim.spec["rds"]
    name, region = spec["name"], {"region": spec["region"]}
    network = rds["network"]
    add_key(resources)
    subnets = [{"name": f"{network}-private-{zone}"} for zone in rds["zones"]]
    description = f"The private subnets of {network}."
    resources.aws("rds/SubnetGroup", name, {**region, "subnetIdRefs": subnets, "description": description})
    parameters = f"{name}-postgres{spec['version']}"
    family = {"family": f"postgres{spec['version']}", "description": f"What {name} sets otherwise than AWS."}
    resources.aws("rds/ParameterGroup", parameters, {**region, **family, "parameter": database_parameters(spec)})
    instance = resources.aws(
        "rds/Instance",
        name,
        {
            **region,
            "engine": "postgres",
            "engineVersion": spec["version"],
            "instanceClass": INSTANCES[spec["size"]],
            "allocatedStorage": rds["storageGiB"],
            "maxAllocatedStorage": rds["maxStorageGiB"],
            "storageType": "gp3",
            "storageEncrypted": True,
            "kmsKeyIdRef": {"name": name},
            "multiAz": rds["multiAz"],
            "backupRetentionPeriod": spec["backupRetentionDays"],
            "backupWindow": rds["backupWindow"],
            "maintenanceWindow": rds["maintenanceWindow"],
            "copyTagsToSnapshot": True,
            "deleteAutomatedBackups": not spec["retain"],
            "deletionProtection": spec["retain"],
            "skipFinalSnapshot": not spec["retain"],
            **({"finalSnapshotIdentifier": f"{name}-final"} if spec["retain"] else {}),
            "enabledCloudwatchLogsExports": ["postgresql"],
            "performanceInsightsEnabled": True,
            "autoMinorVersionUpgrade": True,
            "dbName": "koepon",
            "username": "koepon",
            "manageMasterUserPassword": True,
            "masterUserSecretKmsKeyIdRef": {"name": name},
            "dbSubnetGroupNameRef": {"name": name},
            "parameterGroupNameRef": {"name": parameters},
            "vpcSecurityGroupIdRefs": [{"name": f"{network}-db-sg"}],
            "publiclyAccessible": False,
        },
        tags={"Backup": "daily"},
        stateful=spec["retain"],
    )
    add_rds_connection(resources, instance)


def add_key(resources: Resources) -> None:
    """The key of data, backups and password."""
    spec = resources.claim.spec
    key = {"region": spec["region"], "description": f"Data of {spec['name']}.", "enableKeyRotation": True}
    resources.aws("kms/Key", spec["name"], {**key, "deletionWindowInDays": 30}, stateful=spec["retain"])
    alias = {"region": spec["region"], "targetKeyIdRef": {"name": spec["name"]}}
    resources.aws("kms/Alias", spec["name"], alias, external_name=f"alias/{spec['name']}")


def database_parameters(spec: Json) -> list[Json]:
    """TLS only, and as many connections as the claim says: there is no pooler in between."""
    values = {"max_connections": str(spec["maxConnections"]), "rds.force_ssl": "1"}
    return [{"name": name, "value": value, "applyMethod": "pending-reboot"} for name, value in values.items()]


def add_rds_connection(resources: Resources, instance: str) -> None:
    """The URL with the password that RDS keeps in Secrets Manager, and changes every week."""
    claim = resources.claim
    secret, address = claim.seen(instance, "masterUserSecret", 0, "secretArn"), claim.seen(instance, "address")
    secrets = f"{claim.name}-database-master"
    outside.add_store(resources, secrets, "SecretsManager")
    url = f"postgresql://koepon:{{{{ .password | urlquery }}}}@{address}:5432/koepon?sslmode=require"
    add_connection(resources, secrets, {"password": secret}, url if secret and address else "", of_json=True)
