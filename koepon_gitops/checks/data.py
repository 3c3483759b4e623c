"""The data beside the policies: what a check compares the objects with, in files that people edit."""

from pathlib import Path

from pydantic import ValidationError

from koepon_gitops import manifests
from koepon_gitops.errors import UncheckableError
from koepon_gitops.model import Value


def read[Form: Value](policies: Path, name: str, form: type[Form]) -> Form | None:
    """A data file as a value; None when there is no such file. Raises UncheckableError when it has another form."""
    file = policies / name
    if not file.is_file():
        return None
    content = manifests.read_data(file.read_bytes(), name)
    try:
        return form.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise UncheckableError(
            "checks/data",
            f"{name} can't be used: {place + ': ' if place else ''}{first['msg']}.",
            where=name,
            remedy=f"Write it as {form.__module__.replace('.', '/')}.py describes it.",
        ) from error
