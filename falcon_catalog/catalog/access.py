"""File access in responses with a table: client settings, temporary credentials, or neither.

Credentials are sent as one entry, in both ``config`` and ``storage-credentials``, because clients
read one or the other. Source: loadTable and loadCredentials of the REST specification.
"""

import functools
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from falcon_catalog.catalog import authorization, events, policy
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.events import Event
from falcon_catalog.catalog.issued_credentials import NO_ACCESS, Access
from falcon_catalog.catalog.metadata_cache import Loaded
from falcon_catalog.catalog.signing_config import signing_access, table_path
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import ForbiddenError
from falcon_catalog.fileio.delegation import Credential, Permission, Scope, Vends, common_prefix
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.locations import key, outermost
from falcon_catalog.settings.storage import ABFSS, GS, S3
from falcon_catalog.store import tabulars as rows

VENDED, SIGNED, UNMANAGED = "vended-credentials", "remote-signing", "client-managed"
"""Values of X-Iceberg-Access-Delegation; the last one is Lakekeeper's, for "nothing"."""

_HEADER_CHARACTERS = 256
_REFRESH_ENDPOINT = {
    S3: "client.refresh-credentials-endpoint",
    GS: "gcs.oauth2.refresh-credentials-endpoint",
    ABFSS: "adls.refresh-credentials-endpoint",
}

JSON = Mapping[str, Any]


@functools.lru_cache(maxsize=256)
def parse_delegation(header: str) -> frozenset[str]:
    """Return the known values of an X-Iceberg-Access-Delegation header; others are ignored."""
    values = {value.strip().lower() for value in header[:_HEADER_CHARACTERS].split(",")}
    return frozenset(values & {VENDED, SIGNED, UNMANAGED})


def wants_credentials(call: Call) -> bool:
    """Return whether a client asked for credentials, of a warehouse that issues some."""
    asked = VENDED in call.delegation and UNMANAGED not in call.delegation
    return asked and vends_to_clients(call.warehouse) is not None


def vends_to_clients(warehouse: Warehouse) -> Vends | None:
    """Return what issues credentials for clients of a warehouse, or None."""
    return warehouse.storage.vends if warehouse.storage_settings.access == "vended" else None


def is_known(call: Call, identifier: TableIdentifier, table: Loaded) -> bool:
    """Return whether ``add`` asks no token service."""
    if not wants_credentials(call) or authorization.permission_of(call, identifier) is None:
        return True
    wanted = _of_table(call, identifier, table.document.metadata, table.metadata_location)
    return call.warehouse.issued.find(wanted, call.now) is not None


def add(call: Call, identifier: TableIdentifier, table: Loaded) -> Loaded:
    """Return a table with the access that the client asked for. Raises as ``provide``."""
    granted = provide(call, identifier, table.document.metadata, table.metadata_location)
    return table if granted is NO_ACCESS else replace(table, access=granted)


def provide(
    call: Call, identifier: TableIdentifier, metadata: JSON, location: str | None = None
) -> Access:
    """Return the access that a client asked for, issuing credentials if necessary.

    Args:
        call: its ``delegation`` is what the client asked for.
        identifier: of the table.
        metadata: of the table, as it is or is to be.
        location: of the metadata file, if there is one.

    Raises:
        ForbiddenError, BadRequestError: a folder of the table is not in the allowed locations, or
            no credential can be that narrow.
        ServiceUnavailableError: the token service does not answer, or refuses.
    """
    vends, signs = wants_credentials(call), _takes_signatures(call)
    if (vends or signs) and authorization.permission_of(call, identifier) is None:
        return NO_ACCESS  # the table without its files: clients ask for both at once
    if vends:
        return _issue(call, _of_table(call, identifier, metadata, location), metadata)
    if signs:
        staged = metadata if location is None else None
        return signing_access(call, identifier, staged=staged, fsspec=_is_pyiceberg(call))
    # A client that asked for anything takes any setting for credentials.
    if call.delegation or not call.warehouse.storage.client_config:
        return NO_ACCESS
    return Access(call.warehouse.storage.client_config)


def _takes_signatures(call: Call) -> bool:
    """Return whether a client is to have its requests signed.

    DuckDB and Go ask for credentials alone and cannot sign; so does PyIceberg, which can.
    """
    if call.warehouse.storage.signs is None or UNMANAGED in call.delegation:
        return False
    return not call.delegation or SIGNED in call.delegation or _is_pyiceberg(call)


def _is_pyiceberg(call: Call) -> bool:
    return call.user_agent.startswith("PyIceberg/")


def issue(
    call: Call, identifier: TableIdentifier, table: Loaded, *, read_only: bool = False
) -> Access:
    """Return credentials for a table, whatever the client asked for; raises as ``provide``.

    With ``read_only`` they write nothing, whatever the caller may.
    """
    metadata, location = table.document.metadata, table.metadata_location
    wanted = _of_table(call, identifier, metadata, location)
    wanted = replace(wanted, permission="read") if read_only else wanted
    return _issue(call, wanted, metadata)


def credential_for(
    call: Call, identifier: TableIdentifier, locations: tuple[str, ...], permission: Permission
) -> Credential | None:
    """Return credentials that the server itself uses for a table; raises as ``provide``.

    None: the storage of the warehouse issues none.
    """
    if call.warehouse.storage.vends is None:
        return None
    wanted = _Wanted(call.principal_id, permission, identifier, "", locations, None, _version(call))
    return _issue(call, wanted).credential


@dataclass(frozen=True, slots=True)
class _Wanted:
    """All that makes a difference to credentials: they are never another's, or stale."""

    principal: int | None
    permission: Permission
    identifier: TableIdentifier
    uuid: str
    locations: tuple[str, ...]
    folder: str | None
    """Of the metadata file, which clients compare with the credential's prefix as well."""
    identity: Hashable
    """Changes when the server's own credentials do."""


def _of_table(
    call: Call, identifier: TableIdentifier, metadata: JSON, location: str | None
) -> _Wanted:
    return _Wanted(
        call.principal_id,
        _permission(call, identifier),
        identifier,
        metadata["table-uuid"],
        policy.locations_of(metadata),
        location and location.rpartition("/")[0],
        _version(call),
    )


def _permission(call: Call, identifier: TableIdentifier) -> Permission:
    """Return what credentials for a table may do; raise ForbiddenError if they may do nothing."""
    permission = authorization.permission_of(call, identifier)
    if permission is None:
        raise ForbiddenError(f"Not allowed: this needs select on table {identifier}")
    return permission


def renew(call: Call, identifier: TableIdentifier, table: Loaded) -> Loaded:
    """Return a table as a retry of its creation gets it: with access as of now.

    Raises:
        NoSuchTableError: it is hidden from the caller by now.
        ForbiddenError, BadRequestError, ServiceUnavailableError: as ``provide``.
    """
    row = rows.find(call.warehouse.store.autocommit(), call.warehouse.id, identifier)
    if row is None or row.uuid != str(table.document.metadata["table-uuid"]).lower():
        return table
    if not authorization.permits(call, "describe", identifier):
        raise authorization.absent(identifier)
    return add(call, identifier, table)


def _version(call: Call) -> Hashable:
    vends = call.warehouse.storage.vends
    return None if vends is None else vends.version()


def _issue(call: Call, wanted: _Wanted, metadata: JSON | None = None) -> Access:
    """Return credentials: those of before, if half of their life is left, or new ones.

    Every location is checked before anything is asked of a token service, and that no property of
    the table sends the credentials to somebody else: PyIceberg would follow it.
    """
    vends = call.warehouse.storage.vends
    if vends is None:
        raise RuntimeError(f"warehouse {call.warehouse.name} issues no credentials")

    def mint() -> Access:
        locations = wanted.locations
        for location in locations:
            policy.check_allowed(call.warehouse, location)
        if metadata is not None:
            policy.check_client_settings(None, metadata.get("properties", {}))
        check_alone(call, wanted.identifier, locations)
        scope = Scope(outermost(locations), wanted.permission)
        credential = vends.vend(
            scope,
            session=f"{call.principal.name if call.principal else 'anyone'}-{call.request_id}",
        )
        folders = [wanted.folder] if wanted.folder else []
        prefix = common_prefix([*locations, *folders])
        if metadata is not None and call.warehouse.audit.settings.vending:
            _record(call, wanted, credential)
        return _access(call, wanted.identifier, credential, prefix)

    return call.warehouse.issued.get(wanted, call.now, mint)


def check_alone(call: Call, identifier: TableIdentifier, locations: tuple[str, ...]) -> None:
    """Check that no other table lies where the properties of a table send its writers.

    It may have been created there before the store knew the folders of properties.

    Args:
        call: of who gets access to the locations.
        identifier: of the table.
        locations: of the table, its own location first.

    Raises:
        ForbiddenError: one does.
    """
    if call.warehouse.allow_overlap or len(locations) == 1:
        return
    tx = call.warehouse.store.autocommit()
    row = rows.find(tx, call.warehouse.id, identifier)
    for location in locations[1:]:
        besides = None if row is None else row.id
        if rows.overlapping(tx, key(location), besides=besides, paths=False):
            raise ForbiddenError(
                f"No access to the files of {identifier}: another table lies at, around or inside"
                f" {location}, which a property of this one names"
            )


def _record(call: Call, wanted: _Wanted, credential: Credential) -> None:
    """Record who gets which rights until when, before a client has the credentials.

    The same caller gets them again, without another row, until half of their life is over.
    """
    detail = {
        "permission": wanted.permission,
        "until-ms": credential.expires_at,
        "locations": list(wanted.locations),
    }
    event = Event("issueCredentials", "table", wanted.identifier, "files", detail=detail)
    event.uuid = wanted.uuid
    with call.warehouse.store.write() as tx:
        events.record(tx, call, event)


def _access(call: Call, identifier: TableIdentifier, credential: Credential, prefix: str) -> Access:
    """Return a credential with what makes clients renew it."""
    endpoint = _REFRESH_ENDPOINT[call.warehouse.storage_settings.kind]
    config = {
        **credential.config,
        endpoint: table_path(call, identifier, "credentials"),
        "expiration-time": str(credential.expires_at),  # for Go
    }
    return Access(config, replace(credential, prefix=prefix, config=config))
