"""One table of docs/scale.md."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tabulate import tabulate

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.cluster import Cluster
    from benchmarks.processes import Server
    from benchmarks.rounds import Sample

Cell = str | float | None
"""None where it was not measured."""

_EXACT = 1000


@dataclass(frozen=True, slots=True)
class Context:
    """What every part measures with."""

    bench: "Bench"
    database: "Cluster | None"
    """A PostgreSQL cluster; None where there is none."""
    say: Callable[[str], None]
    """Reports progress."""


@dataclass(frozen=True, slots=True)
class Section:
    """Measurements, one in each row."""

    name: str
    title: str
    header: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]

    def as_table(self, style: str) -> str:
        """Return the table in one of tabulate's styles."""
        rows = [[_shown(cell) for cell in row] for row in self.rows]
        align = ["left" if isinstance(cell, str) else "right" for cell in self.rows[0]]
        return tabulate(rows, self.header, style, disable_numparse=True, colalign=align)

    def as_markdown(self) -> str:
        """Return the table as docs/scale.md has it, between two comments with its name."""
        begin, end = (f"<!-- {mark} {self.name} -->" for mark in ("begin", "end"))
        return f"{begin}\n\n{self.as_table('github')}\n\n{end}"

    def column(self, name: str) -> list[Cell]:
        """Return one column."""
        place = self.header.index(name)
        return [row[place] for row in self.rows]


def put_into(page: str, section: Section) -> str:
    """Return a page of Markdown with a section's table in the place that has its name.

    Raises:
        ValueError: the page has no such place.
    """
    begin, end = (f"<!-- {mark} {section.name} -->" for mark in ("begin", "end"))
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"there is no {begin} … {end} on the page")
    return f"{before}{section.as_markdown()}{after}"


def median_ms(measure: "Callable[[], Sample]", rounds: int) -> float:
    """Return the median over rounds of the median answer's time."""
    return statistics.median(measure().p50_ms for _ in range(rounds))


def megabytes(size: float) -> float:
    """Return bytes as MB (2**20 bytes)."""
    return size / (1 << 20)


def memory_mb(server: "Server") -> float:
    """Return a server's memory in MB."""
    return megabytes(server.memory_bytes())


def _shown(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or cell >= _EXACT:
        return f"{cell:,.0f}"
    return f"{cell:.3g}"
