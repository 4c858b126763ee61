"""Every task of the pipeline, imported where Luigi looks for them, and what their runs need."""

import logging

from jobs import notify
from jobs.pipeline import WeatherPipeline
from jobs.tasks import failing
from jobs.tasks.alerts import Alerts
from jobs.tasks.backfill import BackfillObservations
from jobs.tasks.ingestion import LoadDays, WeatherIngestion
from jobs.tasks.load import LoadAlerts, LoadObservations, LoadStations
from jobs.tasks.maintenance import Maintenance
from jobs.tasks.observations import Observations
from jobs.tasks.report import Report
from jobs.tasks.stations import Stations
from jobs.tasks.transform import DbtDocs, DbtTransformations, Transform

__all__ = [
    "Alerts",
    "BackfillObservations",
    "DbtDocs",
    "DbtTransformations",
    "LoadAlerts",
    "LoadDays",
    "LoadObservations",
    "LoadStations",
    "Maintenance",
    "Observations",
    "Report",
    "Stations",
    "Transform",
    "WeatherIngestion",
    "WeatherPipeline",
]

# The client's lines, with the service's correlation ids, go wherever Luigi's go.
logging.getLogger("jobs.nws").parent = logging.getLogger("luigi-interface")
notify.listen()
failing.listen()
