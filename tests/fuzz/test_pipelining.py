"""Requests that share a connection get their own responses, in order."""

import itertools
import time
from pathlib import Path

from tests.catalog.serving import serving
from tests.fuzz.pipelining import KINDS, connections, prepare


def test_every_response_belongs_to_its_request(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        prepare(server)
        sent = itertools.islice(connections(server.url, 1, time.monotonic() + 600), 150)
        assert {kind.name for kinds in sent for kind in kinds} == {kind.name for kind in KINDS}
