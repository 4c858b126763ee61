"""A batch's file read back: what each station was asked, and the features as raw JSON."""

from __future__ import annotations

import gc
import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec


class RawAnswer(msgspec.Struct, frozen=True, gc=False):
    """What the service said of one station: the text of its features, and when it said so."""

    station_id: str
    features: msgspec.Raw
    fetched_at: str | None = None


def read_batch(path: Path) -> list[RawAnswer]:
    """Read a batch's file, without the features' own parsing."""
    data = gzip.decompress(path.read_bytes())
    try:
        return msgspec.json.decode(data, type=list[RawAnswer])
    except msgspec.DecodeError:
        # Half of a surrogate pair, NaN: Python reads what the service should not have sent.
        return list(map(raw_answer, json.loads(data)))


def raw_answer(answer: dict[str, object]) -> RawAnswer:
    """Make the raw answer of a parsed one."""
    return msgspec.convert(
        answer | {"features": msgspec.Raw(json.dumps(answer["features"]).encode())}, RawAnswer
    )


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking over a document while it is parsed.

    A document of a million values is a million new objects, none of them garbage, and each would
    be looked at many times.
    """
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()
