"""The folders that settings name: made, and seen to be writable, before the server starts."""

import tempfile

from falcon_catalog import rules
from falcon_catalog.folders import Folders
from falcon_catalog.settings.describing import SettingsError
from falcon_catalog.settings.every import Settings


def prepare(settings: Settings) -> None:
    """Make the directories of the store and the warehouses, and see that they can be written.

    Raises:
        SettingsError: one cannot be made or written.
    """
    folders = Folders()
    roots = [root for _, root in map(rules.named_location, settings.warehouse.more)]
    directories = [
        ("store.url", rules.store_path(settings.store.url).parent),
        ("warehouse.location", rules.location_path(settings.warehouse.location)),
        *(("warehouse.more", rules.location_path(root)) for root in roots),
    ]
    for key, directory in directories:
        try:
            folders.make(str(directory.absolute()))
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError as error:
            origin, value = settings.origins.get(key, "settings"), settings.value(key)
            reason = f"{directory} cannot be written: {error.strerror or error}"
            raise SettingsError(f"{origin}: {key} = {value!r}: {reason}") from None
