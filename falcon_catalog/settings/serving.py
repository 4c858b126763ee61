"""Settings of how requests are served, and of what one of them may ask for."""

from dataclasses import dataclass, field

from falcon_catalog import rules
from falcon_catalog.settings.describing import MEBIBYTE, about


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How requests are served, and for how long they wait at the end."""

    listen: str = field(
        default="127.0.0.1:8181",
        metadata=about(
            "Where to listen: HOST:PORT, [IPV6]:PORT or unix:/PATH; port 0 picks a free one."
            " Sockets handed over by systemd come before it.",
            rules.listen,
            flag="--listen",
        ),
    )
    reuse_port: bool = field(
        default=False,
        metadata=about(
            "Share the address with other servers that set this, too; each new connection goes to"
            " one of them. Without effect on sockets handed over.",
            rules.boolean,
            flag="--reuse-port",
        ),
    )
    threads: int = field(
        default=4,
        metadata=about(
            "Requests worked on at the same time.", rules.whole(1, 256), flag="--threads"
        ),
    )
    shutdown_timeout: int = field(
        default=30,
        metadata=about(
            "Seconds that requests in flight have to finish once the server is told to stop.",
            rules.whole(0, 3600),
        ),
    )
    max_body_bytes: int = field(
        default=64 * MEBIBYTE,
        metadata=about("Largest request body, in bytes.", rules.whole(1024, 1024 * MEBIBYTE)),
    )
    max_header_bytes: int = field(
        default=64 * 1024,
        metadata=about(
            "Largest head of a request, its line and headers, in bytes.",
            rules.whole(1024, 16 * MEBIBYTE),
        ),
    )
    max_connections: int = field(
        default=1000,
        metadata=about(
            "Connections open at the same time; beyond them the idlest makes room, then the oldest"
            " half-sent request. Fewer where the process may not have as many descriptors.",
            rules.whole(1, 100_000),
        ),
    )
    max_connections_per_address: int = field(
        default=500,
        metadata=about(
            "Connections of one client address at the same time; beyond them its idlest makes room,"
            " then its oldest half-sent request. A proxy is one address.",
            rules.whole(1, 100_000),
        ),
    )
    max_queue: int = field(
        default=256,
        metadata=about(
            "Requests that wait for a thread; beyond them a client is told to come again.",
            rules.whole(1, 100_000),
        ),
    )
    max_wait: int = field(
        default=30,
        metadata=about(
            "Seconds that a request waits for a thread; when its turn comes later, its client is"
            " told to come again.",
            rules.whole(1, 86400),
        ),
    )
    stall_timeout: int = field(
        default=120,
        metadata=about(
            "Seconds after which threads that are all busy with the same requests count as stalled:"
            " the server is not ready, and the watchdog gets no sign of life.",
            rules.whole(1, 86400),
        ),
    )
    header_timeout: int = field(
        default=10,
        metadata=about(
            "Seconds that the head of a request has to arrive, from its first byte.",
            rules.whole(1, 86400),
        ),
    )
    receive_timeout: int = field(
        default=60,
        metadata=about(
            "Seconds that a request has to arrive in full, from its first byte.",
            rules.whole(1, 86400),
        ),
    )
    channel_timeout: int = field(
        default=120,
        metadata=about(
            "Seconds after which a connection that neither sends nor receives is closed.",
            rules.whole(1, 86400),
        ),
    )


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What one request may ask for."""

    json_depth: int = field(
        default=1024,  # filters of scans are deep: a chain of n terms has n levels
        metadata=about(
            "Levels of arrays and objects inside each other in a request's JSON.",
            rules.whole(16, 1024),  # more the JSON library does not read
        ),
    )
    json_values: int = field(
        default=2_000_000,
        metadata=about("Values in a request's JSON.", rules.whole(1000, 1_000_000_000)),
    )
    table_changes: int = field(
        default=1000,
        metadata=about("Tables changed in one transaction.", rules.whole(1, 100_000)),
    )
    updates: int = field(
        default=10_000,
        metadata=about("Updates in a commit to one table or view.", rules.whole(1, 1_000_000)),
    )
    requirements: int = field(
        default=10_000,
        metadata=about("Requirements of a commit to one table.", rules.whole(1, 1_000_000)),
    )
    properties: int = field(
        default=10_000,
        metadata=about("Properties set or removed at once.", rules.whole(1, 1_000_000)),
    )
    property_characters: int = field(
        default=4 * MEBIBYTE,
        metadata=about(
            "Characters of the names and values of properties set at once.",
            rules.whole(1, 1024 * MEBIBYTE),
        ),
    )
    properties_bytes: int = field(
        default=16 * MEBIBYTE,
        metadata=about(
            "Bytes of JSON that all properties of a table, a view or a namespace may come to.",
            rules.whole(1024, 1024 * MEBIBYTE),
        ),
    )
    columns: int = field(
        default=10_000,
        metadata=about(
            "Columns of a schema that is added, nested ones included.", rules.whole(1, 1_000_000)
        ),
    )
    schema_depth: int = field(
        default=64,
        metadata=about(
            "Structs, lists and maps inside each other in a schema that is added.",
            rules.whole(1, 70),  # three levels of JSON each
        ),
    )
    page_size: int = field(
        default=1000,
        metadata=about("Entries in one page of a list.", rules.whole(1, 1_000_000)),
    )
