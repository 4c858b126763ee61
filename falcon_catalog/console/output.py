"""What the commands print: tables for people, plain lines for pipes, JSON and bare names.

Everything on stdout goes through ``Output``. On a terminal, numbers have separators, sizes have
units, times have an age, and long values are cut to the width. In a pipe nothing is cut, and
numbers and times are as programs read them. ``NO_COLOR`` turns colours off.
"""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from falcon_catalog.terminal import json_text, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_WIDE = 1_000_000  # a pipe has no width
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_AGES = ((86_400 * 365, "y"), (86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_GAP = "  "
_NARROWEST = 8  # a column is not cut to less
_ROOM_FOR_AGES = 100  # columns of a terminal
ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    is_number: bool = False
    style: str = ""
    """Rich's style, such as ``cyan`` or ``bold``."""
    may_be_cut: bool = False
    """Long values are cut where the terminal is too narrow; others never are."""
    may_wrap: bool = False
    """Long values continue on the next line where the terminal is too narrow: names, for one."""
    left_out: int = 0
    """Where the terminal is too narrow the column is left out, 1 before 2; never if it is 0."""


class Output:
    """Stdout, in the form that the flags and the terminal ask for."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet

    @cached_property
    def console(self) -> "Console":
        """Rich's console; it knows colours and width of the terminal."""
        from rich.console import Console

        console = Console(highlight=False, markup=False, emoji=False)
        if not console.is_terminal:
            console.width = _WIDE
        return console

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads this, not a pipe."""
        return self.console.is_terminal

    # Values

    def count(self, number: int | None) -> str:
        """Return a number; with separators on a terminal."""
        if number is None:
            return ABSENT
        return f"{number:,}" if self.is_terminal else str(number)

    def size(self, number: int | None) -> str:
        """Return a number of bytes; in units on a terminal."""
        if number is None:
            return ABSENT
        return human_size(number) if self.is_terminal else str(number)

    def moment(self, milliseconds: int | None) -> str:
        """Return a time in UTC; on a terminal with its age."""
        if milliseconds is None:
            return ABSENT
        at = utc(milliseconds)
        if at is None:
            return f"{milliseconds} ms"
        if not self.is_terminal:
            return f"{at:%Y-%m-%dT%H:%M:%SZ}"
        return f"{at:%Y-%m-%d %H:%M:%S} ({ago(milliseconds)})"

    def stamp(self, milliseconds: int | None) -> str:
        """Return a time in UTC for a table; in minutes on a terminal, and with its age if wide."""
        at = None if milliseconds is None else utc(milliseconds)
        if milliseconds is None or at is None or not self.is_terminal:
            return self.moment(milliseconds)
        age = f" ({ago(milliseconds)})" if self.console.width >= _ROOM_FOR_AGES else ""
        return f"{at:%Y-%m-%d %H:%M}{age}"

    # Lines

    def document(self, value: object) -> None:
        """Print a value as JSON."""
        click.echo(json_text(value))

    def names(self, names: Iterable[object]) -> None:
        """Print names or ids, one a line, as ``--quiet`` does."""
        for name in names:
            click.echo(cell_text(str(name)))

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line; it is never cut."""
        from rich.text import Text

        self._print(Text(printable(text), style=style), soft_wrap=True)

    def heading(self, text: str) -> None:
        """Print the title of a section, after an empty line."""
        self.line()
        self.line(text, style="bold")

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence["str | Text"]]) -> None:
        """Print rows below the titles of their columns."""
        from rich.table import Table
        from rich.text import Text

        cells = [
            [Text(cell_text(cell)) if isinstance(cell, str) else cell for cell in row]
            for row in rows
        ]
        needed = [
            max([len(column.title), *(row[at].cell_len for row in cells)])
            for at, column in enumerate(columns)
        ]
        kept = _kept(needed, columns, self.console.width)
        needed, columns = [needed[at] for at in kept], [columns[at] for at in kept]
        widths = _fit(needed, columns, self.console.width - len(_GAP) * (len(columns) - 1))
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, len(_GAP), 0, 0))
        for column, width in zip(columns, widths, strict=True):
            table.add_column(
                column.title,
                justify="right" if column.is_number else "left",
                style=column.style,
                width=width,
                no_wrap=not column.may_wrap,
                overflow="fold" if column.may_wrap else "ellipsis",
            )
        for row in cells:
            table.add_row(*(row[at] for at in kept))
        self._print(table)

    def pairs(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Print names and values in two columns, without titles; values continue on more lines."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(overflow="fold", no_wrap=not self.is_terminal)
        for name, value in pairs:
            table.add_row(Text(cell_text(name)), Text(cell_text(value)))
        self._print(table)

    def _print(self, what: Any, **options: Any) -> None:
        if self.is_terminal:
            self.console.print(what, **options)
            return
        with self.console.capture() as captured:
            self.console.print(what, **options)
        for line in captured.get().splitlines():  # without the blanks that fill a column
            click.echo(line.rstrip())

    @contextlib.contextmanager
    def progress(self, what: str) -> Iterator[None]:
        """Show on stderr that something takes long; nothing unless stderr is a terminal."""
        from rich.console import Console

        console = Console(stderr=True, markup=False, highlight=False)
        if not (console.is_terminal and sys.stderr.isatty()):
            yield
            return
        with console.status(printable(what)):
            yield


def styled(text: str, style: str) -> "Text":
    """Return the cell of a table in one of Rich's styles."""
    from rich.text import Text

    return Text(cell_text(text), style=style)


def _kept(needed: list[int], columns: Sequence[Column], width: int) -> list[int]:
    """Return which columns are shown in a width: without as many of ``left_out`` as it needs."""
    kept = list(range(len(columns)))
    leaving = sorted(
        (at for at in kept if columns[at].left_out), key=lambda at: columns[at].left_out
    )
    for at in leaving:
        if sum(needed[each] + len(_GAP) for each in kept) - len(_GAP) <= width:
            break
        kept.remove(at)
    return kept


def _fit(needed: list[int], columns: Sequence[Column], room: int) -> list[int]:
    """Return widths of columns that fit into the room, the widest ones that may be cut reduced."""
    widths = list(needed)
    reducible = [at for at, column in enumerate(columns) if column.may_be_cut or column.may_wrap]
    while sum(widths) > room:
        widest = max(reducible, key=widths.__getitem__, default=None)
        if widest is None or widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
    return widths


def cell_text(text: str) -> str:
    """Return text for one line: printable, with line ends and tabs escaped."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def human_size(number: int) -> str:
    """Return a number of bytes as the pages have it, such as ``1.2 MiB``."""
    value, units = float(number), iter(_UNITS)
    unit = next(units)
    for bigger in units:
        if abs(value) < _STEP:
            break
        value, unit = value / _STEP, bigger
    digits = 0 if unit == "B" or value >= 100 else 1  # noqa: PLR2004 - three digits are enough
    return f"{value:,.{digits}f} {unit}"


def ago(milliseconds: int, now: float | None = None) -> str:
    """Return how long ago a time was, in its largest unit: ``3 h ago``."""
    seconds = int((time.time() if now is None else now) - milliseconds / 1000)
    if seconds < 0:
        return "in the future"
    for length, unit in _AGES:
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return "now"


def utc(milliseconds: int) -> datetime | None:
    """Return a time; None if it is in no year from 1 to 9999, as a client's clock may say."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def iso(milliseconds: int | None) -> str | None:
    """Return a time as JSON has it: ISO 8601 in UTC, with milliseconds; None as ``utc``."""
    at = None if milliseconds is None else utc(milliseconds)
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
