"""The schema, in numbered scripts that both databases run, and the tables that it has.

The scripts are SQLite's SQL. They may call ``new_uuid()`` and ``now_ms()``, which each database
defines, and ``store.postgres.dialect`` translates the types.
"""

from importlib import resources

from falcon_catalog import __version__

COLUMNS = {
    "warehouses": ("id", "name", "created_at", "marked_location", "managed", "read_only"),
    "namespaces": (
        *("id", "warehouse_id", "parent_id", "path", "name", "properties"),
        *("created_at", "updated_at", "managed", "protected"),
    ),
    "tabulars": (
        *("id", "namespace_id", "name", "kind", "uuid", "metadata_location", "location_key"),
        *("created_at", "updated_at", "protected"),
    ),
    "idempotency_keys": ("warehouse_id", "key", "request", "answer", "expires_at"),
    "dropped_tabulars": (
        *("id", "warehouse_id", "namespace_path", "name", "kind", "uuid", "metadata_location"),
        *("location_key", "purge", "dropped_at", "expires_at", "started_at", "leased_until"),
        *("trouble", "emptied_at", "protected"),
    ),
    "plans": (
        *("id", "table_id", "status", "metadata_location", "request", "error", "worker"),
        *("lease_until", "created_at", "expires_at"),
    ),
    "plan_pages": ("token", "plan_id", "number", "content"),
    "metrics_reports": (
        *("id", "warehouse_id", "namespace_path", "table_name", "table_uuid", "report"),
        "received_at",
    ),
    "functions": ("id", "namespace_id", "name", "uuid", "metadata", "created_at", "updated_at"),
    "principals": (
        *("id", "name", "secret_hash", "created_at", "previous_secret_hash", "previous_until"),
        *("kind", "issuer", "subject", "display_name", "disabled", "created_by", "sessions_since"),
    ),
    "revoked_tokens": ("jti", "expires_at"),
    "role_members": ("role_id", "member_id"),
    "group_roles": ("issuer", "value", "role_id"),
    "grants": (
        *("id", "principal_id", "warehouse_id", "namespace_id", "tabular_id", "function_id"),
        *("dropped_id", "bits", "granted_by", "granted_at"),
    ),
    "paths": ("id", "tabular_id", "dropped_id", "location_key"),
    "reservations": ("id", "location_key", "principal_id", "namespace_id", "expires_at"),
    "permissions": ("id", "generation", "read_only"),
    "signing_keys": ("kid", "key", "created_at", "expires_at"),
    "store_identity": ("id", "store_id", "created_at"),
    "orphans": ("id", "warehouse_id", "location", "due_at", "deleting"),
    "events": (
        *("id", "event_id", "at_ms", "topic", "operation", "warehouse", "request_id"),
        *("request_index", "request_count", "actor_id", "actor", "via", "address", "client"),
        *("kind", "object_id", "uuid", "namespace_path", "name", "former_path", "former_name"),
        *("state_before", "state_after", "detail"),
    ),
    "refusals": (
        *("id", "at_ms", "outcome", "operation", "warehouse", "request_id", "actor_id", "actor"),
        *("via", "address", "client", "entity", "privilege", "more"),
    ),
    "event_log": ("id", "log_id", "removed_through"),
    "web_sessions": (
        *("id_hash", "principal_id", "via", "member_of", "token", "created_at", "seen_at"),
        "expires_at",
    ),
    "login_codes": ("code_hash", "uid", "expires_at"),
}
"""The columns of each table; one that refers to another comes after it."""

TABLES = tuple(COLUMNS)

NUMBERED = (
    "warehouses",
    "namespaces",
    "tabulars",
    "dropped_tabulars",
    "metrics_reports",
    "functions",
    "principals",
    "grants",
    "paths",
    "reservations",
    "orphans",
    "events",
    "refusals",
)
"""The tables whose ids the database counts up."""


class SchemaError(Exception):
    """The schema of the database is not this version's."""


class SchemaTooNewError(SchemaError):
    """The database was migrated by a newer version of this program."""


class SchemaTooOldError(SchemaError):
    """The database was written by an older version of this program, and is not migrated yet."""


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
            f"its schema is {unknown[-1]!r}, of a newer version; falcon-catalog {__version__} knows"
            f" {max(known)!r} at most. Install the newer version again, or go back to the backup"
            " that its migrate made: falcon-catalog restore --replace"
        )
    return [name for name in known if name not in applied]


def require_current(applied: list[str], url: str) -> None:
    """Raise SchemaError unless a database has seen all scripts, and no others."""
    if missing := pending(applied):
        raise SchemaTooOldError(
            f"its schema is {applied[-1] if applied else 'none'!r}, of an older version;"
            f" falcon-catalog {__version__} needs {missing[-1]!r}. Run falcon-catalog migrate"
            f" --store {url}, which makes a backup first"
        )
