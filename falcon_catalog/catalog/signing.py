"""Access to the files of a table by signatures: the server signs single requests of a client.

Local files need none; access is controlled by file permissions. Which table a request may reach is
what the URL of the sign request says, and nothing else: no table is looked up by a location.
"""

from falcon_catalog.catalog import access, authorization, events, marks, policy
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.metadata_cache import Key
from falcon_catalog.catalog.signing_config import STAGED, unseal_staged
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.fileio.delegation import Scope, SignedRequest, SignRequest
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata.json_fields import (
    JSON,
    array_of,
    as_object,
    as_text,
    as_texts,
    optional,
    required,
)
from falcon_catalog.store import dropped
from falcon_catalog.store import tabulars as rows
from falcon_catalog.store.tabulars import TabularRow

_WHERE = "remote sign request"
_METHODS = ("PUT", "GET", "HEAD", "POST", "DELETE", "PATCH", "OPTIONS")
_PROVIDER = "s3"


def sign(
    call: Call, identifier: TableIdentifier, request: JSON, *, staged: str | None = None
) -> SignedRequest:
    """Return the signature of a client's request to the object store.

    Args:
        call: of the client.
        identifier: of the table that the client names.
        request: a RemoteSignRequest of the REST specification.
        staged: what ``signing_config`` gave PyIceberg for a table that is only staged; from others
            it comes in the request's properties.

    Raises:
        NoSuchTableError: no table has this name.
        BadRequestError: the request is malformed, or the warehouse signs none.
        ForbiddenError: it reaches beyond the table, or does what is not signed.
        ServiceUnavailableError: there are no credentials to sign with.
    """
    wanted = _read(request)
    if wanted.permission == "write":
        marks.require_writable(call)
    properties = optional(request, "properties", as_texts, _WHERE) or {}
    locations = _locations(call, identifier, wanted, staged or properties.get(STAGED))
    signs = call.warehouse.storage.signs
    if signs is None:
        is_local = call.warehouse.storage_settings.kind == "file"
        why = (
            "the files of the warehouse {} are local, read and write them without a signature"
            if is_local
            else "the warehouse {} signs no requests, its setting access is not signed"
        )
        raise BadRequestError(
            f"Cannot sign the request for {identifier}: {why.format(call.warehouse.name)}"
        )
    if (provider := request.get("provider")) not in (None, _PROVIDER):
        raise BadRequestError(f"Invalid {_WHERE}: provider {show(provider)} is not {_PROVIDER}")
    credential = access.credential_for(call, identifier, locations, wanted.permission)
    signed = signs.sign(wanted, Scope(locations, wanted.permission), credential)
    if call.warehouse.audit.settings.vending:
        call.warehouse.audit.signed(events.origin(call), identifier, wanted.permission)
    return signed


def only_reads(request: JSON) -> bool:
    """Return whether a request asks for a signature that only reads. Raises as ``sign``."""
    return _read(request).permission == "read"


def _read(request: JSON) -> SignRequest:
    method = required(request, "method", as_text, _WHERE)
    if method not in _METHODS:
        known = ", ".join(_METHODS)
        raise BadRequestError(f"Invalid {_WHERE}: method {show(method)} is none of {known}")
    headers = {
        name: tuple(values) if _are_texts(values) else _texts(name, values)
        for name, values in required(request, "headers", as_object, _WHERE).items()
    }
    optional(request, "provider", as_text, _WHERE)
    return SignRequest(
        method=method,
        uri=required(request, "uri", as_text, _WHERE),
        region=required(request, "region", as_text, _WHERE),
        headers=headers,
        body=optional(request, "body", as_text, _WHERE),
    )


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _texts(name: str, values: object) -> tuple[str, ...]:
    return tuple(array_of(as_text)(values, f"{_WHERE}, headers, {show(name)}"))


def _locations(
    call: Call, identifier: TableIdentifier, wanted: SignRequest, staged: str | None
) -> tuple[str, ...]:
    """Return the folders that a request for a table may reach.

    Raises:
        NoSuchTableError: there is no such table, it is not staged, and none that was dropped may
            be looked at: Spark asks whether files are there after it has dropped their table.
    """
    tx = call.warehouse.store.autocommit()
    row = rows.find(tx, call.warehouse.id, identifier)
    if row is not None and not authorization.confirm(call, identifier, row.id, row.created_at):
        row = None
    if row is not None and row.kind == TABLE.name:
        folders = _folders(call, identifier, row)
        access.check_alone(call, identifier, folders)
        return folders
    if staged is not None:
        return unseal_staged(tx, call, identifier, staged)
    if wanted.method == "HEAD" and row is None:
        gone = dropped.newest(tx, call.warehouse.id, identifier)
        if gone is not None:
            return (gone.location_key.rstrip("/"),)
    raise TABLE.missing(identifier)


def _folders(call: Call, identifier: TableIdentifier, row: TabularRow) -> tuple[str, ...]:
    warehouse = call.warehouse
    version = Key(row.metadata_location, row.created_at)
    if (folders := warehouse.folders.get(version)) is None:
        loaded = warehouse.metadata.load(warehouse.files, row, identifier)
        policy.check_locations(warehouse, loaded.document.metadata)
        folders = policy.locations_of(loaded.document.metadata)
        warehouse.folders.put(version, folders)
    return folders
