"""The operations table of the pages: what each needs, as ``api.operations`` has it for the API."""

from falcon_catalog.api.operations import Operation

OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("pageStatic", None),
        Operation("pageHome", None),
        Operation("pageWarehouse", "list"),
        Operation("pageNamespace", "list"),
        Operation("pageTable", "describe"),
        Operation("pageTableFiles", "select"),
    )
}
