"""Fetch the alerts of the chosen states: raw, as received, kept."""

import datetime as dt
from typing import Any

from jobs import config
from jobs.nws.errors import NoConnection, WeatherError
from jobs.parse.records import Reject, Row, parse_alert
from jobs.targets import read_json, write_json
from jobs.tasks.base import PeriodTask
from jobs.tasks.missing import Missing, merged
from jobs.tasks.periods import served
from jobs.tasks.stations import client, cost


class Alerts(PeriodTask):
    """Fetch the alerts there are: ``alerts.json.gz``, a GeoJSON FeatureCollection as received.

    Those of ``[weather] alert_states``, or else of the states whose stations are read; without
    any of them none is requested.
    """

    file = "alerts.json.gz"
    resources = {"nws": 1}  # noqa: RUF012 - Luigi's own idiom

    def run(self) -> None:
        """Fetch and keep the alerts, and those of earlier periods that are missing.

        Alerts that the service fails for are requested again by later periods, as are stations.
        """
        settings, now = config.settings().weather, dt.datetime.now(dt.UTC)
        states = settings.alert_states or self.states
        window = self.period.window(None, settings.trailing_hours)
        name, missing = f"alerts-{'-'.join(states)}", Missing(self.data_dir)
        before = missing.windows(name)
        wanted = (served(one, now, settings.history_hours) for one in [window, *before])
        features: list[Any] = []
        failed: dict[str, str] = {}
        with client().batch(f"{self.task_family} {self.period}") as made:
            for start, end in merged(filter(None, wanted)) if states else []:
                try:
                    features += client().alerts(states, start, end)
                except NoConnection:
                    raise
                except WeatherError as error:
                    features += error.received
                    failed["alerts"] = str(error)
                    missing.add(name, (start, end), str(error))
        write_json(
            self.path(),
            {
                "type": "FeatureCollection",
                "fetched_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "states": list(states),
                "cost": cost(made),
                "features": features,
                "failed": failed,
            },
        )
        if not failed:
            missing.remove(name, before)
        self.progress(f"{len(features)} alerts of {', '.join(states) or 'no state'}", 100)

    def failed(self) -> dict[str, str]:
        """Return the error of the alerts, if the service failed for them."""
        failed: dict[str, str] = read_json(self.path()).get("failed", {})
        return failed

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
