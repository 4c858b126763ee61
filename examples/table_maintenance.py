"""Maintenance: many small files become few, old snapshots go, and so does what is left over."""

import datetime as dt

from common import arguments, namespace, weather

from jobs.maintenance import (
    Plan,
    Result,
    compact,
    expire_snapshots,
    remove_orphans,
    rewrite_manifests,
)

NOW = dt.timedelta(0)


def tell(result: Result) -> None:
    """Print what an operation did, in files."""
    counts = [
        f"{kind} {size.files} -> {result.after[kind].files}"
        for kind, size in result.before.items()
        if size.files
    ]
    gone = sum(size.files for size in result.deleted.values())
    verb = "would delete" if result.dry_run else "deleted"
    print(f"{result.operation}:", ", ".join(counts), f"({verb} {gone} files)" if gone else "")


def main() -> None:
    """Do a night's work on a table that was written to a little at a time."""
    with namespace(arguments(__doc__), "example_maintenance") as catalog:
        name = "example_maintenance.weather"
        table = catalog.create_table(name, weather(0).schema)
        for day in range(24):
            table.append(weather(day, 20.5, 21.0, 19.5))
        rows = table.scan().count()

        tell(rewrite_manifests(catalog, name))
        tell(compact(catalog, name, Plan(sort="station, day")))
        # Real tables keep days of history: this one is to be seen shrinking.
        tell(expire_snapshots(catalog, name, older_than=NOW, keep_last=1))
        # Nobody else writes here, so young files may be looked at, too.
        tell(remove_orphans(catalog, name, older_than=NOW, allow_young=True))

        print("rows before and after:", rows, catalog.load_table(name).scan().count())


if __name__ == "__main__":
    main()
