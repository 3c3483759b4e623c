"""Everything that can go wrong, on one screen.

Each error says *what* is wrong, *where*, and what to do next (`remedy`). Only `__main__` turns errors into exit codes;
`validation` turns those of one application into findings, so that one broken folder does not hide the rest.
"""


class GitOpsError(Exception):
    """Base of every expected failure. `rule` is `<module>/<what>`; `where` is `file`, `file:line` or a name."""

    exit_code = 2

    def __init__(self, rule: str, what: str, *, where: str = "", remedy: str = "") -> None:
        self.rule, self.what, self.where, self.remedy = rule, what, where, remedy
        super().__init__(rule, what, where, remedy)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.rule, self.what, self.where, self.remedy)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{advice}"


def _rebuild(kind: type[GitOpsError], rule: str, what: str, where: str, remedy: str) -> GitOpsError:
    return kind(rule, what, where=where, remedy=remedy)


class ManifestError(GitOpsError):
    """What is written in the repository is wrong: a finding, exit code 1."""

    exit_code = 1


class RequestError(GitOpsError):
    """What was asked can't be served (unknown sha, frozen environment, no repository): exit code 2."""


class PushRaceError(RequestError):
    """The remote branch moved between fetch and push; caught and retried by `promotion` and `rollback`."""


class UncheckableError(GitOpsError):
    """Something could not be checked (a tool failed, a schema is missing, nothing was found): exit code 3."""

    exit_code = 3
