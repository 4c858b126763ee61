"""``falcon-catalog files``."""

from collections import Counter
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from falcon_catalog.console.connection import Client, client_command
from falcon_catalog.console.entities import NAME, find_table
from falcon_catalog.console.manifests import File, files, files_where
from falcon_catalog.console.names import Name
from falcon_catalog.console.output import ABSENT, Column, Output, human_size
from falcon_catalog.console.snapshots import select

if TYPE_CHECKING:
    from pyiceberg.table import Table

_MIB = 1024 * 1024
_BOUNDS = (1 * _MIB, 8 * _MIB, 32 * _MIB, 128 * _MIB, 512 * _MIB)
_BAR = 40
_TARGET = "write.target-file-size-bytes"
_DEFAULT_TARGET = 512 * 1024 * 1024  # of the Java library
_SMALL = 0.75  # of the target: files below it are what Spark's rewrite_data_files takes


@client_command("files")
@click.argument("name", type=NAME)
@click.option("--where", metavar="CONDITION", help="Only files that may have such rows.")
@click.option("--summary", "as_summary", is_flag=True, help="Show how large the files are.")
def command(client: Client, name: Name, *, where: str | None, as_summary: bool) -> None:
    """List the data and delete files of a table.

    \b
    Examples:
        falcon-catalog files weather.observations
        falcon-catalog files weather.observations@v1 --where "time >= '2026-11-01T00:00:00+00:00'"
        falcon-catalog files weather.observations --summary
        falcon-catalog files weather.observations -q

    --where leaves out files whose partition or bounds show that no row of them meets the condition.
    --summary counts the files by size, and says how many are small: below three quarters of
    write.target-file-size-bytes.
    """
    table = find_table(client, name)
    snapshot = select(table, name)
    out = client.out
    with out.progress("Reading manifests"):
        found = files_where(table, snapshot, where) if where else files(table, snapshot)
    if as_summary:
        _summary(out, table, found)
    elif out.as_json:
        out.document([_document(file) for file in found])
    elif out.quiet:
        out.names(file.path for file in found)
    else:
        _print(out, table, found)


def _print(out: Output, table: "Table", found: list[File]) -> None:
    columns = [
        Column("content"),
        Column("partition", may_be_cut=True),
        Column("rows", is_number=True),
    ]
    columns += [Column("size", is_number=True), Column("format"), Column("path", may_be_cut=True)]
    base = f"{table.location().rstrip('/')}/"
    rows = []
    for file in found:
        # Paths differ at their ends, and a terminal has no room for more.
        path = file.path.removeprefix(base) if out.is_terminal else file.path
        size, rows_of = out.size(file.size), out.count(file.rows)
        rows.append((file.content, file.where or ABSENT, rows_of, size, file.format, path))
    out.table(columns, rows)


def _document(file: File) -> dict[str, Any]:
    return {key: value for key, value in asdict(file).items() if value is not None}


def _summary(out: Output, table: "Table", found: list[File]) -> None:
    data = [file for file in found if file.content == "data"]
    sizes = sorted(file.size for file in data)
    target = _target(table)
    small = sum(size < _SMALL * target for size in sizes)
    buckets = Counter(sum(size >= bound for bound in _BOUNDS) for size in sizes)
    if out.as_json:
        ends = [*_BOUNDS, None]
        out.document(
            {
                "data-files": len(data),
                "delete-files": len(found) - len(data),
                "partitions": len({file.where for file in data}),
                "rows": sum(file.rows for file in data),
                "size": sum(sizes),
                "smallest": sizes[0] if sizes else None,
                "median": int(median(sizes)) if sizes else None,
                "largest": sizes[-1] if sizes else None,
                "target-size": target,
                "small-files": small,
                "sizes": [{"below": end, "files": buckets[at]} for at, end in enumerate(ends)],
            }
        )
        return
    out.pairs(
        [
            ("data files", out.count(len(data))),
            ("delete files", out.count(len(found) - len(data))),
            ("partitions", out.count(len({file.where for file in data}))),
            ("rows", out.count(sum(file.rows for file in data))),
            ("size", out.size(sum(sizes))),
            ("smallest", out.size(sizes[0] if sizes else None)),
            ("median", out.size(int(median(sizes)) if sizes else None)),
            ("largest", out.size(sizes[-1] if sizes else None)),
        ]
    )
    if not sizes:
        return
    out.heading("Sizes")
    titles = [f"below {human_size(bound)}" for bound in _BOUNDS]
    titles.append(f"{human_size(_BOUNDS[-1])} and more")
    most = max(buckets.values())
    columns = [Column("size"), Column("files", is_number=True), Column("", style="cyan")]
    out.table(
        columns,
        (
            (title, out.count(buckets[at]), "█" * -(-_BAR * buckets[at] // most))
            for at, title in enumerate(titles)
        ),
    )
    # One file in each partition cannot be fewer.
    if small > len({file.where for file in data}):
        out.line()
        out.line(
            f"{small} of {len(data)} data files are small: below three quarters of"
            f" {human_size(target)} ({_TARGET}). Compaction makes fewer of them.",
            style="yellow",
        )


def _target(table: "Table") -> int:
    value = table.properties.get(_TARGET, "")
    return int(value) if value.isascii() and value.isdecimal() else _DEFAULT_TARGET
