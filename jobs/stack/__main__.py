"""The command: ``python -m jobs.stack``, which ``make start``, ``stop`` and ``status`` run."""

import sys
from pathlib import Path
from typing import Any

import click

from jobs.stack import verbs
from jobs.stack.processes import StackError
from jobs.stack.services import services

NOT_RUNNING = 3


class _Group(click.Group):
    """Shows errors of its commands in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (StackError, OSError) as error:
            raise click.ClickException(" ".join(str(error).split())) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
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
    verbs.start(state, services(state), click.echo)


@main.command()
@click.pass_obj
def stop(state: Path) -> None:
    """Stop what was started: luigid, then the catalog, which finishes its requests."""
    verbs.stop(state, services(state), click.echo)


@main.command()
@click.pass_obj
def status(state: Path) -> None:
    """Show what runs where; the exit status is 3 unless all services are ready."""
    if not verbs.status(state, services(state), click.echo):
        sys.exit(NOT_RUNNING)


@main.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,  # what follows the command is not ours
        "help_option_names": ["-h", "--help"],
    }
)
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED, metavar="TASK …")
def run(arguments: tuple[str, ...]) -> None:
    """Run a task with luigid if it answers, else without: run WeatherPipeline --date 2013-07-02."""
    verbs.run(arguments, lambda line: click.echo(line, err=True))


if __name__ == "__main__":
    main()
