"""Settings of who may call, what is measured and what is told."""

from dataclasses import dataclass, field

from falcon_catalog import rules
from falcon_catalog.settings.describing import about


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Who may call."""

    required: bool = field(
        default=False,
        metadata=about(
            "Whether every request needs a token; without, the Authorization header is ignored.",
            rules.boolean,
        ),
    )
    token_lifetime: int = field(
        default=3600,
        metadata=about("Seconds that a token can be used for.", rules.whole(1, 30 * 86400)),
    )


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """What clients report of their scans and commits, and who may read the server's own."""

    keep_reports: int = field(
        default=10_000,
        metadata=about(
            "Reports of scans and commits to keep, the newest of all tables.",
            rules.whole(0, 10_000_000),
        ),
    )
    public: bool = field(
        default=False,
        metadata=about(
            "Whether /metrics is told to anybody, also where every other request needs a token.",
            rules.boolean,
        ),
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What the process tells on stderr."""

    level: str = field(
        default="INFO",
        metadata=about(
            f"Least severe message to log: {', '.join(rules.LOG_LEVELS)}.",
            rules.level,
            flag="--log-level",
        ),
    )
    format: str = field(
        default="text",
        metadata=about(
            "How a line is written: text (key=value pairs) or json.", rules.one_of("text", "json")
        ),
    )
    access: bool = field(
        default=True,
        metadata=about("Whether each request is a line in the log.", rules.boolean),
    )
