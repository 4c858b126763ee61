"""Retries that carry an Idempotency-Key: one effect, and the same answer each time.

What a request achieved is stored in the transaction of its effect, in a form that no newer state
can falsify: the metadata location, or the small body of the answer.
Source: the Idempotency-Key parameter of the REST specification.
"""

from typing import Any

import orjson

from falcon_catalog.catalog.call import Call, IdempotencyKey
from falcon_catalog.catalog.metadata_cache import Loaded, read_document
from falcon_catalog.errors import (
    CatalogError,
    CommitFailedError,
    CommitStateUnknownError,
    UnprocessableEntityError,
)
from falcon_catalog.store import idempotency as rows
from falcon_catalog.store.database import Transaction, again
from falcon_catalog.store.idempotency import Receipt

LIFETIME = "PT30M"
_LIFETIME_MS = 30 * 60 * 1000

JSON = dict[str, Any]


class RecordedMeanwhileError(CommitFailedError):
    """The same request, sent twice, was completed by its twin. Nothing was done again."""


def record(tx: Transaction, call: Call, answer: JSON) -> None:
    """Store what a request achieved, in the transaction of its effect, if it carries a key.

    Raises:
        RecordedMeanwhileError: a twin of the request was faster; the transaction must end.
    """
    key = call.idempotency_key
    if key is not None and not _insert(tx, call, key, answer):
        raise RecordedMeanwhileError(f"The request {key.header} was answered already")


@again
def record_answer(call: Call, key: IdempotencyKey, answer: JSON) -> JSON | None:
    """Store the answer to a request that has no record yet; return the record, if it has one."""
    if (earlier := recall(call, key)) is not None:
        return earlier
    with call.warehouse.store.write() as tx:
        if _insert(tx, call, key, answer):
            return None
        return _read(key, rows.find(tx, call.warehouse.id, key.key))


def recall(call: Call, key: IdempotencyKey) -> JSON | None:
    """Return the recorded answer to a request, or None.

    Raises:
        UnprocessableEntityError: the caller used the key for another request. What this one asks
            for was not done, and an answer to the other one would hide that.
    """
    return _read(key, rows.find(call.warehouse.store.autocommit(), call.warehouse.id, key.key))


def state_then(call: Call, metadata_location: str) -> Loaded:
    """Return the table or view as the request left it.

    Raises:
        CommitStateUnknownError: its metadata file can no longer be read. The request was
            completed, which no answer may deny.
    """
    try:
        document = read_document(call.warehouse.files, metadata_location, "its state")
        return Loaded(document, metadata_location)
    except CatalogError as error:
        raise CommitStateUnknownError(
            f"The request was completed before, but its state can no longer be read: {error}"
        ) from error


def _insert(tx: Transaction, call: Call, key: IdempotencyKey, answer: JSON) -> bool:
    receipt = Receipt(f"{key.request} {key.digest}", orjson.dumps(answer).decode())
    return rows.insert(tx, call.warehouse.id, key.key, receipt, lifetime_ms=_LIFETIME_MS)


def _read(key: IdempotencyKey, receipt: Receipt | None) -> JSON | None:
    if receipt is None:
        return None
    request, _, digest = receipt.request.rpartition(" ")
    if (request, digest) != (key.request, key.digest):
        other = request if request != key.request else f"{request} with another body or query"
        raise UnprocessableEntityError(
            f"Invalid Idempotency-Key {key.header}: it was used for another request, {other}."
            " Nothing was done; send a new key"
        )
    answer: JSON = orjson.loads(receipt.answer)
    return answer
