"""The store of results: what is put is got, and a full disk leaves nothing behind."""

from pathlib import Path

import pytest

from koepon_gitops.cache import Cache
from tests.commands import room_for


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("KOEPON_GITOPS_CACHE", str(tmp_path))
    return Cache("renders")


def test_what_is_put_is_got(cache: Cache) -> None:
    cache.put("abcdef", b"result")
    assert (cache.get("abcdef"), cache.get("abcdee")) == (b"result", None)
    assert Cache("renders", enabled=False).get("abcdef") is None


def test_a_full_disk_leaves_nothing_half_written(cache: Cache, tmp_path: Path) -> None:
    with room_for(3):
        cache.put("abcdef", b"result")
    assert cache.get("abcdef") is None
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []
