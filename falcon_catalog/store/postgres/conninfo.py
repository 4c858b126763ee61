"""How to connect: what the settings say, for psycopg. The password is read at each connection."""

import os
from pathlib import Path
from typing import Any

from psycopg import ProgrammingError, conninfo

from falcon_catalog.settings import SettingsError, StoreSettings

# A host that vanished is noticed after 25 seconds, at both ends: until PostgreSQL does, the session
# keeps its locks.
_IDLE_SECONDS, _INTERVAL_SECONDS, _PROBES = 10, 5, 3
_UNANSWERED_MS = (_IDLE_SECONDS + _PROBES * _INTERVAL_SECONDS) * 1000


def parameters(settings: StoreSettings, *, read_only: bool = False) -> dict[str, Any]:
    """Return the parameters of a connection.

    Raises:
        SettingsError: the URL is malformed, or the password is not where it should be.
    """
    try:
        given = conninfo.conninfo_to_dict(settings.url)
    except ProgrammingError:  # whose text may show what it could not read
        raise SettingsError(f"store.url = {settings.url!r}: it is no PostgreSQL URL") from None
    options = {
        "statement_timeout": f"{settings.statement_timeout}s",
        "lock_timeout": f"{settings.lock_timeout}s",
        "idle_in_transaction_session_timeout": f"{settings.transaction_idle_timeout}s",
        "tcp_keepalives_idle": str(_IDLE_SECONDS),
        "tcp_keepalives_interval": str(_INTERVAL_SECONDS),
        "tcp_keepalives_count": str(_PROBES),
        "tcp_user_timeout": str(_UNANSWERED_MS),
        "synchronous_commit": "off" if settings.durability == "relaxed" else "",
        "search_path": settings.search_path,
        "default_transaction_read_only": "on" if read_only else "",
    }
    own = {
        "connect_timeout": settings.connect_timeout,
        "application_name": "falcon-catalog",
        "keepalives_idle": _IDLE_SECONDS,
        "keepalives_interval": _INTERVAL_SECONDS,
        "keepalives_count": _PROBES,
        "tcp_user_timeout": _UNANSWERED_MS,
        **given,
        "options": " ".join(
            [
                str(given.get("options", "")),
                *(f"-c {name}={_escaped(value)}" for name, value in options.items() if value),
            ]
        ).strip(),
        "client_encoding": "UTF8",
        "autocommit": True,
    }
    if settings.sslmode:
        own["sslmode"] = settings.sslmode
    if settings.sslrootcert:
        own["sslrootcert"] = settings.sslrootcert
    if (password := _password(settings.password)) is not None:
        own["password"] = password
    return own


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def _password(reference: str) -> str | None:
    """Return the password; None if libpq is to find it (PGPASSFILE, PGPASSWORD, a certificate)."""
    kind, _, name = reference.partition(":")
    where = f"store.password = {reference!r}"
    if kind == "env":
        if not (value := os.environ.get(name)):
            raise SettingsError(f"{where}: the environment has no {name}")
        return value
    if kind not in ("file", "systemd"):
        return None
    path = Path(name)
    if kind == "systemd":
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise SettingsError(f"{where}: $CREDENTIALS_DIRECTORY is not set (LoadCredential)")
        path = Path(folder) / name
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{where}: {path}: {reason}") from None
