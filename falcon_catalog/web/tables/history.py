"""The history of a table: its snapshots, the newest first."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

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
_LATEST_MS = 253_402_300_799_000  # the end of the year 9999


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
        every = history.newest_first(table.metadata)
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
            entries=_entries(table.metadata, every, start, authors or {}),
            shows_authors=authors is not None,
            count=len(every),
            start=start,
            older=shown[-1]["snapshot-id"] if start + _SIZE < len(every) else None,
            current=table.metadata.get("current-snapshot-id"),
            plots=_plots(table.metadata, every[::-1]) if is_first and len(every) > 1 else [],
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
                history.numbers(snapshot),
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
    sane = [each for each in oldest_first if each["timestamp-ms"] <= _LATEST_MS]
    known, head = history.by_id(metadata), metadata.get("current-snapshot-id")
    on_main = {each["snapshot-id"] for each in history.ancestors(known, head)}
    counted = [
        (each["timestamp-ms"], history.numbers(each))
        for each in sane
        if each["snapshot-id"] in on_main
    ]
    rows = [(at, float(each.rows)) for at, each in counted if each.rows is not None]
    sizes = [(at, float(each.bytes)) for at, each in counted if each.bytes is not None]
    found = [
        Plot(title, plots.line(title, points, form), ("Time (UTC)", head), _rows(points, form))
        for title, head, points, form in (
            ("Rows over time", "Rows", rows, plots.count),
            ("Size over time", "Size", sizes, plots.bytes_),
        )
        if len(points) > 1
    ]
    if sane:
        days = _days([each["timestamp-ms"] for each in sane])
        title = "Snapshots per day"
        listed = [(day.label, plots.count(day.value)) for day in days if day.value]
        found.append(Plot(title, plots.bars(title, days), ("Day (UTC)", "Snapshots"), listed))
    return found


def _rows(points: list[tuple[int, float]], form: plots.Form) -> list[tuple[str, str]]:
    """Return the last value of each of the last days."""
    last = {f"{_utc(at):%Y-%m-%d}": form(value) for at, value in points}
    return list(last.items())[-_DAYS:]


def _days(times: list[int]) -> list[Bar]:
    """Return the number of times on each day (UTC), up to the last of them."""
    end = _utc(times[-1]).date()
    begin = max(_utc(times[0]).date(), end - timedelta(days=_DAYS - 1))
    counted = Counter(_utc(at).date() for at in times)
    length = (end - begin).days + 1
    days = [begin + timedelta(days=n) for n in range(length)]
    return [Bar(f"{day:%Y-%m-%d}", counted[day]) for day in days]


def _utc(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
