"""Findings of the doctor: for each check, why it matters and what to do."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Check:
    """A check of the doctor."""

    severity: Severity
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that a check found."""

    check: str
    """A key of CHECKS."""
    subject: str
    """The table, view, folder or other subject of the problem."""
    what: str
    repair: str | None = None
    """The argument of ``--repair``; None if a repair would be a guess."""

    @property
    def severity(self) -> Severity:
        """The severity of its check; a note needs no action."""
        return CHECKS[self.check].severity

    def as_json(self) -> dict[str, Any]:
        """Return the finding and the explanation of its check."""
        return {**asdict(self), **asdict(CHECKS[self.check])}


def counted(count: int, what: str) -> str:
    """Return a count with its noun, in the plural if needed: ``2 files``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


_RESTORE = "Copy the damaged files, then restore a backup with falcon-catalog restore."
_UNUSABLE = "The table or view cannot be loaded or committed to."
_BRING_BACK = (
    "Restore the file from a backup of the storage. Otherwise the repair returns to an earlier "
    "state and names the snapshots that are lost."
)
_NOTHING = "No action is needed."

CHECKS: dict[str, Check] = {
    "database-damaged": Check(
        "error", "Rows may be lost or wrong, and damage spreads with each change.", _RESTORE
    ),
    "foreign-keys": Check("error", "A namespace or warehouse that rows name is missing.", _RESTORE),
    "rows-damaged": Check("error", "The server cannot return what these rows hold.", _RESTORE),
    "journal-mode": Check(
        "warning",
        "Write-ahead logging was switched off: readers and writers block each other.",
        "falcon-catalog serve switches it on again when it starts.",
    ),
    "readable-by-others": Check(
        "warning",
        "The database holds the key that signs tokens: anyone who can read it can forge them.",
        "chmod 600 the file and every copy of it.",
    ),
    "warehouse-missing": Check(
        "error",
        "Nothing in it can be read or written, and nothing in it was checked. The server answers "
        "503 for it and, unless it is in an object store, is not ready.",
        "Mount it. If it was copied without its marker file, start the server once with "
        "--adopt-warehouse. Until then no table in it can be repaired or forgotten.",
    ),
    "warehouse-foreign": Check(
        "error",
        "It holds files unknown to this store: those of another catalog, or of a lost store. The "
        "server does not start.",
        "Set the right --store and --warehouse, or restore the lost store. To use the folder as it "
        "is, start the server once with --adopt-warehouse.",
    ),
    "metadata-missing": Check("error", _UNUSABLE, _BRING_BACK),
    "metadata-damaged": Check("error", _UNUSABLE, _BRING_BACK),
    "metadata-unreadable": Check(
        "error",
        f"If the server cannot read it either: {_UNUSABLE.lower()}",
        "Grant the server's user read access, or repair the disk.",
    ),
    "foreign-metadata": Check(
        "error",
        "The row points at another table's metadata: two tables would overwrite each other.",
        "Stop writing to it. The repair returns to the newest metadata file of its own.",
    ),
    "location-mismatch": Check(
        "error",
        "Row and metadata name different locations: another table may be created over its files.",
        "The repair writes the metadata's location into the row.",
    ),
    "unreadable-by-java": Check(
        "error",
        "Spark, Trino and Flink cannot load it. Earlier versions accepted such metadata.",
        "Change the named part with DuckDB or PyIceberg: rename a column that has a partition "
        "field's name, replace a column's default. Old schemas can be removed.",
    ),
    "clock-ahead": Check(
        "error",
        "A client whose clock was fast appended to the table. Appends of correct clients are "
        "refused until a minute before that time.",
        "Correct that client's clock. The repair sets the times that are ahead to now, in a new "
        "metadata file; snapshots and rows stay.",
    ),
    "snapshot-missing": Check(
        "error",
        "The table's current snapshot cannot be read.",
        "Restore the file from a backup of the storage, or roll the table back to an older "
        "snapshot with an engine.",
    ),
    "content-missing": Check(
        "error",
        "Scans that need these files fail.",
        "Restore them from a backup of the storage, roll back to a snapshot without them, or "
        "remove them from the table with an engine.",
    ),
    "content-truncated": Check(
        "error",
        "The file's length differs from the table's metadata: it was truncated or changed, and "
        "scans that need it fail or return wrong results.",
        "Restore it from a backup of the storage, roll back to a snapshot without it, or remove it "
        "from the table with an engine.",
    ),
    "outside-locations": Check(
        "error",
        "It is in none of the warehouses and allowed locations, perhaps through a link, so every "
        "commit to it is refused. A location is missing from the settings, or the row was changed.",
        "Add the location to warehouse.allowed_locations if it belongs to this catalog. Do not "
        "purge it before.",
    ),
    "history-missing": Check(
        "note", "An older metadata file is missing; the current one is intact.", _NOTHING
    ),
    "newer-metadata": Check(
        "warning",
        "A metadata file is newer than the current one. Either a server was killed before it set "
        "the pointer and acknowledged the commit; or the database is older than the files, as "
        "after a restore, and a commit is missing.",
        "If a commit is missing, the repair takes the newer file. Otherwise leave it; later "
        "commits do not use it.",
    ),
    "same-uuid": Check(
        "warning",
        "Several names share one table's files: a write or delete through one affects the others.",
        "Unregister or drop, without a purge, the name that should not exist.",
    ),
    "overlap": Check(
        "warning",
        "One table's location, or a folder that its properties name, contains another's: a purge "
        "or clean-up of one may delete the other's files.",
        "Move one of them: copy its rows into a new table.",
    ),
    "paths-unknown": Check(
        "warning",
        "The store does not know these folders, which properties of the table name: it was written "
        "before the store recorded them, and another table may be created there.",
        "The next commit to the table records them, and so does the repair.",
    ),
    "purge-trouble": Check(
        "warning",
        "Some files of a purged table could not be deleted.",
        "The server retries every ten minutes; fix the reported cause. If the metadata file is "
        "lost for good, the repair abandons the remaining files.",
    ),
    "cannot-return": Check(
        "warning",
        "A dropped table cannot be undropped: its metadata is missing or damaged.",
        "Restore the file from a backup of the storage, or forget the drop.",
    ),
    "unnamed-warehouse": Check(
        "warning",
        "No setting names this warehouse, so its tables are unreachable.",
        "Name it in warehouse.name, warehouse.more or a section [warehouse.NAME], and check which "
        "file --config names.",
    ),
    "orphan-metadata": Check(
        "note",
        "No row and no metadata log reaches these files. They only use space.",
        "The repair deletes those older than --older-than days.",
    ),
    "unclaimed-folder": Check(
        "note",
        "Files of a table without a row: dropped without a purge, unregistered, or another "
        "catalog's. The doctor never deletes them.",
        "Register the newest metadata file to restore the table, or delete the folder.",
    ),
    "empty-folders": Check(
        "note",
        "Table folders without files, left by staged creates or purges. They only clutter "
        "listings.",
        "The repair removes those older than --older-than days.",
    ),
    "kept-folder": Check(
        "note",
        "A table was staged there an hour ago or earlier, and is not committed. Others cannot "
        "create tables at, around or inside this folder.",
        "That ends with the commit, and at the reported time. The repair ends it now: do that only "
        "if the job that staged the table has ended. Its credentials are valid until they expire.",
    ),
    "expired-rows": Check(
        "note",
        "They are ignored, and deleted by the next request of their kind.",
        f"{_NOTHING} The repair deletes them now.",
    ),
    "stuck-plans": Check(
        "note",
        "No worker plans these scans, and their clients have not polled for a while.",
        "The next poll restarts them; otherwise they expire.",
    ),
    "overdue-drops": Check(
        "note",
        "Dropped tables are past their retention.",
        "Start the server, or run falcon-catalog maintain.",
    ),
    "too-busy": Check("note", "It changed during every check.", "Run the doctor again."),
    "not-local": Check("note", "Only files in the storage of warehouses can be checked.", _NOTHING),
}
