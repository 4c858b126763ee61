"""The weather pipeline: ``luigi --module jobs WeatherPipeline`` finds its tasks here."""

from jobs import config, notify
from jobs.load import LoadObservations, LoadStations
from jobs.observations import ObservationBatch, Observations
from jobs.pipeline import WeatherPipeline
from jobs.stations import Stations
from jobs.transform import Transform

__all__ = [
    "LoadObservations",
    "LoadStations",
    "ObservationBatch",
    "Observations",
    "Stations",
    "Transform",
    "WeatherPipeline",
]

# Luigi itself looks for luigi.cfg in the working directory, not in its conf/.
config.read_file()
notify.listen()
