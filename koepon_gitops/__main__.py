"""The commands: each parses, calls one function, prints what it returns and gives the exit code. No logic here."""

import errno
import os
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import click

from koepon_gitops import harmless, terminal
from koepon_gitops.errors import GitOpsError
from koepon_gitops.formats import FORMATS

# Modules are imported inside the commands: `--help` answers in a tenth of a second because it loads none of them.


def main() -> NoReturn:
    """Run the command line and exit: 0 clean, 1 findings, 2 can't be served, 3 could not be checked."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of one command. The one place where errors become sentences and numbers."""
    try:
        with commands.make_context("python -m koepon_gitops", arguments) as context:
            return int(commands.invoke(context) or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except GitOpsError as error:
        return _said(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _said("Interrupted. Nothing is half done.", 130)
    except BrokenPipeError:
        _discard_output()
        return 128 + 13
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            return _said(_unexpected(error), 3)
        _discard_output()
        return _said("The output could not be written: the disk is full. What was to be done has been done.", 3)
    except Exception as error:
        return _said(_unexpected(error), 3)


def _discard_output() -> None:
    """The reader has gone, or the disk is full: what is buffered must not fail once more when Python exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _said(words: str, exit_code: int) -> int:
    click.echo(f"error: {harmless.sentence(words)}", err=True)
    return exit_code


def _unexpected(error: Exception) -> str:
    """A defect of this library, in one sentence, or in full when KOEPON_GITOPS_TRACEBACK is set."""
    if os.environ.get("KOEPON_GITOPS_TRACEBACK"):
        traceback.print_exception(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}: {error}. This is a defect of "
        "koepon_gitops, and nothing was checked. Set KOEPON_GITOPS_TRACEBACK=1 to see where it comes from."
    )


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)

_root = click.option(
    "--root",
    metavar="DIR",
    type=_FOLDER,
    callback=lambda _context, _option, given: (given or terminal.repository_root()).resolve(),
    help="The repository. By default the git repository around the current folder.",
)
_rev = click.option("--rev", metavar="REV", help="Look at this commit instead of the work tree.")
_policies = click.option("--policies", metavar="DIR", type=_FOLDER, help="Policies in place of the repository's own.")
_output = click.option("--output", metavar="FILE", type=_FILE, help="Write the report to a file, all of it or nothing.")
_app = click.option("--app", metavar="NAME", help="The application, where the repository has more than one.")
_env = click.option("--env", metavar="ENV", help="The environment.")
_dry_run = click.option("--dry-run", is_flag=True, help="Show what would change; commit and push nothing.")


@click.group(context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Keep a GitOps repository honest: validate, promote, roll back.

    Exit codes: 0 clean, 1 findings, 2 the request can't be served, 3 something could not be checked.
    """


@commands.command()
@click.argument("applications", metavar="[APPLICATION]...", nargs=-1)
@_root
@_rev
@click.option("--changed-since", metavar="REV", help="Report only on applications that differ from this commit.")
@_policies
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="Who reads it.")
@_output
@click.option("--no-cache", is_flag=True, help="Render and check everything anew.")
def validate(
    applications: tuple[str, ...],
    root: Path,
    rev: str | None,
    changed_since: str | None,
    policies: Path | None,
    form: str,
    output: Path | None,
    no_cache: bool,
) -> int:
    """Check everything Argo CD would sync, or report on the applications named."""
    from koepon_gitops import report, validation
    from koepon_gitops.formats.verdict import verdict

    with terminal.progress() as step:
        found = validation.validate(
            root,
            applications=applications,
            policies=policies,
            revision=rev,
            changed_since=changed_since,
            cached=not no_cache,
            step=step,
        )
    if output:
        terminal.write(report.render(found, form), output)
        click.echo(verdict(found))
    else:
        click.echo(report.render(found, form, colour=terminal.is_colourful()), nl=False)
    return found.exit_code


@commands.command()
@click.argument("application")
@_root
@_rev
def render(application: str, root: Path, rev: str | None) -> None:
    """Print the objects of an application as they would be applied."""
    from koepon_gitops import applied

    click.echo(applied.text(root, application, rev), nl=False)


@commands.command()
@click.argument("base")
@click.argument("head", required=False)
@_root
@click.option(
    "--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True, help="Who reads it."
)
def diff(base: str, head: str | None, root: Path, form: str) -> None:
    """Show which objects differ between the commits BASE and HEAD (by default the work tree)."""
    from koepon_gitops import changes
    from koepon_gitops.formats.json import dumped

    difference = changes.difference(root, base, head)
    if form == "json":
        click.echo(dumped(difference.model_dump(mode="json")), nl=False)
    else:
        _print(str(difference))


@commands.command()
@click.argument("sha")
@_root
@_app
@_env
@click.option("--lift-quarantine", metavar="REASON", help="Let a commit that was rolled back run again, and say why.")
@_dry_run
def promote(sha: str, root: Path, app: str | None, env: str | None, lift_quarantine: str | None, dry_run: bool) -> int:
    """Move the image of commit SHA to the next environment by one commit, pushed to the remote.

    SHA is 40 hex digits, or the first 7 or more when only one image in ECR begins with them. Without --env, the next
    environment in promotion order that does not run it.
    """
    from koepon_gitops import promotion

    with terminal.progress() as step:
        outcome = promotion.promote(
            root,
            sha,
            application=app,
            environment=env,
            lift_quarantine=lift_quarantine,
            dry_run=dry_run,
            step=step,
        )
    _print(str(outcome))
    return outcome.exit_code


@commands.command()
@_root
@_app
@_env
@click.option("--to", metavar="SHA", help="The version to go back to. By default the one that ran before.")
@click.option("--from", "running", metavar="SHA", help="What is to be taken away: nothing is done if it does not run.")
@_dry_run
def rollback(root: Path, app: str | None, env: str | None, to: str | None, running: str | None, dry_run: bool) -> int:
    """Bring back what ran before, by one commit, and quarantine what runs now.

    Without --env: the last environment in promotion order.
    """
    from koepon_gitops import rollback

    with terminal.progress() as step:
        outcome = rollback.rollback(
            root, application=app, environment=env, to=to, running=running, dry_run=dry_run, step=step
        )
    _print(str(outcome))
    return outcome.exit_code


@commands.command()
@click.argument("rule")
@_root
@_policies
def explain(rule: str, root: Path, policies: Path | None) -> None:
    """Say why RULE exists, how to satisfy it and where it is written."""
    from koepon_gitops import explain

    click.echo(explain.explain(root, rule, policies), nl=False)


@commands.group()
def schemas() -> None:
    """The schemas of custom resources, kept outside the repository."""


@schemas.command()
def fetch() -> None:
    """Fetch the schemas at the versions pinned in go.mod, unless they are there."""
    from koepon_gitops import schemas

    with terminal.progress() as step:
        schemas.fetch(step)
    click.echo("The schemas are in place.")


def _print(text: str) -> None:
    click.echo(harmless.lines(text))


if __name__ == "__main__":
    main()
