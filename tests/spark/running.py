"""What the tests see of a running catalog, and of a session on it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

Rows = list[tuple[Any, ...]]


def rows_of(spark: Any, statement: str) -> Rows:
    """Run a statement in a session."""
    return [tuple(row) for row in spark.sql(statement).collect()]


@dataclass
class Lake:
    """A running catalog, and the folder that holds all of it."""

    url: str
    folder: Path

    def get(self, path: str) -> Any:
        """Ask the catalog, past Spark and its caches."""
        answer = requests.get(f"{self.url}/v1/default/{path}", timeout=30)
        answer.raise_for_status()
        return answer.json()

    def metadata(self, name: str) -> dict[str, Any]:
        """Return the metadata of ``lake.NAMESPACE.TABLE``."""
        _, namespace, table = name.split(".")
        return self.get(f"namespaces/{namespace}/tables/{table}")["metadata"]

    def data_files(self, name: str) -> set[Path]:
        """Return the data files that lie in a table's folder."""
        home = Path(self.metadata(name)["location"].removeprefix("file://"))
        return {
            path for path in (home / "data").rglob("*") if path.suffix in (".parquet", ".puffin")
        }

    def conflicts(self) -> int:
        """Count the commits that were refused because others came first."""
        log = (self.folder / "server.log").read_text()
        return len(re.findall(r'"POST [^"]+/tables/[^"]+" .*status=409 ', log))
