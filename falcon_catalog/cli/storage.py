"""``falcon-catalog storage check``, and the output of its report."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from falcon_catalog.catalog.mount import Condition, examine, roots_of
from falcon_catalog.catalog.storage_check.check import Target, check
from falcon_catalog.catalog.storage_check.results import CHECKS, Report, Result
from falcon_catalog.cli.common import (
    Failed,
    as_json,
    echo_json,
    one_line_errors,
    read,
    read_existing,
    with_warehouses,
)
from falcon_catalog.fileio.storage import Storage
from falcon_catalog.settings import Settings
from falcon_catalog.store import exists, reading
from falcon_catalog.store.database import Transaction
from falcon_catalog.terminal import printable

_WIDTH = max(map(len, CHECKS))
_COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow"}


@click.group("storage")
def storage_group() -> None:
    """Check the storage of warehouses."""


@storage_group.command("check")
@click.argument("warehouse", required=False)
@as_json
@with_warehouses
def check_command(
    warehouse: str | None, config: Path | None, *, as_json: bool, **flags: Any
) -> None:
    """Check that the storage of WAREHOUSE, or of all, does what the catalog relies on.

    Creates, reads and lists a few small files in a folder of its own below the warehouse's root,
    with the server's credential and with those that clients are given, and deletes them again.
    Works beside a running server and before the first start.

    Prints for each check whether it passed, how long it took, and for one that failed what to do.
    Exit status 0: no check failed. 1: one failed. 2: the check could not run.

    \b
    Examples:
        falcon-catalog storage check --config conf/catalog.toml
        falcon-catalog storage check lake --config conf/catalog.toml --json
    """
    with one_line_errors(Failed):
        settings = read(config, flags)
        if settings.origins["warehouse.location"] == "default":
            settings = read_existing(config, flags)  # probably the wrong folder
        names = list(settings.warehouse.storages)
        if warehouse is not None and warehouse not in names:
            raise Failed(f"there is no warehouse {warehouse} in the settings: {', '.join(names)}")
        chosen = names if warehouse is None else [warehouse]
        with _rows(settings) as tx:
            targets = [_target(settings, name, tx) for name in chosen]
            if as_json:
                reports = [check(target) for target in targets]
                echo_json([report.as_json() for report in reports])
            else:
                reports = [_check_and_print(target) for target in targets]
    if not all(report.passed for report in reports):
        raise click.exceptions.Exit(1)


@contextmanager
def _rows(settings: Settings) -> Iterator[Transaction | None]:
    """Return access to the store, or None while there is none."""
    if not exists(settings.store):
        yield None
        return
    with reading(settings.store) as tx:
        yield tx


def _target(settings: Settings, name: str, tx: Transaction | None) -> Target:
    root = next(each for each in roots_of(settings.warehouse.roots) if each.name == name)

    def condition(storage: Storage) -> Condition:
        if tx is None:
            raise RuntimeError("there is no store")
        return examine(storage.files, tx, root)

    return Target(
        name,
        settings.warehouse.storages[name],
        durable=settings.store.durability == "full",
        condition=None if tx is None else condition,
    )


def _check_and_print(target: Target) -> Report:
    """Print each result as soon as it is there, then a summary."""
    access = "" if target.settings.kind == "file" else f", access = {target.settings.access}"
    click.echo(printable(f"Warehouse {target.name}: {target.settings.location}{access}\n"))
    report = check(target, starting=_progress(), done=_print_result)
    click.echo(f"\n{_summary(report)}\n")
    return report


def _progress() -> Callable[[str], None]:
    """Return a function that shows on a terminal which check is running."""
    if not sys.stdout.isatty():
        return lambda _: None
    return lambda name: click.echo(f"  {'…':<8} {name}\r", nl=False)


def _print_result(result: Result) -> None:
    outcome = click.style(f"{result.outcome:<8}", fg=_COLOURS[result.outcome])
    took = "" if result.outcome == "skipped" else f"{result.milliseconds} ms"
    detail = printable(f"  {result.detail}" if result.detail else "")
    click.echo(f"  {outcome} {result.check:<{_WIDTH}} {took:>9}{detail}".rstrip())
    if result.remedy:
        click.echo(click.style(printable(f"{'':11}{result.remedy}"), bold=True))


def _summary(report: Report) -> str:
    counts = ", ".join(
        f"{count} {outcome}"
        for outcome in ("passed", "failed", "skipped")
        if (count := report.count(outcome))  # type: ignore[arg-type]
    )
    created = any(one.check == "create" and one.outcome == "passed" for one in report.results)
    verdict = "The storage is not ready"
    if report.passed:
        verdict = "The storage is ready" if created else "Nothing was proven"
    return f"{verdict}: {counts}."
