"""Stdout whose reader may leave first, as ``head`` does: the program then ends silently."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, cast

READER_LEFT = 141
"""Exit status of a program whose reader has left: a shell shows SIGPIPE as 128 + 13."""


class _Stdout:
    """A stream that ends the program once nobody reads it; otherwise the stream itself."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._ending():
            return int(self._stream.write(text))

    def writelines(self, lines: Any) -> None:
        with self._ending():
            self._stream.writelines(lines)

    def flush(self) -> None:
        with self._ending():
            self._stream.flush()

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            # Python flushes the rest when it exits: that must not fail again.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
            raise SystemExit(READER_LEFT) from None


@contextlib.contextmanager
def ending_with_its_reader() -> Iterator[None]:
    """End the program with status ``READER_LEFT`` when the reader of stdout has left.

    SystemExit passes what turns errors into a message. SIGPIPE stays ignored: with it, a
    connection that a server closes would end the program, too.
    """
    if sys.stdout is None:
        yield
        return
    guarded = _Stdout(sys.stdout)
    with contextlib.redirect_stdout(cast("Any", guarded)):
        try:
            yield
        finally:
            guarded.flush()
