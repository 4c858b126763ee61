"""Plots: SVG that the server draws. The page has the same numbers as text, in a table beside it."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from markupsafe import Markup

_WIDTH, _HEIGHT = 480, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 10, 10, 26
_INNER_WIDTH, _INNER_HEIGHT = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
_MOST_POINTS = 240
_GAP = 0.15
_LABELS = 6
_DAYS_OF_HOURS = 3
_DAY_MS = 24 * 3600 * 1000
_THOUSAND, _KIB = 1000, 1024

_T = TypeVar("_T")
Form = Callable[[float], str]
"""Returns a number as an axis shows it."""


class Bar(NamedTuple):
    """A bar of a plot."""

    label: str
    value: float


def count(value: float) -> str:
    """Return a number in a few characters, such as ``1.2k``."""
    return _scaled(value, _THOUSAND, ("", "k", "M", "G", "T", "P", "E"))


def bytes_(value: float) -> str:
    """Return a size in a few characters, such as ``64 MiB``."""
    return _scaled(value, _KIB, (" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"))


def line(title: str, points: Sequence[tuple[int, float]], form: Form = count) -> Markup:
    """Return a line over time.

    Args:
        title: what the line shows, for screen readers.
        points: times in milliseconds since 1970, ascending, and values. Of many only some are
            drawn, the last one among them.
        form: of the values.
    """
    shown = thinned(points)
    start, end = (shown[0][0], shown[-1][0]) if shown else (0, 0)
    span, top = max(end - start, 1), _top(value for _, value in shown)
    at = [
        (_LEFT + _INNER_WIDTH * (moment - start) / span, _y(value, top)) for moment, value in shown
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    floor = _TOP + _INNER_HEIGHT
    parts = [_axis(top, form)]
    if len(at) > 1:
        area = f"{at[0][0]:.1f},{floor} {path} {at[-1][0]:.1f},{floor}"
        parts.append(Markup('<polygon class="area" points="{}"/>').format(area))
        parts.append(Markup('<polyline class="line" points="{}"/>').format(path))
    elif at:
        parts.append(Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(*at[0]))
    if shown:
        with_time = end - start < _DAYS_OF_HOURS * _DAY_MS
        parts.append(_text(_LEFT, "start", _day(start, with_time=with_time)))
        if end > start:
            parts.append(_text(_WIDTH - _RIGHT, "end", _day(end, with_time=with_time)))
    return _svg(title, parts)


def thinned(points: Sequence[_T]) -> list[_T]:
    """Return as many points as a line has, the first and the last one among them."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    step = (len(points) - 1) / (_MOST_POINTS - 1)
    return [points[round(n * step)] for n in range(_MOST_POINTS)]


def bars(title: str, given: Sequence[Bar], form: Form = count) -> Markup:
    """Return upright bars, with some of their labels below."""
    top = _top(bar.value for bar in given)
    width = _INNER_WIDTH / max(len(given), 1)
    step = -(-len(given) // _LABELS)
    parts = [_axis(top, form)]
    for n, bar in enumerate(given):
        x, y = _LEFT + width * (n + _GAP / 2), _y(bar.value, top)
        parts.append(
            Markup(
                '<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                "<title>{}: {}</title></rect>"
            ).format(x, y, width * (1 - _GAP), _TOP + _INNER_HEIGHT - y, bar.label, form(bar.value))
        )
        if n % step == 0:
            parts.append(_text(_LEFT + width * (n + 0.5), "middle", bar.label))
    return _svg(title, parts)


def share(value: float, most: float) -> Markup:
    """Return a small bar for the cell of a table, whose number is in another cell."""
    width = 100 * max(0.0, min(value / most, 1.0)) if most > 0 else 0
    return Markup(
        '<svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="bar" width="{:.1f}" height="10"/></svg>'
    ).format(width)


def _scaled(value: float, base: int, units: Sequence[str]) -> str:
    shown, unit = float(value), units[0]
    for bigger in units[1:]:
        if abs(shown) < base:
            break
        shown, unit = shown / base, bigger
    digits = 0 if shown == round(shown) or abs(shown) >= 100 else 1  # noqa: PLR2004 - three digits
    return f"{shown:.{digits}f}{unit}"


def _top(values: Iterable[float]) -> float:
    """Return where the axis ends: a round number that no value exceeds."""
    most = max(values, default=0.0)
    if most <= 0:
        return 1.0
    unit = 10 ** (len(str(int(most))) - 1)
    return float(next(unit * n for n in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if unit * n >= most))


def _y(value: float, top: float) -> float:
    return _TOP + _INNER_HEIGHT * (1 - max(0.0, value) / top)


def _axis(top: float, form: Form) -> Markup:
    parts = []
    for part in (0.0, 0.5, 1.0):
        y = _TOP + _INNER_HEIGHT * (1 - part)
        parts.append(
            Markup(
                '<line class="axis" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
                '<text x="{}" y="{:.1f}" text-anchor="end">{}</text>'
            ).format(_LEFT, _WIDTH - _RIGHT, y, y, _LEFT - 6, y + 4, form(top * part))
        )
    return Markup("").join(parts)


def _text(x: float, anchor: str, text: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(
        x, _HEIGHT - 8, anchor, text
    )


def _day(milliseconds: int, *, with_time: bool) -> str:
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{at:%Y-%m-%d %H:%M}" if with_time else f"{at:%Y-%m-%d}"


def _svg(title: str, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img"><title>{}</title>{}</svg>'
    ).format(_WIDTH, _HEIGHT, title, Markup("").join(parts))
