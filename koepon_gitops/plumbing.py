"""Where git is started, and how: through GitPython, with everything switched off that a repository could make git run.

No hook, pager, file-system monitor, garbage collection, `ext::` remote or prompt. The user's own settings (identity,
stored credentials, ssh, proxies, `insteadOf`) stay, for a push needs them.
"""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from koepon_gitops import harmless
from koepon_gitops.errors import RequestError, UncheckableError

if TYPE_CHECKING:
    from git.cmd import Git

_SETTINGS = (
    "color.ui=false",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.splitIndex=false",
    "core.untrackedCache=false",
    "fetch.prune=false",
    "gc.auto=0",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
    "i18n.commitEncoding=UTF-8",
    "i18n.logOutputEncoding=UTF-8",
    "index.sparse=false",
    "log.showSignature=false",
    "maintenance.auto=false",
    "merge.renormalize=false",
    "protocol.ext.allow=never",
    "push.followTags=false",
    "push.recurseSubmodules=no",
    "safe.bareRepository=explicit",
    "submodule.recurse=false",
    "user.useConfigOnly=true",
)
_OPTIONS = (
    "--no-pager",
    "--no-replace-objects",
    "--no-optional-locks",
    "--literal-pathspecs",
    *(word for setting in _SETTINGS for word in ("-c", setting)),
)
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE")
"""Variables that git sets for hooks and that would lead our git to another repository or index."""


class Outcome(NamedTuple):
    """How a git command ended: exit status, standard output, standard error with passwords in URLs left out."""

    status: int
    output: bytes
    errors: str

    @property
    def reason(self) -> str:
        """The words of git that say why it failed, as one harmless sentence."""
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith(("fatal: ", "error: "))]
        return harmless.sentence(" ".join(fatal or lines)) or f"git ended with status {self.status}"


class Plumbing:
    """Runs git in `folder`. Arguments are passed as they are: whatever a person or a tree wrote comes after `--`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._git = _client(folder)

    def attempt(
        self,
        *arguments: str,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        detached: bool = False,
    ) -> Outcome:
        """Run one command and say how it ended. `detached`: it finishes even when our process group is killed.

        Raises RequestError repository/git-missing.
        """
        from git.exc import GitCommandNotFound  # noqa: PLC0415 - see _client

        given = {"GIT_TERMINAL_PROMPT": "0", **(environment or {})}
        with tempfile.TemporaryFile() as stream:
            stream.write(stdin)
            stream.seek(0)
            try:
                status, output, errors = self._git.execute(
                    [*self._program(given), "-C", str(self.folder), *_OPTIONS, *arguments],
                    istream=stream,
                    with_extended_output=True,
                    with_exceptions=False,
                    stdout_as_string=False,
                    strip_newline_in_stdout=False,
                    env=given,
                    start_new_session=detached,
                )
            except GitCommandNotFound as error:
                raise RequestError(
                    "repository/git-missing",
                    "There is no `git` on PATH.",
                    remedy="Install git 2.38 or later.",
                ) from error
        return Outcome(status, output, _CREDENTIALS.sub("", errors))

    def _program(self, given: Mapping[str, str]) -> tuple[str, ...]:
        misleading = [f"-u{name}" for name in _ELSEWHERE if name in os.environ and name not in given]
        return *(("env", *misleading) if misleading else ()), self._git.GIT_PYTHON_GIT_EXECUTABLE or "git"

    def run(self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> bytes:
        """The standard output of a command that works in every sound repository.

        Raises UncheckableError repository/git-failed when it does not.
        """
        outcome = self.attempt(*arguments, stdin=stdin, environment=environment)
        if outcome.status:
            raise UncheckableError(
                "repository/git-failed",
                f"`git {arguments[0]}` failed: {outcome.reason}.",
                where=str(self.folder),
                remedy="Run `git fsck` to see whether the repository is sound.",
            )
        return outcome.output


_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def _client(folder: Path) -> "Git":
    # GitPython costs 0.1 s, and looks for git while it is imported: without git that would be an ImportError.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    from git.cmd import Git  # noqa: PLC0415

    return Git(folder)
