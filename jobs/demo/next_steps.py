"""Three ways to query the demo's data, to copy and paste."""

import datetime as dt
import os
import sys
from pathlib import Path

CATALOG = "http://127.0.0.1:8181"

TEXT = '''
Next steps. Start the catalog again on what was kept, and leave it running
while you run the others in a second terminal.

{bin}/falcon-catalog serve --listen 127.0.0.1:8181 \\
    --store {store} --warehouse {warehouse}

1. DuckDB

{bin}/python - <<'END'
import duckdb
db = duckdb.connect(config={{"extension_directory": "{weather}/duckdb-extensions"}})
db.execute("LOAD httpfs; LOAD avro; LOAD iceberg")
db.execute("ATTACH 'default' AS lake (TYPE iceberg, AUTHORIZATION_TYPE 'none',"
           " ENDPOINT '{catalog}')")
db.sql("""
    SELECT station_id, local_date, temperature_min_c, temperature_max_c, precipitation_mm
    FROM lake.marts.fct_daily_station_weather ORDER BY local_date, station_id
""").show()
END

2. PyIceberg

{bin}/python - <<'END'
from pyiceberg.catalog.rest import RestCatalog
observations = RestCatalog("demo", uri="{catalog}").load_table("weather.observations")
print(observations.schema())
print(observations.scan(
    row_filter="station_id = 'KJFK'",
    selected_fields=("observed_at", "temperature_c", "temperature_qc", "wind_speed_mps"),
    limit=5,
).to_pandas())
END

3. luigid: one more day, watched in a browser at http://127.0.0.1:8082

{bin}/python -m jobs.nws_simulator --listen 127.0.0.1:8182 &
LUIGI_CONFIG_PATH={conf} {bin}/python -m jobs.luigid --listen 127.0.0.1:8082 &
LUIGI_CONFIG_PATH={conf} {bin}/luigi --module jobs WeatherPipeline --date {day} \\
    --weather-base-url http://127.0.0.1:8182 --weather-data-dir {weather} \\
    --weather-history-hours 0 \\
    --catalog-uri {catalog}
'''


def next_steps(store: str, warehouse: str, weather: Path, day: dt.date) -> str:
    """Return the commands for this state, to run from the demo's working directory."""
    return TEXT.format(
        bin=_shown(Path(sys.executable).parent),
        store=store,
        warehouse=warehouse,
        weather=_shown(weather),
        conf=_shown(Path("conf/luigi.cfg").resolve()),
        catalog=CATALOG,
        day=day,
    )


def _shown(path: Path) -> str:
    """Return a path, relative to the working directory if it is below it."""
    here = Path.cwd()
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)
