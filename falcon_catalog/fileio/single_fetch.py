"""One thread fetches something from a cloud for all that need it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from falcon_catalog.errors import ServiceUnavailableError


class SingleFetch:
    """A lock whose holder fetches; who has waited for it shares its failure.

    Else each of the waiting threads would wait for a service that does not answer, one after the
    other.
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
