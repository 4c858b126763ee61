"""The real server with a warehouse in an object store, and a local one named ``local``."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from falcon_catalog.fileio.object_store import ObjectStoreFileIO
from tests.clouds.emulators import S3
from tests.clouds.stores import s3_store
from tests.durability.processes import Catalog, Client
from tests.durability.store import Store
from tests.processes import wait_for


class S3Catalog(Catalog):
    """A catalog whose default warehouse is in an S3 store, reached by ``endpoint``."""

    def __init__(
        self, folder: Path, s3: S3, endpoint: str, processes: int = 1, **settings: object
    ) -> None:
        self.location = f"s3://{s3.bucket}/{folder.name}"
        given = {
            **s3.settings(),
            "endpoint": endpoint,
            "location": self.location,
            "credential": "env:STORE",
            "more": f"local=file://{folder}/local",
            "timeout": 1,
        }
        named = {f"warehouse__{name}": value for name, value in given.items()}
        named["log__level"] = "INFO"
        super().__init__(folder, processes, **(named | settings))
        self._environ |= s3.environ("STORE")
        self.really: ObjectStoreFileIO = s3_store(s3).files(folder)
        """The files as the store has them: not by way of ``endpoint``."""
        self.secrets = [s3.access_key_id, s3.secret_access_key]

    def start_checked(self) -> None:
        """Start it, and wait until it has checked its storage, for which it makes requests."""
        self.start()
        wait_for(lambda: "storage check of warehouse" in "\n".join(self.errors), "the check")

    def look(self) -> Store:
        """Return what the database and the files hold now."""
        return Store(self.store, self.really.read)

    def metadata_files(self, table: str = "t", space: str = "ns") -> list[str]:
        """Return the metadata files in the folder of a table."""
        location = self.look().pointers()[f"{space}.{table}"]
        found = self.really.list(location.rpartition("/")[0])
        return sorted(each.location for each in found if each.name.endswith(".metadata.json"))

    def chain(self, table: str = "t", space: str = "ns") -> list[str]:
        """Return the operations that made the versions of a table, the oldest first."""
        store = self.look()
        last = store.pointers()[f"{space}.{table}"]
        before = [entry["metadata-file"] for entry in store.metadata(last)["metadata-log"]]
        return [store.metadata(each)["properties"]["op"] for each in [*before, last]]

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a metric that have these labels; 0 if there is none."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = re.findall(rf"^falcon_catalog_{name}(\{{.*\}})? (\S+)$", text, re.MULTILINE)
        return sum(float(value) for shown, value in lines if all(w in shown for w in wanted))

    def threads(self) -> int:
        """Return how many threads the server's process has."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


def said(catalog: Catalog, answers: list[Any]) -> str:
    """Return all that a server wrote on stderr, and answered."""
    return "\n".join([*catalog.errors, *map(json.dumps, answers)])


def prefixed(path: str, warehouse: str) -> str:
    """Return the path of a request to a warehouse that is not the default one."""
    return path.replace("/v1/", f"/v1/{warehouse}/", 1)


def make_table(client: Client, path: str, creation: Any, space: str = "ns") -> None:
    """Make a namespace and a table in it."""
    spaces = path.partition("/namespaces")[0] + "/namespaces"
    client.ok("POST", spaces, {"namespace": [space]})
    client.ok("POST", path, creation)
