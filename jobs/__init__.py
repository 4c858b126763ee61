"""The weather pipeline: ``luigi --module jobs WeatherPipeline`` finds its tasks here.

The programs, such as ``python -m jobs.maintenance``, start without them: they load slowly.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or "luigi" in sys.modules:
    from jobs.registered import (
        Alerts,
        BackfillObservations,
        DbtDocs,
        DbtTransformations,
        LoadAlerts,
        LoadDays,
        LoadObservations,
        LoadStations,
        Maintenance,
        Observations,
        Report,
        Stations,
        Transform,
        WeatherIngestion,
        WeatherPipeline,
    )

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


def __getattr__(name: str) -> Any:
    """Return a task that is not imported yet."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from jobs import registered  # noqa: PLC0415 - see above

    return getattr(registered, name)
