"""Names that were meant, for whoever wrote another."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6) -> list[str]:
    """The known names that look most like this one, best first, whatever their case."""
    lowered = {each.lower(): each for each in known}
    return [lowered[each] for each in get_close_matches(name.lower(), lowered, n=most, cutoff=cutoff)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question to begin a remedy with, blank included; empty when nothing is near."""
    found = nearest(name, known)
    return f"Did you mean {found[0]}? " if found else ""
