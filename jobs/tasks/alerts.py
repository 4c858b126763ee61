"""Fetch the alerts of the chosen states: raw, as received, kept."""

import datetime as dt
from typing import Any

from jobs import config
from jobs.parse.records import Reject, Row, parse_alert
from jobs.targets import read_json, write_json
from jobs.tasks.base import PeriodTask
from jobs.tasks.periods import served
from jobs.tasks.stations import client


class Alerts(PeriodTask):
    """Fetch the alerts there are: ``alerts.json.gz``, a GeoJSON FeatureCollection as received.

    Those of ``[weather] alert_states``, or else of the states whose stations are read; without
    any of them none is requested.
    """

    file = "alerts.json.gz"
    resources = {"nws": 1}  # noqa: RUF012 - Luigi's own idiom

    def run(self) -> None:
        """Fetch and keep the alerts."""
        settings, now = config.settings().weather, dt.datetime.now(dt.UTC)
        states = settings.alert_states or self.states
        window = self.period.window(None, settings.trailing_hours)
        clipped = served(window, now, settings.history_hours)
        features = client().alerts(states, *clipped) if states and clipped else []
        write_json(
            self.path(),
            {
                "type": "FeatureCollection",
                "fetched_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "states": list(states),
                "features": features,
            },
        )
        self.progress(f"{len(features)} alerts of {', '.join(states) or 'no state'}", 100)

    def rows(self) -> list[Row | Reject]:
        """Return rows and rejects; of an alert that was received twice, the last row."""
        kept = read_json(self.path())
        fetched_at = dt.datetime.fromisoformat(kept["fetched_at"])
        rows: dict[Any, Row | Reject] = {}
        for feature in kept["features"]:
            row = parse_alert(feature)
            if isinstance(row, Reject):
                rows[row] = row
            else:
                rows[row["alert_id"]] = {**row, "fetched_at": fetched_at}
        return list(rows.values())
