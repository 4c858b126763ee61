"""One thread fetches something from a cloud for all that need it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from falcon_catalog.errors import ServiceUnavailableError


class SingleFetch:
    """A lock whose holder fetches. Threads that waited for it share its failure.

    Otherwise each of them would in turn wait for a service that does not respond.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._failure: tuple[float, str] | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the lock.

        Raises:
            ServiceUnavailableError: of the holder that was waited for.
        """
        began = monotonic()
        with self._guard:
            if self._failure is not None and self._failure[0] >= began:
                raise ServiceUnavailableError(self._failure[1])
            try:
                yield
            except ServiceUnavailableError as error:
                self._failure = monotonic(), error.message
                raise
