"""What can be wrong with a catalog: why it matters, and what can be done."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked for."""

    severity: Severity
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found."""

    check: str
    """A key of CHECKS."""
    subject: str
    """The table, view or other thing that it was found on."""
    what: str
    repair: str | None = None
    """What to give to ``--repair``; None where a repair would be a guess."""

    @property
    def severity(self) -> Severity:
        """How bad it is: a note needs nobody to act."""
        return CHECKS[self.check].severity

    def as_json(self) -> dict[str, Any]:
        """Return all of it, with the explanation."""
        return {**asdict(self), **asdict(CHECKS[self.check])}


def counted(count: int, what: str) -> str:
    """Write a number and what it counts."""
    return f"{count} {what}{'' if count == 1 else 's'}"


_RESTORE = "Restore a backup with falcon-catalog restore, after a copy of the damaged files."
_NEEDED = "Nobody can load or commit to it."
_BRING_BACK = (
    "Bring the file back from a backup of the storage. Otherwise the repair goes back to an "
    "earlier state, and says which snapshots it gives up."
)

CHECKS: dict[str, Check] = {
    "database-damaged": Check(
        "error", "Rows may be lost or wrong; it tends to spread with each change.", _RESTORE
    ),
    "foreign-keys": Check(
        "error", "Something is in a namespace or warehouse that is not there.", _RESTORE
    ),
    "rows-damaged": Check("error", "What is in these rows cannot be answered.", _RESTORE),
    "journal-mode": Check(
        "warning",
        "Somebody has switched write-ahead logging off; readers and writers block each other.",
        "falcon-catalog serve switches it on again as it starts.",
    ),
    "readable-by-others": Check(
        "warning",
        "The database holds the key that signs tokens: who can read it can sign his own.",
        "chmod 600 it, and every copy of it.",
    ),
    "warehouse-missing": Check(
        "error",
        "Nothing can be read or written in it, and nothing of it was checked. The server answers "
        "503 for it and is not ready.",
        "Mount it. If it was copied without its marker file, start the server once with "
        "--adopt-warehouse. No table in it can be repaired or forgotten before.",
    ),
    "warehouse-foreign": Check(
        "error",
        "It holds files of which this store knows nothing: another catalog's, or those of a store "
        "that was lost. The server does not start.",
        "Give the right --store and --warehouse, or restore the store that was lost. To take the "
        "folder as it is, start the server once with --adopt-warehouse.",
    ),
    "metadata-missing": Check("error", _NEEDED, _BRING_BACK),
    "metadata-damaged": Check("error", _NEEDED, _BRING_BACK),
    "metadata-unreadable": Check(
        "error",
        "If the server cannot read it either, nobody can load or commit to it.",
        "Give the server's user the right to read it, or mend the disk.",
    ),
    "foreign-metadata": Check(
        "error",
        "The row points at the metadata of another table: two tables would write over one another.",
        "The repair goes back to the newest metadata file of its own. Do not write to it before.",
    ),
    "location-mismatch": Check(
        "error",
        "The row says that it lies elsewhere than its metadata does, so that another table may be "
        "put over its files.",
        "The repair writes the metadata's location into the row.",
    ),
    "snapshot-missing": Check(
        "error",
        "The table's present snapshot cannot be read.",
        "Bring the file back from a backup of the storage, or roll the table back to an older "
        "snapshot with an engine.",
    ),
    "content-missing": Check(
        "error",
        "Scans that need these files fail.",
        "Bring them back from a backup of the storage, roll back to a snapshot without them, or "
        "remove them from the table with an engine.",
    ),
    "content-truncated": Check(
        "error",
        "The file is not as long as the table's metadata says: it was cut short or changed, and "
        "scans that need it fail or are wrong.",
        "Bring it back from a backup of the storage, roll back to a snapshot without it, or remove "
        "it from the table with an engine.",
    ),
    "outside-locations": Check(
        "error",
        "It lies in none of the warehouses and allowed locations, so that every commit to it is "
        "refused; a link may lead there. Either the settings have lost a location, or somebody has "
        "changed the row.",
        "Add the location to warehouse.allowed_locations if it belongs to this catalog. Do not "
        "purge it before.",
    ),
    "history-missing": Check(
        "note",
        "An older state of the metadata cannot be looked at; the present one is whole.",
        "Nothing has to be done.",
    ),
    "newer-metadata": Check(
        "warning",
        "A metadata file is newer than the one in force. Either a server was killed before it "
        "could set the pointer, and nobody was told of a success; or the database is older than "
        "the files, as after a restore, and a commit is missing.",
        "If a commit is missing: the repair takes the newer file. Otherwise leave it; "
        "the next commits pass it by.",
    ),
    "same-uuid": Check(
        "warning",
        "Both names have one table's files: what is written or deleted through one of them "
        "changes or breaks the other.",
        "Unregister or drop, without a purge, the one that should not be there.",
    ),
    "overlap": Check(
        "warning",
        "One table lies over another's files: a purge or a clean-up of one may delete the "
        "other's files.",
        "Move one of them: copy its rows into a new table.",
    ),
    "purge-trouble": Check(
        "warning",
        "The files of a purged table were not all deleted.",
        "The server tries again every ten minutes; mend what the text says. Where the metadata "
        "file is lost for good, the repair gives up what is left of the table's files.",
    ),
    "cannot-return": Check(
        "warning",
        "It was dropped and could be undropped, but its metadata is gone or damaged.",
        "Bring the file back from a backup of the storage, or forget the drop.",
    ),
    "unnamed-warehouse": Check(
        "warning",
        "No settings name this warehouse, so nobody reaches what is in it.",
        "Name it in warehouse.name or warehouse.more; was the right file given with --config?",
    ),
    "orphan-metadata": Check(
        "note",
        "No row and no metadata log reaches these files. They only take room.",
        "The repair deletes those that are older than --older-than days.",
    ),
    "unclaimed-folder": Check(
        "note",
        "A table's files that no row knows: dropped without a purge, unregistered, or another "
        "catalog's. They are never deleted here.",
        "Register the table's newest metadata file to have it back, or delete the folder yourself.",
    ),
    "empty-folders": Check(
        "note",
        "Folders of tables without any file: of creates that were staged and never came, or of "
        "purged tables. They only take room in listings.",
        "The repair removes those that are older than --older-than days.",
    ),
    "expired-rows": Check(
        "note",
        "They count as not there, and go with the next request of their kind.",
        "Nothing has to be done; the repair deletes them now.",
    ),
    "stuck-plans": Check(
        "note",
        "Nobody works on these scans, and their clients have not asked for a while.",
        "The next to ask sets them going again; else they expire.",
    ),
    "overdue-drops": Check(
        "note",
        "What was dropped waits for a server to let go of it.",
        "Start the server, or run falcon-catalog maintain.",
    ),
    "too-busy": Check(
        "note", "It changed each time it was looked at, so it could not be checked.", "Look again."
    ),
    "not-local": Check("note", "Only local files can be looked at.", "Nothing has to be done."),
}
