"""Real `go mod download` against a module proxy that is a folder."""

import base64
import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from koepon_gitops import modules
from koepon_gitops.errors import UncheckableError
from koepon_gitops.schemas import PINS

MODULE, VERSION = "example.com/definitions", "v1.2.3"

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="there is no go here")


def hash1(files: dict[str, bytes]) -> str:
    """Go's `h1:` hash of a set of files (golang.org/x/mod/sumdb/dirhash)."""
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    return "h1:" + base64.b64encode(hashlib.sha256("".join(lines).encode()).digest()).decode()


class Proxy:
    """A Go module proxy on disk with one module, and pins that name it."""

    def __init__(self, root: Path) -> None:
        self.root, self.pins = root / "proxy", root / "pins"
        self.pins.mkdir()
        self.pin(f"\t{MODULE} {VERSION} // crds/*.yaml")

    def pin(self, line: str) -> None:
        (self.pins / "go.mod").write_text(f"module pins\n\ngo 1.21\n\nrequire (\n{line}\n)\n")

    def publish(self, files: dict[str, str]) -> None:
        inside = {f"{MODULE}@{VERSION}/{name}": text.encode() for name, text in files.items()}
        go_mod = f"module {MODULE}\n".encode()
        inside[f"{MODULE}@{VERSION}/go.mod"] = go_mod
        folder = self.root / MODULE / "@v"
        folder.mkdir(parents=True)
        (folder / "list").write_text(f"{VERSION}\n")
        (folder / f"{VERSION}.info").write_text(json.dumps({"Version": VERSION}))
        (folder / f"{VERSION}.mod").write_bytes(go_mod)
        with zipfile.ZipFile(folder / f"{VERSION}.zip", "w") as archive:
            for name, data in inside.items():
                archive.writestr(name, data)
        self.sums(hash1(inside), hash1({"go.mod": go_mod}))

    def sums(self, content: str, go_mod: str) -> None:
        (self.pins / "go.sum").write_text(f"{MODULE} {VERSION} {content}\n{MODULE} {VERSION}/go.mod {go_mod}\n")


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    made = Proxy(tmp_path)
    monkeypatch.setenv("GOPROXY", made.root.as_uri())
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("GOFLAGS", "-modcacherw")
    monkeypatch.setenv("GONOSUMDB", MODULE)
    return made


def quiet(what: str, done: int, total: int) -> None:
    pass


def test_a_pinned_module_is_fetched_and_its_files_found(proxy: Proxy) -> None:
    proxy.publish({"crds/b.yaml": "b", "crds/a.yaml": "a", "other.txt": ""})
    steps: list[tuple[str, int, int]] = []
    [(module, directory)] = modules.fetch(proxy.pins, lambda *step: steps.append(step))
    assert [file.name for file in modules.files(module, directory)] == ["a.yaml", "b.yaml"]
    assert steps == [(f"{MODULE}@{VERSION}", 1, 1)]


def test_what_is_not_what_go_sum_says_is_refused(proxy: Proxy) -> None:
    proxy.publish({"crds/a.yaml": "a"})
    proxy.sums("h1:" + "A" * 43 + "=", "h1:" + "A" * 43 + "=")
    with pytest.raises(UncheckableError, match=r"not what go.sum says|checksum") as caught:
        list(modules.fetch(proxy.pins, quiet))
    assert caught.value.rule == "schemas/checksum"


def test_a_module_without_a_checksum_is_refused_though_go_would_add_one(proxy: Proxy) -> None:
    proxy.publish({"crds/a.yaml": "a"})
    (proxy.pins / "go.sum").write_text("")
    with pytest.raises(UncheckableError, match=r"go\.sum has no checksum") as caught:
        list(modules.fetch(proxy.pins, quiet))
    assert caught.value.rule == "schemas/checksum"
    assert (proxy.pins / "go.sum").read_text() == ""


def test_a_module_that_cannot_be_had_is_a_sentence(proxy: Proxy) -> None:
    proxy.publish({"crds/a.yaml": "a"})
    proxy.pin("\texample.com/definitions v9.9.9 // crds/*.yaml")
    with pytest.raises(UncheckableError, match=r"v9.9.9 can't be downloaded") as caught:
        list(modules.fetch(proxy.pins, quiet))
    assert caught.value.rule == "schemas/download"
    assert "schemas fetch" in caught.value.remedy


def test_a_pattern_that_matches_nothing_is_an_error(proxy: Proxy) -> None:
    proxy.publish({"moved/a.yaml": "a"})
    [(module, directory)] = modules.fetch(proxy.pins, quiet)
    with pytest.raises(UncheckableError, match=r"has no file crds/\*.yaml"):
        modules.files(module, directory)


def test_without_go_the_wheel_is_named(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UncheckableError, match="there is no `go` here") as caught:
        list(modules.fetch(proxy.pins, quiet))
    assert "--group go" in caught.value.remedy


def test_the_go_of_the_wheel_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "go" / "bin" / "go"
    binary.parent.mkdir(parents=True)
    (tmp_path / "go" / "__init__.py").touch()
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert modules._client() == str(binary)


def test_every_committed_pin_has_its_checksums() -> None:
    sums = (PINS / "go.sum").read_text().splitlines()
    for module in modules.pinned(PINS):
        assert sum(line.startswith(f"{module.path} {module.version}") for line in sums) == 2, module
