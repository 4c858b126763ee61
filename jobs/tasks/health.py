"""Whether the weather service is down, or only some of its stations are."""

import threading

from jobs.nws.client import WeatherClient
from jobs.nws.errors import WeatherError
from jobs.tasks.periods import Window

# Stations that fail in a row before one that answered is requested again, as a probe.
IN_A_ROW = 10


class Health:
    """The service's health over the stations of one fetch; may be shared by threads."""

    def __init__(self, service: WeatherClient) -> None:
        self.down = False
        self._service = service
        self._lock = threading.Lock()
        # Failures since a station answered, and since the last probe.
        self._failed = self._unprobed = 0
        self._witness: tuple[str, Window] | None = None

    def expect(self, station: str, window: Window) -> None:
        """Note a station that answered in an earlier attempt."""
        self._witness = self._witness or (station, window)

    def answered(self, station: str, window: Window) -> None:
        """Note a station that answered."""
        with self._lock:
            self._failed = self._unprobed = 0
            self._witness = station, window

    def failed(self) -> None:
        """Note a station that failed; after many in a row, probe the service."""
        with self._lock:
            self._failed += 1
            self._unprobed += 1
            if self._unprobed < IN_A_ROW:
                return
            self._unprobed = 0
        self.down = self.down or not self._probe()

    def is_down(self) -> bool:
        """Return whether the service is down at the end of a fetch."""
        return self.down or bool(self._failed and not self._probe())

    def _probe(self) -> bool:
        if self._witness is None:
            return False
        station, (start, end) = self._witness
        try:
            self._service.observations(station, start, end)
        except WeatherError:
            return False
        return True
