"""Loading a table on S3 with its credentials, beside loading it without."""

import statistics
from functools import partial

import orjson

from benchmarks import s3
from benchmarks.bench import Bench, rate
from benchmarks.client import Connection, Request
from benchmarks.rounds import Line, cpu, interleave, quotients
from benchmarks.tables import NAMESPACE

_TEXT = "loadTable on S3 with cached credentials: rate over that without"
_TABLES = f"/v1/namespaces/{NAMESPACE}/tables"
_VENDED = (("X-Iceberg-Access-Delegation", "vended-credentials"),)


def goal(bench: Bench) -> list[Line]:
    """Load a small table with the credentials that another client was given before."""
    if s3.MISSING:
        return [Line("vending", _TEXT, note=s3.MISSING)]
    with (
        s3.emulator() as store,
        s3.ours(bench.place("vending"), store, access="vended", role=store.role) as server,
    ):
        with Connection(server.address) as connection:
            body = orjson.dumps({"name": "t", "schema": {"type": "struct", "fields": []}})
            connection.ask(Request(_TABLES, (), body))
            plain, vended = Request(f"{_TABLES}/t"), Request(f"{_TABLES}/t", _VENDED)
            connection.ask(vended)
        cells = {
            "without": partial(rate, server, plain, bench.seconds),
            "with": partial(rate, server, vended, bench.seconds),
        }
        found = interleave(bench.rounds, cells)
    rates = {name: [sample.rate for sample in samples] for name, samples in found.items()}
    return [
        Line(
            "vending",
            _TEXT,
            quotients(rates["with"], rates["without"]),
            at_least=0.8,
            cpu_us=cpu(**found),
            note=f"{statistics.median(rates['with']):.0f} a second",
        )
    ]
