"""dbt on a catalog that asks who calls."""

from contextlib import closing
from pathlib import Path

import pytest

from falcon_catalog.catalog import accounts
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.privileges import OWN
from falcon_catalog.store import open_database
from jobs import config
from jobs.lake import iceberg, rest
from jobs.lake.tables import STATIONS
from jobs.transform import running
from jobs.transform.running import TransformError
from tests.clients.conftest import serving
from tests.transform.lake import nothing


@pytest.mark.slow
def test_a_credential_gets_dbt_its_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_database(f"sqlite:///{tmp_path}/catalog.db")) as database:
        secret = accounts.add(StoreCall(database), "etl", privileges=OWN)
    models = ["run", "--select", "+dim_station_history"]
    with serving(tmp_path, auth__required=True) as served:
        monkeypatch.setenv("CATALOG_URI", served.url)
        monkeypatch.setenv("CATALOG_WAREHOUSE", "default")
        catalog = rest.connect(served.url, "default", credential=f"etl:{secret}")
        iceberg.ensure(catalog, STATIONS)
        running.install_extensions(tmp_path / "duckdb-extensions")
        with running.alone(tmp_path, nothing) as lock:
            with pytest.raises(TransformError, match="Unauthorized"):
                running.run(tmp_path, lock, [models], nothing)
            monkeypatch.setenv("CATALOG_CREDENTIAL", f"etl:{secret}")
            config.settings.cache_clear()
            running.run(tmp_path, lock, [models], nothing)
        assert catalog.table_exists("marts.dim_station_history")
    assert secret not in (tmp_path / "dbt" / "logs" / "dbt.log").read_text()
