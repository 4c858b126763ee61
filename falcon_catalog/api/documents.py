"""Metadata as an answer: tagged, and compressed where the client takes it."""

import functools
import gzip
import hashlib

import falcon
import orjson

from falcon_catalog.api.http import leave_loop_unless, send_text
from falcon_catalog.catalog.base import Table

# Less fits into the first packets of a connection as it is.
_WORTH_ZIPPING = 4096
# More takes milliseconds to put together and to send.
_LONG = 512 * 1024


def body_text(resp: falcon.Response) -> bytes:
    """Return the text of an answer's body, whether it is compressed or not."""
    body: bytes = resp.data or b""
    return gzip.decompress(body) if resp.get_header("Content-Encoding") == "gzip" else body


def send_table(
    req: falcon.Request, resp: falcon.Response, table: Table, *, tag: falcon.ETag | None = None
) -> None:
    """Answer a LoadTableResult."""
    if table.metadata_location is not None:
        tag_answer(resp, tag or table_tag(table.metadata_location))
    _send_document(req, resp, table, b',"config":{}}')


def send_view(req: falcon.Request, resp: falcon.Response, view: Table) -> None:
    """Answer a LoadViewResult; of views the specification has no tags."""
    _send_document(req, resp, view, b',"config":{}}')


def send_commit(req: falcon.Request, resp: falcon.Response, committed: Table) -> None:
    """Answer a CommitTableResponse or an UnregisterTableResult."""
    _send_document(req, resp, committed, b"}")


def _send_document(req: falcon.Request, resp: falcon.Response, loaded: Table, end: bytes) -> None:
    """Answer metadata with its location before it, compressed where that is worth it."""
    start = b'{"metadata":'
    if loaded.metadata_location is not None:
        location = orjson.dumps(loaded.metadata_location)
        start = b'{"metadata-location":' + location + b',"metadata":'
    resp.set_header("Vary", "Accept-Encoding")
    if loaded.document.length >= _WORTH_ZIPPING and _takes_gzip(req):
        leave_loop_unless(loaded.document.has_gzip(start, end), req)
        send_text(resp, loaded.document.gzip(start, end))
        resp.set_header("Content-Encoding", "gzip")
    else:
        leave_loop_unless(loaded.document.length < _LONG, req)
        send_text(resp, loaded.document.text(start, end))


def _takes_gzip(req: falcon.Request) -> bool:
    """Tell whether the client accepts gzip (RFC 9110, 12.5.3)."""
    wishes: dict[str, str] = {}
    for wish in (req.get_header("Accept-Encoding") or "").lower().split(","):
        coding, _, weight = wish.partition(";")
        wishes[coding.strip()] = weight.replace(" ", "").removeprefix("q=")
    weight = wishes.get("gzip", wishes.get("x-gzip", wishes.get("*", "0")))
    return weight.strip("0.") != "" or weight == ""


@functools.lru_cache(maxsize=1024)
def table_tag(metadata_location: str, snapshots: str = "all") -> falcon.ETag:
    """Return the tag of a table's state, all of it or with ``refs``' snapshots only.

    It is weak: plain and compressed, the same state has one tag.
    """
    seed = f"{snapshots}\0{metadata_location}".encode()
    tag = falcon.ETag(hashlib.blake2b(seed, digest_size=16).hexdigest())
    tag.is_weak = True
    return tag


def tag_answer(resp: falcon.Response, tag: falcon.ETag) -> None:
    """Give an answer its tag."""
    resp.set_header("ETag", tag.dumps())


def is_unchanged(req: falcon.Request, tag: falcon.ETag) -> bool:
    """Tell whether the client has the state of this tag already (RFC 9110, weakly compared)."""
    known = req.if_none_match or []
    return any(etag == "*" or str(etag) == str(tag) for etag in known)


def send_unchanged(resp: falcon.Response, tag: falcon.ETag) -> None:
    """Answer that the client has the present state."""
    tag_answer(resp, tag)
    resp.set_header("Vary", "Accept-Encoding")
    resp.status = falcon.HTTP_304
