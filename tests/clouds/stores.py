"""One store of each kind, and files in it: by way of its own URL, or of a proxy's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from falcon_catalog.fileio.object_store import ObjectStoreFileIO
from falcon_catalog.fileio.opening import open_storage
from falcon_catalog.settings import StorageSettings
from tests.clouds.azurite import Azurite
from tests.clouds.emulators import S3
from tests.clouds.google import Google


@dataclass(frozen=True)
class Store:
    """A store that serves, and a warehouse in it that is named ``lake``."""

    url: str
    location: str
    settings: Mapping[str, object]
    credential: Mapping[str, str]
    """Of the server; empty: it needs none."""

    @property
    def host(self) -> str:
        """The URL without a path."""
        return self.url.removesuffix(urlsplit(self.url).path)

    @property
    def secrets(self) -> list[str]:
        return list(self.credential.values())

    def files(self, folder: Path, host: str = "", **settings: object) -> ObjectStoreFileIO:
        """Return the warehouse's files, by way of another host if told.

        ``folder`` is where the file with the server's credential is put.
        """
        given = {**self.settings, **settings}
        given["endpoint"] = (host or self.host) + urlsplit(self.url).path
        if self.credential:
            (folder / "credential.json").write_text(json.dumps(self.credential))
            given["credential"] = f"file:{folder}/credential.json"
        storage = open_storage("lake", StorageSettings(location=self.location, **given))
        assert isinstance(storage.files, ObjectStoreFileIO)
        return storage.files


def s3_store(s3: S3) -> Store:
    keys = {"access_key_id": s3.access_key_id, "secret_access_key": s3.secret_access_key}
    return Store(s3.url, f"s3://{s3.bucket}/wh", s3.settings(), keys)


def google_store(gcs: Google) -> Store:
    return Store(gcs.url, "gs://lake/wh", {}, {})


def azure_store(azurite: Azurite) -> Store:
    where = azurite.location("wh")
    return Store(azurite.url, where, azurite.settings(), azurite.credential)
