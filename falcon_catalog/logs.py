"""One line on stderr for each thing worth telling, as ``key=value`` pairs.

Whatever a logging call passes in ``extra`` becomes a pair; a traceback is one quoted value.
"""

import json
import logging
from datetime import UTC, datetime

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """Format a record as one line of ``key=value`` pairs."""

    def format(self, record: logging.LogRecord) -> str:
        """Return ``time=… level=… logger=… message=…`` and what else the record carries."""
        pairs: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        pairs.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            pairs["exception"] = self.formatException(record.exc_info)
        return " ".join(f"{key}={_written(value)}" for key, value in pairs.items())


def configure(level: str) -> None:
    """Log ``level`` and above to stderr, one line a record."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


def _written(value: object) -> str:
    text = str(value)
    plain = text.isprintable() and not any(character in text for character in ' "=\\')
    return text if plain and text else json.dumps(text, ensure_ascii=False)
