"""Files of a hostile tree: a path leads to a place inside the root, to nothing, or to an error with its name."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from koepon_gitops.errors import GitOpsError, ManifestError, UncheckableError
from koepon_gitops.nodes import MAX_STREAM
from koepon_gitops.tree import Files, Kind, Place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with every kind of entry, beside a file that is not in it."""
    (tmp_path / "outside.yaml").write_text("secret: yes\n")
    root = tmp_path / "root"
    for folder in ("apps/web", ".github", "apps/.hidden", "apps/__pycache__"):
        (root / folder).mkdir(parents=True)
        (root / folder / "a.yaml").write_text("a: b\n")
    (root / ".top.yaml").write_text("a: b\n")
    for name, target in {
        "apps/file": "web/a.yaml",
        "apps/folder": "web",
        "apps/chain": "folder/../file",
        "apps/web/up": "../..",
        "out": "../outside.yaml",
        "apps/out": "web/../../../outside.yaml",
        "around": "../root/apps",
        "absolute": str(root / "apps/web/a.yaml"),
        "loop": "loop",
        "ping": "pong",
        "pong": "./ping",
        "dangling": "apps/gone",
        "hidden": ".github/a.yaml",
        "proc": "/proc/self/environ",
    }.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "fifo")
    return root


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (".", Place(".", Kind.FOLDER)),
        ("", Place(".", Kind.FOLDER)),
        ("apps", Place("apps", Kind.FOLDER)),
        ("apps/web/a.yaml", Place("apps/web/a.yaml", Kind.FILE)),
        ("apps//web/./a.yaml", Place("apps/web/a.yaml", Kind.FILE)),
        ("apps/../apps/web/", Place("apps/web", Kind.FOLDER)),
        (".top.yaml", Place(".top.yaml", Kind.FILE)),
        ("apps/file", Place("apps/web/a.yaml", Kind.FILE, ("apps/file",))),
        ("apps/folder/a.yaml", Place("apps/web/a.yaml", Kind.FILE, ("apps/folder",))),
        ("apps/folder/..", Place("apps", Kind.FOLDER, ("apps/folder",))),
        ("apps/chain", Place("apps/web/a.yaml", Kind.FILE, ("apps/chain", "apps/folder", "apps/file"))),
        ("apps/web/up", Place(".", Kind.FOLDER, ("apps/web/up",))),
        ("apps/gone", None),
        ("gone/apps", None),
        ("apps/web/a.yaml/b", None),
        ("apps/web/a.yaml/..", None),
        ("dangling", None),
        ("fifo", None),
        ("a\0b", None),
        ("é\udcff", None),
        ("apps/" * 5000, None),
    ],
)
def test_where_a_path_leads(root: Path, path: str, place: Place | None) -> None:
    assert Files(root).locate(path) == place


HOSTILE = ["..", "../outside.yaml", "apps/../..", "out", "apps/out", "around", "absolute", "proc", "loop", "ping/x"]
HIDDEN = [
    ".github/a.yaml",
    "apps/.hidden",
    "apps/__pycache__/a.yaml",
    "hidden",
    ".github/../apps",
    "apps/web/up/.github",
]


@pytest.mark.parametrize("path", HOSTILE + HIDDEN)
def test_paths_that_are_refused(root: Path, path: str, snapshot: SnapshotAssertion) -> None:
    files = Files(root)
    with pytest.raises(ManifestError) as raised:
        files.locate(path)
    assert f"{raised.value.rule}\n{raised.value}" == snapshot
    with pytest.raises(ManifestError):
        files.locate(path)


NAMES = st.sampled_from(["a", "b", ".c"])
STEPS = st.lists(st.sampled_from(["a", "b", ".c", "..", ".", "root"]), min_size=1, max_size=6).map("/".join)


@given(
    st.dictionaries(st.tuples(NAMES, NAMES), STEPS | st.none(), max_size=5),
    st.dictionaries(NAMES, STEPS, max_size=2),
    STEPS,
)
def test_as_the_operating_system_follows_links(
    entries: dict[tuple[str, str], str | None], links: dict[str, str], path: str
) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "root"
        root.mkdir()
        for (parent, name), link in entries.items():
            (root / parent).mkdir(exist_ok=True)
            if link is None:
                (root / parent / name).write_text("a: b\n")
            else:
                (root / parent / name).symlink_to(link)
        for name, link in links.items():
            if not (root / name).exists(follow_symlinks=False):
                (root / name).symlink_to(link)
        try:
            place = Files(root).locate(path)
        except ManifestError:
            return
        real = root / path
        assert (place is not None) == real.exists()
        if place is not None:
            assert real.resolve() == (root / place.path).resolve()
            assert real.resolve().is_relative_to(root)
            assert real.is_dir() == (place.kind is Kind.FOLDER)


def test_a_file_is_read_once(root: Path) -> None:
    files = Files(root)
    assert files.data("apps/web/a.yaml") == {"a": "b"}
    (root / "apps/web/a.yaml").write_text("a: changed\n")
    assert files.content("apps/web/a.yaml") == b"a: b\n"
    assert files.digest("apps/web/a.yaml") == files.digest(".top.yaml")
    assert files.listing("apps/web") == {"a.yaml": Kind.FILE, "up": Kind.LINK}


def test_an_edit_changes_nothing_on_disk_and_nothing_for_others(root: Path) -> None:
    files = Files(root)
    assert files.data("apps/web/a.yaml") == {"a": "b"}
    assert files.edited("apps/web/a.yaml", b"a: c\n").data("apps/web/a.yaml") == {"a": "c"}
    assert files.data("apps/web/a.yaml") == {"a": "b"}
    assert (root / "apps/web/a.yaml").read_text() == "a: b\n"


def test_an_error_is_raised_each_time(root: Path) -> None:
    (root / "bad.yaml").write_text("a: b\na: c\n")
    files = Files(root)
    for read in (files.data, files.objects, files.data, files.objects):
        with pytest.raises(ManifestError, match=r"bad\.yaml:2: The key 'a' is already on line 1"):
            read("bad.yaml")


def test_a_large_file_is_not_read(root: Path) -> None:
    with (root / "large.yaml").open("wb") as stream:
        stream.truncate(MAX_STREAM + 1)
    with pytest.raises(ManifestError, match=r"large\.yaml: The file holds 33,554,433 bytes"):
        Files(root).content("large.yaml")


@pytest.mark.parametrize("replacement", ["nothing", "link", "fifo", "folder"])
def test_what_became_something_else_is_unreadable(root: Path, replacement: str) -> None:
    files = Files(root)
    file = root / "apps/web/a.yaml"
    assert files.locate("apps/web/a.yaml") is not None
    file.unlink()
    replace: dict[str, Any] = {
        "nothing": lambda: None,
        "link": lambda: file.symlink_to("../../../outside.yaml"),
        "fifo": lambda: os.mkfifo(file),
        "folder": file.mkdir,
    }
    replace[replacement]()
    with pytest.raises(UncheckableError, match=r"apps/web/a\.yaml: This can't be read: ") as raised:
        files.content("apps/web/a.yaml")
    assert raised.value.rule == "tree/unreadable"


def test_what_may_not_be_read_is_unreadable(root: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (root / "apps/web/a.yaml").chmod(0)
    (root / "apps/.hidden").chmod(0)
    with pytest.raises(UncheckableError):
        Files(root).content("apps/web/a.yaml")
    with pytest.raises(UncheckableError):
        Files(root).listing("apps/.hidden")


def test_a_folder_that_is_gone_is_unreadable(root: Path) -> None:
    for call in (lambda: Files(root).listing("gone"), lambda: Files(root).link("apps")):
        with pytest.raises(GitOpsError, match="This can't be read"):
            call()
