"""Settings of what is kept: rows, files, what memory holds of them, plans of scans."""

from dataclasses import dataclass, field

from falcon_catalog import rules
from falcon_catalog.settings.describing import MEBIBYTE, about


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the catalog's rows are."""

    url: str = field(
        metadata=about(
            "The catalog's database: sqlite:///relative.db or sqlite:////absolute.db.",
            rules.store_url,
            flag="--store",
            derived="sqlite:///{state}/catalog.db",
        ),
    )
    durability: str = field(
        default="full",
        metadata=about(
            "full: what was acknowledged survives a power cut; relaxed: a power cut may take the"
            " last seconds' commits, and leave tables whose newest metadata is gone.",
            rules.one_of("full", "relaxed"),
        ),
    )


@dataclass(frozen=True, slots=True)
class WarehouseSettings:
    """Where the tables' files are."""

    location: str = field(
        metadata=about(
            "Root of the tables' files: file:///absolute/path.",
            rules.location,
            flag="--warehouse",
            derived="file://{state}/warehouse",
        ),
    )
    name: str = field(
        default="default",
        metadata=about(
            "Name by which clients may ask for the warehouse.",
            rules.warehouse_name,
            flag="--warehouse-name",
        ),
    )
    more: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "More warehouses, with namespaces and tables of their own: NAME=file:///absolute/path.",
            rules.named_locations,
        ),
    )
    allowed_locations: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "More roots under which a client may place or register a table.", rules.locations
        ),
    )
    allow_overlap: bool = field(
        default=False,
        metadata=about(
            "Whether a client may place a table at, around or inside another one's location.",
            rules.boolean,
        ),
    )
    drop_retention: int = field(
        default=7 * 86400,
        metadata=about(
            "Seconds in which a dropped table or view can be undropped; only after them are the"
            " files of a purged table deleted.",
            rules.whole(0, 10 * 366 * 86400),
        ),
    )

    @property
    def roots(self) -> dict[str, str]:
        """The location of each warehouse by its name, the default one first."""
        return {self.name: self.location, **dict(map(rules.named_location, self.more))}


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """What is kept in memory."""

    documents_bytes: int = field(
        default=128 * MEBIBYTE,
        metadata=about(
            "Memory for the metadata of tables and views that were used last, in bytes, for each"
            " process.",
            rules.whole(0, 64 * 1024 * MEBIBYTE),
        ),
    )
    manifests_bytes: int = field(
        default=64 * MEBIBYTE,
        metadata=about(
            "Memory for the manifests that scans were planned over last, in bytes, for each"
            " process.",
            rules.whole(0, 64 * 1024 * MEBIBYTE),
        ),
    )


@dataclass(frozen=True, slots=True)
class PlanningSettings:
    """How scans are planned for clients."""

    sync_manifests: int = field(
        default=64,
        metadata=about(
            "Scans over more manifests than this are planned in the background, for which"
            " clients must ask again: Java does, PyIceberg 0.12 cannot.",
            rules.whole(0, 1_000_000),
        ),
    )
    page_files: int = field(
        default=1000,
        metadata=about("Data files in one answer to a scan.", rules.whole(1, 100_000)),
    )
    keep_seconds: int = field(
        default=3600,
        metadata=about(
            "Seconds that a planned scan can be fetched for.", rules.whole(1, 7 * 86400)
        ),
    )
