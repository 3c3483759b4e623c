"""Splicing: one value changes, and every byte that does not hold it stays."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from koepon_gitops import scalars
from koepon_gitops.errors import ManifestError
from koepon_gitops.manifests import read_data
from koepon_gitops.splicing import Path, splice

SHA = "4b7e1c09a5d2f3864e0b9c7d1a2f5e8063b4d7c1"
KUSTOMIZATION = """\
# production
resources: [../../base]   # shared
images:
  - name: koepon/worker
    newTag: keep
  - name: koepon/app   # the application
    newTag: 0000000000000000000000000000000000000000   # promoted
    # the digest follows
patches: []
"""
TAG: Path = ("images", ("name", "koepon/app"), "newTag")


def spliced(text: str, path: Path, value: str) -> str:
    return splice(text.encode(), path, value).decode()


def test_only_the_tag_of_the_named_image_changes() -> None:
    assert spliced(KUSTOMIZATION, TAG, SHA) == KUSTOMIZATION.replace("0" * 40, SHA)


def test_a_missing_key_becomes_a_line_after_the_last_entry() -> None:
    after = spliced(KUSTOMIZATION, ("images", ("name", "koepon/app"), "digest"), "sha256:9d")
    assert after == KUSTOMIZATION.replace("# promoted\n", "# promoted\n    digest: sha256:9d\n")


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        ("tag: old", ("tag",), SHA, f"tag: {SHA}"),
        ("tag: 'old' # x\r\n", ("tag",), "it's", "tag: 'it''s' # x\r\n"),
        ('tag: "old"\n', ("tag",), 'a"b\\c\n', 'tag: "a\\"b\\\\c\\n"\n'),
        ("tag: 'old'\n", ("tag",), "a\nb", 'tag: "a\\nb"\n'),
        ("\ufefftag: old\n", ("tag",), "new", "\ufefftag: new\n"),
        ("- {name: x, newTag: old}\n", (("name", "x"), "newTag"), "new", "- {name: x, newTag: new}\n"),
        ("- {name: x}\n", (("name", "x"), "newTag"), "new", "- {name: x, newTag: new}\n"),
        ("a: {}\n", ("a", "b"), "c", "a: {b: c}\n"),
        ("a: {b: c ,\n}\n", ("a", "d"), "e", "a: {b: c, d: e ,\n}\n"),
        ('{"tag":"old","b":1}', ("tag",), "new", '{"tag":"new","b":1}'),
        ("'tag' : old\n", ("tag",), "new", "'tag' : new\n"),
        ("tag: &anchor old\n", ("tag",), "new", "tag: &anchor new\n"),
        ("tag: !!str 12\n", ("tag",), "13", 'tag: !!str "13"\n'),
        ("tag: &a # why\n  old\nb: c\n", ("tag",), "new", "tag: &a # why\n  new\nb: c\n"),
        ("tag:\nb: c\n", ("tag",), "new", "tag: new\nb: c\n"),
        ("tag: # none yet\n", ("tag",), "new", "tag: new # none yet\n"),
        ("a: 一二三 😀\ntag: old\n", ("tag",), "こえ", 'a: 一二三 😀\ntag: "こえ"\n'),
        ("a:\n- b: c", ("a", 0, "d"), "e", "a:\n- b: c\n  d: e"),
        ("a:\r\n  b: c\r\n\r\n# end\r\n", ("a", "d"), "e", "a:\r\n  b: c\r\n  d: e\r\n\r\n# end\r\n"),
        ("a: |\n  text\n\nb: |+\n  text\n\n", ("c",), "d", "a: |\n  text\n\nb: |+\n  text\n\nc: d\n"),
        ("a: b\n...\n", ("c",), "d", "a: b\nc: d\n...\n"),
        ("---\na: b\n---\n# nothing\n", ("c",), "d", "---\na: b\nc: d\n---\n# nothing\n"),
        ("a: b\n", ("no",), "yes", 'a: b\n"no": "yes"\n'),
        ("a: >-\n  x\nb: old\n  lines\nc: 'd\n  e'\n", ("b",), "new", "a: >-\n  x\nb: new\nc: 'd\n  e'\n"),
    ],
)  # fmt: skip
def test_forms(before: str, path: Path, value: str, after: str) -> None:
    assert spliced(before, path, value) == after


@pytest.mark.parametrize(
    "value",
    [
        *("1234567890" * 4, "1e10" + "0" * 36, "0123", "0o17", "0x1f", "0b11", "1:20", "2027-01-31", ".5", ".inf"),
        *("1_000", "null", "~", "y", "Off", "", " ", "- a", "a: b", "a #b", "a:", "{a}", "*a", "&a", "!a", "@a", "<<"),
    ],
)  # fmt: skip
def test_what_would_not_stay_text_is_quoted(value: str) -> None:
    assert spliced("tag: old\n", ("tag",), value) == f'tag: "{value}"\n'


@pytest.mark.parametrize("value", [SHA, "v1.2.3", "sha256:" + "9" * 64, "0b7e" * 10, "a:b", "registry:5000/x", "1.2.x"])
def test_what_stays_text_is_not(value: str) -> None:
    assert spliced("tag: old\n", ("tag",), value) == f"tag: {value}\n"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("images:\n- name: x\n", TAG),
        ("images:\n- {name: koepon/app}\n- {name: koepon/app}\n", TAG),
        ("images: 1\n", TAG),
        ("a: {b: c}\n", ("a", "b", "c")),
        ("a: [b]\n", ("a", 1)),
        ("a: [b]\n", ("a", -1)),
        ("a: b\n", ("c", "d")),
        ("", ("a",)),
        ("# nothing\n", ("a",)),
        ("\na: [b]\n", ("a",)),
        ("\na: {b: c}\n", ("a",)),
        ("a: &x b\nc: *x\n", ("c",)),
        ("a: &x b\nc: *x\n", ("a",)),
        ("a: &x {b: c}\nd: *x\n", ("d", "b")),
        ("a: &x {b: c}\nd:\n  <<: *x\n", ("d", "b")),
        ("a: b\n---\na: c\n", ("a",)),
        ("a: |\n  b\n", ("a",)),
        ("a: >-\n  b\n", ("a",)),
        ("a: !!int 12\n", ("a",)),
        ("a: |\n  b", ("c",)),
        ("a: [\n", ("a",)),
        ("a: b\na: c\n", ("a",)),
        ("a: \x00\n", ("a",)),
        ("--- a: b\n", ("a",)),
    ],
)
def test_refusals(text: str, path: Path, snapshot: SnapshotAssertion) -> None:
    with pytest.raises(ManifestError) as raised:
        splice(text.encode(), path, "new")
    assert f"{text!r} {path}\n{raised.value.rule}\n{raised.value}" == snapshot


def test_a_value_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(ManifestError, match="can't be changed alone"):
        splice(b"a: b\n", ("a",), "\ud800")


WORDS = st.sampled_from(
    ["a", "b c", "koepon/app", "no", "~", "12", "0123", "1e3", "こえポン", "it's", '"', "a: b", "#", "é\u0301", "😀"]
)
TEXTS = st.one_of(WORDS, st.text(st.characters(exclude_categories=("Cs",)), max_size=12))
KEYS = st.one_of(
    st.sampled_from(["name", "newTag", "a.b/c", "on", "1", "x y", "鍵"]), st.text("abc", min_size=1, max_size=3)
)
TREES: st.SearchStrategy[Any] = st.recursive(
    TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)  # fmt: skip


class Writer:
    """Writes a tree as YAML in forms that `draw` chooses: block or flow, quotes, comments, blank lines, anchors."""

    def __init__(self, draw: st.DrawFn, line_break: str) -> None:
        self.draw, self.line_break, self.anchors = draw, line_break, 0

    def chance(self, often: int = 4) -> bool:
        return self.draw(st.integers(0, often)) == 0

    def noise(self) -> str:
        comment = self.draw(st.sampled_from(["", "", "", "   ", " # a comment: 'x' é"]))
        return (
            comment + self.line_break + ("" if not self.chance(6) else f"# between{self.line_break}{self.line_break}")
        )

    def scalar(self, text: str) -> str:
        double = '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text) + '"'
        anchor = ""
        if self.chance(8):
            self.anchors += 1
            anchor = f"&n{self.anchors} "
        if text.isidentifier() and scalars.resolve(text, "", plain=True) == text and self.draw(st.booleans()):
            return anchor + text
        single = "'" + text.replace("'", "''") + "'"
        return anchor + (single if text.isprintable() and self.draw(st.booleans()) else double)

    def flow(self, tree: Any) -> str:
        comma = self.draw(st.sampled_from([", ", ","]))
        if isinstance(tree, dict):
            return "{" + comma.join(f"{self.scalar(k)}: {self.flow(v)}" for k, v in tree.items()) + "}"
        if isinstance(tree, list):
            return "[" + comma.join(map(self.flow, tree)) + "]"
        return self.scalar(tree)

    def block(self, tree: Any, indent: int) -> str:
        """The rest of the line on which a value stands, and the lines below."""
        if not tree or isinstance(tree, str) or self.chance():
            return f" {self.flow(tree)}{self.noise()}"
        pad = " " * indent
        step = self.draw(st.integers(1, 4))
        if isinstance(tree, dict):
            entries = (f"{pad}{self.scalar(k)}:{self.block(v, indent + step)}" for k, v in tree.items())
        else:
            entries = (f"{pad}-{self.block(v, indent + step)}" for v in tree)
        return self.noise() + "".join(entries)


def leaves(tree: Any, path: Path = ()) -> list[Path]:
    if isinstance(tree, dict):
        return [each for key, inner in tree.items() for each in leaves(inner, (*path, key))]
    if isinstance(tree, list):
        return [each for index, inner in enumerate(tree) for each in leaves(inner, (*path, index))]
    return [path] if path else []


def mappings(tree: Any, path: Path = ()) -> list[Path]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found = [each for key, value in inner for each in mappings(value, (*path, key))]
    return [*found, path] if isinstance(tree, dict) else found


def replaced(tree: Any, path: Path, value: str) -> Any:
    if not path:
        return value
    head = path[0]
    if isinstance(tree, dict):
        return {**tree, head: replaced(tree.get(head), path[1:], value)}
    return [replaced(each, path[1:], value) if at == head else each for at, each in enumerate(tree)]


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Any, Path]:
    """A text, its data, and the path of a text in it or of a key that one of its mappings lacks."""
    tree = draw(TREES.filter(lambda each: isinstance(each, dict) and each))
    writer = Writer(draw, draw(st.sampled_from(["\n", "\r\n"])))
    text = writer.block(tree, 0).lstrip(" ")
    text = draw(st.sampled_from(["", "\ufeff", "---\n"])) + text
    if draw(st.booleans()) and (found := leaves(tree)):
        return text, tree, draw(st.sampled_from(found))
    return text, tree, (*draw(st.sampled_from(mappings(tree))), "missing")


@given(cases(), TEXTS)
def test_only_the_asked_value_changes(case: tuple[str, Any, Path], value: str) -> None:
    text, tree, path = case
    before = text.encode()
    assert read_data(before, "generated.yaml") == tree
    after = splice(before, path, value)
    assert read_data(after, "spliced.yaml") == replaced(tree, path, value)
    prefix = len(_common(before, after))
    suffix = len(_common(before[prefix:][::-1], after[prefix:][::-1]))
    removed = before[prefix : len(before) - suffix].decode(errors="replace")
    assert "#" not in removed or "#" in str(_leaf(tree, path))
    if path and path[-1] == "missing":
        assert removed == ""


def _common(one: bytes, other: bytes) -> bytes:
    length = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _leaf(tree: Any, path: Path) -> Any:
    for step in path:
        tree = tree.get(step) if isinstance(tree, dict) else tree[step]  # type: ignore[index]
    return tree


@given(st.binary(max_size=60), st.sampled_from([("a",), (0,), (), ("a", 0, "b")]), st.text(max_size=5))
def test_no_text_is_changed_by_accident(text: bytes, path: Path, value: str) -> None:
    try:
        after = splice(text, path, value)
    except ManifestError:
        return
    assert read_data(after, "x") == replaced(read_data(text, "x"), path, value)
