"""The operations of maintenance, as steps of a history ask for them."""

import datetime as dt
from typing import Any

from jobs.maintenance import (
    Plan,
    Result,
    compact,
    expire_snapshots,
    old_metadata,
    remove_orphans,
    rewrite_manifests,
)
from tests.maintenance.histories.story import Step

NAME = "ns.t"
"""The table that histories happen to."""
OPERATIONS = ("compact", "manifests", "expire", "orphans", "metadata")
_NO_AGE = dt.timedelta(0)


def run(catalog: Any, step: Step) -> Result:
    """Run an operation on the table."""
    kind, *arguments = step
    match kind:
        case "compact":
            options, branch = arguments
            options = dict(options)
            table = catalog.load_table(NAME)
            if branch not in table.metadata.refs and branch != "main":
                branch = "main"
            sort = options.pop("sort", None)
            if sort:
                names = {field.name for field in table.schema().fields}
                options["sort"] = f"{sort[0]} {sort[1]}" if sort[0] in names else None
            return compact(catalog, NAME, Plan(**options), branch=branch)
        case "manifests":
            return rewrite_manifests(catalog, NAME)
        case "expire":
            return expire_snapshots(catalog, NAME, older_than=_NO_AGE, keep_last=arguments[0])
        case "orphans":
            sweep = remove_orphans
        case _:
            sweep = old_metadata
    return sweep(catalog, NAME, older_than=_NO_AGE, dry_run=False, allow_young=True)
