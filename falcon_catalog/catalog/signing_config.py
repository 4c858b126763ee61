"""What a client is told when it loads a table whose requests are signed, and brings back.

A table that is only staged has no row yet, but engines write its files before they create it. Its
locations travel with the client, sealed, in the ``properties`` of the ``remote-signing-config``,
which Iceberg 1.12 sends along with each request to sign. PyIceberg does not: for it they are in the
query of the address.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from falcon_catalog import auth
from falcon_catalog.auth import InvalidTokenError
from falcon_catalog.catalog import policy
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.issued_credentials import Access
from falcon_catalog.errors import ForbiddenError
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.locations import key
from falcon_catalog.store import principals
from falcon_catalog.store import tabulars as rows
from falcon_catalog.store.database import Transaction

STAGED = "falcon-catalog.staged-table"
"""The property, or parameter, in which clients bring back the locations of a staged table."""
_PURPOSE = "staged-table"
_PYICEBERG = {
    "s3.signer": "S3V4RestSigner",
    # The only one of its file accesses that has requests signed.
    "py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO",
}


def table_path(call: Call, identifier: TableIdentifier, below: str) -> str:
    """Return the path of what is below a table, relative to the catalog's URI."""
    namespace = identifier.namespace.path
    parts = "v1", call.warehouse.name, "namespaces", namespace, "tables", identifier.name, below
    return "/".join(quote(part, safe="") for part in parts)


def signing_access(
    call: Call, identifier: TableIdentifier, *, staged: Mapping[str, Any] | None, fsspec: bool
) -> Access:
    """Return what a client needs to have its requests signed.

    The address is relative to the catalog's, which the client knows best: ``signer.uri`` and
    ``s3.signer.uri`` are left out, for they default to it.

    Args:
        call: of a client that loads or creates a table.
        identifier: of the table.
        staged: the metadata of a table that is only staged.
        fsspec: whether the client is PyIceberg, and is to sign through fsspec.
    """
    endpoint = table_path(call, identifier, "sign")
    config = {
        **call.warehouse.storage.client_config,
        "s3.remote-signing-enabled": "true",
        "signer.endpoint": endpoint,
        "s3.signer.endpoint": endpoint,  # for Java before 1.11, and PyIceberg
        "s3.chunked-encoding-enabled": "false",  # Java's signer refuses what its default is
    }
    properties = {} if staged is None else {STAGED: _seal(call, identifier, staged)}
    if fsspec:
        query = "".join(f"?{name}={value}" for name, value in properties.items())
        config |= {**_PYICEBERG, "s3.signer.endpoint": endpoint + query}
    return Access(config, more={"remote-signing-config": {"properties": properties}})


def _seal(call: Call, identifier: TableIdentifier, staged: Mapping[str, Any]) -> str:
    signing = principals.signing_key(call.warehouse.store.autocommit())
    if signing is None:
        raise LookupError("the signing key")
    content = {
        **_bearer(call, identifier),
        "locations": list(policy.locations_of(staged)),
    }
    return auth.seal(signing.kid, signing.key, _PURPOSE, content, policy.STAGED_SECONDS)


def _bearer(call: Call, identifier: TableIdentifier) -> dict[str, object]:
    """Return all that must be the same when a client brings a staged table's locations back."""
    return {
        "warehouse": call.warehouse.name,
        "table": [*identifier.namespace.levels, identifier.name],
        "principal": call.principal_id,
    }


def unseal_staged(
    tx: Transaction, call: Call, identifier: TableIdentifier, sealed: str
) -> tuple[str, ...]:
    """Return the locations of a staged table, in which no other table lies by now.

    Raises:
        ForbiddenError: this catalog did not write that for this table and principal, or it has
            expired; or a location is not allowed, or taken.
    """
    try:
        content = auth.unseal(lambda kid: principals.verifying_key(tx, kid), _PURPOSE, sealed)
    except InvalidTokenError as error:
        raise ForbiddenError(
            f"Cannot sign the request for {identifier}: property {STAGED}: {error}"
        ) from None
    bearer = _bearer(call, identifier)
    if {name: content.get(name) for name in bearer} != bearer:
        raise ForbiddenError(
            f"Cannot sign the request for {identifier}: property {STAGED} is of another table,"
            " warehouse or principal"
        )
    locations = tuple(content["locations"])
    for number, location in enumerate(locations):
        policy.check_allowed(call.warehouse, location)
        # Its own location comes first; several tables may name one folder in properties.
        if rows.overlapping(tx, key(location), besides=None, paths=number == 0):
            raise ForbiddenError(
                f"Cannot sign the request for {identifier}: another table was created at its"
                " location meanwhile"
            )
    return locations
