"""``falcon-catalog compact`` and ``expire``: the program of table maintenance, on this catalog.

It runs in a process of its own, with the catalog's properties in a file that only this user can
read, so that no token is in the list of processes.
"""

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from falcon_catalog.console.connection import Client, client_command
from falcon_catalog.console.entities import NAME, complete_refs, find_namespace, find_table
from falcon_catalog.console.failures import ConsoleError
from falcon_catalog.console.names import InvalidNameError, parse

_PROGRAM = "jobs.maintenance.embedded"
_CATALOG = "falcon"
_EVERY = ".*"


class _Tables(click.ParamType[str]):
    """The name of a table, or ``namespace.*``."""

    name = "table"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> str:
        text = str(value)
        try:
            found = parse(text.removesuffix(_EVERY))
        except InvalidNameError as error:
            self.fail(str(error), param, context)
        if found.at is not None:
            self.fail(f"{text!r}: a branch is given with --branch", param, context)
        return text

    def shell_complete(
        self, context: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names that start with a text."""
        return NAME.shell_complete(context, param, incomplete)


_tables = click.argument("tables", type=_Tables(), nargs=-1, required=True)
_dry_run = click.option("--dry-run", is_flag=True, help="Only report what would be done.")
_engine = click.option(
    "--engine",
    type=click.Choice(("builtin", "spark")),
    default="builtin",
    show_default=True,
    help="spark runs Iceberg's own procedures, for tables that outgrow one process.",
)


@client_command("compact")
@_tables
@click.option("--target-size", metavar="SIZE", help="Size of new files.  [table's, or 512M]")
@click.option("--sort", metavar="TEXT", help="As in 'city, seen_at desc nulls last'.")
@click.option("--all", "is_all", is_flag=True, help="Rewrite every file.")
@click.option(
    "--branch",
    metavar="BRANCH",
    shell_complete=complete_refs("tables", "branch"),
    help="Branch to work on.  [main]",
)
@_engine
@_dry_run
def compact(
    client: Client,
    tables: tuple[str, ...],
    *,
    target_size: str | None,
    sort: str | None,
    is_all: bool,
    branch: str | None,
    engine: str,
    dry_run: bool,
) -> None:
    """Rewrite small files, and files with deleted rows, into full ones.

    \b
    Examples:
        falcon-catalog compact weather.observations --dry-run
        falcon-catalog compact 'weather.*'
        falcon-catalog compact weather.observations --sort 'station_id, observed_at'

    Safe beside running writers; the rows do not change. All options: python -m jobs.maintenance
    compact --help.
    """
    options = {"--target-size": target_size, "--sort": sort, "--branch": branch}
    flags = {"--all": is_all, "--dry-run": dry_run}
    _run(client, "compact", tables, engine=engine, options=options, flags=flags)


@client_command("expire")
@_tables
@click.option("--older-than", metavar="AGE", help="Such as 7d.  [table's, or 5d]")
@click.option("--keep-last", type=int, metavar="N", help="Of each branch.  [table's, or 1]")
@click.option("--keep-files", is_flag=True, help="Delete no files.")
@_engine
@_dry_run
def expire(
    client: Client,
    tables: tuple[str, ...],
    *,
    older_than: str | None,
    keep_last: int | None,
    keep_files: bool,
    engine: str,
    dry_run: bool,
) -> None:
    """Expire old snapshots, and delete the files that only they reached.

    \b
    Examples:
        falcon-catalog expire weather.observations --dry-run
        falcon-catalog expire 'weather.*' --older-than 7d --keep-last 10

    Branches, tags and their retention are respected. Time travel ends at the oldest snapshot that
    is kept. All options: python -m jobs.maintenance expire-snapshots --help.
    """
    kept = None if keep_last is None else str(keep_last)
    options = {"--older-than": older_than, "--keep-last": kept}
    flags = {"--keep-files": keep_files, "--dry-run": dry_run}
    _run(client, "expire-snapshots", tables, engine=engine, options=options, flags=flags)


def _run(
    client: Client,
    operation: str,
    tables: tuple[str, ...],
    *,
    engine: str,
    options: dict[str, str | None],
    flags: dict[str, bool],
) -> None:
    """Run an operation of table maintenance; raise Exit with its status if that is not 0.

    Raises:
        NotFoundError: a table, or the namespace of a pattern, does not exist.
    """
    if find_spec("jobs.maintenance") is None or find_spec("pyarrow") is None:
        raise ConsoleError(
            "maintenance needs an extra that is not installed: pip install '.[jobs]' in a clone of"
            " the repository"
        )
    for text in tables:
        name = parse(text.removesuffix(_EVERY))
        if text.endswith(_EVERY):
            find_namespace(client, name)
        else:
            find_table(client, name)
    from strictyaml import as_document  # PyIceberg's YAML

    command = [sys.executable, "-m", _PROGRAM, "--catalog", _CATALOG]
    command += ["--engine", engine]
    command += ["--json"] if client.out.as_json else []
    command += ["--quiet"] if client.out.quiet else []
    command.append(operation)
    for option, value in options.items():
        command += [] if value is None else [option, value]
    command += [flag for flag, is_set in flags.items() if is_set]
    with tempfile.TemporaryDirectory(prefix="falcon-catalog-") as folder:  # mode 0700
        configuration = {"catalog": {_CATALOG: client.address.properties}}
        Path(folder, ".pyiceberg.yaml").write_text(as_document(configuration).as_yaml())
        environment = {**os.environ, "PYICEBERG_HOME": folder}
        done = subprocess.run(  # noqa: S603 - a list, without a shell
            [*command, "--", *tables], env=environment, check=False
        )
    if done.returncode:
        raise click.exceptions.Exit(done.returncode)
