"""One line on stderr for each thing worth telling: ``key=value`` pairs, or JSON.

Whatever a logging call passes in ``extra`` becomes a pair, and so does what a record has in
``pairs``; a traceback is one value.
"""

import functools
import json
import logging
import os
import re
import sys
import time

import orjson

from falcon_catalog.line_writer import LineWriter

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "pairs"}
# Printable ASCII but the quotation mark and the backslash; and but the blank and equals sign.
_QUOTABLE = re.compile(r"[ -!#-\[\]-~]+")
_SHORT = 256
_PATIENCE_SECONDS = 2.0  # for a reader who reads nothing, when there is nothing to do but to wait
_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")


class LineFormatter(logging.Formatter):
    """Format a record as one line of ``key=value`` pairs."""

    def __init__(self) -> None:
        super().__init__()
        self._second = (0, "")

    def format(self, record: logging.LogRecord) -> str:
        """Return ``time=… level=… logger=… message=…`` and what else the record carries."""
        line = (
            f"time={self._time(record)} level={record.levelname.lower()} logger={record.name}"
            f" message={_written(record.getMessage())}"
        )
        return line + "".join(
            [f" {key}={_written(value)}" for key, value in self.more(record).items()]
        )

    def more(self, record: logging.LogRecord) -> dict[str, object]:
        """Return what the record carries beside the usual."""
        more: dict[str, object] | None = getattr(record, "pairs", None)
        if more is None:
            more = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            more["exception"] = self.formatException(record.exc_info)
        return more

    def _time(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        if second != self._second[0]:  # a handler formats one record at a time
            self._second = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second[1]}.{int(record.msecs):03d}+00:00"


class JsonFormatter(LineFormatter):
    """Format a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the pairs as JSON; what is neither text, number nor true or false is text."""
        pairs = {
            "time": self._time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self.more(record),
        }
        try:
            text = orjson.dumps(pairs, default=str).decode()
        except TypeError:  # half a surrogate pair, or an integer beyond 64 bits
            return json.dumps(pairs, default=str)
        # What a terminal would obey, or turn around, is escaped as ASCII, as in text.
        return text if text.isprintable() else json.dumps(pairs, default=str)


class _Handler(logging.Handler):
    """Hands lines to a thread that writes them: no request waits for who reads the log."""

    def __init__(self, descriptor: int, form: str) -> None:
        super().__init__()
        self.setFormatter(FORMATTERS[form]())
        notices = FORMATTERS[form]()  # the thread's own: a formatter is for one thread at a time
        self._descriptor = descriptor
        self._finished = False
        self.lines = LineWriter(descriptor, lambda count: _line(notices, _dropped_record(count)))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record's line soon."""
        try:
            self.lines.add(_line(self.formatter, record))
        except Exception:  # noqa: BLE001 - as in all of logging's handlers
            self.handleError(record)

    def close(self) -> None:
        """Write what is left, or give up if the reader does not read."""
        if not self._finished and not self.lines.flush(_PATIENCE_SECONDS):
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, self._descriptor)
        self._finished = True
        super().close()


FORMATTERS = {"text": LineFormatter, "json": JsonFormatter}


def configure(level: str, form: str = "text") -> None:
    """Log ``level`` and above to stderr, one line a record, as ``text`` or ``json``."""
    # Nobody asks which thread or process: leave the looking up.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # Without a stderr its number may become that of any file: then there is no log.
    handler = logging.NullHandler() if sys.stderr is None else _Handler(sys.stderr.fileno(), form)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


def dropped() -> int:
    """Return how many lines this process has dropped because they were not read in time."""
    return sum(handler.lines.dropped for handler in _handlers())


def finish() -> None:
    """End the log: write what is left of it, and wait a moment at most for who reads it."""
    for handler in _handlers():
        handler.close()


def say(line: str) -> None:
    """Print a line on stdout; wait for its reader for a moment only, and do without one."""
    if sys.stdout is not None:
        lines = LineWriter(sys.stdout.fileno(), lambda _: b"")
        lines.add(f"{line}\n".encode())
        lines.flush(_PATIENCE_SECONDS)


def _handlers() -> list[_Handler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, _Handler)]


def _line(formatter: logging.Formatter | None, record: logging.LogRecord) -> bytes:
    text = record.getMessage() if formatter is None else formatter.format(record)
    return f"{text}\n".encode(errors="backslashreplace")


def _dropped_record(count: int) -> logging.LogRecord:
    text = "%d log lines were dropped: they were not read in time"
    return logging.LogRecord(__name__, logging.WARNING, "", 0, text, (count,), None)


def _written(value: object) -> str:
    if type(value) is int:
        return str(value)
    text = str(value)
    return _remembered(text) if len(text) < _SHORT else _quoted(text)


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    if _QUOTABLE.fullmatch(text):
        return f'"{text}"'
    plain = text.isprintable() and not any(character in text for character in ' "=\\')
    # What a terminal would obey, or turn around, is escaped as ASCII.
    return text if plain and text else json.dumps(text, ensure_ascii=not text.isprintable())


_remembered = functools.lru_cache(maxsize=1024)(_quoted)  # the same few tables, line after line
