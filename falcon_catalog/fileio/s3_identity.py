"""The server's own AWS credentials: found where the settings say, and read again when they change.

Ambient ones are botocore's chain: environment, web identity, profile files, container, instance.
"""

import os
import threading
from collections.abc import Hashable, Mapping
from typing import Any

from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials
from botocore.credentials import ReadOnlyCredentials as Keys
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.fileio.credential_file import CredentialFile
from falcon_catalog.settings import SettingsError

_ID, _SECRET, _TOKEN = "access_key_id", "secret_access_key", "session_token"
_CONNECT_SECONDS = 2


class Identity:
    """The credentials of one warehouse. Safe to use from many threads."""

    def __init__(self, warehouse: str, reference: str, timeout: int = 10) -> None:
        """Find the credentials that a setting names; ambient ones are looked for when needed.

        Args:
            warehouse: whose they are, for messages.
            reference: the setting ``credential``.
            timeout: seconds that a token service has to answer one request.

        Raises:
            SettingsError: they are not there, or are no credentials.
        """
        self._warehouse = warehouse
        self._reference = reference
        self._guard = threading.Lock()
        self._file: CredentialFile | None = None
        self.session = Session()
        """For clients of botocore, which sign with these credentials."""
        # Those that find a web identity's credentials as well; they would wait for minutes.
        self.session.set_default_client_config(
            Config(
                connect_timeout=min(_CONNECT_SECONDS, timeout),
                read_timeout=timeout,
                retries={"total_max_attempts": 2},
            )
        )
        kind, _, name = reference.partition(":")
        try:
            if kind == "env":
                values = {
                    part: os.environ.get(f"{name}_{part.upper()}", "")
                    for part in (_ID, _SECRET, _TOKEN)
                }
                self._use(_checked(values))
            elif kind in ("file", "systemd"):
                self._file = CredentialFile(warehouse, reference)
                _checked(self._file.read()[1])
                self._use(_File(self._file))
        except ValueError as error:
            raise SettingsError(
                f"warehouse {warehouse}: credential = {reference!r}: {error}"
            ) from None

    def keys(self) -> Keys:
        """Return the credentials as they are now: ``access_key``, ``secret_key`` and ``token``.

        Raises:
            ServiceUnavailableError: there are none now.
        """
        try:
            with self._guard:  # botocore's chain is not made for several threads at once
                found = self.session.get_credentials()
            keys = found and found.get_frozen_credentials()
        except (BotoCoreError, ClientError) as error:  # some of them are OSErrors as well
            raise self._unavailable(type(error).__name__) from None
        except (OSError, ValueError) as error:
            raise self._unavailable(str(error)) from None
        if not keys or not keys.access_key:
            raise self._unavailable("found none in the environment, a profile or the instance")
        return keys

    def version(self) -> Hashable:
        """Return what changes when the credentials are replaced; None where they renew."""
        return None if self._file is None else self._file.version()

    def _use(self, credentials: Credentials) -> None:
        resolver = CredentialResolver([_Fixed(credentials)])
        self.session.register_component("credential_provider", resolver)

    def _unavailable(self, reason: str) -> ServiceUnavailableError:
        return ServiceUnavailableError(
            f"The server has no credentials for warehouse {self._warehouse} (credential ="
            f" {self._reference!r}): {reason}"
        )


class _Fixed(CredentialProvider):  # type: ignore[misc]  # botocore has no types
    """A chain of one link."""

    METHOD = "falcon-catalog"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Credentials:
        """Return the credentials."""
        return self._credentials


class _File(Credentials):  # type: ignore[misc]  # botocore has no types
    """Credentials in a JSON file, which is read again when another one takes its place."""

    def __init__(self, file: CredentialFile) -> None:
        super().__init__("", "")
        self._file = file

    def get_frozen_credentials(self) -> Keys:
        """Return what the file has now; botocore calls this for each signature."""
        return _checked(self._file.read()[1]).get_frozen_credentials()


def _checked(values: Mapping[str, Any]) -> Credentials:
    for name in (_ID, _SECRET):
        if not isinstance(values.get(name), str) or not values[name]:
            raise ValueError(f"it has no {name}")
    token = values.get(_TOKEN) or None
    if token is not None and not isinstance(token, str):
        raise ValueError(f"its {_TOKEN} is no text")
    return Credentials(values[_ID], values[_SECRET], token)
