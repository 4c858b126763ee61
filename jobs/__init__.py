"""The weather pipeline: ``luigi --module jobs WeatherPipeline`` finds its tasks here."""

import logging

from jobs import config, doubles, notify
from jobs.alerts import Alerts
from jobs.ingestion import LoadDays, WeatherIngestion
from jobs.load import LoadAlerts, LoadObservations, LoadStations
from jobs.maintenance.task import Maintenance
from jobs.observations import Observations
from jobs.pipeline import WeatherPipeline
from jobs.report.task import Report
from jobs.stations import Stations
from jobs.transform import DbtDocs, DbtTransformations, Transform

__all__ = [
    "Alerts",
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
logging.getLogger("jobs.weather").parent = logging.getLogger("luigi-interface")
# Luigi itself looks for luigi.cfg in the working directory, not in its conf/.
config.read_file()
notify.listen()
doubles.read_exactly()
