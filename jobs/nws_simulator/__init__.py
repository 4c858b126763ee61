"""A local simulator of the weather service: the API's shapes over real observations."""

from jobs.nws_simulator.airports import airports
from jobs.nws_simulator.app import make_app
from jobs.nws_simulator.data import Source, recordings
from jobs.nws_simulator.faults import Faults
from jobs.nws_simulator.network import network
from jobs.nws_simulator.server import running

__all__ = ["Faults", "Source", "airports", "make_app", "network", "recordings", "running"]
