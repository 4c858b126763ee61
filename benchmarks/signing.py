"""Signatures for requests to an object store: how many a second one process makes."""

import contextlib
from functools import partial

import orjson

from benchmarks import s3
from benchmarks.bench import Bench, rate
from benchmarks.client import Connection, Request
from benchmarks.processes import Server
from benchmarks.rounds import Line, cpu, interleave
from benchmarks.tables import NAMESPACE

_TEXT = "signRequest of a read, as Spark asks for it"
_TABLE = f"/v1/namespaces/{NAMESPACE}/tables"


def goal(bench: Bench) -> list[Line]:
    """Ask for signatures of a read, with the server's own keys and with those of the table."""
    if s3.MISSING:
        return [Line("signing", _TEXT, unit="/s", note=s3.MISSING)]
    cells = {}
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(s3.emulator())
        roles = {"the server's keys": "", "keys of the table": store.role}
        for number, (keys, role) in enumerate(roles.items()):
            place = bench.place(f"signing-{number}")
            server = stack.enter_context(s3.ours(place, store, access="signed", role=role))
            request = _request(server, store)
            cells[keys] = partial(rate, server, request, bench.seconds)
        found = interleave(bench.rounds, cells)
        return [
            Line(
                "signing",
                f"{_TEXT}, with {keys}",
                tuple(sample.rate for sample in samples),
                unit="/s",
                at_least=1500,
                cpu_us=cpu(ours=samples),
            )
            for keys, samples in found.items()
        ]


def _request(server: Server, store: s3.Store) -> Request:
    schema = {"type": "struct", "fields": []}
    with Connection(server.address) as connection:
        body = orjson.dumps({"name": "t", "schema": schema})
        location = connection.ask(Request(_TABLE, (), body)).json()["metadata"]["location"]
        key = f"{location.removeprefix('s3://')}/data/p%3Da%252Fb/00000-0-data-00001.parquet"
        asked = {
            "region": store.region,
            "uri": f"{store.url}/{key}",
            "method": "GET",
            "headers": {
                "Accept": ["*/*"],
                "Range": ["bytes=4-65535"],
                "User-Agent": ["aws-sdk-java/2.46 md/io#sync md/http#Apache lang/java#17"],
                "amz-sdk-invocation-id": ["4b2ab3c8-9bd9-1b3c-ae60-3dd3e5a6a1ed"],
                "amz-sdk-request": ["attempt=1; max=6"],
                "x-amz-te": ["append-md5"],
            },
            "properties": {},
            "provider": "s3",
        }
        request = Request(f"{_TABLE}/t/sign", (), orjson.dumps(asked))
        connection.ask(request)
    return request
