"""Windows of time that the weather service failed for, to be requested again by later periods."""

import datetime as dt
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote

from jobs.targets import write_json
from jobs.tasks.periods import Window

_FORM = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(\d{8}T\d{6}Z)_(\d{8}T\d{6}Z)\.json")


class Missing:
    """The missing windows of one data_dir: a folder for each station, a file for each window.

    Files are added and removed whole, so processes need no lock. What is recorded as missing
    although it came is requested once more, and loaded without effect.
    """

    def __init__(self, data_dir: str) -> None:
        self._folder = Path(data_dir, "missing")

    def stations(self) -> set[str]:
        """Return the stations with missing windows."""
        return {unquote(path.name) for path in self._folder.glob("*") if any(path.iterdir())}

    def windows(self, station: str) -> list[Window]:
        """Return the missing windows of a station, in order."""
        names = (path.name for path in self._place(station).glob("*.json"))
        found = [match for match in map(_NAME.fullmatch, names) if match]
        return sorted((_moment(match[1]), _moment(match[2])) for match in found)

    def add(self, station: str, window: Window, error: str) -> None:
        """Record a window that the service failed for."""
        write_json(self._file(station, window), {"station_id": station, "error": error})

    def remove(self, station: str, windows: Iterable[Window]) -> None:
        """Forget windows that came, or that the service no longer has."""
        for window in windows:
            self._file(station, window).unlink(missing_ok=True)

    def _place(self, station: str) -> Path:
        return self._folder / quote(station, safe="")

    def _file(self, station: str, window: Window) -> Path:
        start, end = (moment.astimezone(dt.UTC).strftime(_FORM) for moment in window)
        return self._place(station) / f"{start}_{end}.json"


def merged(windows: Iterable[Window]) -> list[Window]:
    """Return windows that cover the same times and do not touch, in order."""
    found: list[Window] = []
    for start, end in sorted(windows):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def _moment(text: str) -> dt.datetime:
    return dt.datetime.strptime(text, _FORM).replace(tzinfo=dt.UTC)
