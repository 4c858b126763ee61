"""The contract of FileIO on the object stores, and what only they do."""

import uuid

import pytest
from obstore.store import S3Store

from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.object_store import (
    ObjectStoreFileIO,
    client_options,
    retry_config,
)
from falcon_catalog.settings import StorageSettings
from tests.clouds import emulators
from tests.fileio.contract import Contract


def s3_files(s3: emulators.S3, **settings: object) -> ObjectStoreFileIO:
    """Return the files of a warehouse named ``lake`` in an S3 store."""
    given = StorageSettings(location="s3://lake/wh", **(s3.settings() | settings))

    def connect(bucket: str) -> S3Store:
        return S3Store(
            bucket,
            endpoint=given.endpoint,
            region=given.region,
            virtual_hosted_style_request=False,
            disable_bulk_delete=True,
            client_options=client_options(given),
            retry_config=retry_config(given),
            credential_provider=lambda: {
                "access_key_id": s3.access_key_id,
                "secret_access_key": s3.secret_access_key,
                "token": None,
                "expires_at": None,
            },
        )

    return ObjectStoreFileIO("lake", given, connect)


class TestS3(Contract):
    # moto takes the query as it was sent for the one that was signed, in which they are encoded
    # otherwise.
    unlistable = frozenset({"a b", "a*b"})

    @pytest.fixture
    def files(self, s3: emulators.S3) -> FileIO:
        return s3_files(s3)

    @pytest.fixture
    def root(self) -> str:
        return f"s3://lake/{uuid.uuid4()}"
