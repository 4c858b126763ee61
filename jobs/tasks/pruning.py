"""Pruning of data_dir: raw files that are loaded are removed, checkpoints compressed."""

import fnmatch
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs.targets import kept, pack
from jobs.tasks.alerts import Alerts
from jobs.tasks.load import LoadAlerts, LoadObservations, LoadStations
from jobs.tasks.observations import Observations
from jobs.tasks.periods import Period
from jobs.tasks.stations import Stations

# Raw files by name, and the checkpoints of what must have loaded them before they are removed.
_RAW = {
    Stations.file: (LoadStations.file, LoadObservations.file, LoadAlerts.file),
    Alerts.file: (LoadAlerts.file,),
    Observations.file: (LoadObservations.file,),
    "observations-*.json.gz": (LoadObservations.file,),
    "partial-observations-*.json.gz": (LoadObservations.file,),
}
# What people open stays as it is: the report and the documentation.
_COMPRESSED = {".json", ".txt"}


@dataclass(frozen=True)
class Pruned:
    """What was removed and compressed."""

    removed: int = 0
    compressed: int = 0
    freed: int = 0


def prune(data_dir: Path, days: float) -> Pruned:
    """Remove raw files and compress checkpoints that were written some days ago.

    Raw files stay as long as their period is not loaded, whatever their age. Periods stay complete:
    what is left of their checkpoints says so, and no step is done again.

    Args:
        data_dir: the pipeline's folder; only its folders of periods are looked at.
        days: the age of what is pruned; 0 prunes nothing.
    """
    if not days:
        return Pruned()
    oldest = time.time() - days * 86_400
    removed = compressed = freed = 0
    for folder in _folders(data_dir):
        for path in sorted(folder.iterdir()):
            status = path.lstat()
            if not path.is_file() or path.is_symlink() or status.st_mtime >= oldest:
                continue
            loads = next((needed for raw, needed in _RAW.items() if _is(path, raw)), None)
            if loads is not None and all(kept(folder / load).exists() for load in loads):
                path.unlink()
                removed, freed = removed + 1, freed + status.st_size
            elif loads is None and path.suffix in _COMPRESSED:
                pack(path)
                packed = kept(path).stat().st_size
                compressed, freed = compressed + 1, freed + status.st_size - packed
    return Pruned(removed, compressed, freed)


def _is(path: Path, pattern: str) -> bool:
    return fnmatch.fnmatchcase(path.name, pattern)


def _folders(data_dir: Path) -> Iterator[Path]:
    """Return the folders of periods and choices of stations."""
    for place in sorted(data_dir.glob("[12]*")):
        try:
            Period.parse(place.name)
        except ValueError:
            continue
        yield from (folder for folder in sorted(place.iterdir()) if folder.is_dir())
