"""Files in an object store, through obstore: S3, Google Cloud Storage and Azure.

A key is not a path: there are no folders, and an object appears whole or not at all. A cloud's
module (``s3``, ``gcs``, ``adls``) says how its buckets are reached, this one what is done there.
"""

import asyncio
import copy
import datetime as dt
import logging
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Literal, Self, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    ForbiddenError,
    NotFoundError,
    ObjectStoreError,
    ServiceUnavailableError,
)
from falcon_catalog.fileio.base import MAX_FILE_BYTES, Entry, delete_each, no_such_file
from falcon_catalog.fileio.bulkhead import Bulkhead
from falcon_catalog.fileio.failures import REFUSALS, Failure
from falcon_catalog.locations import ALIASES, Location, parse
from falcon_catalog.settings import SettingsError, StorageSettings

if TYPE_CHECKING:  # obstore's types do not exist at run time
    from obstore import Attributes, GetResult, ObjectMeta
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

Connect = Callable[[str], "ObjectStore"]
"""Returns a new client of a bucket, or of ``container@account.dfs.suffix``."""

_RETRIES = 2
_CREATE_ATTEMPTS = 2
_SOON = 2.0
"""Seconds in which a store that did not answer must begin to, when it is asked what it did."""
_RENEW_AFTER = 60.0
"""Seconds for which the credentials of a new client are not doubted."""
_READ, _FIND, _WRITE, _LIST = "read a file", "look for a file", "write a file", "list files"
_DELETE = "delete a file"
_BULK = 1000
"""Keys in one DeleteObjects request, at most. Source: the API reference of Amazon S3."""
_OF_ONE_OBJECT = frozenset({"error", "denied"})
"""Failures of a bulk delete that may concern some of its objects only."""
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


def client_options(settings: StorageSettings) -> "ClientConfig":
    """Return how obstore reaches the store that a warehouse's settings name.

    Raises:
        SettingsError: ``ca_file`` cannot be read.
    """
    url = settings.server_endpoint or settings.endpoint
    options: ClientConfig = {
        "timeout": dt.timedelta(seconds=settings.timeout),
        "connect_timeout": dt.timedelta(seconds=min(2, settings.timeout)),
        "allow_http": url.startswith("http://"),
    }
    if settings.ca_file:
        try:
            options["root_certificate"] = Path(settings.ca_file).read_bytes()
        except OSError as error:
            raise SettingsError(f"ca_file {settings.ca_file}: {error.strerror}") from None
    return options


def retry_config(settings: StorageSettings) -> "RetryConfig":
    """Return how often obstore tries again: a request that timed out is not repeated."""
    return {
        "max_retries": _RETRIES,
        "retry_timeout": dt.timedelta(seconds=settings.timeout),
        "backoff": {
            "init_backoff": dt.timedelta(milliseconds=100),
            "max_backoff": dt.timedelta(seconds=1),
            "base": 2,
        },
    }


class ObjectStoreFileIO:
    """FileIO for the objects of one warehouse, in one or more buckets. Safe for many threads.

    The store's acknowledgement makes an object durable. A request that creates one may be
    repeated, or its answer be lost, so that an outcome that is not clear is settled by reading
    the object back.
    """

    def __init__(self, warehouse: str, settings: StorageSettings, connect: Connect) -> None:
        """Reach the buckets of a warehouse with ``connect``, when they are first needed.

        A client does not survive a fork: nothing may be read or written before one.
        """
        self._what = f"The object store of warehouse {warehouse}"
        aliases = {each for each, kind in ALIASES.items() if kind == settings.kind}
        self._schemes = frozenset({settings.kind} | (aliases if settings.allow_aliases else set()))
        self._shared = _Shared(connect)
        self._bulkhead = Bulkhead(self._what, settings.max_requests)
        self._roots: tuple[str, ...] | None = None

    @property
    def failures(self) -> Mapping[str, int]:
        """Requests that failed since the start, by reason; a missing object is no failure."""
        return self._shared.failures.copy()

    @property
    def orphans(self) -> int:
        """Objects that may have been left behind since the start; the log has their names."""
        return self._shared.orphans

    def within(self, roots: Iterable[str]) -> Self:
        """Return access to what lies in these locations."""
        confined = copy.copy(self)
        confined._roots = tuple(parse(root, self._schemes).key for root in roots)  # noqa: SLF001
        return confined

    def admission(self) -> AbstractContextManager[object]:
        """Return a context in which this thread counts as one of the store's callers."""
        return self._bulkhead

    def read(self, location: str) -> bytes:
        """Return the content of an object."""
        return self._read(location)

    def _read(self, location: str, seconds: float | None = None) -> bytes:
        """Return the content of an object, which has to arrive in time."""

        async def start(client: "ObjectStore", key: str) -> "GetResult":
            return await asyncio.wait_for(obstore.get_async(client, key), seconds)

        def get(client: "ObjectStore", key: str) -> bytes:
            found = asyncio.run(start(client, key)) if seconds else obstore.get(client, key)
            if (size := found.meta["size"]) > MAX_FILE_BYTES:
                raise BadRequestError(
                    f"{location} has {size} bytes, at most {MAX_FILE_BYTES} are read"
                )
            return b"".join(found.stream())

        return self._call(_READ, location, get)

    def read_part(self, location: str, offset: int, length: int) -> bytes:
        """Return a part of an object."""
        # A store refuses a range that begins at the end, or is empty.
        length = min(length, self.size(location) - offset)
        if length <= 0:
            return b""

        def get(client: "ObjectStore", key: str) -> bytes:
            return bytes(obstore.get_range(client, key, start=offset, length=length))

        return self._call(_READ, location, get)

    def exists(self, location: str) -> bool:
        """Return whether there is such an object."""
        try:
            self._head(location)
        except NotFoundError:
            return False
        return True

    def size(self, location: str) -> int:
        """Return the bytes of an object."""
        return self._head(location)["size"]

    def version(self, location: str) -> Hashable:
        """Return what changes when an object is replaced by another."""
        found = self._head(location)
        return found["e_tag"], found["version"], found["last_modified"]

    def _head(self, location: str) -> "ObjectMeta":
        return self._call(_FIND, location, obstore.head)

    def list(self, location: str) -> Iterator[Entry]:
        """Yield what lies directly below a location: objects, and what others have in common."""
        place, where = self._place(location), location.rstrip("/")
        above = f"{place.path}/" if place.path else ""
        found = self._call(
            _LIST,
            location,
            lambda client, key: obstore.list_with_delimiter(client, key or None),
        )
        folders = (
            Entry(f"{where}/{prefix.removeprefix(above).rstrip('/')}", "folder", 0, 0)
            for prefix in found["common_prefixes"]
        )
        files = (
            Entry(
                f"{where}/{each['path'].removeprefix(above)}",
                "file",
                each["size"],
                int(each["last_modified"].timestamp() * 1000),
            )
            for each in found["objects"]
            if each["path"] != place.path  # an empty object by which some tools mark a folder
        )
        return chain(folders, files)

    def write(self, location: str, *pieces: bytes, make_folder: bool = True) -> None:  # noqa: ARG002 - there are no folders
        """Create an object, durable before this returns."""
        if not self.create(location, b"".join(pieces)):
            raise ServiceUnavailableError(f"Cannot write {location}: File exists")

    def create(self, location: str, content: bytes) -> bool:
        """Create an object; return False, and leave it, if there is one with another content.

        One with the same content counts as created: whether it is that of this request, which was
        repeated because its answer was lost, cannot be seen.

        Raises:
            ObjectStoreError: no object can be found, though one may still appear if the error
                says so; it is then left behind, and logged.
        """
        for _ in range(_CREATE_ATTEMPTS):
            failure: ObjectStoreError | None = None
            try:
                if self._put(location, content, "create"):
                    return True
            except ObjectStoreError as error:
                if not error.may_be_done:
                    raise
                failure = error
            try:
                hurried = failure is not None and failure.reason == "timeout"
                return self._read(location, _SOON if hurried else None) == content
            except NotFoundError:
                # S3 answers that there is one also while another request for the name, perhaps
                # an earlier one of our own, is in progress. It may have failed.
                if failure is None:
                    continue
            except CatalogError as error:
                failure = failure or ObjectStoreError(
                    error.message, reason="unsettled", may_be_done=True
                )
            self._shared.count_orphan()
            _log.warning("%s: %s may have been left behind", failure.message, location)
            raise failure
        raise ObjectStoreError(
            f"{self._what} says that the file exists, and does not find it: cannot {_WRITE}",
            reason="conflict",
            may_be_done=True,
        )

    def replace(self, location: str, content: bytes) -> None:
        """Create an object, or take the place of one."""
        try:
            if self._put(location, content, "overwrite"):
                return
        except ObjectStoreError as error:
            if not error.may_be_done:
                raise
        if not self.exists(location) or self.read(location) != content:
            raise ServiceUnavailableError(f"Cannot write {location}: another request was faster")

    def _put(self, location: str, content: bytes, mode: Literal["create", "overwrite"]) -> bool:
        """Put an object; return False if the store says that there is one."""
        # Gzipped metadata gets no Content-Encoding: clients and stores would unzip it.
        is_json = location.endswith(".json")
        attributes: Attributes = {"Content-Type": "application/json"} if is_json else {}

        def put(client: "ObjectStore", key: str) -> bool:
            try:
                obstore.put(
                    client, key, content, mode=mode, use_multipart=False, attributes=attributes
                )
            except AlreadyExistsError:
                return False
            return True

        return self._call(_WRITE, location, put)

    def delete(self, location: str) -> None:
        """Delete an object; one that is not there is no error."""
        with suppress(NotFoundError):
            self._call(_DELETE, location, obstore.delete)

    def delete_all(self, locations: Sequence[str]) -> dict[str, CatalogError]:
        """Delete objects; return those that could not be deleted, and why.

        Amazon S3 and Azure are sent requests for many objects each, other stores several requests
        at a time. obstore raises the first failure only, so that objects are deleted one by one to
        find out which it concerns.
        """
        failed: dict[str, CatalogError] = {}
        buckets: dict[str, dict[str, str]] = {}
        for location in locations:
            try:
                place = self._place(location)
            except CatalogError as error:
                failed[location] = error
            else:
                buckets.setdefault(place.authority, {})[location] = place.path
        for found in buckets.values():
            inside = list(found)
            for start in range(0, len(inside), _BULK):
                batch = inside[start : start + _BULK]
                failed |= self._delete_batch({each: found[each] for each in batch})
        return failed

    def _delete_batch(self, keys: Mapping[str, str]) -> dict[str, CatalogError]:
        """Delete objects of one bucket, by location; return as ``delete_all``."""

        def delete(client: "ObjectStore", _: str) -> None:
            obstore.delete(client, list(keys.values()))

        try:
            self._call(_DELETE, next(iter(keys)), delete)
        except NotFoundError:  # Azure and Google say so of an object that is not there
            pass
        except ObjectStoreError as error:
            if error.reason not in _OF_ONE_OBJECT:
                raise
        else:
            return {}
        return delete_each(self.delete, keys)

    def resolve(self, location: str) -> str:
        """Return the canonical form for comparing; there are no links."""
        return parse(location, self._schemes).key

    def prepare_table(self, location: str, *, staged: bool = False) -> None:  # noqa: ARG002 - there are no folders
        """Check the location; an object needs no folder."""
        self._place(location)

    def abandon_table(self, location: str) -> None:
        """Do nothing, as ``prepare_table`` made nothing."""

    def remove_empty_folders(self, location: str) -> bool:
        """Return whether there is no object below a location."""
        return self._call(
            _LIST,
            location,
            lambda client, key: not next(iter(obstore.list(client, key or None)), None),
        )

    def _place(self, location: str) -> Location:
        place = parse(location, self._schemes)
        if self._roots is not None and not place.key.startswith(self._roots):
            raise ForbiddenError(
                f"Location {location} is outside the allowed locations: {', '.join(self._roots)}"
            )
        return place

    def _call(self, operation: str, location: str, act: Callable[["ObjectStore", str], _T]) -> _T:
        """Return what a request to the store returns.

        If the store refuses the credentials it is repeated once, with new ones.
        """
        place = self._place(location)
        if not place.path and operation != _LIST:
            raise BadRequestError(f"Invalid location {location!r}: it names no file")

        def attempt(client: "ObjectStore") -> _T:
            try:
                result = act(client, place.path)
            except (BaseError, OSError, ValueError) as error:
                # Not chained: its text has the URL, and whatever the store answered.
                failure = Failure.of(error)
            else:
                self._bulkhead.report(timed_out=False)
                return result
            self._bulkhead.report(timed_out=failure.reason == "timeout")
            if failure.reason == "missing":
                raise no_such_file(location)
            self._shared.count_failure(failure.reason)
            raise ObjectStoreError(
                f"{self._what} {failure}: cannot {operation}",
                reason=failure.reason,
                may_be_done=failure.may_be_done,
                answer=failure.answer,
                facts=failure.facts,
            )

        with self._bulkhead:
            client = self._shared.client(place.authority)
            try:
                return attempt(client)
            except ObjectStoreError as error:
                if error.reason not in REFUSALS or not self._shared.renew(place.authority, client):
                    raise
            return attempt(self._shared.client(place.authority))


class _Shared:
    """What all ``within`` one warehouse share."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._guard = threading.Lock()
        self._clients: dict[str, tuple[ObjectStore, float]] = {}
        self.failures: Counter[str] = Counter()
        self.orphans = 0

    def count_failure(self, reason: str) -> None:
        with self._guard:
            self.failures[reason] += 1

    def count_orphan(self) -> None:
        with self._guard:
            self.orphans += 1

    def client(self, authority: str) -> "ObjectStore":
        """Return the client of a bucket."""
        with self._guard:
            found = self._clients.get(authority)
            if found is None:
                found = self._clients[authority] = self._connect(authority), monotonic()
        return found[0]

    def renew(self, authority: str, refused: "ObjectStore") -> bool:
        """Return whether there is, or will be, a client with newer credentials.

        obstore asks for new ones only when the old ones are about to end. A client that is new
        itself is kept, so that a store which refuses all is not asked twice each time.
        """
        with self._guard:
            client, since = self._clients.get(authority, (None, 0.0))
            if client is refused:
                if monotonic() - since < _RENEW_AFTER:
                    return False
                del self._clients[authority]
        return True
