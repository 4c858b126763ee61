"""A local stand-in of the weather service: the API's shapes over real observations."""

from __future__ import annotations

from jobs.standin.airports import airports
from jobs.standin.app import make_app
from jobs.standin.data import Source, recordings
from jobs.standin.faults import Faults
from jobs.standin.network import network
from jobs.standin.server import running

__all__ = ["Faults", "Source", "airports", "make_app", "network", "recordings", "running"]
