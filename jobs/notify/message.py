"""The content of a notification, for people and for programs."""

import logging
import os
import re
import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# As jobs.nws.errors quotes it.
_CORRELATION = re.compile(r"correlation id:? ([\w.-]+)", re.IGNORECASE)
_LONGEST = 4000


@dataclass(frozen=True)
class Failure:
    """What failed, how, and where to read on."""

    task: str
    what: str
    error: str
    parameters: dict[str, str] = field(default_factory=dict)
    attempts: int = 1
    log: str = ""
    correlation_id: str = ""
    host: str = field(default_factory=socket.gethostname)

    @property
    def subject(self) -> str:
        """One line: "LoadObservations 2013-07-02 failed on lake"."""
        named = (self.parameters.get(name) for name in ("hour", "date", "period"))
        period = next(filter(None, named), "")
        return " ".join(f"{self.task} {period} {self.what} on {self.host}".split())

    @property
    def text(self) -> str:
        """All of it in a few lines."""
        lines = [self.subject + (f", tried {self.attempts} times" if self.attempts > 1 else "")]
        lines += [f"{name}: {value}" for name, value in self.parameters.items() if value]
        error, half = self.error, _LONGEST // 2
        if len(error) > _LONGEST:
            error = f"{error[:half]}\n…\n{error[-half:]}"
        lines += [f"error: {error}"] if error else []
        lines += [f"correlation id: {self.correlation_id}"] if self.correlation_id else []
        lines += [f"log: {self.log}"] if self.log else []
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return everything by name, the subject and text included."""
        return {**asdict(self), "subject": self.subject, "text": self.text}


def quoted_correlation(error: str) -> str:
    """Return the weather service's correlation id from an error's text, or ""."""
    found = _CORRELATION.search(error)
    return found[1] if found else ""


def log_place() -> str:
    """Return where this run's log is: a file, a journal, or "" if it is not kept."""
    for logger in (logging.getLogger("luigi-interface"), logging.getLogger()):
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler):
                return handler.baseFilename
    if invocation := os.environ.get("INVOCATION_ID"):
        return f"journalctl _SYSTEMD_INVOCATION_ID={invocation}"
    try:
        errors = Path("/proc/self/fd/2").readlink()
    except OSError:
        return ""
    return str(errors) if errors.is_file() else ""
