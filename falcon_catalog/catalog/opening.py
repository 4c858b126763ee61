"""Open what the settings name: one store, and the catalog of each warehouse in it."""

from falcon_catalog import rules
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.catalog.planner import Planner, PlanningLimits
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.settings import Settings
from falcon_catalog.store import warehouses
from falcon_catalog.store.database import Database


def open_catalogs(settings: Settings) -> list[Catalog]:
    """Return the catalogs of all warehouses, the default one first; they share one database.

    Raises:
        StoreError: the database cannot be opened.
    """
    database = Database.open(settings.store.url)
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
        _open_catalog(settings, database, planner, name, location)
        for name, location in roots.items()
    ]


def close_catalogs(catalogs: list[Catalog]) -> None:
    """Close what they share; nothing may be running in them."""
    catalogs[0].close()


def _open_catalog(
    settings: Settings, database: Database, planner: Planner, name: str, location: str
) -> Catalog:
    with database.write() as tx:
        warehouse_id = warehouses.ensure(tx, name)
    return Catalog(
        database=database,
        files=LocalFileIO(),
        warehouse_id=warehouse_id,
        name=name,
        location=location,
        allowed_locations=(location, *settings.warehouse.allowed_locations),
        allow_overlap=settings.warehouse.allow_overlap,
        drop_retention_ms=settings.warehouse.drop_retention * 1000,
        keep_reports=settings.metrics.keep_reports,
        planner=planner,
    )
