"""loadCredentials: the credentials of a table once more, before those that a client has end."""

from falcon_catalog.catalog import access, tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata.json_fields import JSON


def load(call: Call, identifier: TableIdentifier, *, read_only: bool = False) -> list[JSON]:
    """Return the storage credentials of a table: one, or none where the warehouse issues none.

    Raises:
        NoSuchTableError: no table has this name.
        ServiceUnavailableError: the token service does not answer, or refuses.
    """
    if access.vends_to_clients(call.warehouse) is None:
        tabulars.find(call, TABLE, identifier)
        return []
    table = tabulars.load(call, TABLE, identifier)
    return access.issue(call, identifier, table, read_only=read_only).entries
