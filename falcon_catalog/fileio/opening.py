"""Storage of a warehouse, opened as its settings say. Clouds are imported when they are needed."""

import contextlib
from collections.abc import Callable
from importlib import import_module

from falcon_catalog.fileio.local import LocalFileIO, Timing
from falcon_catalog.fileio.storage import Storage
from falcon_catalog.settings import SettingsError, StorageSettings

_MODULES = {"s3": ("s3", "s3"), "gs": ("gcs", "gcs"), "abfss": ("adls", "azure")}
"""The module of each kind of storage, and the extra that installs what it imports."""


def open_storage(
    name: str,
    settings: StorageSettings,
    *,
    durable: bool = True,
    time_sync: Callable[[], Timing] = contextlib.nullcontext,
) -> Storage:
    """Return the storage of a warehouse. Nothing is asked of a cloud yet.

    Args:
        name: of the warehouse.
        settings: of the warehouse.
        durable: whether local files must outlive a power cut; what a cloud acknowledged always
            does.
        time_sync: times each sync of a local file's content.

    Raises:
        SettingsError: what the kind of storage needs is not installed, or a credential that the
            settings name is not there.
    """
    if settings.kind == "file":
        return Storage(LocalFileIO(durable=durable, time_sync=time_sync), durable=durable)
    module, extra = _MODULES[settings.kind]
    try:
        cloud = import_module(f"falcon_catalog.fileio.{module}")
    except ImportError as error:
        raise SettingsError(
            f"warehouse {name}: {settings.location} needs an extra that is not installed:"
            # From a clone: the package is not on the package index.
            f" pip install '.[{extra}]' in a clone of the repository ({error.name} is missing)"
        ) from None
    opened: Storage = cloud.open_storage(name, settings)
    return opened
