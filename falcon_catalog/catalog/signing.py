"""Access to the files of a table by signatures: the server signs single requests of a client.

Local files need none; access is controlled by file permissions. Which table a request may reach is
what the URL of the sign request says, and nothing else: no table is looked up by a location.

A table that is only staged has no row yet, but engines write its files before they create it. Its
locations travel with the client, sealed, in the ``properties`` of the ``remote-signing-config``
that a staged create is answered with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from falcon_catalog import auth
from falcon_catalog.auth import InvalidTokenError
from falcon_catalog.catalog import policy
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.metadata_cache import Key
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.errors import BadRequestError, ForbiddenError, show
from falcon_catalog.fileio.delegation import Scope, SignedRequest, SignRequest
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.locations import key
from falcon_catalog.metadata.json_fields import (
    JSON,
    array_of,
    as_object,
    as_text,
    as_texts,
    optional,
    required,
)
from falcon_catalog.store import dropped, principals
from falcon_catalog.store import tabulars as rows
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.tabulars import TabularRow

_METHODS = ("PUT", "GET", "HEAD", "POST", "DELETE", "PATCH", "OPTIONS")
_PROVIDER = "s3"
_PURPOSE = "staged-table"
STAGED = "falcon-catalog.staged-table"
"""The property in which clients bring back the locations of a staged table."""
_STAGED_SECONDS = 24 * 3600  # as long as the job that writes a table's first files may take


@dataclass(frozen=True, slots=True)
class SigningConfig:
    """What a client is told when it loads a table whose requests are signed."""

    config: Mapping[str, str]
    """For the table's ``config``."""
    remote: JSON = field(repr=False)
    """The ``remote-signing-config``."""


def signing_config(
    call: Call, identifier: TableIdentifier, *, staged: JSON | None = None, fsspec: bool = False
) -> SigningConfig:
    """Return what a client needs to have its requests signed.

    The addresses are relative to the catalog's, which the client knows best: ``signer.uri`` and
    ``s3.signer.uri`` are left out, for they default to it.

    Args:
        call: of a client that loads or creates a table.
        identifier: of the table.
        staged: the metadata of a table that is only staged.
        fsspec: whether PyIceberg's fsspec is to be chosen, the only one of its file accesses that
            has requests signed.
    """
    namespace = quote(identifier.namespace.path, safe="")
    table = f"namespaces/{namespace}/tables/{quote(identifier.name, safe='')}"
    endpoint = f"v1/{quote(call.warehouse.name, safe='')}/{table}/sign"
    config = {
        **call.warehouse.storage.client_config,
        "s3.remote-signing-enabled": "true",
        "signer.endpoint": endpoint,
        "s3.signer.endpoint": endpoint,
        "s3.chunked-encoding-enabled": "false",  # Java's signer refuses what FileIO defaults to
    }
    if fsspec:
        config |= {
            "s3.signer": "S3V4RestSigner",
            "py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO",
        }
    properties = {} if staged is None else {STAGED: _seal(call, identifier, staged)}
    return SigningConfig(config, {"properties": properties, "headers": {}})


def sign(call: Call, identifier: TableIdentifier, request: JSON) -> SignedRequest:
    """Return the signature of a client's request to the object store.

    ``request`` is a RemoteSignRequest of the REST specification.

    Raises:
        NoSuchTableError: no table has this name.
        BadRequestError: the request is malformed, or the warehouse signs none.
        ForbiddenError: it reaches beyond the table, or does what is not signed.
        ServiceUnavailableError: there are no credentials to sign with.
    """
    wanted = _read(request)
    properties = optional(request, "properties", as_texts, _WHERE) or {}
    locations = _locations(call, identifier, wanted, properties)
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
    return signs.sign(wanted, Scope(locations, wanted.permission), None)


_WHERE = "remote sign request"


def only_reads(request: JSON) -> bool:
    """Return whether a request asks for a signature that only reads. Raises as ``sign``."""
    return _read(request).permission == "read"


def _read(request: JSON) -> SignRequest:
    method = required(request, "method", as_text, _WHERE)
    if method not in _METHODS:
        known = ", ".join(_METHODS)
        raise BadRequestError(f"Invalid {_WHERE}: method {show(method)} is none of {known}")
    headers = {
        name: tuple(array_of(as_text)(values, f"{_WHERE}, headers, {show(name)}"))
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


def _locations(
    call: Call, identifier: TableIdentifier, wanted: SignRequest, properties: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the folders that a request for a table may reach.

    Raises:
        NoSuchTableError: there is no such table, it is not staged, and none that was dropped may
            be looked at: Spark asks whether files are there after it has dropped their table.
    """
    tx = call.warehouse.store.autocommit()
    row = rows.find(tx, call.warehouse.id, identifier)
    if row is not None and row.kind == TABLE.name:
        return _folders(call, identifier, row)
    if (sealed := properties.get(STAGED)) is not None:
        return _unseal(tx, call, identifier, sealed)
    if wanted.method == "HEAD" and row is None:
        gone = dropped.newest(tx, call.warehouse.id, identifier)
        if gone is not None:
            return (gone.location_key,)
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


def _seal(call: Call, identifier: TableIdentifier, staged: JSON) -> str:
    """Return the locations of a staged table, for its creator to bring back."""
    signing = principals.signing_key(call.warehouse.store.autocommit())
    if signing is None:
        raise LookupError("the signing key")
    content = {
        "warehouse": call.warehouse.name,
        "table": [*identifier.namespace.levels, identifier.name],
        "principal": call.principal,
        "locations": list(policy.locations_of(staged)),
    }
    return auth.seal(signing.kid, signing.key, _PURPOSE, content, _STAGED_SECONDS)


def _unseal(
    tx: Transaction, call: Call, identifier: TableIdentifier, sealed: str
) -> tuple[str, ...]:
    """Return the locations of a staged table, in which no other table lies by now."""
    try:
        content: dict[str, Any] = auth.unseal(
            lambda kid: principals.verifying_key(tx, kid), _PURPOSE, sealed
        )
    except InvalidTokenError as error:
        raise ForbiddenError(
            f"Cannot sign the request for {identifier}: property {STAGED}: {error}"
        ) from None
    expected = {
        "warehouse": call.warehouse.name,
        "table": [*identifier.namespace.levels, identifier.name],
        "principal": call.principal,
    }
    if {name: content.get(name) for name in expected} != expected:
        raise ForbiddenError(
            f"Cannot sign the request for {identifier}: property {STAGED} is of another table,"
            " warehouse or principal"
        )
    locations = tuple(content["locations"])
    for location in locations:
        policy.check_allowed(call.warehouse, location)
        if rows.overlapping(tx, key(location), besides=None):
            raise ForbiddenError(
                f"Cannot sign the request for {identifier}: another table was created at its"
                " location meanwhile"
            )
    return locations
