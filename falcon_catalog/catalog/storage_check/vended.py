"""What a vended credential opens, and what it does not, tried as a client would."""

import time
from collections.abc import Callable

from falcon_catalog.catalog.storage_check import remedies
from falcon_catalog.catalog.storage_check.steps import Failed, Probe
from falcon_catalog.catalog.storage_check.symptoms import is_refusal
from falcon_catalog.fileio.client import ClientStore, MissingFieldError, open_client_store
from falcon_catalog.fileio.delegation import Permission, Scope

_SESSION = "storage-check"
_SHORTEST_MS = 7 * 60 * 1000
_MARGIN = (
    "Raise vend_seconds, or the longest session that the role allows: clients renew a credential"
    " five minutes before its end."
)


def vend(probe: Probe, of: remedies.Warehouse) -> str:
    """Vend a credential for writing in the probe's table, and open a store with it."""
    probe.client, left = _open(probe, "write", of)
    role = f"role {of.settings.role_arn}, " if of.settings.role_arn else ""
    return f"{role}valid for {left // 1000} s"


def _open(probe: Probe, permission: Permission, of: remedies.Warehouse) -> tuple[ClientStore, int]:
    """Return a store that is opened with a new credential, and its milliseconds left."""
    vends = probe.storage.vends
    if vends is None:
        raise Failed("this storage has no temporary credentials", remedies.no_credentials(of))
    credential = vends.vend(Scope((probe.table,), permission), session=_SESSION)
    if credential.prefix.rstrip("/") != probe.table:
        raise Failed(
            f"the credential is for {credential.prefix}",
            "Report this: it must be for the table's location.",
        )
    try:
        store = open_client_store(probe.table, credential.config, probe.settings)
    except MissingFieldError as error:
        raise Failed(
            str(error),
            "Use a token service that issues complete temporary credentials: clients need each"
            " field, and its end to renew it.",
        ) from None
    left = store.expires_at - time.time_ns() // 1_000_000
    if left < _SHORTEST_MS:
        raise Failed(f"the credential is valid for {max(0, left) // 1000} s only", _MARGIN)
    return store, left


def inside(probe: Probe) -> str:
    """Create, read, list and delete in the table."""
    client = _client(probe)
    kept, gone = probe.key("table", "data", "kept"), probe.key("table", "data", "gone")
    client.write(kept, b"kept")
    client.write(gone, b"gone")
    if client.read(kept) != b"kept":
        raise Failed(
            "what was read is not what was written",
            "Remove what is between this server and the store, such as a cache.",
        )
    names = client.names(probe.key("table", "data"))
    if sorted(names) != sorted([kept, gone]):
        raise Failed(
            f"{len(names)} files are listed, and there are two",
            "Use a store whose lists show at once what was written.",
        )
    client.delete(gone)
    return ""


def outside(probe: Probe, of: remedies.Warehouse) -> str:
    """Try to read, list, write and delete beside the table, and to list the whole bucket."""
    client = _client(probe)
    secret = probe.key("secret")
    probe.create("secret", b"secret")
    root = probe.key()
    _refused(of, "reading", lambda: client.read(secret))
    _refused(of, "listing", lambda: client.names(root))
    _refused(of, "listing the bucket", lambda: client.names(""))
    _refused(of, "writing", lambda: client.write(probe.key("planted"), b"planted"))
    _refused(of, "overwriting", lambda: client.write(secret, b"changed"))
    _refused(of, "deleting", lambda: client.delete(secret))
    if probe.storage.files.read(probe.at("secret")) != b"secret":
        raise Failed("a refused request changed a file", remedies.escaped(of))
    return ""


def sibling(probe: Probe, of: remedies.Warehouse) -> str:
    """Try the table whose name begins as the probe's does."""
    client = _client(probe)
    secret = probe.key("table2", "secret")
    probe.create("table2/secret", b"secret")
    _refused(of, "reading", lambda: client.read(secret))
    _refused(of, "listing", lambda: client.names(probe.key("table2")))
    _refused(of, "writing", lambda: client.write(probe.key("table2", "planted"), b"planted"))
    _refused(of, "deleting", lambda: client.delete(secret))
    return ""


def read_only(probe: Probe, of: remedies.Warehouse) -> str:
    """Try to write and delete with a credential for reading."""
    reader, _ = _open(probe, "read", of)
    kept = probe.key("table", "data", "kept")
    if reader.read(kept) != b"kept" or reader.names(probe.key("table", "data")) != [kept]:
        raise Failed(
            "it does not see the table's files",
            "Use a store whose reads and lists show at once what was written.",
        )
    _refused(of, "writing", lambda: reader.write(probe.key("table", "data", "new"), b"new"))
    _refused(of, "overwriting", lambda: reader.write(kept, b"changed"))
    _refused(of, "deleting", lambda: reader.delete(kept))
    return ""


def _client(probe: Probe) -> ClientStore:
    if probe.client is None:
        raise RuntimeError("nothing was vended")
    return probe.client


def _refused(of: remedies.Warehouse, what: str, attempt: Callable[[], object]) -> None:
    """Return if an attempt is refused for lack of permission.

    Raises:
        Failed: it succeeded, or something else prevented it, which proves nothing.
    """
    try:
        attempt()
    except Exception as error:  # whatever a store's library raises
        if is_refusal(error):
            return
        raise
    raise Failed(f"{what} was not refused", remedies.escaped(of))
