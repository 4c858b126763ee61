"""The story of five people and one catalog, with a service that works with Spark."""

from pathlib import Path
from typing import Any

import pytest

from tests.permissions import chapters
from tests.permissions.story import Catalog, RefusedError, Session
from tests.spark.running import rows_of


@pytest.mark.timeout(600)  # with the start of Spark, if it comes first
def test_the_audit_log_reproduces_what_five_people_did(spark: Any, tmp_path: Path) -> None:
    def service(made: Catalog, who: str) -> Session:
        settings = {
            "": "org.apache.iceberg.spark.SparkCatalog",
            ".type": "rest",
            ".uri": made.url,
            ".warehouse": "default",
            ".credential": made.credentials[who],
            ".oauth2-server-uri": f"{made.url}/v1/oauth/tokens",
            ".cache-enabled": "false",
        }
        for name, value in settings.items():
            spark.conf.set(f"spark.sql.catalog.story{name}", value)

        def run(statement: str) -> list[tuple[Any, ...]]:
            try:
                return rows_of(spark, statement.replace("lake.", "story."))
            except Exception as error:
                raise RefusedError(str(error)) from error

        return run

    chapters.tell(tmp_path, service)
