"""``falcon-catalog tag``, ``branch`` and ``rollback``: what branches and tags point at."""

import re
from typing import TYPE_CHECKING

import click

from falcon_catalog.console.connection import Client, client_command
from falcon_catalog.console.entities import NAME, complete_refs, find_table
from falcon_catalog.console.failures import ConsoleError, NotFoundError
from falcon_catalog.console.names import Name
from falcon_catalog.console.output import Column
from falcon_catalog.console.snapshots import select, snapshot_at
from falcon_catalog.wording import did_you_mean

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.refs import SnapshotRef
    from pyiceberg.table.snapshots import Snapshot

_MAIN = "main"
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


class _Age(click.ParamType[int]):
    """A duration such as ``30d``, in milliseconds."""

    name = "age"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,6})([mhdw])", str(value))
        if found is None:
            self.fail(f"{value!r} is no age: a number and m, h, d or w, as in 30d", param, context)
        return int(found[1]) * _UNITS[found[2]] * 1000


_keep = click.option(
    "--keep",
    type=_Age(),
    metavar="AGE",
    help="Let expiry remove it after this age, such as 30d; without it, it stays.",
)
_replace = click.option("--replace", is_flag=True, help="Move one that exists.")
_delete = click.option("--delete", "-d", is_flag=True, help="Remove it; its snapshots stay.")


@client_command("tag")
@click.argument("table", type=NAME)
@click.argument("tag", required=False, shell_complete=complete_refs("table", "tag"))
@_replace
@_delete
@_keep
def tag(
    client: Client, table: Name, tag: str | None, *, replace: bool, delete: bool, keep: int | None
) -> None:
    """Name the current snapshot of TABLE, or the one after @, with a tag.

    \b
    Examples:
        falcon-catalog tag weather.observations before-fix
        falcon-catalog tag weather.observations@2026-11-01 october --keep 365d
        falcon-catalog tag weather.observations
        falcon-catalog tag weather.observations before-fix --delete

    Without TAG the tags are listed. A snapshot with a tag is never expired while the tag is there.
    """
    _change(client, table, "tag", tag, replace=replace, delete=delete, keep=keep)


@client_command("branch")
@click.argument("table", type=NAME)
@click.argument("branch", required=False, shell_complete=complete_refs("table", "branch"))
@_replace
@_delete
@_keep
def branch(
    client: Client,
    table: Name,
    branch: str | None,
    *,
    replace: bool,
    delete: bool,
    keep: int | None,
) -> None:
    """Begin a branch at the current snapshot of TABLE, or at the one after @.

    \b
    Examples:
        falcon-catalog branch weather.observations audit
        falcon-catalog branch weather.observations@previous retry
        falcon-catalog branch weather.observations
        falcon-catalog branch weather.observations audit --delete

    Without BRANCH the branches are listed. Engines write to a branch
    without changing what readers of main see.
    """
    _change(client, table, "branch", branch, replace=replace, delete=delete, keep=keep)


@client_command("rollback")
@click.argument("table", type=NAME)
@click.option(
    "--branch",
    "ref",
    default=_MAIN,
    show_default=True,
    metavar="BRANCH",
    shell_complete=complete_refs("table", "branch"),
    help="Which to move.",
)
@click.option("--any", "is_any", is_flag=True, help="Allow a snapshot that is no ancestor.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
def rollback(client: Client, table: Name, ref: str, *, is_any: bool, dry_run: bool) -> None:
    """Make an earlier snapshot of TABLE, the one after @, current again.

    \b
    Examples:
        falcon-catalog rollback weather.observations@previous
        falcon-catalog rollback weather.observations@2026-11-01T12:00 --dry-run
        falcon-catalog rollback weather.observations@8214735025316923456

    Later snapshots stay in the table until they expire, so that a rollback can be rolled back, with
    --any. If another writer commits meanwhile, nothing changes and the command fails.
    """
    if table.at is None:
        raise click.UsageError(
            f"which snapshot? {table}@previous, @2026-11-01 or @ID; falcon-catalog log {table}"
            " lists them"
        )
    loaded = find_table(client, table)
    before = _ref(loaded, ref, "branch")
    snapshot = snapshot_at(loaded, table.entity, table.at)
    if not is_any and snapshot.snapshot_id not in _ancestors(loaded, before.snapshot_id):
        raise ConsoleError(
            f"snapshot {snapshot.snapshot_id} is no ancestor of branch {ref}: what it has was never"
            " there, or was rolled back. --any makes it current nevertheless"
        )
    if not dry_run and snapshot.snapshot_id != before.snapshot_id:
        _point(client, loaded, ref, "branch", snapshot, before=before, keep=None)
    out = client.out
    if out.as_json:
        ids = {"before": before.snapshot_id, "after": snapshot.snapshot_id}
        out.document({"name": str(table.entity), "branch": ref, **ids, "dry-run": dry_run})
    elif out.quiet:
        out.names([snapshot.snapshot_id])
    elif snapshot.snapshot_id == before.snapshot_id:
        out.line(f"{table.entity}: branch {ref} is at snapshot {snapshot.snapshot_id} already")
    else:
        verb = "would be" if dry_run else "is"
        at = f"{snapshot.snapshot_id}, {out.moment(snapshot.timestamp_ms)}"
        out.line(f"{table.entity}: branch {ref} {verb} back at snapshot {at}")


def _change(
    client: Client,
    table: Name,
    kind: str,
    ref: str | None,
    *,
    replace: bool,
    delete: bool,
    keep: int | None,
) -> None:
    """Create, move or remove a branch or tag, or list those that there are."""
    if delete and (replace or keep is not None or table.at is not None):
        raise click.UsageError(f"--delete takes a {kind} and nothing else")
    if ref is None and (replace or delete or keep is not None or table.at is not None):
        raise click.UsageError(f"which {kind}? Give its name after the table")
    loaded = find_table(client, table)
    if ref is None:
        _list(client, loaded, kind)
        return
    if delete:
        _remove(client, loaded, ref, kind)
        text, snapshot_id = f"{table.entity}: {kind} {ref} is removed", None
    else:
        snapshot = select(loaded, table)
        if snapshot is None:
            raise ConsoleError(f"{table.entity} has no snapshot yet")
        before = loaded.metadata.refs.get(ref)
        if before is not None and (not replace or before.snapshot_ref_type != kind):
            moves = f": --replace moves it to {snapshot.snapshot_id}"
            same = before.snapshot_ref_type == kind
            raise ConsoleError(
                f"{table.entity} has a {before.snapshot_ref_type} {ref} already, at snapshot"
                f" {before.snapshot_id}{moves if same else ''}"
            )
        _point(client, loaded, ref, kind, snapshot, before=before, keep=keep)
        snapshot_id = snapshot.snapshot_id
        text = f"{table.entity}: {kind} {ref} is at snapshot {snapshot_id}"
    out = client.out
    if out.as_json:
        out.document({"name": str(table.entity), kind: ref, "snapshot-id": snapshot_id})
    elif out.quiet:
        out.names([ref])
    else:
        out.line(text)


def _list(client: Client, table: "Table", kind: str) -> None:
    found = {
        name: ref
        for name, ref in sorted(table.metadata.refs.items())
        if ref.snapshot_ref_type == kind
    }
    out = client.out
    if out.as_json:
        out.document(
            [
                {"name": name, "snapshot-id": ref.snapshot_id, "max-ref-age-ms": ref.max_ref_age_ms}
                for name, ref in found.items()
            ]
        )
    elif out.quiet:
        out.names(found)
    elif not found:
        out.line(f"No {'branches' if kind == 'branch' else 'tags'}.")
    else:
        rows = []
        for name, ref in found.items():
            at = table.snapshot_by_id(ref.snapshot_id)
            rows.append((name, str(ref.snapshot_id), out.moment(at.timestamp_ms if at else None)))
        out.table([Column(kind), Column("snapshot"), Column("time (UTC)")], rows)


def _point(
    client: Client,
    table: "Table",
    ref: str,
    kind: str,
    snapshot: "Snapshot",
    *,
    before: "SnapshotRef | None",
    keep: int | None,
) -> None:
    """Let a branch or tag point at a snapshot, unless it has moved since it was read."""
    from pyiceberg.table.refs import SnapshotRefType
    from pyiceberg.table.update import AssertRefSnapshotId, AssertTableUUID, SetSnapshotRefUpdate

    kept = before if keep is None else None
    update = SetSnapshotRefUpdate.model_validate(
        {
            "ref-name": ref,
            "type": SnapshotRefType.TAG if kind == "tag" else SnapshotRefType.BRANCH,
            "snapshot-id": snapshot.snapshot_id,
            "max-ref-age-ms": kept.max_ref_age_ms if kept else keep,
            "max-snapshot-age-ms": before.max_snapshot_age_ms if before else None,
            "min-snapshots-to-keep": before.min_snapshots_to_keep if before else None,
        }
    )
    found_at = before.snapshot_id if before else None
    unmoved = AssertRefSnapshotId.model_validate({"ref": ref, "snapshot-id": found_at})
    same = AssertTableUUID(uuid=table.metadata.table_uuid)
    client.catalog.commit_table(table, (same, unmoved), (update,))


def _remove(client: Client, table: "Table", ref: str, kind: str) -> None:
    from pyiceberg.table.update import (
        AssertRefSnapshotId,
        AssertTableUUID,
        RemoveSnapshotRefUpdate,
    )

    found = _ref(table, ref, kind)
    if ref == _MAIN:
        raise ConsoleError("branch main cannot be removed: it is what readers see")
    unmoved = AssertRefSnapshotId.model_validate({"ref": ref, "snapshot-id": found.snapshot_id})
    same = AssertTableUUID(uuid=table.metadata.table_uuid)
    removal = RemoveSnapshotRefUpdate.model_validate({"ref-name": ref})
    client.catalog.commit_table(table, (same, unmoved), (removal,))


def _ref(table: "Table", ref: str, kind: str) -> "SnapshotRef":
    refs = {
        name: each for name, each in table.metadata.refs.items() if each.snapshot_ref_type == kind
    }
    if ref not in refs:
        raise NotFoundError(f"the table has no {kind} {ref}{did_you_mean(ref, list(refs))}")
    return refs[ref]


def _ancestors(table: "Table", snapshot_id: int | None) -> set[int]:
    """Return a snapshot and what came before it, as far back as nothing has expired."""
    found: set[int] = set()
    while snapshot_id is not None and snapshot_id not in found:
        snapshot = table.snapshot_by_id(snapshot_id)
        if snapshot is None:
            break
        found.add(snapshot_id)
        snapshot_id = snapshot.parent_snapshot_id
    return found
