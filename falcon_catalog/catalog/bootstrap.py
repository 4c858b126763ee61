"""Opening of the store and the warehouses that the settings name."""

import contextlib
from collections.abc import Mapping

from falcon_catalog import rules
from falcon_catalog.catalog import marker
from falcon_catalog.catalog.audit import Audit
from falcon_catalog.catalog.issued_credentials import IssuedCredentials
from falcon_catalog.catalog.metadata_cache import LastCommits, MetadataCache
from falcon_catalog.catalog.mount import Mount, Root, roots_of
from falcon_catalog.catalog.permissions import Permissions
from falcon_catalog.catalog.scan_planning.manifest_cache import ManifestCache
from falcon_catalog.catalog.scan_planning.worker import PlanningLimits, PlanWorker
from falcon_catalog.catalog.store_mount import files_of, mount_of
from falcon_catalog.catalog.warehouse import CommitLocks, Counters, Warehouse
from falcon_catalog.errors import CatalogError, ObjectStoreError
from falcon_catalog.fileio.base import is_empty
from falcon_catalog.fileio.opening import open_storage
from falcon_catalog.fileio.storage import Storage
from falcon_catalog.locations import is_local, key, schemes_of
from falcon_catalog.metrics import Metrics
from falcon_catalog.settings import Settings, make_writable
from falcon_catalog.store import exists, open_database, warehouses
from falcon_catalog.store.database import Database, StoreError

_ADOPT = (
    "If the folder is to be this store's warehouse as it is, start once with --adopt-warehouse;"
    " if the store was lost, restore it with falcon-catalog restore; else give the right --store"
    " or --warehouse"
)


def prepare_store(settings: Settings, *, adopt: bool = False, upgrade: bool = False) -> None:
    """Create the store, and mark its warehouses. Raises as ``open_warehouses``.

    With ``adopt`` the warehouses' folders are accepted regardless of their content; with
    ``upgrade`` a store of an older version is migrated.
    """
    storages = _open_storages(settings, Metrics())
    store = _open_database(settings, storages, adopt=adopt, upgrade=upgrade)
    try:
        for root in roots_of(settings.warehouse.roots):
            mount = mount_of(storages[root.name].files, store, root)
            _claim(settings, store, mount, adopt=adopt)
    finally:
        store.close()


def require_writable(settings: Settings) -> None:
    """Raise SettingsError if an available local warehouse cannot be written."""
    for root in roots_of(settings.warehouse.roots):
        storage = settings.warehouse.storages[root.name]
        with contextlib.suppress(CatalogError):
            if is_local(root.location) and open_storage(root.name, storage).files.exists(
                marker.location(root.location)
            ):
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
    storages = _open_storages(settings, metrics)
    store = _open_database(settings, storages)
    try:
        return _open(settings, metrics, store, storages, create=create)
    except BaseException:
        store.close()
        raise


def _open_storages(settings: Settings, metrics: Metrics) -> dict[str, Storage]:
    """Return the storage of each warehouse by its name."""
    durable = settings.store.durability == "full"
    return {
        name: open_storage(name, storage, durable=durable, time_sync=metrics.sync.time)
        for name, storage in settings.warehouse.storages.items()
    }


def _open(
    settings: Settings,
    metrics: Metrics,
    store: Database,
    storages: Mapping[str, Storage],
    *,
    create: bool,
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
    roots = roots_of(settings.warehouse.roots)
    mounts = [mount_of(storages[root.name].files, store, root) for root in roots]
    for mount in mounts:
        if create:
            _claim(settings, store, mount)
        else:
            _require_known(settings, store, mount.root)
        mount.absence()  # logged, if the storage is not there
    metadata = MetadataCache(settings.cache.documents_bytes)
    manifests = ManifestCache(settings.cache.manifests_bytes)
    last_commits, counters, permissions = LastCommits(), Counters(), Permissions()
    audit = Audit(store, settings.audit)
    metrics.cache_hits.poll(lambda: metadata.hits)
    metrics.cache_misses.poll(lambda: metadata.misses)
    metrics.cache_bytes.poll(lambda: metadata.used_bytes)
    metrics.retries.poll(lambda: counters.retries)
    metrics.manifest_hits.poll(lambda: manifests.hits)
    metrics.manifest_misses.poll(lambda: manifests.misses)
    metrics.manifest_bytes.poll(lambda: manifests.used_bytes)
    opened = []
    for mount in mounts:
        name, location = mount.root.name, mount.root.location
        own = settings.warehouse.storages[name]
        allowed = (location, *own.allowed_locations)
        warehouse = Warehouse(
            id=_warehouse_id(store, name),
            name=name,
            location=location,
            store=store,
            files=files_of(storages[name].files.within(allowed), mount),
            mount=mount,
            storage=storages[name],
            storage_settings=own,
            commit_locks=CommitLocks(),
            schemes=schemes_of(allowed, aliases=own.allow_aliases),
            metadata=metadata,
            last_commits=last_commits,
            manifests=manifests,
            plans=plans,
            permissions=permissions,
            audit=audit,
            counters=counters,
            allowed_locations=allowed,
            roots=tuple(settings.warehouse.roots.values()),
            trusted_engines=frozenset(settings.auth.trusted_engines),
            allow_overlap=settings.warehouse.allow_overlap,
            properties_bytes=settings.limits.properties_bytes,
            namespace_tables=settings.limits.namespace_tables,
            namespace_properties=settings.limits.namespace_properties,
            drop_retention_ms=settings.warehouse.drop_retention * 1000,
            keep_reports=settings.metrics.keep_reports,
            issued=IssuedCredentials(f"The token service of warehouse {name}", own.max_requests),
        )
        opened.append(warehouse)
    return opened


def _open_database(
    settings: Settings,
    storages: Mapping[str, Storage],
    *,
    adopt: bool = False,
    upgrade: bool = False,
) -> Database:
    """Open the store; do not create one beside warehouses with files, unless ``adopt`` is set.

    An object store that does not answer now is left for later: the warehouse gets no marker, and
    while it has none, its files, if there are any, keep it from being used.
    """
    if not adopt and not exists(settings.store):
        for name, location in settings.warehouse.roots.items():
            try:
                is_full = not is_empty(storages[name].files, location)
            except ObjectStoreError as error:
                if not error.may_pass:
                    raise
                continue
            # Another process may have created both since the first check.
            if is_full and not exists(settings.store):
                what = f"there is no store at {settings.store.url}, but the {Root(name, location)}"
                raise StoreError(f"{what} holds files. {_ADOPT}")
    return open_database(settings.store, upgrade=upgrade)


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
    if found.is_there:
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
    if not is_local(root.location):
        return  # the marker is the test
    setting = "warehouse.more"
    if root.name == settings.warehouse.name:
        setting = "warehouse.location"
    elif root.name in settings.warehouse.sections:
        setting = f"warehouse.{root.name}.location"
    make_writable(settings, setting, rules.location_path(root.location))


def close_warehouses(warehouses: list[Warehouse]) -> None:
    """End the background threads and close the store that all share. No request may be running."""
    warehouses[0].plans.close()
    warehouses[0].audit.close()
    warehouses[0].store.close()


def _warehouse_id(store: Database, name: str) -> int:
    if (known := warehouses.find(store.autocommit(), name)) is not None:
        return known.id  # without a change, which a standby would refuse
    with store.write() as tx:
        return warehouses.ensure(tx, name)
