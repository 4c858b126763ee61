"""Retries that carry an Idempotency-Key: one effect, and the same answer each time.

What a request achieved is stored in the very transaction of its effect, in words that no
newer state can falsify: where the metadata lies, or the small body that was answered.
Source: the Idempotency-Key parameter of the REST specification.
"""

from typing import Any

import orjson

from falcon_catalog.catalog import files
from falcon_catalog.catalog.base import Catalog, RetryKey, Table
from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    CommitFailedError,
    CommitStateUnknownError,
)
from falcon_catalog.metadata.document import Document
from falcon_catalog.store import idempotency as rows
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.idempotency import Receipt

LIFETIME = "PT30M"
_LIFETIME_MS = 30 * 60 * 1000

JSON = dict[str, Any]


class ConcludedMeanwhileError(CommitFailedError):
    """The same request, sent twice, was concluded by its twin. Nothing was done again."""


def conclude(tx: Transaction, catalog: Catalog, answer: JSON) -> None:
    """Store what the request of this transaction achieved, if it carries a key.

    Raises:
        ConcludedMeanwhileError: a twin of the request was faster; the transaction must end.
    """
    retry = catalog.retry_key
    if retry is None:
        return
    if not _insert(tx, catalog, retry, answer):
        raise ConcludedMeanwhileError(f"The request {retry.key} was answered already")
    retry.concluded = True


def conclude_alone(catalog: Catalog, retry: RetryKey, answer: JSON) -> JSON | None:
    """Store the answer to a request without effect; return what a twin stored before, if any."""
    with catalog.database.write() as tx:
        if _insert(tx, catalog, retry, answer):
            return None
        return _read(retry, rows.find(tx, catalog.warehouse_id, retry.key))


def recall(catalog: Catalog, retry: RetryKey) -> JSON | None:
    """Return what was answered to this request before, or None.

    Raises:
        BadRequestError: the key belongs to another request.
    """
    with catalog.database.read() as tx:
        return _read(retry, rows.find(tx, catalog.warehouse_id, retry.key))


def state_then(catalog: Catalog, metadata_location: str) -> Table:
    """Return the table or view as the request left it.

    Raises:
        CommitStateUnknownError: its metadata file cannot be read by now. The request was
            done, and no answer may deny that.
    """
    try:
        return Table(Document(files.read(catalog.files, metadata_location)), metadata_location)
    except CatalogError as error:
        raise CommitStateUnknownError(
            f"The request was done before, but what it wrote cannot be read: {error}"
        ) from error


def _insert(tx: Transaction, catalog: Catalog, retry: RetryKey, answer: JSON) -> bool:
    receipt = Receipt(retry.request, orjson.dumps(answer).decode())
    return rows.insert(tx, catalog.warehouse_id, retry.key, receipt, lifetime_ms=_LIFETIME_MS)


def _read(retry: RetryKey, receipt: Receipt | None) -> JSON | None:
    if receipt is None:
        return None
    if receipt.request != retry.request:
        raise BadRequestError(
            f"Invalid Idempotency-Key {retry.key}: it was used for another request, "
            f"{receipt.request}"
        )
    answer: JSON = orjson.loads(receipt.answer)
    return answer
