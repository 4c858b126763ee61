"""``falcon-catalog install`` and ``uninstall``."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from falcon_catalog import __version__
from falcon_catalog.cli.common import Failed, Stopped, echo, one_line_errors
from falcon_catalog.installation import contents as parts
from falcon_catalog.installation.contents import Contents, Wish, contents
from falcon_catalog.installation.files import Change, Tree
from falcon_catalog.installation.host import Host, HostError
from falcon_catalog.installation.install import (
    data,
    install,
    installed,
    missing_folders,
    problems,
    uninstall,
)
from falcon_catalog.installation.program import Program

_WORD = 9
_HIGHEST_PORT = 65535

_root = click.option(
    "--root",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    metavar="DIR",
    help="Work on the image in this folder: units are enabled or disabled, nothing is started.",
)
_dry_run = click.option("--dry-run", is_flag=True, help="Change nothing; show what would change.")


@click.command("install")
@click.option("--pipeline", is_flag=True, help="Install the weather pipeline, too.")
@click.option(
    "--auth", is_flag=True, help="Require tokens, and add the principal admin (new settings only)."
)
@click.option(
    "--port",
    type=click.IntRange(1, _HIGHEST_PORT),
    metavar="PORT",
    help=f"Listen on this port of 127.0.0.1. [default: {parts.PORT}, or the one installed]",
)
@click.option("--replace", is_flag=True, help="Replace edited units; the old ones become NAME.old.")
@_dry_run
@_root
def install_command(
    *, pipeline: bool, auth: bool, port: int | None, replace: bool, dry_run: bool, root: Path | None
) -> None:
    """Install the catalog as a service of systemd, and start it. Needs root.

    The service runs the virtual environment that this command is in. A second run changes nothing,
    or brings the units up to date after an upgrade and restarts what they changed. Settings that
    are there are never overwritten; nor are edited units, without --replace.

    \b
    Examples:
        falcon-catalog install --dry-run
        falcon-catalog install
        falcon-catalog install --pipeline --auth
    """
    program, tree, host = Program.running(), Tree(root or Path("/")), Host(root, _report)
    wish = Wish(pipeline=pipeline, auth=auth, port=port)
    with one_line_errors(), _host_errors():
        found = list(host.problems())
        if not program.has_units:
            _stop_for([*found, *program.problems(pipeline=pipeline)])
        wanted = contents(program, tree, wish)
        changes = tree.compare(wanted.files, replace=replace)
        missing = missing_folders(tree, wanted)
        if dry_run:
            _echo_plan(tree, changes, missing)
        _echo_kept(tree, changes)
        _stop_for([*found, *problems(program, tree, host, wanted, wish)])
        made = sum(change.is_made for change in changes) + len(missing)
        if made == 0:
            echo(f"Nothing to change for falcon-catalog {__version__}.")
        if dry_run:
            echo(f"Nothing was changed. Without --dry-run, install makes {made} changes.")
            return
        install(tree, host, changes, wanted, _report)
    if root is not None:
        echo(f"Installed into {root}; the services start when it boots.")
    elif made:
        _echo_next_steps(program, wanted, host.address("catalog.socket") or wanted.url)
    else:
        echo(f"{host.address('catalog.socket') or wanted.url} is served.")


@click.command("uninstall")
@click.option("--purge", is_flag=True, help="Delete the data, settings and credentials, too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_dry_run
@_root
def uninstall_command(*, purge: bool, yes: bool, dry_run: bool, root: Path | None) -> None:
    """Stop and remove the services that install made. Needs root.

    Data and settings stay, unless --purge is given; the user iceberg and the virtual environment
    stay in any case. A store or warehouse outside /var/lib/falcon-catalog is never deleted.

    \b
    Examples:
        falcon-catalog uninstall --dry-run
        falcon-catalog uninstall
        falcon-catalog uninstall --purge --yes
    """
    tree, host = Tree(root or Path("/")), Host(root, _report)
    with one_line_errors(), _host_errors():
        files, kept = installed(tree), data(tree)
        if not files:
            raise Failed(
                f"nothing to uninstall: {tree.path(parts.SETTINGS).parent}/installed.json, which"
                " falcon-catalog install writes, is not there"
            )
        if dry_run or not yes:
            for path in files:
                _report("remove", str(tree.path(path)))
            for folder in kept:
                _report("DELETE" if purge else "keep", str(folder))
        if dry_run:
            echo("Nothing was changed.")
            return
        for problem in host.problems():
            raise Stopped(problem)
        if not yes:
            _confirm("the services AND ALL DATA listed above" if purge else "the services")
        uninstall(tree, host, _report, purge=purge)
    if (kept := data(tree)) and not purge:
        echo(f"Kept: {', '.join(map(str, kept))}. falcon-catalog install uses them again.")
    echo(
        f"The user {parts.USER} and {sys.prefix} are kept: files elsewhere may belong to the user,"
        " and the environment was not made by install."
    )


def _echo_other_catalog(change: Change) -> None:
    """Say so if the pipeline's settings name another catalog than the one that is installed."""
    address = re.compile(r"(?m)^uri *= *(\S+)")
    is_at, wanted = address.search(change.before or ""), address.search(change.file.content)
    if is_at and wanted and is_at[1] != wanted[1]:
        echo(f"         its pipeline uses {is_at[1]}, this catalog is {wanted[1]}: [catalog] uri")


def _stop_for(found: list[str]) -> None:
    for problem in found:
        echo(f"Error: {problem}", err=True)
    if found:
        raise click.exceptions.Exit(1)


def _confirm(what: str) -> None:
    if not sys.stdin.isatty():
        raise Failed(f"would remove {what}: confirm it with --yes")
    click.confirm(f"Remove {what}?", abort=True)


def _echo_plan(tree: Tree, changes: list[Change], missing: list[str]) -> None:
    """Print the difference of each file, then a list: what a reader sees first is the end."""
    for change in changes:
        echo(change.diff(), nl=False)
    for change in changes:
        if change.is_made:
            _report(change.action, str(tree.path(change.file.path)))
    for folder in missing:
        _report("create", f"{tree.path(folder)}/")


def _echo_kept(tree: Tree, changes: list[Change]) -> None:
    for change in changes:
        if change.action == "settings":
            _report("keep", f"{tree.path(change.file.path)} (settings are never overwritten)")
        if change.action == "settings" and change.file.path == parts.PIPELINE_SETTINGS:
            _echo_other_catalog(change)
        if change.action == "edited":
            why = "edited since it was installed; --replace replaces it"
            _report("keep", f"{tree.path(change.file.path)} ({why})")


@contextlib.contextmanager
def _host_errors() -> Iterator[None]:
    """Print what systemd says as it says it, with its lines, and end with status 1."""
    try:
        yield
    except HostError as error:
        echo(f"Error: {error}", err=True)
        raise click.exceptions.Exit(1) from None
    except ValueError as error:
        raise Stopped(error) from None


def _report(what: str, to: str) -> None:
    echo(f"{what:<{_WORD}}{to}")


def _echo_next_steps(program: Program, wanted: Contents, url: str) -> None:
    where = f" --uri {url}" if url != f"http://127.0.0.1:{parts.PORT}" else ""
    login = ""
    if wanted.settings.auth.required:
        login = f' --credential "$(cat {parts.CREDENTIALS}/admin)"'
    echo(f"""
falcon-catalog {__version__} serves {url}

  Settings   {parts.SETTINGS}, then systemctl restart catalog
  Data       {", ".join(parts.STATE)}
  Log        journalctl --unit catalog --follow""")
    if wanted.pipeline:
        echo(f"""\
  Pipeline   {parts.PIPELINE_SETTINGS}: set your stations and a contact
  Schedule   systemctl list-timers 'weather-*', http://127.0.0.1:{parts.SCHEDULER_PORT}""")
    echo(f"""
A first table, and a query; clients that write local files run as the user {parts.USER}:

  {program.prefix}/bin/pip install duckdb-cli
  {{ falcon-catalog engines duckdb{where}{login}
    echo "CREATE SCHEMA lake.notes; CREATE TABLE lake.notes.first AS SELECT 42 AS answer;"
    echo "FROM lake.notes.first;"
  }} | runuser -u {parts.USER} -- env --chdir=/tmp HOME={parts.STATE[0]} \\
      {program.prefix}/bin/duckdb""")
