"""Open what the settings name: one store, and the catalog of each warehouse in it."""

from falcon_catalog import rules
from falcon_catalog.catalog.base import Catalog, CommitCounts, PurgeCounts
from falcon_catalog.catalog.documents import Documents
from falcon_catalog.catalog.planner import Planner, PlanningLimits
from falcon_catalog.catalog.planning.kept import Manifests
from falcon_catalog.catalog.turns import Turns
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.settings import Settings
from falcon_catalog.store import warehouses
from falcon_catalog.store.database import Database, Doubt
from falcon_catalog.telemetry.meters import Meters


def open_catalogs(
    settings: Settings, meters: Meters | None = None, doubt: Doubt | None = None
) -> list[Catalog]:
    """Return the catalogs of all warehouses, the default one first; they share one database.

    ``meters`` count what is done in them. Processes that work together share a ``doubt``.

    Raises:
        StoreError: the database cannot be opened.
    """
    meters = meters or Meters()
    database = Database.open(settings.store.url, settings.store.durability, doubt)
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
    documents, turns = Documents(settings.cache.documents_bytes), Turns()
    commits, purges = CommitCounts(), PurgeCounts()
    manifests = Manifests(settings.cache.manifests_bytes)
    _count(meters, documents, commits)
    _count_manifests(meters, manifests)
    roots = {settings.warehouse.name: settings.warehouse.location}
    roots |= dict(map(rules.named_location, settings.warehouse.more))
    return [
        Catalog(
            database=database,
            files=files,
            warehouse_id=_warehouse_id(database, name),
            name=name,
            location=location,
            allowed_locations=(location, *settings.warehouse.allowed_locations),
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
        for name, location in roots.items()
    ]


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
