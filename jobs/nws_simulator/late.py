"""Late and corrected reports: which ones, and when they are available."""

import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from zlib import crc32

from jobs.nws_simulator.data import Feature

_PARTS = 10_000
_LONGEST = 180  # minutes
_WHOLE_DEGREES = ("temperature", "dewpoint")


@dataclass(frozen=True, slots=True)
class Late:
    """This share of the reports comes 10 to 180 minutes late, as large a share comes twice.

    What comes twice comes first in whole degrees and without quality control, and 10 to 180
    minutes after its time as it is to stay. Which reports these are depends on station and time
    alone, so that every reader and every run meets the same.

    Raises:
        ValueError: a share outside 0 to 0.5.
    """

    share: float = 0.0

    def __post_init__(self) -> None:
        """Check the share."""
        if not 0 <= self.share <= 0.5:  # noqa: PLR2004 - both shares make a whole
            raise ValueError(f"late={self.share}: a share of late reports is between 0 and 0.5")

    def final(self, station_id: str, time: datetime) -> datetime:
        """Return when the final report of this time is available."""
        if not self.share:
            return time
        drawn = self._draw(station_id, time)
        if drawn >= 2 * self.share * _PARTS:
            return time
        return time + timedelta(minutes=10 + drawn * 7919 % (_LONGEST - 9))

    def seen(self, station_id: str, time: datetime, when: datetime) -> bool:
        """Return whether a reader at `when` finds the report at all."""
        if not self.share:
            return time <= when
        comes_twice = self._draw(station_id, time) >= self.share * _PARTS
        return time <= when and (comes_twice or self.final(station_id, time) <= when)

    def _draw(self, station_id: str, time: datetime) -> int:
        return crc32(f"{station_id} {time:%Y%m%d%H%M}".encode()) % _PARTS


def preliminary(feature: Feature) -> Feature:
    """Return a report as it is before its correction."""
    early = copy.deepcopy(feature)
    for field, quantity in early["properties"].items():
        if not isinstance(quantity, dict):
            continue
        if quantity.get("qualityControl"):
            quantity["qualityControl"] = "Z"
        if field in _WHOLE_DEGREES and isinstance(quantity.get("value"), int | float):
            quantity["value"] = float(round(quantity["value"]))
    return early
