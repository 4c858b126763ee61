"""Raw observations as the pipeline fetches them: made, written and read back."""

import datetime as dt
import random
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.lake.schemas import QUANTITIES, Quantity
from jobs.lake.tables import FETCHED_AT
from jobs.parse.batches import Tally, read_batch, read_observations
from jobs.parse.ranges import RANGES
from jobs.targets import write_json

FIRST = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
STATIONS = 500
_SERVICE = "https://api.weather.gov/stations"
_GAPS = 0.3  # of the values


def write(path: Path, number: int) -> Path:
    """Write a file of so many observations, and return where it is."""
    write_json(path, _answers(number))
    return path


def read(path: Path) -> pa.Table:
    """Read a file as the pipeline does."""
    answers = read_batch(path)
    return read_observations(answers, Tally())


def _answers(number: int) -> list[dict[str, Any]]:
    """Return observations as the weather service sends them and a batch keeps them."""
    drawn = random.Random(13)  # noqa: S311 - weather, not secrets
    hours = number // STATIONS or 1
    return [
        {
            "station_id": f"K{station:03d}",
            FETCHED_AT: FIRST.isoformat(),
            "features": [_feature(drawn, f"K{station:03d}", hour) for hour in range(hours)],
        }
        for station in range(number // hours)
    ]


def _feature(drawn: random.Random, station: str, hour: int) -> dict[str, Any]:
    moment = (FIRST + dt.timedelta(hours=hour)).isoformat()
    url = f"{_SERVICE}/{station}"
    place = [round(drawn.uniform(-120, -70), 4), round(drawn.uniform(25, 48), 4)]
    return {
        "id": f"{url}/observations/{moment}",
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": place},
        "properties": {
            "@id": f"{url}/observations/{moment}",
            "@type": "wx:ObservationStation",
            "elevation": {"unitCode": "wmoUnit:m", "value": float(drawn.randrange(2000))},
            "station": url,
            "stationId": station,
            "stationName": f"Airport {station}",
            "timestamp": moment,
            "rawMessage": f"{station} 010053Z 29012KT 10SM FEW050 07/M03 A3012",
            "textDescription": drawn.choice(("Clear", "Cloudy", "Light Rain")),
            "icon": None,
            "presentWeather": [],
            **{each.field: _measured(drawn, each) for each in QUANTITIES},
            "cloudLayers": [{"base": {"unitCode": "wmoUnit:m", "value": 1520}, "amount": "FEW"}],
        },
    }


def _measured(drawn: random.Random, quantity: Quantity) -> dict[str, Any]:
    low, high = RANGES[quantity.column]
    share = drawn.uniform(0.4, 0.5) if quantity.field == "dewpoint" else drawn.uniform(0.6, 0.8)
    value = None if drawn.random() < _GAPS else round(low + share * (high - low), 1)
    code = f"wmoUnit:{quantity.unit}"
    if quantity.unit == "m_s-1":  # the service tells wind in km/h
        value, code = None if value is None else round(value * 3.6, 1), "wmoUnit:km_h-1"
    return {"unitCode": code, "value": value, "qualityControl": "qc:V"}
