"""``python -m benchmarks.scale``: measure how far the catalog goes, for docs/scale.md."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson

from benchmarks import cluster, report
from benchmarks.bench import Bench
from benchmarks.scale import clients, commits, files, operations, plot, snapshots, tables
from benchmarks.scale.section import Context, Section, put_into

_CACHE = Path(__file__).resolve().parents[2] / "var" / "bench"
_LEAST_FILES = 1000
_PARTS = ("tables", "commits", "clients", "snapshots", "files", "operations")


def _sizes(_context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    try:
        sizes = [int(float(one)) for one in value.split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as {parameter.default}")
    return sizes


def _parts(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
    wanted = value.split(",")
    for name in wanted:
        if name not in _PARTS:
            raise click.BadParameter(f"no part {name!r}, expected some of {', '.join(_PARTS)}")
    return wanted


@click.command()
@click.option("--parts", default=",".join(_PARTS), callback=_parts, show_default=True)
@click.option("--tables", "many", default="1e3,1e4,1e5,1e6", callback=_sizes, show_default=True)
@click.option("--operations", "operated", default="1e3,1e4", callback=_sizes, show_default=True)
@click.option(
    "--snapshots", "long", default="1,100,1e3,1e4,1e5", callback=_sizes, show_default=True
)
@click.option(
    "--files", "wide", default="1e4,1e5,1e6,1e7,1e8,1e9", callback=_sizes, show_default=True
)
@click.option("--all-files", default=1_000_000, show_default=True, help="Most files planned.")
@click.option("--deep-files", default=1_000_000, show_default=True, help="Most the doctor walks.")
@click.option("--clients", "connected", default="8,64,256,1024", callback=_sizes, show_default=True)
@click.option("--quick", is_flag=True, help="Few rounds: to see that it works, not to judge.")
@click.option("--style", type=click.Choice(["simple", "github"]), default="simple")
@click.option(
    "--plot", "drawn", type=click.Path(dir_okay=False, path_type=Path), help="Write the SVG here."
)
@click.option(
    "--page",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Put the tables into this page, docs/scale.md.",
)
@click.option(
    "--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write JSON here, too."
)
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), default=_CACHE, help="Disk to use."
)
def main(  # noqa: PLR0917 - click calls it
    parts: list[str],
    many: list[int],
    operated: list[int],
    long: list[int],
    wide: list[int],
    all_files: int,
    deep_files: int,
    connected: list[int],
    quick: bool,  # noqa: FBT001
    style: str,
    drawn: Path | None,
    page: Path | None,
    file: Path | None,
    cache: Path,
) -> None:
    """Measure how requests and commands grow with tables, snapshots, files and clients.

    Progress is on stderr. Needs 3 GB of disk and 2 GB of memory with the default sizes.
    """
    if min(wide) < _LEAST_FILES:
        raise click.UsageError(f"a table of fewer than {_LEAST_FILES:,} files has no day 77")
    machine = report.machine()
    started = time.monotonic()
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="scale-", dir=cache)).resolve()
    sections: list[Section] = []
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        database = None if cluster.missing() else stack.enter_context(cluster.durable())
        if database is None:
            _say(f"without PostgreSQL: {cluster.missing()}")
        context = Context(Bench(folder, cache.resolve(), quick), database, _say)
        measures: dict[str, Callable[[], list[Section]]] = {
            "tables": lambda: tables.measure(context, many),
            "operations": lambda: operations.measure(context, operated),
            "snapshots": lambda: snapshots.measure(context, long),
            "files": lambda: files.measure(
                context, wide, all_up_to=all_files, deep_up_to=deep_files
            ),
            "commits": lambda: commits.measure(context),
            "clients": lambda: clients.measure(context, connected),
        }
        for name in parts:
            measured = measures[name]()
            shutil.rmtree(folder, ignore_errors=True)
            for section in measured:
                _report(section, style, page, drawn)
            sections += measured
            if file is not None:
                file.write_bytes(_as_json(machine, sections))
    told = ", ".join(f"{name} {value}" for name, value in machine.items())
    click.echo(f"\nAfter {time.monotonic() - started:.0f} s, with {told}")


def _report(section: Section, style: str, page: Path | None, drawn: Path | None) -> None:
    click.echo(f"\n{section.title}\n\n{section.as_table(style)}")
    if section.name == "tables" and drawn is not None:
        plot.write(section, drawn)
    if page is not None:
        text = put_into(page.read_text(encoding="utf-8"), section)
        page.write_text(text, encoding="utf-8")


def _as_json(machine: Mapping[str, Any], sections: Sequence[Section]) -> bytes:
    return orjson.dumps(
        {"machine": machine, "sections": [asdict(section) for section in sections]},
        option=orjson.OPT_INDENT_2,
    )


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
