"""The schema, in numbered scripts that both databases run, and the tables that it has.

The scripts are SQLite's SQL. They may call ``new_uuid()`` and ``now_ms()``, which each database
defines, and ``store.postgres.dialect`` translates the types.
"""

from importlib import resources

TABLES = (
    "warehouses",
    "namespaces",
    "tabulars",
    "idempotency_keys",
    "dropped_tabulars",
    "plans",
    "plan_pages",
    "metrics_reports",
    "functions",
    "principals",
    "signing_keys",
    "store_identity",
    "orphans",
)
"""All tables; one that refers to another comes after it."""


class SchemaTooNewError(Exception):
    """The database was written by a newer version of this program."""


def scripts() -> dict[str, str]:
    """Return the text of each script by its name, oldest first."""
    folder = resources.files("falcon_catalog.store") / "migrations"
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return {
        entry.name.removesuffix(".sql"): entry.read_text(encoding="utf-8")
        for entry in sorted(found, key=lambda entry: entry.name)
    }


def pending(applied: list[str]) -> list[str]:
    """Return the scripts that a database has not seen.

    Raises:
        SchemaTooNewError: it has seen scripts that this version does not have.
    """
    known = scripts()
    if unknown := [name for name in applied if name not in known]:
        raise SchemaTooNewError(
            f"the database has the schema change {unknown[-1]!r}, which this version of "
            "falcon-catalog does not know; use the version that made it, or a newer one"
        )
    return [name for name in known if name not in applied]
