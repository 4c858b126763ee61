"""``falcon-catalog audit``."""

import re
import shutil
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson
from tabulate import tabulate

from falcon_catalog.catalog import event_log
from falcon_catalog.cli.common import (
    echo,
    one_line_errors,
    read_existing,
    utc,
    with_store,
)
from falcon_catalog.identifiers import Namespace
from falcon_catalog.store import events as rows
from falcon_catalog.store import reading
from falcon_catalog.store.database import Transaction, now_ms
from falcon_catalog.store.events import EventRow, Filter, RefusalRow
from falcon_catalog.terminal import printable

_AGO = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_POLL_SECONDS = 1.0
_PAGE = 1000
_HEAD = ("time (UTC)", "who", "from", "operation", "object", "detail")

Row = EventRow | RefusalRow


class _Moment(click.ParamType[int]):
    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> int:
        """Return milliseconds since 1970-01-01 UTC."""
        text = str(value)
        if found := _AGO.fullmatch(text):
            return now_ms() - int(found[1]) * _SECONDS[found[2]] * 1000
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(
                f"{text!r} is neither a time, such as 2026-01-31T12:00, nor how long ago: 30m, 2h,"
                " 7d",
                param,
                context,
            )
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


@click.command("audit")
@click.option("--principal", metavar="NAME", help="Of this principal, or local:UID.")
@click.option("--operation", "operations", multiple=True, metavar="NAME", help="Repeatable.")
@click.option("--warehouse", metavar="NAME", help="In this warehouse.")
@click.option("--namespace", metavar="NAME", help="Of a namespace, and of all that is in it.")
@click.option("--table", metavar="NAME", help="Of a table, view or function: namespace.table.")
@click.option("--since", type=_Moment(), metavar="TIME", help="2026-01-31T12:00 in UTC, or 2h ago.")
@click.option("--until", type=_Moment(), metavar="TIME", help="As --since.")
@click.option("--request-id", metavar="ID", help="Of one request, as the log and X-Request-Id say.")
@click.option("--refused", is_flag=True, help="Requests that were refused, instead of changes.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="Newest rows."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")
@click.option("--follow", is_flag=True, help="Go on with each new row until Ctrl-C.")
@with_store
def audit(
    config: Path | None,
    *,
    principal: str | None,
    operations: tuple[str, ...],
    warehouse: str | None,
    namespace: str | None,
    table: str | None,
    since: int | None,
    until: int | None,
    request_id: str | None,
    refused: bool,
    limit: int,
    as_json: bool,
    follow: bool,
    **flags: Any,
) -> None:
    """Show who changed what and when, oldest first; or who was refused what.

    Works with a running or a stopped server.

    \b
    Examples:
        falcon-catalog audit
        falcon-catalog audit --table weather.observations --since 7d
        falcon-catalog audit --refused --principal etl
        falcon-catalog audit --follow --json | vector --config siem.toml
    """
    if namespace and table:
        raise click.UsageError("--namespace and --table exclude each other")
    if refused and (namespace or table):
        raise click.UsageError("--refused cannot be combined with --namespace or --table")
    with one_line_errors(), reading(read_existing(config, flags).store) as tx:
        *levels, last = table.split(".") if table else ("", "")
        if table and not levels:
            raise click.UsageError(f"--table {table}: its namespace is missing: NAMESPACE.{table}")
        wanted = event_log.named(
            Namespace.of((namespace or "").split(".") if namespace else levels)
            if namespace or table
            else None,
            last or None,
            warehouse=warehouse,
            actor=principal,
            operations=operations,
            since_ms=since,
            until_ms=until,
            request_id=request_id,
        )
        found, settled = _newest(tx, wanted, refused=refused, limit=limit)
        if as_json:
            for row_id, row in found:
                _echo_json(row_id, row)
        elif found or not follow:
            _echo_table([row for _, row in found], refused=refused)
        if follow:
            _follow(tx, wanted, settled, refused=refused, as_json=as_json)


def _newest(
    tx: Transaction, wanted: Filter, *, refused: bool, limit: int
) -> tuple[list[tuple[int, Row]], int]:
    """Return the newest rows, oldest first, and the id after which others follow."""
    settled = tx.settled_id("refusals" if refused else "events")
    found: list[tuple[int, Row]] = []
    if refused:
        found += rows.refusals(tx, wanted, after=0, before=settled + 1, size=limit, newest=True)
    else:
        low = 0 if wanted.since_ms is None else rows.first_since(tx, wanted.since_ms) - 1
        found += rows.backward(tx, wanted, after=low, before=settled + 1, size=limit)
    return found[::-1], settled


def _follow(tx: Transaction, wanted: Filter, after: int, *, refused: bool, as_json: bool) -> None:
    """Print rows as they appear, in the order of the commits, until Ctrl-C."""
    # KeyboardInterrupt could come at any moment, also where a library discards it.
    stopping = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stopping.set())
    try:
        while not stopping.is_set():
            through = tx.settled_id("refusals" if refused else "events")
            found: list[tuple[int, Row]] = []
            if refused:
                found += rows.refusals(
                    tx, wanted, after=after, before=through + 1, size=_PAGE, newest=False
                )
            else:
                found += rows.forward(tx, wanted, after=after, through=through, size=_PAGE)
            for row_id, row in found:
                if as_json:
                    _echo_json(row_id, row)
                else:
                    _echo_line(row)
            sys.stdout.flush()
            if len(found) == _PAGE:
                after = found[-1][0]
                continue
            after = max(after, through)
            stopping.wait(_POLL_SECONDS)
    finally:
        signal.signal(signal.SIGINT, before)


def _echo_json(row_id: int, row: Row) -> None:
    if isinstance(row, EventRow):
        document = event_log.as_json(row_id, row)
    else:
        document = event_log.refusal_as_json(row_id, row)
    text = orjson.dumps(document).decode()
    # What a terminal would obey is escaped.
    click.echo(text if text.isprintable() else _escaped(text))


def _escaped(text: str) -> str:
    return "".join(
        each
        if each.isprintable()
        else "".join(f"\\u{unit:04x}" for unit in memoryview(each.encode("utf-16-le")).cast("H"))
        for each in text
    )


def _echo_table(found: list[Row], *, refused: bool) -> None:
    if not found:
        echo("No refused requests." if refused else "No changes.")
        return
    head = (*_HEAD[:4], "entity", "refused because") if refused else _HEAD
    # The columns before the last two are short, but for the names of principals.
    cells = [tuple(map(printable, _cells(row))) for row in found]
    for line in tabulate(cells, head, disable_numparse=True).splitlines():
        click.echo(_cut(line.rstrip()))


def _echo_line(row: Row) -> None:
    when, who, where, operation, what, detail = map(printable, _cells(row))
    click.echo(_cut(f"{when}  {who:<12}  {where:<12}  {operation:<16}  {what}  {detail}".rstrip()))


def _cut(line: str) -> str:
    if not sys.stdout.isatty():
        return line
    width = shutil.get_terminal_size().columns
    return line if len(line) <= width else line[: width - 1] + "…"


def _cells(row: Row) -> tuple[str, ...]:
    """Return the cells of a row of the table."""
    start = (utc(row.at_ms), row.actor, row.address or "", row.operation or "")
    if isinstance(row, RefusalRow):
        reason = f"{row.outcome}, needs {row.privilege}" if row.privilege else row.outcome
        return (*start, row.entity or "", reason + (f" (and {row.more} more)" if row.more else ""))
    name = _dotted(row.namespace_path, row.name)
    former = _dotted(row.former_path, row.former_name)
    what = f"{row.kind} {name}" if name else row.kind
    detail: dict[str, Any] = orjson.loads(row.detail) if row.detail else {}
    texts = [f"was {former}"] if former else []
    for key, value in detail.items():
        if key == "updates":
            texts.append(", ".join(value))
        elif isinstance(value, list):
            if not value:
                continue
            texts.append(f"{key} {', '.join(map(str, value))}")
        elif value is not False:
            texts.append(key if value is True else f"{key} {_short(value)}")
    return (*start, what, "; ".join(texts))


def _short(value: object) -> str:
    return orjson.dumps(value).decode() if isinstance(value, dict) else str(value)


def _dotted(path: str | None, name: str | None) -> str:
    levels = () if path is None else Namespace.from_path(path).levels
    return ".".join([*levels, *([name] if name else [])])
