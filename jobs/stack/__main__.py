"""The command: ``python -m jobs.stack``, which ``make start``, ``stop`` and ``status`` run."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from jobs.stack import verbs
from jobs.stack.processes import StackError
from jobs.stack.services import services

NOT_RUNNING = 3


@click.group()
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var"),
    envvar="STACK_STATE",
    show_default=True,
    show_envvar=True,
    help="Folder of what the catalog and luigid keep, and of their logs, in run/.",
)
@click.pass_context
def main(context: click.Context, state: Path) -> None:
    """Run the catalog and luigid in the background.

    The catalog listens where conf/catalog.toml or CATALOG_SERVER_LISTEN says (127.0.0.1:8181),
    luigid where conf/luigi.cfg or LUIGID_LISTEN says (127.0.0.1:8082).
    """
    context.obj = state.resolve()


@main.command()
@click.pass_obj
def start(state: Path) -> None:
    """Start what does not run yet, and wait until it answers."""
    with _errors_in_one_line():
        verbs.start(state, services(state), click.echo)


@main.command()
@click.pass_obj
def stop(state: Path) -> None:
    """Stop what was started: luigid, then the catalog, which finishes its requests."""
    with _errors_in_one_line():
        verbs.stop(state, services(state), click.echo)


@main.command()
@click.pass_obj
def status(state: Path) -> None:
    """Show what runs where; the exit status is 3 unless all of it answers."""
    with _errors_in_one_line():
        if not verbs.status(state, services(state), click.echo):
            sys.exit(NOT_RUNNING)


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED, metavar="TASK …")
def run(arguments: tuple[str, ...]) -> None:
    """Run a task with luigid if it answers, else without: run WeatherPipeline --date 2013-07-02."""
    verbs.run(arguments, lambda line: click.echo(line, err=True))


@contextlib.contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """End the command with one line where something stands in the way."""
    try:
        yield
    except (StackError, OSError) as error:
        raise click.ClickException(" ".join(str(error).split())) from None


if __name__ == "__main__":
    main()
