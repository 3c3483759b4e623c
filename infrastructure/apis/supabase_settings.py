"""What is set in a Supabase project: each setting with the request that shows it, the one that sets it, and the jq by
which the former's answer is as wanted. Row level security and realtime have no field in the API: they are SQL.
"""

from typing import NamedTuple

import outside
from composite import Json
from outside import Call


class Setting(NamedTuple):
    """Something of a project that is observed and set, but neither made nor removed."""

    name: str
    observe: Call
    update: Call
    expected: str
    body: Json


def settings(spec: Json) -> tuple[Setting, ...]:
    """What the project of a claim has."""
    return (
        addon("compute", "compute_instance", f"ci_{spec['size']}"),
        *((addon("pitr", "pitr", pitr(spec["backupRetentionDays"])),) if spec["size"] != "small" else ()),
        pooler(spec["supabase"]["poolSize"]),
        ssl_enforcement(),
        network_restrictions(spec["supabase"]["allowedCidrs"]),
        row_level_security(),
        *((realtime(tables),) if (tables := spec["supabase"].get("realtimeTables")) else ()),
    )


def pitr(days: int) -> str:
    """The longest recovery to any moment that is not longer than asked; at most 28 days, dumps have to do the rest."""
    return f"pitr_{max([kept for kept in (7, 14, 28) if kept <= days], default=7)}"


def addon(name: str, kind: str, variant: str) -> Setting:
    """Something that is billed: the size of the machine, recovery to any moment, a domain."""
    return Setting(
        name,
        observe=Call("GET", '.payload.baseUrl + "/billing/addons"'),
        update=Call("PATCH", '.payload.baseUrl + "/billing/addons"', ".payload.body"),
        expected=".response.body.selected_addons"
        f" | any(.type == {outside.quoted(kind)} and .variant.id == {outside.quoted(variant)})",
        body={"addon_type": kind, "addon_variant": variant},
    )


def pooler(size: int) -> Setting:
    """How many connections of the database the pooler holds. How many clients it takes follows from `size`."""
    return Setting(
        "pooler",
        observe=Call("GET", '.payload.baseUrl + "/config/database/pooler"'),
        update=Call("PATCH", '.payload.baseUrl + "/config/database/pooler"', ".payload.body"),
        expected='.response.body | fromjson | any(.database_type == "PRIMARY"'
        f' and .default_pool_size == {size} and .pool_mode == "transaction")',
        body={"default_pool_size": size, "pool_mode": "transaction"},
    )


def ssl_enforcement() -> Setting:
    """No connection without TLS."""
    return Setting(
        "ssl",
        observe=Call("GET", '.payload.baseUrl + "/ssl-enforcement"'),
        update=Call("PUT", '.payload.baseUrl + "/ssl-enforcement"', ".payload.body"),
        expected=".response.body.currentConfig.database == true",
        body={"requestedConfig": {"database": True}},
    )


def network_restrictions(cidrs: list[str]) -> Setting:
    """From where the database can be reached; by IPv6 from nowhere."""
    return Setting(
        "network",
        observe=Call("GET", '.payload.baseUrl + "/network-restrictions"'),
        update=Call("POST", '.payload.baseUrl + "/network-restrictions/apply"', ".payload.body"),
        expected=f".response.body.config | (.dbAllowedCidrs | sort) == {outside.quoted(sorted(cidrs))}"
        " and ((.dbAllowedCidrsV6 // []) | length) == 0",
        body={"dbAllowedCidrs": sorted(cidrs), "dbAllowedCidrsV6": []},
    )


OPEN_TABLES = (
    "from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    " where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relrowsecurity"
    " and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')"
)


def row_level_security() -> Setting:
    """On every table that the API shows. Without a policy, only the table's owner then sees rows."""
    return by_sql(
        "rls",
        f"select count(*)::int as missing {OPEN_TABLES}",
        f"do $$ declare t regclass; begin for t in select c.oid {OPEN_TABLES} loop"
        " execute format('alter table %s enable row level security', t); end loop; end $$",
    )


def realtime(tables: list[str]) -> Setting:
    """Changes of these tables are sent to subscribers, as soon as the tables exist."""
    missing = (
        f"from unnest(array[{', '.join(repr(table) for table in sorted(tables))}]) as wanted(name)"
        " where to_regclass(wanted.name) is not NULL and not exists (select from pg_publication_tables p"
        " where p.pubname = 'supabase_realtime' and p.schemaname || '.' || p.tablename = wanted.name)"
    )
    return by_sql(
        "realtime",
        f"select count(*)::int as missing {missing}",
        f"do $$ declare t text; begin for t in select wanted.name {missing} loop"
        " execute format('alter publication supabase_realtime add table %s', t); end loop; end $$",
    )


def by_sql(name: str, observe: str, apply: str) -> Setting:
    """What the API offers no field for. `observe` says how many are missing. SQL must not hold the word NULL in lower
    case: the provider takes a request with it for one that could not be filled in."""
    return Setting(
        name,
        observe=Call("POST", '.payload.baseUrl + "/database/query/read-only"', "{query: .payload.body.observe}"),
        update=Call("POST", '.payload.baseUrl + "/database/query"', "{query: .payload.body.apply}"),
        expected=".response.body | fromjson | .[0].missing == 0",
        body={"observe": observe, "apply": apply},
    )
