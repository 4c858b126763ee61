"""Point a catalog at a warehouse that was moved: metadata, manifests, deletes and rows.

First everything is read and checked. Then new files are written beside the copies at the new
location, read back and compared. Finally all pointers are switched in one transaction.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from falcon_catalog import rules
from falcon_catalog.backup import avro
from falcon_catalog.backup.prefix import Move, RelocationError
from falcon_catalog.backup.rewriting import Rewriter
from falcon_catalog.catalog import events
from falcon_catalog.catalog.events import Event
from falcon_catalog.doctor.check import Progress
from falcon_catalog.doctor.metadata_files import kind_of
from falcon_catalog.errors import CatalogError
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.locations import is_inside, key, nested
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.settings import Settings
from falcon_catalog.store import relocation, survey, warehouses
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.sqlite import locks, read_only
from falcon_catalog.store.sqlite.connection import SqliteDatabase
from falcon_catalog.store.survey import Pointer

_EVERY = 500
_PLANNED = re.compile(r"/(?:plan|tasks)(?: .*)?$")


@dataclass(frozen=True, slots=True)
class Order:
    """The parameters of a relocation."""

    settings: Settings
    move: Move
    files: FileIO
    dry: bool = False
    skip_broken: bool = False
    """Whether to relocate the other tables if some cannot be."""


@dataclass(slots=True)
class Moved:
    """One table or view, and the result of its relocation."""

    pointer: Pointer
    metadata_location: str
    location_key: str
    files: int = 0
    """The number of files written."""
    bytes: int = 0
    problems: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def is_changed(self) -> bool:
        """Whether its row must be changed."""
        now = (self.pointer.metadata_location, self.pointer.location_key)
        return (self.metadata_location, self.location_key) != now


@dataclass(slots=True)
class Outcome:
    """The result of a relocation."""

    moved: list[Moved]
    """All tables and views, including those that need no change."""
    switched: bool = False
    """Whether the rows point at the new location now."""
    left: list[str] = field(default_factory=list)
    """Values that mention the old location and were kept."""

    @property
    def changed(self) -> list[Moved]:
        """The tables and views that are relocated, or would be."""
        return [one for one in self.moved if one.is_changed and not one.problems]

    @property
    def broken(self) -> list[Moved]:
        """The tables and views that cannot be relocated."""
        return [one for one in self.moved if one.problems]

    def as_json(self) -> dict[str, Any]:
        """Return whether the tables were switched, and what became of each."""
        return {
            "switched": self.switched,
            "relocated": [
                {"entity": str(one.pointer), "files": one.files, "bytes": one.bytes}
                for one in self.changed
            ],
            "broken": [
                {"entity": str(one.pointer), "problems": one.problems} for one in self.broken
            ],
            "left": [*self.left, *(f"{m.pointer}: {line}" for m in self.moved for line in m.left)],
        }


def relocate(order: Order, progress: Progress) -> Outcome:
    """Relocate everything at the old location; the files must already be at the new one.

    In a dry run, and if anything is broken without ``skip_broken``, nothing is written.

    Raises:
        RelocationError: the settings name the old location, or a written file is wrong.
        StoreError: the store is in use or damaged.
        CatalogError: a file could not be written, or COMMIT failed; run it again.
    """
    avro.require()
    path = order.settings.store.path
    with locks.exclusive(path):
        with read_only.connect(path) as tx:
            _check_settings(order)
            pointers = survey.all_pointers(tx)
            left = list(_left_in_rows(tx, order.move))
        checked = list(_each(order, pointers, progress, dry=True))
        _check_places(order, checked)
        outcome = Outcome(checked, left=left)
        if order.dry or (outcome.broken and not order.skip_broken) or not _has_work(order, outcome):
            return outcome
        written = list(_each(order, [one.pointer for one in outcome.changed], progress, dry=False))
        _switch(order, written)
        by_pointer = {one.pointer: one for one in written}
        outcome.moved = [by_pointer.get(one.pointer, one) for one in checked]
        outcome.switched = True
    return outcome


def _check_settings(order: Order) -> None:
    lines = []
    for name, section in order.settings.warehouse.sections.items():
        if (new_root := order.move(section.location)) != section.location:
            lines.append(
                f"warehouse.{name}.location = {orjson.dumps(new_root).decode()} (it is"
                f" {orjson.dumps(section.location).decode()}, from {section.given['location']})"
            )
    for setting in ("warehouse.location", "warehouse.more"):
        given = order.settings.value(setting)
        if isinstance(given, str):
            value: str | list[str] = given
            new: str | list[str] = order.move(given)
        else:  # NAME=LOCATION of each
            value = list(given)
            named = map(rules.named_location, value)
            new = [f"{name}={order.move(location)}" for name, location in named]
        if new != value:
            lines.append(
                f"{setting} = {orjson.dumps(new).decode()} (it is"
                f" {orjson.dumps(value).decode()}, from {order.settings.origins[setting]})"
            )
    if lines:
        raise RelocationError(
            "the settings still name the old location. Nothing was changed. Set"
            f" {'; '.join(lines)}; then run the command again"
        )


def _has_work(order: Order, outcome: Outcome) -> bool:
    if outcome.changed:
        return True
    with read_only.connect(order.settings.store.path) as tx:
        return any(True for _ in _documents(tx, order.move)) or any(
            order.move.changes(location) for _, location in warehouses.marked(tx)
        )


def _each(
    order: Order, pointers: list[Pointer], progress: Progress, *, dry: bool
) -> Iterator[Moved]:
    """Yield the result for each table and view; write the new files unless ``dry``."""
    done = "checked" if dry else "written"
    for number, pointer in enumerate(pointers, 1):

        def count_manifests(count: int, pointer: Pointer = pointer) -> None:
            if count % _EVERY == 0:
                progress(f"{pointer}: {count} manifests {done}")

        rewriter = Rewriter(order.move, order.files, dry, pointer.purging, count_manifests)
        moved = _one(order, pointer, rewriter)
        if moved.problems and not dry:
            raise RelocationError(f"{pointer} changed meanwhile: {moved.problems[0]}")
        yield moved
        if number % _EVERY == 0:
            progress(f"{number} of {len(pointers)} tables and views {done}")


def _one(order: Order, pointer: Pointer, rewriter: Rewriter) -> Moved:
    location_key = order.move(pointer.location_key)
    metadata_location = order.move(pointer.metadata_location)
    problems = rewriter.problems
    repair = "repair that first with falcon-catalog doctor"
    try:
        metadata_location, metadata = rewriter.metadata(pointer.metadata_location)
        if (uuid := kind_of(pointer).uuid_of(metadata)) != pointer.uuid:
            problems.append(
                f"{metadata_location} is the metadata of {uuid}, the row is that of"
                f" {pointer.uuid}: {repair}"
            )
        if (has := key(metadata["location"])) != location_key and pointer.place == "living":
            problems.append(f"its row has {pointer.location_key}, its metadata {has}: {repair}")
    except CatalogError as error:
        # A purge deletes the metadata file last.
        if not pointer.purging:
            problems.append(str(error))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        problems.append(f"its metadata cannot be understood: {error!r}")
    return Moved(
        pointer,
        metadata_location,
        location_key,
        files=rewriter.written,
        bytes=rewriter.written_bytes,
        problems=problems,
        left=rewriter.left,
    )


def _check_places(order: Order, moved: list[Moved]) -> None:
    """Add problems of tables that would be outside the settings' locations, or overlap others."""
    settings = order.settings.warehouse
    for one in moved:
        if not one.is_changed:
            continue
        storage = settings.storages.get(one.pointer.warehouse)
        allowed = [storage.location, *storage.allowed_locations] if storage else []
        if not any(is_inside(one.location_key, each) for each in allowed):
            one.problems.append(
                f"{one.location_key} is outside the locations of warehouse"
                f" {one.pointer.warehouse} in the settings: {', '.join(allowed) or 'none'}"
            )
    if settings.allow_overlap:
        return
    living = {one.pointer.id: one for one in moved if one.pointer.place == "living"}
    before = set(nested((one.pointer.location_key, row) for row, one in living.items()))
    for outer, inner in nested((one.location_key, row) for row, one in living.items()):
        if (outer, inner) not in before:
            problem = f"{living[inner].location_key} would lie in or at {living[outer].pointer}"
            living[inner].problems.append(problem)


def _switch(order: Order, written: list[Moved]) -> None:
    """Update all pointers and all other rows with a location, in one transaction."""
    places = {one.pointer.metadata_location: one.metadata_location for one in written}
    path = order.settings.store.path
    with contextlib.closing(SqliteDatabase(path)) as database, database.write() as tx:
        for one in written:
            pointer = one.pointer
            if not relocation.repoint(
                tx,
                pointer.place,
                pointer.id,
                old=pointer.metadata_location,
                new=one.metadata_location,
                location_key=one.location_key,
            ):
                raise RelocationError(f"{pointer} changed meanwhile; nothing was switched")
            relocation.move_paths(tx, pointer.place, pointer.id, order.move)
            if pointer.place == "living":
                relocation.forget_plans(tx, pointer.id)
            events.record(tx, events.local(pointer.warehouse), _event(one))
        for what, row_id, document in _documents(tx, order.move):
            relocation.set_document(tx, what, row_id, orjson.dumps(document).decode())
            moved = Event("relocate", what.removesuffix("s"), None, id=row_id)
            events.record(tx, events.local(), moved)
        for name, location in warehouses.marked(tx):
            if order.move.changes(location):
                warehouses.mark(tx, name, order.move(location))
        for answer in relocation.answers(tx):
            _move_answer(tx, answer, order.move, places)


def _event(moved: Moved) -> Event:
    pointer = moved.pointer
    return Event(
        "relocate",
        pointer.kind,
        pointer.identifier,
        id=pointer.id,
        uuid=pointer.uuid,
        before=pointer.metadata_location,
        after=moved.metadata_location,
        detail={"place": pointer.place},
    )


def _documents(tx: Transaction, move: Move) -> Iterator[tuple[relocation.Document, int, JSON]]:
    """Yield the documents of namespaces and functions at the old location, with the new one."""
    kinds: tuple[relocation.Document, ...] = ("namespaces", "functions")
    for what in kinds:
        for row_id, text in relocation.documents(tx, what):
            document = orjson.loads(text)
            location = document.get("location")
            if isinstance(location, str) and move.changes(location):
                yield what, row_id, {**document, "location": move(location)}


def _left_in_rows(tx: Transaction, move: Move) -> Iterator[str]:
    """Yield properties that mention the old location and that the catalog must not change."""
    for what, name, text in survey.documents(tx):
        try:
            document = dict(orjson.loads(text))
        except (orjson.JSONDecodeError, TypeError, ValueError) as error:
            raise RelocationError(
                f"the {what} {name} is damaged: run falcon-catalog doctor"
            ) from error
        document.pop("location", None)
        if move.is_mentioned(rest := orjson.dumps(document).decode()):
            yield f"{what} {name}: {rest:.200}"


def _move_answer(
    tx: Transaction, kept: relocation.Answer, move: Move, places: dict[str, str]
) -> None:
    """Update or delete a recorded answer that refers to the old location."""
    answer: JSON = orjson.loads(kept.answer)
    new = dict(answer)
    if isinstance(location := answer.get("metadata-location"), str):
        # Earlier states are not rewritten. With a location that does not exist, a retry is told
        # that the request was completed and its state cannot be read; no client deletes a file.
        elsewhere = f"{move(location)}.relocated" if move.changes(location) else location
        new["metadata-location"] = places.get(location, elsewhere)
    if "body" in answer:
        new["body"] = move.deep(answer["body"])
    if new == answer:
        return
    if _PLANNED.search(kept.request):
        relocation.delete_answer(tx, kept)  # planning can be repeated, and finds the new files
    else:
        relocation.set_answer(tx, kept, orjson.dumps(new).decode())
