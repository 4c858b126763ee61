"""The store by itself, without HTTP: rows in bulk, and what group commit gains there."""

import statistics
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.rounds import Line, interleave, quotients
from benchmarks.servers import store_url
from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.locations import key
from falcon_catalog.store import namespaces, open_database, tabulars, warehouses
from falcon_catalog.store.database import Database
from falcon_catalog.store.sqlite import writer

_WRITERS = 8


@contextmanager
def opened(folder: Path) -> Iterator[Database]:
    """Open the database of the server in this folder, which must not be running."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(open_database(store_url(folder))) as database:
        yield database


def fill(database: Database, namespace: str, tables: Iterable[tuple[str, str]]) -> None:
    """Add a namespace with tables, all in one transaction, through the store's own functions.

    That is some hundred times as fast as as many requests, and leaves the same rows.

    Args:
        database: as ``opened``.
        namespace: to make.
        tables: name and metadata file of each; ``…/metadata/x.json`` means a table at ``…``.
    """
    with database.write() as tx:
        warehouse = warehouses.ensure(tx, "default")
        named = Namespace((namespace,))
        namespaces.insert(tx, warehouse, named, parent_id=None, properties={})
        row = namespaces.find(tx, warehouse, named)
        if row is None:
            raise LookupError(namespace)
        for name, file in tables:
            tabulars.insert(
                tx,
                row.id,
                name,
                kind="table",
                uuid=name,
                metadata_location=f"file://{file}",
                location_key=key(f"file://{file.partition('/metadata/')[0]}"),
            )


def fill_namespaces(database: Database, names: Iterable[str]) -> None:
    """Add empty namespaces, as ``fill`` adds tables."""
    with database.write() as tx:
        warehouse = warehouses.ensure(tx, "default")
        for name in names:
            namespaces.insert(tx, warehouse, Namespace((name,)), parent_id=None, properties={})


def group_commit(bench: Bench) -> list[Line]:
    """Goal 9: pointers swapped by eight threads, in shared transactions and one at a time."""
    with opened(bench.place("store")) as database:
        fill(database, "ns", [(f"t{n}", f"/nowhere/t{n}/metadata/0.json") for n in range(_WRITERS)])
        cells = {
            "grouped": partial(_swaps, database, writer._LARGEST_BATCH, bench.seconds),  # noqa: SLF001
            "alone": partial(_swaps, database, 1, bench.seconds),
        }
        found = interleave(bench.rounds, cells)
    return [
        Line(
            "9",
            "8 writers, 8 tables: commits a second over those of one at a time, in the store",
            quotients(found["grouped"], found["alone"]),
            at_least=1.8,
            note=f"{statistics.median(found['grouped']):.0f} commits a second",
        )
    ]


def _swaps(database: Database, largest_batch: int, seconds: float) -> float:
    """Swap pointers from eight threads; return swaps a second."""
    usual = writer._LARGEST_BATCH  # noqa: SLF001 - nobody needs a setting that makes it slower
    writer._LARGEST_BATCH = largest_batch  # noqa: SLF001
    counts = [0] * _WRITERS
    started = time.perf_counter()
    threads = [
        threading.Thread(target=_swap, args=(database, number, counts, started + seconds))
        for number in range(_WRITERS)
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        writer._LARGEST_BATCH = usual  # noqa: SLF001
    return sum(counts) / (time.perf_counter() - started)


def _swap(database: Database, number: int, counts: list[int], until: float) -> None:
    identifier = TableIdentifier(Namespace(("ns",)), f"t{number}")
    with database.read() as tx:
        row = tabulars.find(tx, warehouse_id=1, identifier=identifier)
    if row is None:
        raise LookupError(identifier)
    old = row.metadata_location
    while time.perf_counter() < until:
        new = f"file:///nowhere/t{number}/metadata/{counts[number]}-{until}.json"
        with database.write() as tx:
            swapped = tabulars.swap(
                tx,
                1,
                identifier,
                row.id,
                old=old,
                new=new,
                location_key=row.location_key,
                uuid=row.uuid,
            )
        if not swapped:
            raise RuntimeError("somebody else changed the benchmark's table")
        old = new
        counts[number] += 1
