"""One line on stderr for each thing worth telling: ``key=value`` pairs, or JSON.

Whatever a logging call passes in ``extra`` becomes a pair, and so does what a record has in
``pairs``; a traceback is one value.
"""

import functools
import json
import logging
import re
import time
from typing import TextIO

import orjson

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "pairs"}
# Printable ASCII but the quotation mark and the backslash; and but the blank and equals sign.
_QUOTABLE = re.compile(r"[ -!#-\[\]-~]+")
_SHORT = 256
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
            return orjson.dumps(pairs, default=str).decode()
        except TypeError:  # half a surrogate pair, or an integer beyond 64 bits
            return json.dumps(pairs, default=str)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines to a stream, whose own business it is to let each of them go at its end."""

    def flush(self) -> None:
        """Flush what is not buffered by lines."""
        if not getattr(self.stream, "line_buffering", False):
            super().flush()


FORMATTERS = {"text": LineFormatter, "json": JsonFormatter}


def configure(level: str, form: str = "text") -> None:
    """Log ``level`` and above to stderr, one line a record, as ``text`` or ``json``."""
    # Nobody asks which thread or process: leave the looking up.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = _Handler()
    handler.setFormatter(FORMATTERS[form]())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


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
    return text if plain and text else json.dumps(text, ensure_ascii=False)


_remembered = functools.lru_cache(maxsize=1024)(_quoted)  # the same few tables, line after line
