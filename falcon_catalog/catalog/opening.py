"""Open what the settings name: one store, and the catalog of each warehouse in it."""

from falcon_catalog import rules
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.catalog.planner import Planner, PlanningLimits
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.settings import Settings
from falcon_catalog.store import warehouses
from falcon_catalog.store.database import Database
from falcon_catalog.telemetry.meters import Meters


def open_catalogs(settings: Settings, meters: Meters | None = None) -> list[Catalog]:
    """Return the catalogs of all warehouses, the default one first; they share one database.

    ``meters`` count what is done in them.

    Raises:
        StoreError: the database cannot be opened.
    """
    meters = meters or Meters()
    database = Database.open(settings.store.url)
    database.time_commit = meters.commit.time
    database.time_transaction = meters.transaction.time
    planner = Planner(
        PlanningLimits(
            sync_manifests=settings.planning.sync_manifests,
            page_files=settings.planning.page_files,
            keep_ms=settings.planning.keep_seconds * 1000,
        )
    )
    roots = {settings.warehouse.name: settings.warehouse.location}
    roots |= dict(map(rules.named_location, settings.warehouse.more))
    return [
        _open_catalog(settings, database, planner, meters, (name, location))
        for name, location in roots.items()
    ]


def close_catalogs(catalogs: list[Catalog]) -> None:
    """Close what they share; nothing may be running in them."""
    catalogs[0].close()


def _open_catalog(
    settings: Settings,
    database: Database,
    planner: Planner,
    meters: Meters,
    named: tuple[str, str],
) -> Catalog:
    name, location = named
    with database.write() as tx:
        warehouse_id = warehouses.ensure(tx, name)
    return Catalog(
        database=database,
        files=LocalFileIO(time_sync=meters.sync.time),
        warehouse_id=warehouse_id,
        name=name,
        location=location,
        allowed_locations=(location, *settings.warehouse.allowed_locations),
        allow_overlap=settings.warehouse.allow_overlap,
        drop_retention_ms=settings.warehouse.drop_retention * 1000,
        keep_reports=settings.metrics.keep_reports,
        planner=planner,
        meters=meters,
    )
