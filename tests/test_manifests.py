"""Reading YAML: the answers of Go's library, one answer from two readers, and a sentence for all that is refused."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from koepon_gitops.errors import ManifestError
from koepon_gitops.manifests import exact, read, read_data
from koepon_gitops.nodes import documents

OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"


def _integer(digits: str) -> int | float:
    """As the API server reads numbers out of JSON: int64, else float64."""
    number = int(digits)
    return number if -(2**63) <= number < 2**63 else float(number)


GOLDEN = json.loads((Path(__file__).parent / "golden/go-yaml.json").read_text("utf-8"), parse_int=_integer)
"""What sigs.k8s.io/yaml answered; `golden/go-yaml` is the program that asked it."""
REFUSED_HERE = {
    "value: {a:}\n": "libyaml and Go read it differently",
    "value: {a: 1, a: 2}\n": "twice",
    "value: {'1': a, 1: b}\n": "twice",
    "value: {1: a, 0x1: b}\n": "twice",
    'value: {a: 1, "a": 2}\n': "twice",
    "a: 1\na: 2\n": "twice",
    "a: 1\n'a': 2\n": "twice",
    "1: a\n'1': b\n": "twice",
    "a:\n  b: 1\n  b: 2\n": "twice",
    "a: b\n...\nc: d\n": "Go drops the second document",
    "%YAML 1.1\n---\na: yes\n": "apimachinery splits streams before Go's library sees them",
    "%TAG ! tag:example.com:\n---\na: !b c\n": "apimachinery splits streams before Go's library sees them",
    "--- a\n": "apimachinery refuses it",
    "--- |\n  a\n": "apimachinery refuses it",
    "a: b\ufeff\n": "unseen",
    "a: \ufeffb\n": "unseen",
}
READ_HERE = {'value: "\\/"\n': "JSON has this escape, and Kubernetes reads JSON as well", '{"a": "\\/"}': "the same"}


def test_as_go_reads_it() -> None:
    different = {
        case["yaml"]: (ours, case)
        for case in GOLDEN
        if (ours := outcome(lambda text=case["yaml"]: read_data(text.encode(), "a.yaml"))) != _expected(case, ours)
    }
    assert different == {}
    assert len(GOLDEN) > 500


def _expected(case: dict[str, Any], ours: str) -> str:
    refused = ours if ours.startswith("manifests/") else "manifests/*"
    if case["yaml"] in READ_HERE:
        return ours
    return refused if "error" in case or case["yaml"] in REFUSED_HERE else typed(case.get("json"))


def typed(value: Any) -> str:
    """Text that tells 1 from 1.0 and from true."""
    return json.dumps(value, sort_keys=True)


def test_the_exceptions_are_in_the_corpus() -> None:
    texts = {case["yaml"]: case for case in GOLDEN}
    assert all("json" in texts[text] for text in REFUSED_HERE)
    assert all("error" in texts[text] for text in READ_HERE)


FRAGMENTS = st.sampled_from(
    [
        *(
            "a",
            "_1",
            "inf",
            "-inf",
            "nan",
            "Infinity",
            "y",
            "no",
            "on",
            "null",
            "~",
            "True",
            "0",
            "-1",
            "1.5",
            "0x1",
            "0o1",
        ),
        *("0b1", "1e3", "1_0", "0.10", "2001-01-01", "1:20", "sha256:0", "é", "\u3000", "\u00a0", "'x'", '"x"', "''"),
        *(
            '"\\n"',
            "'a''b'",
            "[]",
            "{}",
            "[a]",
            "{a}",
            "&x",
            "*x",
            "!t",
            "!!str",
            "! ",
            "? ",
            "-",
            "--",
            "- ",
            "- - ",
            "#",
        ),
        *(" #", "  ", " ", ":", ": ", "a:", "a: ", "1: ", "_1: ", "'a': ", "<<: ", "true: ", "a#b", "a: b", "=", "+1"),
        *(
            ".5",
            "-.5",
            ".inf",
            "\\",
            "%",
            "@",
            "`",
            ",",
            "]",
            "}",
            ">",
            "$(A)",
            "/x",
            "(x",
            "\t",
            "\u2028",
            "😀",
            "512Mi",
        ),
    ]
)
BLOCKS = st.sampled_from(["a: |", "a: |-", "a: |+", "- a: |", "- a: >-", "- |", ">", "a: >+", "  b: |"])
LINES = st.tuples(st.integers(0, 6), st.lists(FRAGMENTS, max_size=3).map("".join) | BLOCKS).map(
    lambda x: " " * x[0] + x[1]
)
ENDS = st.sampled_from(["\n", "", "\n\n", " \n", "\r\n"])


@settings(max_examples=1500)
@given(st.lists(LINES, max_size=6).map("\n".join), ENDS)
def test_both_readers_give_one_answer(text: str, end: str) -> None:
    stream = text + end
    try:
        only = list(documents(stream, "a.yaml"))
    except ManifestError:
        return
    if len(only) == 1:
        assert outcome(lambda: read_data(stream.encode(), "a.yaml")) == outcome(lambda: exact(stream, "a.yaml"))


def outcome(read_it: Any) -> str:
    try:
        return typed(read_it())
    except ManifestError as error:
        return f"{error.rule} {error}"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_a_place(data: bytes) -> None:
    try:
        read(data, "a.yaml")
    except ManifestError as error:
        assert error.where.startswith("a.yaml")
        assert error.rule.startswith("manifests/")


def test_objects_of_a_stream() -> None:
    text = (
        "# first\n---\n"
        + OBJECT
        + "---\n---\n# none\n---\nkind: List\napiVersion: v1\nitems:\n- "
        + OBJECT.replace("\n", "\n  ")
    )
    assert [each["metadata"]["name"] for each in read(text.encode(), "a.yaml")] == ["a", "a"]
    assert read(b"", "a.yaml") == ()


def test_a_mark_and_windows_line_ends_change_nothing() -> None:
    text = OBJECT + "data:\n  text: |\n    one\n    two\n  quoted: 'a\n\n    b'\n"
    assert read(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(), "a.yaml") == read(text.encode(), "a.yaml")


def test_the_sentence_counts_from_the_first_line() -> None:
    with pytest.raises(ManifestError) as raised:
        read(b"# one\n\nkind: A\n", "a.yaml", first_line=11)
    assert raised.value.where == "a.yaml:13"


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
BAD = {
    "a duplicate key": OBJECT + "data: {a: b}\ndata: {}\n",
    "a duplicate key in flow": "{apiVersion: v1, kind: A, 'kind': B}",
    "an alias bomb": BOMB,
    "a recursive alias": "a: &a\n  b: *a\n",
    "an alias of nothing": "a: *b\n",
    "a large ConfigMap": OBJECT + "data:\n  a: " + "x" * 44_000_000 + "\n",
    "an object for no etcd": "---\n" + OBJECT + "data:\n  a: " + "x" * 2_000_000 + "\n",
    "deep brackets": "[" * 1_000_000,
    "deep braces": "{a: " * 250_000,
    "deep dashes": "- " * 500_000,
    "deep question marks": "? " * 500_000,
    "deep lines": "".join(f"{' ' * depth}a:\n" for depth in range(1500)),
    "a tab": OBJECT + "data:\n\ta: b\n",
    "binary": b"\x7fELF\x02\x01\x01\x00\x00",
    "not UTF-8": OBJECT.encode() + b"data: {a: \xe9}\n",
    "UTF-16": OBJECT.encode("utf-16"),
    "a null character": OBJECT + "data: {a: \x00}\n",
    "an escape sequence": OBJECT + "data: {a: \x1b[2J}\n",
    "a mark in the middle": OBJECT + "data: {\ufeffa: b}\n",
    "two documents": OBJECT + "...\n" + OBJECT,
    "text after dashes": OBJECT + "--- # fine\n" + OBJECT + "--- kind: B\n",
    "a list": "- a\n- b\n",
    "a number": "# a comment\n12\n",
    "text": "hello\n",
    "a mapping": "replicas: 3\n",
    "no kind": "apiVersion: v1\nmetadata: {name: a}\n",
    "kind is a number": "apiVersion: v1\nkind: 1\nmetadata: {name: a}\n",
    "no metadata": "\napiVersion: v1\nkind: A\n",
    "no name": "apiVersion: v1\nkind: A\nmetadata: {}\n",
    "a name that is a number": "apiVersion: v1\nkind: A\nmetadata: {name: 1}\n",
    "an item that is text": "apiVersion: v1\nkind: List\nitems: [a]\n",
    "an item without a name": "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A}\n",
    "a mapping as key": "{a: b}: c\n",
    "an unclosed quote": OBJECT + "data: {a: 'b}\n",
    "infinity": OBJECT + "data: {a: .inf}\n",
    "a wrong tag": OBJECT + "data: {a: !!int b}\n",
    "a wrong merge": OBJECT + "data: {<<: 1}\n",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str, snapshot: SnapshotAssertion) -> None:
    text = BAD[name]
    started = time.monotonic()
    with pytest.raises(ManifestError) as raised:
        read(text.encode() if isinstance(text, str) else text, "apps/a.yaml")
    assert time.monotonic() - started < 1
    assert f"{raised.value.rule}\n{raised.value}" == snapshot


def test_several_documents_where_one_is_read() -> None:
    with pytest.raises(ManifestError, match=r"a\.yaml:4: The file holds several documents"):
        read_data(b"a: b\n\n---\na: b\n", "a.yaml")
    assert read_data(b"---\n# none\n", "a.yaml") is None
