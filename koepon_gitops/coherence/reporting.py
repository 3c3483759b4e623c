"""How the checks of one object look at lists and word what is wrong."""

from collections.abc import Iterator, Sequence
from typing import Any

from koepon_gitops.model import Json, Problem


def each(items: Sequence[Any] | None) -> Iterator[tuple[int, Any]]:
    """Entries with their index; a null counts as an empty entry, as Go decodes it."""
    return ((index, item or {}) for index, item in enumerate(items or ()))


def problem(field: str, sentence: str) -> Problem:
    """The problem of a field; the sentence goes on from its name and has no full stop."""
    return Problem(rule="schemas/invalid", field=field, message=f"{field} {sentence}.")


def repeated(items: Sequence[Json], name: str, path: str) -> Iterator[Problem]:
    """Entries that have the same text in a field; empty ones don't count."""
    if len(items) < 2:
        return
    seen: dict[str, int] = {}
    for index, item in each(items):
        if (value := item.get(name)) and seen.setdefault(value, index) != index:
            yield problem(f"{path}[{index}].{name}", f'must be unique; {path}[{seen[value]}] also has "{value}"')
