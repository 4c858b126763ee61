"""Opening of the store and the warehouses that the settings name."""

import contextlib

from falcon_catalog import rules
from falcon_catalog.catalog import marker
from falcon_catalog.catalog.commit_locks import CommitLocks
from falcon_catalog.catalog.metadata_cache import LastCommits, MetadataCache
from falcon_catalog.catalog.mount import Mount, MountedFiles, Root, roots_of
from falcon_catalog.catalog.scan_planning.manifest_cache import ManifestCache
from falcon_catalog.catalog.scan_planning.worker import PlanningLimits, PlanWorker
from falcon_catalog.catalog.warehouse import Counters, Warehouse
from falcon_catalog.errors import CatalogError
from falcon_catalog.fileio.base import is_empty
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.locations import key
from falcon_catalog.metrics import Metrics
from falcon_catalog.settings import Settings, make_writable
from falcon_catalog.store import exists, open_database, warehouses
from falcon_catalog.store.database import Database, StoreError

_ADOPT = (
    "If the folder is to be this store's warehouse as it is, start once with --adopt-warehouse;"
    " if the store was lost, restore it with falcon-catalog restore; else give the right --store"
    " or --warehouse"
)


def prepare_store(settings: Settings, *, adopt: bool = False) -> None:
    """Create or migrate the store, and mark its warehouses. Raises as ``open_warehouses``.

    With ``adopt`` the warehouses' folders are accepted regardless of their content.
    """
    store = _open_database(settings, adopt=adopt)
    try:
        for root in roots_of(settings.warehouse.roots):
            _claim(settings, store, Mount(LocalFileIO(), store, root), adopt=adopt)
    finally:
        store.close()


def require_writable(settings: Settings) -> None:
    """Raise SettingsError if an available warehouse cannot be written."""
    for root in roots_of(settings.warehouse.roots):
        with contextlib.suppress(CatalogError):
            if LocalFileIO().exists(marker.location(root.location)):
                _make_writable(settings, root)


def open_warehouses(
    settings: Settings, metrics: Metrics | None = None, *, create: bool = True
) -> list[Warehouse]:
    """Return all warehouses, the default one first; they share one database and ``metrics``.

    Requests to a warehouse that is not mounted fail until it is. Without ``create`` a warehouse
    that the store does not know, or knows at another location, is an error.

    Raises:
        StoreError: the database cannot be opened, or a warehouse belongs to another store.
        SettingsError: a new warehouse cannot be created or written.
    """
    metrics = metrics or Metrics()
    store = _open_database(settings)
    try:
        return _open(settings, metrics, store, create=create)
    except BaseException:
        store.close()
        raise


def _open(
    settings: Settings, metrics: Metrics, store: Database, *, create: bool
) -> list[Warehouse]:
    store.observe(transaction=metrics.transaction.time, commit=metrics.commit.time)
    plans = PlanWorker(
        PlanningLimits(
            sync_manifests=settings.planning.sync_manifests,
            page_files=settings.planning.page_files,
            names=settings.limits.columns,
            keep_ms=settings.planning.keep_seconds * 1000,
        )
    )
    durable = settings.store.durability == "full"
    files = LocalFileIO(durable=durable, time_sync=metrics.sync.time)
    mounts = [Mount(files, store, root) for root in roots_of(settings.warehouse.roots)]
    for mount in mounts:
        if create:
            _claim(settings, store, mount)
        else:
            _require_known(settings, store, mount.root)
        mount.absence()  # logged, if the storage is not there
    metadata = MetadataCache(settings.cache.documents_bytes)
    manifests = ManifestCache(settings.cache.manifests_bytes)
    more = settings.warehouse.allowed_locations
    last_commits, commit_locks, counters = LastCommits(), CommitLocks(), Counters()
    metrics.cache_hits.poll(lambda: metadata.hits)
    metrics.cache_misses.poll(lambda: metadata.misses)
    metrics.cache_bytes.poll(lambda: metadata.used_bytes)
    metrics.retries.poll(lambda: counters.retries)
    metrics.manifest_hits.poll(lambda: manifests.hits)
    metrics.manifest_misses.poll(lambda: manifests.misses)
    metrics.manifest_bytes.poll(lambda: manifests.used_bytes)
    return [
        Warehouse(
            id=_warehouse_id(store, mount.root.name),
            name=mount.root.name,
            location=mount.root.location,
            store=store,
            files=MountedFiles(files.within((mount.root.location, *more)), mount),
            mount=mount,
            metadata=metadata,
            last_commits=last_commits,
            manifests=manifests,
            commit_locks=commit_locks,
            plans=plans,
            counters=counters,
            allowed_locations=(mount.root.location, *more),
            roots=tuple(settings.warehouse.roots.values()),
            allow_overlap=settings.warehouse.allow_overlap,
            properties_bytes=settings.limits.properties_bytes,
            drop_retention_ms=settings.warehouse.drop_retention * 1000,
            keep_reports=settings.metrics.keep_reports,
        )
        for mount in mounts
    ]


def _open_database(settings: Settings, *, adopt: bool = False) -> Database:
    """Open the store; do not create one beside warehouses with files, unless ``adopt`` is set."""
    if not adopt and not exists(settings.store.url):
        for name, location in settings.warehouse.roots.items():
            # Another process may have created both since the first check.
            if not is_empty(LocalFileIO(), location) and not exists(settings.store.url):
                what = f"there is no store at {settings.store.url}, but the {Root(name, location)}"
                raise StoreError(f"{what} holds files. {_ADOPT}")
    return open_database(settings.store.url, settings.store.durability)


def _claim(settings: Settings, store: Database, mount: Mount, *, adopt: bool = False) -> None:
    """Write the marker of a new warehouse; leave one that is not mounted alone.

    Raises:
        StoreError: the warehouse belongs to another store, or cannot be adopted.
    """
    root = mount.root
    _warehouse_id(store, root.name)
    found = mount.examine(adopt=adopt)
    if found.state == "refused":
        raise StoreError(f"cannot use the {root}: {found.why}. {_ADOPT}")
    if adopt and not found.is_there:
        raise StoreError(f"cannot adopt the {root}: {found.why}")
    if found.state == "unmarked":
        _make_writable(settings, root)
    mount.mark(adopt=adopt)


def _require_known(settings: Settings, store: Database, root: Root) -> None:
    tx = store.autocommit()
    row = warehouses.find(tx, root.name)
    if row is None:
        known = ", ".join(name for name, _ in warehouses.marked(tx)) or "none"
        raise StoreError(
            f"the store {settings.store.url} has no warehouse {root.name}, but {known}: give the"
            " settings of its server, with --config"
        )
    if row.marked_location not in (None, key(root.location)):
        raise StoreError(
            f"the {root} is at {row.marked_location} in the store {settings.store.url}. Nothing was"
            " changed: give the settings of its server, with --config or --warehouse"
        )


def _make_writable(settings: Settings, root: Root) -> None:
    is_default = root.name == settings.warehouse.name
    setting = "warehouse.location" if is_default else "warehouse.more"
    make_writable(settings, setting, rules.location_path(root.location))


def close_warehouses(warehouses: list[Warehouse]) -> None:
    """Stop planning and close the store that all warehouses share. No request may be running."""
    warehouses[0].plans.close()
    warehouses[0].store.close()


def _warehouse_id(store: Database, name: str) -> int:
    with store.write() as tx:
        return warehouses.ensure(tx, name)
