"""Times in a table's metadata, and the server's clock.

Source: ``TableMetadata`` of Apache Iceberg's Java library, which allows clocks of writers to differ
by a minute: the snapshot log must be in order, and no later than the metadata itself.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from falcon_catalog.metadata import properties
from falcon_catalog.metadata.json_fields import JSON

CLOCK_SKEW_MS = 60_000


def iso(milliseconds: int) -> str:
    """Return a time in milliseconds since 1970-01-01 as ISO 8601 to the second, UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def logged_ms(log: Sequence[JSON]) -> int:
    """Return the time of the last entry of a snapshot log; 0 if there is none."""
    time: int = log[-1]["timestamp-ms"] if log else 0
    return time


def is_ahead(metadata: JSON, now_ms: int) -> bool:
    """Return whether a table accepts no append yet: main's last snapshot is from the future."""
    return logged_ms(metadata["snapshot-log"]) > now_ms + CLOCK_SKEW_MS


def set_back(metadata: JSON, metadata_location: str, now_ms: int) -> JSON:
    """Return the next version of metadata, all of whose times that are ahead are ``now_ms``.

    ``metadata_location`` is the file that it was read from. The log and the snapshots keep their
    order.
    """
    past = {
        key: [{**item, "timestamp-ms": min(item["timestamp-ms"], now_ms)} for item in metadata[key]]
        for key in ("snapshots", "snapshot-log", "metadata-log")
    }
    base = metadata | past | {"last-updated-ms": min(metadata["last-updated-ms"], now_ms)}
    log = properties.metadata_log(base, metadata_location)
    return base | {"metadata-log": log, "last-updated-ms": now_ms}
