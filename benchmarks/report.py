"""What was measured, as a table for people and as JSON."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from tabulate import tabulate

from benchmarks import wrk
from benchmarks.rounds import Line
from falcon_catalog import __version__

_MET = {True: "met", False: "MISSED", None: "–"}
_FEW, _MANY = 10, 1000


def machine() -> dict[str, Any]:
    """Return what the numbers are measured with, and how busy it is now."""
    packages = ("falcon", "waitress", "pyiceberg", "orjson", "pyarrow")
    return {
        "falcon-catalog": __version__,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load before": round(os.getloadavg()[0], 1),
        "load generator": "wrk" if wrk.path() else "benchmarks.client",
        **{name: version(name) for name in packages},
    }


def as_json(lines: Sequence[Line], machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole report: of each line the values of all rounds, too."""
    return {
        "machine": dict(machine),
        "lines": [{**asdict(one), "measured": one.measured, "met": one.met} for one in lines],
    }


def as_table(lines: Sequence[Line], style: str = "simple") -> str:
    """Return one table; ``style`` is one of tabulate's."""
    header = ("goal", "what", "wanted", "measured", "over rounds", "", "server CPU µs", "")
    return tabulate([_row(line) for line in lines], header, style, disable_numparse=True)


def _row(line: Line) -> tuple[str, ...]:
    used = ", ".join(f"{name} {value:,.0f}" for name, value in line.cpu_us.items())
    measured = "–" if line.measured is None else f"{_short(line.measured)} {line.unit}"
    low_high = f"{_short(min(line.values))}–{_short(max(line.values))}" if line.values else ""
    row = (line.goal, line.text, _wanted(line), measured, low_high, _MET[line.met], used, line.note)
    return tuple(map(str, row))


def _wanted(line: Line) -> str:
    least = "" if line.at_least is None else f"≥ {line.at_least:g}"
    most = "" if line.at_most is None else f"≤ {line.at_most:g}"
    return ", ".join(filter(None, (least, most)))


def _short(value: float) -> str:
    if value < _FEW:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < _MANY else f"{value:,.0f}"
