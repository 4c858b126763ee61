"""``python -m benchmarks``: measure, print one table, and write it as JSON."""

import shutil
import tempfile
import time
from pathlib import Path

import click
import orjson

from benchmarks import report, wrk
from benchmarks.bench import Bench
from benchmarks.goals import GOALS
from benchmarks.rounds import Line

_CACHE = Path(__file__).resolve().parent.parent / "var" / "bench"
_BUSY_LOAD = 1.0


def _goals(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
    wanted = [name.strip() for name in value.split(",")] if value else list(GOALS)
    for name in wanted:
        if name not in GOALS:
            raise click.BadParameter(f"no goal {name!r}, expected some of {', '.join(GOALS)}")
    return wanted


@click.command()
@click.option("--goals", default="", callback=_goals, help="Which to measure: 1,2,scans. [all]")
@click.option("--quick", is_flag=True, help="Measure little: to see that it works, not to judge.")
@click.option(
    "--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write JSON here, too."
)
@click.option(
    "--style",
    type=click.Choice(["simple", "github"]),
    default="simple",
    help="How the table is written: for a terminal, or for a page of Markdown.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=_CACHE,
    help="Where large fixtures stay between runs. [var/bench]",
)
def main(goals: list[str], quick: bool, file: Path | None, style: str, cache: Path) -> None:  # noqa: FBT001
    """Measure what docs/performance.md promises, beside other servers."""
    _say(f"load generator: {wrk.path() or 'our own client; wrk would spend less'}")
    machine = report.machine()
    if machine["load before"] > _BUSY_LOAD:
        _say(
            f"other programs are at work here: load {machine['load before']}; wait for them to end"
        )
    started = time.monotonic()
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=cache)).resolve()
    try:
        lines = _measured(Bench(folder, cache.resolve(), quick), goals)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a measurement may have failed in the middle
    click.echo(report.as_table(lines, style))
    described = ", ".join(f"{name} {value}" for name, value in machine.items())
    click.echo(f"\nAfter {time.monotonic() - started:.0f} s, with {described}")
    if file is not None:
        file.write_bytes(orjson.dumps(report.as_json(lines, machine), option=orjson.OPT_INDENT_2))


def _measured(bench: Bench, goals: list[str]) -> list[Line]:
    lines: list[Line] = []
    for name in goals:
        started = time.monotonic()
        lines += GOALS[name](bench)
        # What was written should not be in the next one's way.
        shutil.rmtree(bench.folder, ignore_errors=True)
        _say(f"{name}: measured in {time.monotonic() - started:.0f} s")
    return lines


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
