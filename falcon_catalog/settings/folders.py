"""The folders of the settings, created and tested before the server starts."""

import tempfile
from pathlib import Path

from falcon_catalog.durable_files import Folders
from falcon_catalog.settings.describing import SettingsError
from falcon_catalog.settings.sections import Settings


def prepare(settings: Settings) -> None:
    """Create the directory of a store that is a file, and test that it is writable.

    Those of warehouses are created only once it is certain that they are not unmounted.

    Raises:
        SettingsError: it cannot be created or written.
    """
    if settings.store.is_file:
        make_writable(settings, "store.url", settings.store.path.parent)


def make_writable(settings: Settings, key: str, directory: Path) -> None:
    """Create a directory that the setting ``key`` names, and test that it is writable.

    Raises:
        SettingsError: it cannot be created or written.
    """
    try:
        Folders().make(str(directory.absolute()))
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        origin, value = settings.origins.get(key, "settings"), settings.value(key)
        reason = f"{directory} cannot be written: {error.strerror or error}"
        raise SettingsError(f"{origin}: {key} = {value!r}: {reason}") from None
