"""The weather pipeline: ``luigi --module jobs WeatherPipeline`` finds its tasks here."""

import logging

from jobs import config, notify
from jobs.lake import doubles
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
# Luigi itself looks for luigi.cfg in the working directory, not in its conf/.
config.read_file()
notify.listen()
failing.listen()
doubles.read_exactly()
