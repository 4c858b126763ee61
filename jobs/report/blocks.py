"""The report's building blocks, and the formatting of values."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from zoneinfo import ZoneInfo

import altair as alt

Chart = alt.TopLevelMixin
NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class Words:
    """A paragraph: an empty state, or what to know about what follows."""

    text: str
    kind: Literal["note", "empty"] = "note"


@dataclass(frozen=True)
class Card:
    """A headline figure."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Cards:
    """Headline figures side by side."""

    cards: Sequence[Card]


@dataclass(frozen=True)
class Figure:
    """A chart, with a description for screen readers and its rows by data source."""

    name: str
    title: str
    description: str
    chart: Chart
    data: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    note: str = ""
    size: Literal["full", "half", "third"] = "full"


@dataclass(frozen=True)
class Table:
    """Rows of text under headers; columns named in ``numbers`` are right-aligned."""

    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[str] = frozenset()


Block = Words | Cards | Figure | Table


@dataclass(frozen=True)
class Section:
    """A titled part of the report."""

    name: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Notice:
    """An alert at the top of the page."""

    severity: str
    event: str
    detail: str


@dataclass(frozen=True)
class Story:
    """The top of the page: the place, the alerts in force, and the day in sentences."""

    place: str
    sentences: Sequence[str] = ()
    alerts: Sequence[Notice] = ()


@dataclass(frozen=True)
class Day:
    """The day of a report, and the stations that it shows in detail.

    Times are shown in ``zone``, which is that of most stations, those of an alert in the zone of
    its state: ``state_zones``.
    """

    date: dt.date
    stations: tuple[str, ...] = ()
    zone: str = "UTC"
    state_zones: Mapping[str, str] = field(default_factory=dict)

    @property
    def begin(self) -> dt.datetime:
        """The midnight that begins the day."""
        return dt.datetime.combine(self.date, dt.time(), ZoneInfo(self.zone))

    @property
    def end(self) -> dt.datetime:
        """The midnight that ends the day."""
        after = self.date + dt.timedelta(days=1)
        return dt.datetime.combine(after, dt.time(), ZoneInfo(self.zone))

    def before(self, days: int) -> dt.date:
        """Return the date some days earlier."""
        return self.date - dt.timedelta(days=days)


def celsius(value: float | None) -> str:
    """Return a temperature in °C and °F."""
    return NONE if value is None else _kept(f"{value:.1f} °C", f"({value * 9 / 5 + 32:.0f} °F)")


def millimetres(value: float | None) -> str:
    """Return a depth of rain in millimetres and inches."""
    return NONE if value is None else _kept(f"{value:.1f} mm", f"({value / 25.4:.2f} in)")


def speed(value: float | None) -> str:
    """Return a wind speed in m/s and mph."""
    return NONE if value is None else _kept(f"{value:.1f} m/s", f"({value / 0.44704:.0f} mph)")


def percent(value: float | None) -> str:
    """Return a percentage with one decimal; only exactly 100 is shown as 100 %."""
    if value is None:
        return NONE
    return f"{min(value, 99.9):.1f} %" if value < 100 else "100 %"  # noqa: PLR2004 - of a hundred


def moment(value: dt.datetime | None, zone: str) -> str:
    """Return a time in a time zone, to the minute, with the zone's abbreviation."""
    return NONE if value is None else f"{value.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M %Z}"


def long_date(value: dt.date) -> str:
    """Return a date with the names of weekday and month."""
    return f"{value:%A} {value.day} {value:%B %Y}"


def joined(words: Sequence[str]) -> str:
    """Return words as an enumeration: "one, two and three"."""
    return " and ".join([*([", ".join(words[:-1])] if words[1:] else []), *words[-1:]])


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def text(value: object) -> str:
    """Return a value as text, or a dash if it is missing."""
    return NONE if value is None or value == "" else str(value)


def _kept(*parts: str) -> str:
    """Join parts, none of which may break across lines."""
    return " ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)
