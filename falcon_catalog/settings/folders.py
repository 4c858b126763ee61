"""The folders that settings name: made, and seen to be writable, before the server starts."""

import tempfile
from pathlib import Path

from falcon_catalog import rules
from falcon_catalog.durable_files import Folders
from falcon_catalog.settings.describing import SettingsError
from falcon_catalog.settings.every import Settings


def prepare(settings: Settings) -> None:
    """Make the directory of the store, and see that it can be written.

    Those of warehouses are made only once it is certain that they are not unmounted.

    Raises:
        SettingsError: it cannot be made or written.
    """
    make_writable(settings, "store.url", rules.store_path(settings.store.url).parent)


def make_writable(settings: Settings, key: str, directory: Path) -> None:
    """Make a directory that the setting ``key`` names, and see that it can be written.

    Raises:
        SettingsError: it cannot be made or written.
    """
    try:
        Folders().make(str(directory.absolute()))
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        origin, value = settings.origins.get(key, "settings"), settings.value(key)
        reason = f"{directory} cannot be written: {error.strerror or error}"
        raise SettingsError(f"{origin}: {key} = {value!r}: {reason}") from None
