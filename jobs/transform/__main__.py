"""dbt on the lake as the pipeline runs it: ``python -m jobs.transform run --select staging``.

It uses the catalog and folders of the settings, and waits for a build that is running.
"""

import subprocess
import sys
from pathlib import Path

import click

from jobs import config
from jobs.transform.running import alone, environment_of, folders, install_extensions


@click.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,  # what follows the command is not ours
        "help_option_names": ["-h", "--help"],
    }
)
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND …")
def main(arguments: tuple[str, ...]) -> None:
    """Run a dbt command, such as build, run, test or docs generate --static."""
    state = Path(config.settings().weather.data_dir).resolve()
    install_extensions(state / "duckdb-extensions")
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *arguments]
    command += folders(state)
    with alone(state, lambda line, _: click.echo(line)) as lock:
        status = subprocess.run(  # noqa: S603 - our own dbt on our own project
            command,
            env=environment_of(state),
            cwd=state / "dbt",
            check=False,
            pass_fds=(lock.fileno(),),
        ).returncode
    if not status and arguments[:2] == ("docs", "generate"):
        click.echo(f"Open {(state / 'dbt' / 'target' / 'static_index.html').as_uri()}")
    sys.exit(status)


if __name__ == "__main__":
    main()
