"""Access to the files of a table by temporary credentials.

Local files need none; access is controlled by file permissions.
"""

from falcon_catalog.catalog import tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata.json_fields import JSON


def vend(call: Call, identifier: TableIdentifier) -> list[JSON]:
    """Return the storage credentials of a table: none, since its files are local.

    Raises:
        NoSuchTableError: no table has this name.
    """
    tabulars.find(call, TABLE, identifier)
    return []
