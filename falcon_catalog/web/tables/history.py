"""The history of a table: its snapshots, the newest first."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from operator import attrgetter

import falcon
from markupsafe import Markup

from falcon_catalog.catalog.call import Call
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata import history
from falcon_catalog.metadata.history import Numbers
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.web import plots
from falcon_catalog.web.plots import Bar
from falcon_catalog.web.tables import view

_SIZE = 50
_DAYS = 60
_DAY_MS = 24 * 3600 * 1000
_EPOCH = date(1970, 1, 1).toordinal()
_EARLIEST_MS, _LATEST_MS = -62_135_596_800_000, 253_402_300_799_000  # the years 1 to 9999


@dataclass(frozen=True, slots=True)
class Entry:
    """A snapshot in the history."""

    snapshot: JSON
    numbers: Numbers
    labels: list[tuple[str, str]]
    branch: str | None
    parent: str
    """What the page says of its parent: ``none``, ``expired``, ``next`` (the next entry) or
    ``known``."""
    author: JSON | None

    @property
    def engine(self) -> str:
        """What wrote it, as far as its summary says so."""
        summary = self.snapshot.get("summary") or {}
        name = summary.get("engine-name") or summary.get("iceberg-version") or ""
        return " ".join(filter(None, (str(name), str(summary.get("engine-version") or ""))))


class HistoryPage:
    """``…/tables/{table}/history``."""

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Show snapshots; ``?before=`` an id those that are older than that snapshot."""
        table = view.open_(call, identifier)
        if view.is_unchanged(req, resp, table):
            return
        every = history.newest_first(table.metadata)
        metadata = {**table.metadata, "snapshots": every}  # which were parsed just now
        start = _start(every, req.get_param("before"))
        shown = every[start : start + _SIZE]
        authors = table.authors(shown)
        is_first = start == 0
        view.send(
            req,
            resp,
            table,
            "history",
            "history",
            entries=_entries(metadata, every, start, authors or {}),
            shows_authors=authors is not None,
            count=len(every),
            start=start,
            compared=_compared(req, shown),
            older=shown[-1]["snapshot-id"] if start + _SIZE < len(every) else None,
            current=metadata.get("current-snapshot-id"),
            plots=_plots(metadata, every[::-1]) if is_first and len(every) > 1 else [],
        )


def _compared(req: falcon.Request, shown: list[JSON]) -> tuple[int | None, int | None]:
    """Return the snapshots that are selected for a comparison, as the page sends them or anew."""
    ids = [each["snapshot-id"] for each in shown]
    chosen = {str(each): each for each in ids}
    newest = ids[0] if ids else None
    before = ids[1] if len(ids) > 1 else newest
    return (
        chosen.get(req.get_param("from") or "", before),
        chosen.get(req.get_param("to") or "", newest),
    )


def _start(every: list[JSON], before: str | None) -> int:
    if not before:
        return 0
    for n, snapshot in enumerate(every):
        if str(snapshot["snapshot-id"]) == before:
            return n + 1
    raise BadRequestError(f"Snapshot does not exist: {show(before)}; it may have been expired")


def _entries(
    metadata: JSON, every: list[JSON], start: int, authors: dict[int, JSON]
) -> list[Entry]:
    labels, branches = history.labels(metadata), history.branches(metadata)
    known = {snapshot["snapshot-id"] for snapshot in every}
    found = []
    for n, snapshot in enumerate(every[start : start + _SIZE], start + 1):
        parent, snapshot_id = snapshot.get("parent-snapshot-id"), snapshot["snapshot-id"]
        following = every[n]["snapshot-id"] if n < len(every) else None
        if parent is None:
            says = "none"
        elif parent not in known:
            says = "expired"
        else:
            says = "next" if parent == following else "known"
        found.append(
            Entry(
                snapshot,
                history.numbers(metadata, snapshot),
                labels.get(snapshot_id, []),
                branches.get(snapshot_id),
                says,
                authors.get(snapshot_id),
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot, and the numbers that it shows."""

    title: str
    drawn: Markup
    heads: tuple[str, str]
    rows: list[tuple[str, str]]


def _plots(metadata: JSON, oldest_first: list[JSON]) -> list[Plot]:
    """Return plots of the rows and the size of main over time, and of snapshots per day."""
    sane = [each for each in oldest_first if _EARLIEST_MS <= each["timestamp-ms"] <= _LATEST_MS]
    known, head = history.by_id(metadata), metadata.get("current-snapshot-id")
    on_main = {each["snapshot-id"] for each in history.ancestors(known, head)}
    of_main = [each for each in sane if each["snapshot-id"] in on_main]
    drawn, last_of_day = (
        [(each["timestamp-ms"], history.numbers(metadata, each)) for each in some]
        for some in (plots.thinned(of_main), _last_of_days(of_main))
    )
    if all(each.is_exact for _, each in (*drawn, *last_of_day)):
        rows = ("Rows over time", "Rows", attrgetter("rows"), plots.count)
    else:
        rows = (
            "Rows over time, before deletes",
            "Rows before deletes",
            attrgetter("rows_before_deletes"),
            plots.count,
        )
    found = []
    for title, head_, of, form in (
        rows,
        ("Size over time", "Size", attrgetter("bytes"), plots.bytes_),
    ):
        points = _known(drawn, of)
        if len(points) > 1:
            listed = [(_day(at // _DAY_MS), form(value)) for at, value in _known(last_of_day, of)]
            line = plots.line(title, points, form)
            found.append(Plot(title, line, ("Day (UTC), at its end", head_), listed))
    if sane:
        days = Counter(each["timestamp-ms"] // _DAY_MS for each in sane)
        end = max(days)
        begin = max(min(days), end - _DAYS + 1)
        bars = [Bar(_day(day), days[day]) for day in range(begin, end + 1)]
        listed = [(bar.label, plots.count(bar.value)) for bar in bars if bar.value]
        chart = plots.bars("Snapshots per day", bars)
        found.append(Plot("Snapshots per day", chart, ("Day (UTC)", "Snapshots"), listed))
    return found


def _last_of_days(oldest_first: list[JSON]) -> list[JSON]:
    """Return the last snapshot of each of the last days that have any."""
    last = {each["timestamp-ms"] // _DAY_MS: each for each in oldest_first}
    return list(last.values())[-_DAYS:]


def _known(
    numbers: list[tuple[int, Numbers]], of: Callable[[Numbers], int | None]
) -> list[tuple[int, float]]:
    """Return the times of snapshots and one of their numbers, where they have it."""
    values = [(at, of(each)) for at, each in numbers]
    return [(at, float(value)) for at, value in values if value is not None]


def _day(number: int) -> str:
    """Return the date of a number of days since 1970."""
    return f"{date.fromordinal(_EPOCH + number):%Y-%m-%d}"
