"""What a run found, in the words of whoever reads it: a person in a terminal, a program, GitHub, a CI server."""

from importlib import import_module

from koepon_gitops.formats import FORMATS, text
from koepon_gitops.model import Report


def render(report: Report, format: str, *, colour: bool = False) -> str:
    """The report in one of FORMATS, ending in a line break; the same report always gives the same text.

    `colour` adds terminal colours to `text` and is for terminals only.
    """
    if format == "text":
        return text.render(report, colour=colour)
    if format not in FORMATS:
        raise ValueError(f"{format} is none of {', '.join(FORMATS)}")
    rendered: str = import_module(f"koepon_gitops.formats.{format}").render(report)
    return rendered
