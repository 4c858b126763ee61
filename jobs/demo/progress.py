"""What a long step shows while it runs: one line, rewritten on a terminal."""

import shutil
import sys
import time

import click

_CLEAR = "\r\x1b[K"


class Progress:
    """The line of a step: its title, its seconds, and what it does now.

    Elsewhere than on a terminal only the begin and the end are printed.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._doing = ""
        self._rewrites = sys.stdout.isatty()
        if not self._rewrites:
            click.echo(f"{title:<13}…")

    def show(self, doing: str = "") -> None:
        """Show what the step does now; without an argument, that it still does it."""
        self._doing = doing or self._doing
        if self._rewrites:
            width = shutil.get_terminal_size().columns - 1
            seconds = time.monotonic() - self._began
            line = f"{self._title:<13}{seconds:3.0f} s  {self._doing}"
            click.echo(_CLEAR + (line if len(line) <= width else line[: width - 1] + "…"), nl=False)

    def report(self, line: str) -> None:
        """Print a line that stays."""
        click.echo(f"{_CLEAR if self._rewrites else ''}{line}")

    def done(self, what: str) -> None:
        """Print the result of the step in the place of the line."""
        self.report(f"{self._title:<13}{what}, {time.monotonic() - self._began:.0f} s")
