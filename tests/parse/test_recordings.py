"""The recorded answers of the real service: all of them read, and served again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.lake.schemas import OBSERVATION_SCHEMA, STATION_SCHEMA
from jobs.nws.client import WeatherClient
from jobs.nws_simulator import Source, make_app, recordings
from jobs.parse.records import (
    Reject,
    parse_observation,
    parse_station,
    unreadable_values,
)

Connect = Callable[..., WeatherClient]


def features_in(folder: Path) -> list[dict[str, Any]]:
    bodies = [json.loads(path.read_bytes()) for path in sorted(folder.rglob("*.json"))]
    return [feature for body in bodies for feature in body.get("features") or [body]]


def of_type(folder: Path, key: str) -> list[dict[str, Any]]:
    found = [f for f in features_in(folder) if f.get("properties")]
    weather = [f for f in found if f["properties"].get("@type") == "wx:ObservationStation"]
    return [f for f in weather if key in f["properties"]]


def test_every_recorded_observation_becomes_a_row(recorded_folder: Path) -> None:
    features = of_type(recorded_folder, "timestamp")
    rows = [parse_observation(feature) for feature in features]
    assert len(rows) > 150
    assert [row for row in rows if isinstance(row, Reject)] == []
    assert [values for values in map(unreadable_values, features) if values] == []
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=OBSERVATION_SCHEMA)
    table.validate(full=True)
    assert table["temperature_c"].null_count < len(rows) / 2


def test_every_recorded_station_becomes_a_row(recorded_folder: Path) -> None:
    rows = [parse_station(f) for f in of_type(recorded_folder, "stationIdentifier")]
    assert len(rows) > 1000
    assert [row for row in rows if isinstance(row, Reject)] == []
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=STATION_SCHEMA)
    table.validate(full=True)
    assert table["latitude"].null_count == 0


def test_what_is_no_weather_is_rejected_with_a_reason(recorded_folder: Path) -> None:
    for feature in features_in(recorded_folder):
        for result in (parse_observation(feature), parse_station(feature)):
            assert not isinstance(result, Reject) or result.reason


def test_a_templated_time_is_the_one_in_the_record_url(recorded_folder: Path) -> None:
    templated = [
        f
        for f in of_type(recorded_folder, "timestamp")
        if f["properties"]["timestamp"].startswith("date:")
    ]
    assert len(templated) >= 10
    for feature in templated:
        row = parse_observation(feature)
        assert not isinstance(row, Reject)
        assert row["observed_at"].isoformat() == feature["id"].rpartition("/")[2]


def test_the_stand_in_serves_them_again(connect: Connect, recorded: Source) -> None:
    client = connect(make_app(recorded))
    long_ago, far_off = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    stations = [f["properties"]["stationIdentifier"] for f in client.stations()]
    assert sorted(recorded.observations) == sorted(set(recorded.observations) & set(stations))
    served = {s: client.observations(s, long_ago, far_off) for s in recorded.observations}
    assert sum(map(len, served.values())) == recorded.count() > 150
    assert len(served["KCNK"]) > 150
    rows = [parse_observation(f) for features in served.values() for f in features]
    assert not [row for row in rows if isinstance(row, Reject)]


def test_nothing_but_a_lost_time_is_rewritten(recorded_folder: Path, recorded: Source) -> None:
    served = [one.render(one.time) for held in recorded.observations.values() for one in held]
    originals = of_type(recorded_folder, "timestamp")
    assert len(served) == len(originals)

    def without_time(feature: dict[str, Any]) -> str:
        kept = {k: v for k, v in feature["properties"].items() if k != "timestamp"}
        return json.dumps(feature | {"properties": kept}, sort_keys=True)

    assert sorted(map(without_time, served)) == sorted(map(without_time, originals))


def feature(station_id: str, timestamp: Any, **more: Any) -> dict[str, Any]:
    url = f"https://api.weather.gov/stations/{station_id}"
    return {
        "id": f"{url}/observations/2024-01-01T00:00:00+00:00",
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [1, 2]},
        "properties": {"station": url, "timestamp": timestamp} | more,
    }


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.json").write_text(
        json.dumps({"features": [feature("KAAA", "date:now"), {"properties": {}}, None]})
    )
    (tmp_path / "b.json").write_text(json.dumps(feature("KBBB", "2024-02-01T00:00:00Z")))
    (tmp_path / "c.json").write_text("[]")
    (tmp_path / "ignored.txt").write_text("{")
    source = recordings(tmp_path)
    assert list(source.stations) == ["KAAA", "KBBB"]
    ((moment, one),) = source.series("KAAA", datetime.now(UTC))
    assert moment == datetime(2024, 1, 1, tzinfo=UTC)
    assert one.render(moment)["properties"]["timestamp"] == "2024-01-01T00:00:00+00:00"


def test_an_empty_folder_and_a_broken_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no recorded stations"):
        recordings(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match=r"broken\.json is not JSON"):
        recordings(tmp_path)
