"""Open what the settings name: one store, and the catalog of each warehouse in it."""

import contextlib

from falcon_catalog import rules
from falcon_catalog.catalog import marker
from falcon_catalog.catalog.base import Catalog, CommitCounts, PurgeCounts
from falcon_catalog.catalog.documents import Documents
from falcon_catalog.catalog.mount import Mount, MountedFiles, Warehouse, warehouses_of
from falcon_catalog.catalog.planner import Planner, PlanningLimits
from falcon_catalog.catalog.planning.kept import Manifests
from falcon_catalog.catalog.turns import Turns
from falcon_catalog.errors import CatalogError
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.settings import Settings, make_writable
from falcon_catalog.store import creation, warehouses
from falcon_catalog.store.database import Database, Doubt, StoreError
from falcon_catalog.telemetry.meters import Meters

_ADOPT = (
    "If the folder is to be this store's warehouse as it is, start once with --adopt-warehouse;"
    " if the store was lost, restore it with falcon-catalog restore; else give the right --store"
    " or --warehouse"
)


def prepare_store(settings: Settings, *, adopt: bool = False) -> None:
    """Make or migrate the store, and mark its warehouses, as ``open_catalogs`` does; close it.

    Args:
        settings: what to open.
        adopt: whether the operator says that the folders are this store's, whatever they hold.

    Raises:
        StoreError, SettingsError: as ``open_catalogs``.
    """
    database = _open_database(settings, None, adopt=adopt)
    try:
        for warehouse in warehouses_of(settings.warehouse.roots):
            _claim(settings, database, Mount(LocalFileIO(), database, warehouse), adopt=adopt)
    finally:
        database.close()


def require_writable(settings: Settings) -> None:
    """See that the warehouses that are there can be written, before a server starts on them.

    Raises:
        SettingsError: one cannot.
    """
    for warehouse in warehouses_of(settings.warehouse.roots):
        with contextlib.suppress(CatalogError):
            if LocalFileIO().exists(marker.location(warehouse.root)):
                _make_writable(settings, warehouse)


def open_catalogs(
    settings: Settings, meters: Meters | None = None, doubt: Doubt | None = None
) -> list[Catalog]:
    """Return the catalogs of all warehouses, the default one first; they share one database.

    ``meters`` count what is done in them. Processes that work together share a ``doubt``.

    A warehouse that is not there is none in the way: its catalog refuses work until it is.

    Raises:
        StoreError: the database cannot be opened, or a warehouse holds what is not this store's.
        SettingsError: a new warehouse cannot be made or written.
    """
    meters = meters or Meters()
    database = _open_database(settings, doubt)
    try:
        return _catalogs(settings, meters, database)
    except BaseException:
        database.close()
        raise


def _catalogs(settings: Settings, meters: Meters, database: Database) -> list[Catalog]:
    database.time_transaction = meters.transaction.time
    database.writer.time_commit = meters.commit.time
    planner = Planner(
        PlanningLimits(
            sync_manifests=settings.planning.sync_manifests,
            page_files=settings.planning.page_files,
            names=settings.limits.columns,
            keep_ms=settings.planning.keep_seconds * 1000,
        )
    )
    durable = settings.store.durability == "full"
    files = LocalFileIO(durable=durable, time_sync=meters.sync.time)
    mounts = [Mount(files, database, each) for each in warehouses_of(settings.warehouse.roots)]
    for mount in mounts:
        _claim(settings, database, mount)
        mount.absence()  # logged, if it is not there
    documents, turns = Documents(settings.cache.documents_bytes), Turns()
    commits, purges = CommitCounts(), PurgeCounts()
    manifests = Manifests(settings.cache.manifests_bytes)
    _count(meters, documents, commits)
    _count_manifests(meters, manifests)
    return [
        Catalog(
            database=database,
            files=MountedFiles(files, mount),
            mount=mount,
            warehouse_id=_warehouse_id(database, mount.warehouse.name),
            name=mount.warehouse.name,
            location=mount.warehouse.root,
            allowed_locations=(mount.warehouse.root, *settings.warehouse.allowed_locations),
            allow_overlap=settings.warehouse.allow_overlap,
            drop_retention_ms=settings.warehouse.drop_retention * 1000,
            properties_bytes=settings.limits.properties_bytes,
            keep_reports=settings.metrics.keep_reports,
            planner=planner,
            documents=documents,
            manifests=manifests,
            turns=turns,
            commits=commits,
            purges=purges,
        )
        for mount in mounts
    ]


def _open_database(settings: Settings, doubt: Doubt | None, *, adopt: bool = False) -> Database:
    """Open the store, made if it is new: but not beside warehouses that hold something."""
    if not adopt and not creation.is_made(rules.store_path(settings.store.url)):
        for name, root in settings.warehouse.roots.items():
            if not LocalFileIO().is_empty(root):
                what = f"there is no store at {settings.store.url}, but the {Warehouse(name, root)}"
                raise StoreError(f"{what} holds files. {_ADOPT}")
    return Database.open(settings.store.url, settings.store.durability, doubt)


def _claim(settings: Settings, database: Database, mount: Mount, *, adopt: bool = False) -> None:
    """Mark a warehouse that is there or new as this store's; leave one that is not there alone."""
    warehouse = mount.warehouse
    _warehouse_id(database, warehouse.name)
    found = mount.examine(adopt=adopt)
    if found.state == "refused":
        raise StoreError(f"cannot use the {warehouse}: {found.why}. {_ADOPT}")
    if adopt and not found.is_there:
        raise StoreError(f"cannot adopt the {warehouse}: {found.why}")
    if found.state == "unmarked":
        _make_writable(settings, warehouse)
    mount.mark(adopt=adopt)


def _make_writable(settings: Settings, warehouse: Warehouse) -> None:
    is_default = warehouse.name == settings.warehouse.name
    setting = "warehouse.location" if is_default else "warehouse.more"
    make_writable(settings, setting, rules.location_path(warehouse.root))


def close_catalogs(catalogs: list[Catalog]) -> None:
    """Close what they share; nothing may be running in them."""
    catalogs[0].close()


def _count(meters: Meters, documents: Documents, commits: CommitCounts) -> None:
    meters.poll(meters.cache_hits, lambda: documents.hits)
    meters.poll(meters.cache_misses, lambda: documents.misses)
    meters.poll(meters.cache_bytes, lambda: documents.used_bytes)
    meters.poll(meters.retries, lambda: commits.retries)


def _count_manifests(meters: Meters, manifests: Manifests) -> None:
    meters.poll(meters.manifest_hits, lambda: manifests.hits)
    meters.poll(meters.manifest_misses, lambda: manifests.misses)
    meters.poll(meters.manifest_bytes, lambda: manifests.used_bytes)


def _warehouse_id(database: Database, name: str) -> int:
    with database.write() as tx:
        return warehouses.ensure(tx, name)
