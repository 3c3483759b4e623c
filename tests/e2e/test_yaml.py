"""What YAML means: this library's readers against what a real API server stored from the same bytes."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from koepon_gitops import manifests, schemas
from koepon_gitops.errors import GitOpsError
from koepon_gitops.programs import KUSTOMIZE
from tests import trees
from tests.e2e.control_plane import ApiServer
from tests.e2e.kubernetes_client import Client

GROUP = "e2e.koepon.com"
REFUSED = "refused"

SCALARS = (
    *("yes", "Yes", "YES", "yEs", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "y", "Y", "n", "N"),
    *("true", "True", "TRUE", "tRue", "false", "False", "FALSE", "null", "Null", "NULL", "nUll", "~", "", '""'),
    *("''", "0", "-0", "+0", "00", "7", "+7", "-7", "0644", "0o644", "0O644", "-0644", "+0644", "0899", "08"),
    *("0x1F", "0X1f", "-0x1F", "0b101", "-0b101", "0b102", "0b-1", "0x", "0b", "1_000", "1__0", "_1", "1_"),
    *("0x_F", "0_7", "1_0.5", "1.0", "1.", ".5", "-.5", "+.5", ".", "..", "1.5", "1e3", "1E3", "1e+3", "1e-3"),
    *("1.5e3", "1e", "e3", "1e999", "1e21", "1e20", "123456789012345678901234567890", "0.1", "1e-7", "-1e-7"),
    *("0.000001", "100000000000000000000.0", "2147483647", "2147483648", "-2147483649", "9007199254740993"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    *("18446744073709551615", "18446744073709551616", ".inf", "-.inf", "+.inf", ".Inf", ".INF", ".iNf", "inf"),
    *(".nan", ".NaN", ".NAN", "nan", "Infinity", "2001-01-01", "2001-1-1", "2001-01-01T00:00:00Z"),
    *("2001-01-01 00:00:00", "2001-13-45", "12:30", "12:30:45", "1:20", "190:20:30", "0:0", "1.2.3", "1.2.3.4"),
    *("v1", "10.0.0.0/16", "100m", "1Gi", "50%", "1,000", "1 000", "=", "<<", "-", "- a", "?", ":", "a:b"),
    *("a: b", "a #b", "a#b", "#a", "!", "! a", "!a b", "&a", "&a b", "*a", "@a", "`a`", "%a", "|", ">", "[", "]"),
    *("{", "}", "[]", "{}", "[a, 1, yes]", "{a: 1}", "{a}", "[a,]", ",", "a,b", "'yes'", '"yes"', "'0644'"),
    *('"1e3"', "'it''s'", '"a\\nb"', '"\\x41"', '"\\u00e9"', '"\\q"', "'a", '"a', "'a' b", "!!str yes"),
    *("!!str 0644", "!!str ~", "!!str", "!!int '7'", "!!int 0x1F", "!!int a", "!!float 1", "!!float '1.5'"),
    *("!!bool yes", "!!bool 'no'", "!!bool 1", "!!null ''", "!!null a", "!!binary aGk=", "!!binary '?'"),
    *("!<x> a", "!!timestamp 2001-01-01", "!!map {a: 1}", "!!seq [a]", "!!set {a}", "!!omap [a: 1]"),
    *("!!js/undefined ''", "é", "日本", "\xa0a", "a\u2028b", "😀", "'\x85'", "a\tb", "a  ", "  a", "x" * 200),
    *("0" * 80, "1" * 80, "|\n    a\n    b\n", "|-\n    a\n", "|+\n    a\n\n", ">\n    a\n    b\n"),
    *(">-\n    yes\n", "|2\n      a\n", "\n    a\n    b\n", "|\n    0644\n", "!!int |\n    7\n", "'a\n    b'\n"),
    *('"a\\\n    b"\n', "{a: 1, a: 2}", "{yes: 1, true: 2}"),
)
KEYS = (
    *("a", "yes", "no", "on", "y", "true", "True", "~", "null", "1", "01", "0x1F", "1.5", "1.0", "1e3", "1e30"),
    *(".inf", "-1", "'1'", '"yes"', "2001-01-01", "12:30", "<<", "=", "!!str 1", "!!int '1'", "? a", "[a]"),
    *("{a: b}", "''", '""', "1_000", "18446744073709551615", "9223372036854775807", ".nan", "a b", "é", "0.1"),
    *("1e-7", "123456789.125", "!!null ''"),
)


@pytest.fixture(scope="module")
def client(api: ApiServer) -> Client:
    """Of a server that also serves a kind which holds anything."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    names = {"plural": "anythings", "singular": "anything", "kind": "Anything", "listKind": "AnythingList"}
    spec = {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]}
    head = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    api.install([{**head, "metadata": {"name": f"anythings.{GROUP}"}, "spec": spec}])
    return api.client


def anything(form: str) -> str:
    return f"apiVersion: {GROUP}/v1\nkind: Anything\nmetadata:\n  name: x\nspec:\n  value: {form}\n"


def keyed(form: str) -> str:
    return f"apiVersion: {GROUP}/v1\nkind: Anything\nmetadata:\n  name: x\nspec:\n  {form}: value\n"


def stored(client: Client, text: str, *path: str, validation: str = "Strict") -> str:
    """What the server would store at a path, from these bytes of YAML, as JSON; or that it refuses."""
    base = yaml.safe_load(text.partition("\nmetadata")[0])
    answer = client.request(
        "POST",
        client.path({**base, "metadata": {"namespace": "default"}}, named=False),
        text.encode(),
        content_type="application/yaml",
        dryRun="All",
        fieldValidation=validation,
    )
    return found(answer.body, *path) if answer.accepted else REFUSED


def found(content: Any, *path: str) -> str:
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return json.dumps(_numbers(content), sort_keys=True)


def _numbers(value: Any) -> Any:
    """Beyond int64 a number is a float; JSON shows it with or without an exponent."""
    if isinstance(value, dict):
        return {name: _numbers(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_numbers(part) for part in value]
    return float(value) if type(value) is int and not -(2**63) <= value < 2**63 else value


def read(text: str, *path: str) -> str:
    """What a plain directory source makes of the same bytes."""
    try:
        [content] = manifests.read(text.encode(), "form.yaml")
    except GitOpsError:
        return REFUSED
    return found(content, *path)


@pytest.mark.parametrize("form", SCALARS)
def test_a_value_is_what_the_server_stores(client: Client, form: str) -> None:
    text = anything(form)
    assert read(text, "spec") == stored(client, text, "spec")


@pytest.mark.parametrize("form", KEYS)
def test_a_key_is_what_the_server_stores(client: Client, form: str) -> None:
    text = keyed(form)
    assert read(text, "spec") == stored(client, text, "spec")


FIELDS = {
    "text": ("v1", "ConfigMap", "data:\n  k: {}\n", ("data", "k")),
    "annotation": ("v1", "ConfigMap", "  annotations:\n    k: {}\n", ("metadata", "annotations", "k")),
    "boolean": ("v1", "ServiceAccount", "automountServiceAccountToken: {}\n", ("automountServiceAccountToken",)),
    "integer": ("scheduling.k8s.io/v1", "PriorityClass", "value: {}\n", ("value",)),
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_takes_the_forms_that_the_server_takes(client: Client, field: str) -> None:
    """Accepted by reader and schema exactly when the server accepts, and then with the value it stores."""
    library = schemas.load()
    version, kind, rest, path = FIELDS[field]
    differences = {}
    for form in (each for each in SCALARS if "\n" not in each):
        text = f"apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: x\n{rest.replace('{}', form)}"
        server, ours = stored(client, text, *path), read(text, *path)
        if ours != REFUSED and library.validate(manifests.read(text.encode(), "form.yaml")[0]):
            ours = REFUSED
        if server != ours and not (server in _ABSENT[field] and ours == "null"):
            differences[form] = (ours, server)
    assert differences == {}


_ABSENT = {"text": {'""'}, "annotation": {'""'}, "boolean": {"null"}, "integer": {"0"}}
"""What Go stores for a null."""


ALPHABET = st.text(st.sampled_from("0123456789+-._eExXobB:~ynNsSrRuUaAfFlLtT \"'#,/%!"), min_size=1, max_size=12)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(ALPHABET)
def test_any_short_text_is_what_the_server_stores(client: Client, form: str) -> None:
    text = anything(form)
    ours = read(text, "spec")
    if ours != REFUSED or "!" not in form:  # libyaml refuses tags such as `!,` that Go takes for a tag of nothing
        assert ours == stored(client, text, "spec")


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2",
        "a: {b: 1, b: 2}",
        "a: &x {b: 1}\nc: *x",
        "a: &x {b: 1}\nc: {<<: *x, d: 2}",
        "a: *missing",
        "a: 1\n b: 2",
        "a:\n- 1\n- 2",
        "a:\n  - 1\n - 2",
        "a:\n\t- 1",
        "? a\n: 1",
        "'a': 1\na: 2",
    ],
)
def test_structure_is_what_the_server_stores(client: Client, text: str) -> None:
    whole = structured(text)
    assert read(whole, "spec") == stored(client, whole, "spec")


def structured(text: str) -> str:
    head = f"apiVersion: {GROUP}/v1\nkind: Anything\nmetadata:\n  name: x\nspec:\n"
    return head + "".join(f"  {line}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1}\nc: {<<: *x, b: 2}",
        "a: &x {b: 1}\nc: {b: 2, <<: *x}",
        "a: &x {b: 1}\ne: &y {b: 2}\nc: {<<: [*x, *y]}",
    ],
)
def test_a_merge_that_overrides_is_read_as_argo_cd_reads_it(client: Client, text: str) -> None:
    """Argo CD and kubectl send JSON. A server that gets YAML refuses a key merged twice, unless told to ignore it."""
    whole = structured(text)
    assert stored(client, whole, "spec") == REFUSED
    assert read(whole, "spec") == stored(client, whole, "spec", validation="Ignore")


@pytest.mark.parametrize("text", ["a: {1: x, '1': y}", "1: x\n'1': y"])
def test_two_keys_that_become_one_are_refused_because_which_wins_is_chance(client: Client, text: str) -> None:
    whole = structured(text)
    assert stored(client, whole, "spec") != REFUSED
    assert read(whole, "spec") == REFUSED


def test_a_directory_source_gives_what_the_reader_read(client: Client, tmp_path: Path) -> None:
    forms = [form for form in SCALARS if read(anything(form), "spec") != REFUSED]
    files: dict[str, str | bytes] = {"clusters/web.yaml": trees.application("web", "apps/web")}
    for number, form in enumerate(forms):
        files[f"apps/web/{number:03}.yaml"] = anything(form).replace("name: x", f"name: x{number:03}").encode()
    web = trees.rendered(trees.write(tmp_path, files))["web"]
    assert trees.findings(web) == []
    assert [found(each.content, "spec") for each in web.manifests if each.id.kind == "Anything"] == [
        stored(client, anything(form), "spec") for form in forms
    ]


def test_through_kustomize_objects_are_what_the_server_stores_of_its_output(client: Client, tmp_path: Path) -> None:
    """Kustomize writes YAML of its own, which the server reads; and what kustomize refuses, the pipeline refuses."""
    differences = {}
    for number, form in enumerate(SCALARS):
        root = tmp_path / str(number)
        folder = root / "apps" / "web"
        files: dict[str, str | bytes] = {
            "clusters/web.yaml": trees.application("web", "apps/web"),
            "apps/web/kustomization.yaml": "resources: [x.yaml]\n",
            "apps/web/x.yaml": anything(form).encode(),
        }
        web = trees.rendered(trees.write(root, files))["web"]
        ours = next((found(each.content, "spec") for each in web.manifests if each.id.kind == "Anything"), REFUSED)
        done = subprocess.run([KUSTOMIZE.file, "build", folder], capture_output=True, check=False, text=True)
        server = stored(client, done.stdout, "spec") if done.returncode == 0 else REFUSED
        if ours != server:
            differences[form] = (ours, server, trees.findings(web), done.stderr[-300:])
    assert differences == {}
