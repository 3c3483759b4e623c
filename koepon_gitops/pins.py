"""Which images a kustomization pins: its `images:` entries, read fast where the text leaves no doubt, else as YAML."""

import re
from collections.abc import Mapping
from functools import lru_cache

from koepon_gitops import manifests
from koepon_gitops.errors import ManifestError
from koepon_gitops.model import Image


def images(text: bytes) -> Mapping[str, Image] | None:
    """The image each entry of `images:` stands for, by the entry's `name`; None when the file can't be read.

    As in kustomize `newName` replaces the name; the first of several entries of one name counts.
    """
    entries = _plain(text.decode(errors="replace"))
    if entries is None:
        try:
            content = manifests.read_data(text, "kustomization")
        except ManifestError:
            return None
        entries = content.get("images") if isinstance(content, dict) else None
    found: dict[str, Image] = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and "name" in entry:
            name, new, tag, digest = (str(entry.get(key) or "") for key in ("name", "newName", "newTag", "digest"))
            found.setdefault(name, Image(name=new or name, tag=tag, digest=digest))
    return found


def _plain(text: str) -> list[dict[str, str]] | None:
    """The entries, when `images:` is certain to be a top-level key and all in it plain text: ten times faster."""
    block = _BLOCK.search(text)
    if block is None or not _ENTRIES.fullmatch(block[1]) or not _is_plain(text[: block.start()] + text[block.end() :]):
        return None
    return [dict(_PAIR.findall(entry)) for entry in _DASH.split(block[1])[1:]]


@lru_cache(maxsize=64)
def _is_plain(rest: str) -> bool:
    """Whether the text around the entries (much the same in all versions) can't make them something else."""
    return not _DOUBTFUL.search(_CERTAIN.sub("", rest)) and not _BLOCK.search(rest)


_CERTAIN = re.compile(r"""^[ ]*\#.*$|(?<=[:-][ ])(?:"[^"\\\n]*"|'[^'\n]*')(?=[ ]*$)""", re.MULTILINE | re.VERBOSE)
"""Whole comments, and quoted values that end on their line: quotes in them open nothing."""
_DOUBTFUL = re.compile(r"""["'{}\[\]\\&*!%\t\r\x85\u2028\u2029\ufeff]|\n---|\n\.\.\.""")
"""What could make a line at the margin something else than a key of the one document."""
_BLOCK = re.compile(r"^images:[ ]*\n((?:(?:[ -].*|#.*)?\n)*)", re.MULTILINE)
_WORD = r"(?i:true|false|yes|no|on|off|y|n|null)(?![\w./-])"
_TEXT = rf"(?!0[xXoObB]|{_WORD})(?=[\w./-]*[a-df-zA-DF-Z/])[A-Za-z0-9](?a:[\w./-]*)(?::[0-9]+/(?a:[\w./-]+))?"
"""Reads as text in YAML 1.1: not a number, not a boolean. A commit's id that could be a number goes the slow way."""
_FIELD = rf"(?:name|newName|newTag):[ ]{_TEXT}|digest:[ ]sha256:[0-9a-f]{{64}}"
_ENTRIES = re.compile(
    rf"(?:[ ]*(?:\#.*)?\n|([ ]*)-[ ](?:{_FIELD})[ ]*\n(?:\1[ ][ ](?:{_FIELD})[ ]*\n|[ ]*(?:\#.*)?\n)*)*", re.VERBOSE
)
_DASH = re.compile(r"^[ ]*-", re.MULTILINE)
_PAIR = re.compile(r"^[ ]+(\w+): (\S+)", re.MULTILINE)
