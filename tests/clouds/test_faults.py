"""Requests to an object store that fail, whose answers are lost, or that nobody answers.

Cases 22 and 23: an object is created once or not at all, whatever happens on the way, answers come
in bounded time, and nothing of the store's own answers is shown.
"""

import logging
import threading
import traceback
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from falcon_catalog.errors import (
    NotFoundError,
    ObjectStoreError,
    ServiceUnavailableError,
    WarehouseUnavailableError,
)
from falcon_catalog.fileio import object_store
from falcon_catalog.fileio.object_store import ObjectStoreFileIO
from tests.clouds import faulty
from tests.clouds.faulty import KEPT_AWAY, LOST, REFUSED, SECRET, Faulty, only
from tests.clouds.stores import Store, azure_store, google_store, s3_store
from tests.processes import wait_for

CONTENT = b'{"format-version": 2}' * 50
PUT, GET = only("PUT"), only("GET")


_KINDS = {"s3": ("s3", s3_store), "gs": ("gcs", google_store), "abfss": ("azurite", azure_store)}
on_each_kind = pytest.mark.parametrize("kind", _KINDS)


@pytest.fixture
def kind() -> str:
    """The kind of store; that of a test that names no other."""
    return "s3"


@pytest.fixture
def store(request: pytest.FixtureRequest, kind: str) -> Store:
    name, of = _KINDS[kind]
    return of(request.getfixturevalue(name))


@pytest.fixture
def proxy(store: Store) -> Iterator[Faulty]:
    with faulty.before(store.host) as proxy:
        yield proxy


@pytest.fixture
def files(store: Store, proxy: Faulty, tmp_path: Path) -> ObjectStoreFileIO:
    """The files as the catalog sees them, through the proxy; nothing takes longer than a second."""
    return store.files(tmp_path, proxy.url, timeout=1)


@pytest.fixture
def really(store: Store, tmp_path: Path) -> ObjectStoreFileIO:
    """The files as the store has them."""
    return store.files(tmp_path)


@pytest.fixture
def location(store: Store) -> str:
    return f"{store.location}/{uuid.uuid4()}/metadata/00001-{uuid.uuid4()}.metadata.json"


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


@on_each_kind
class TestCreate:
    @pytest.mark.parametrize("fault", LOST)
    def test_an_answer_is_lost(
        self,
        files: ObjectStoreFileIO,
        really: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
        fault: str,
    ) -> None:
        proxy.spoil(fault, match=PUT)
        files.write(location, CONTENT)
        assert proxy.spoiled == {fault: 1}
        assert really.read(location) == CONTENT
        assert files.orphans == 0

    @pytest.mark.parametrize("fault", LOST)
    def test_all_answers_are_lost(
        self,
        *,
        files: ObjectStoreFileIO,
        really: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
        fault: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        proxy.always(fault)
        with pytest.raises(ObjectStoreError) as raised:
            files.write(location, CONTENT)
        assert raised.value.may_be_done
        assert really.read(location) == CONTENT
        assert files.orphans == 1
        (record,) = caplog.records
        assert (record.levelno, location in record.getMessage()) == (logging.WARNING, True)

    @pytest.mark.parametrize("fault", KEPT_AWAY)
    def test_one_request_does_not_arrive(
        self,
        files: ObjectStoreFileIO,
        really: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
        fault: str,
    ) -> None:
        proxy.spoil(fault, match=PUT)
        try:
            files.write(location, CONTENT)
        except ObjectStoreError:
            assert fault in ("reset", "hang")  # these may have arrived, and are not repeated
            assert files.orphans == 1
            assert not really.exists(location)
        else:
            assert really.read(location) == CONTENT
            assert files.orphans == 0

    @pytest.mark.parametrize("fault", [*KEPT_AWAY, *REFUSED, "404"])
    def test_no_request_arrives(
        self,
        files: ObjectStoreFileIO,
        really: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
        fault: str,
    ) -> None:
        proxy.always(fault)
        with pytest.raises(ObjectStoreError):
            files.write(location, CONTENT)
        assert not really.exists(location)
        assert files.orphans == (0 if fault in (*REFUSED, "404") else 1)

    def test_a_store_that_hangs_is_not_waited_for_twice(
        self, store: Store, proxy: Faulty, location: str, tmp_path: Path
    ) -> None:
        files = store.files(tmp_path, proxy.url, timeout=5)
        proxy.always("lost-hang")
        with pytest.raises(ObjectStoreError, match="does not answer in time: cannot write a file"):
            files.write(location, CONTENT)
        wait_for(lambda: not proxy.hanging, "the requests to be given up")
        write, read = proxy.held
        assert read < write

    def test_a_request_arrives_when_nobody_waits_any_more(
        self,
        files: ObjectStoreFileIO,
        really: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
    ) -> None:
        proxy.spoil("late", match=PUT)
        with pytest.raises(ObjectStoreError):
            files.write(location, CONTENT)
        assert not really.exists(location)
        assert files.orphans == 1
        proxy.clear()
        wait_for(lambda: really.exists(location), "the object that came late")

    @pytest.mark.parametrize("fault", ["lost-500", "lost-reset", "500"])
    def test_the_object_of_another_is_left(
        self,
        files: ObjectStoreFileIO,
        really: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
        fault: str,
    ) -> None:
        really.write(location, b"another's")
        proxy.spoil(fault, match=PUT)
        assert not files.create(location, CONTENT)
        proxy.spoil(fault, match=PUT)
        with pytest.raises(ServiceUnavailableError, match="File exists"):
            files.write(location, CONTENT)
        assert really.read(location) == b"another's"
        assert files.orphans == 0

    def test_a_conflict_without_an_object_is_tried_again(
        self,
        files: ObjectStoreFileIO,
        really: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
    ) -> None:
        proxy.spoil("409", match=PUT)
        files.write(location, CONTENT)
        assert really.read(location) == CONTENT
        assert proxy.count("PUT") == 2

    def test_conflicts_without_end(
        self, files: ObjectStoreFileIO, really: ObjectStoreFileIO, proxy: Faulty, location: str
    ) -> None:
        proxy.always("409", match=PUT)
        with pytest.raises(ObjectStoreError, match="does not find it"):
            files.write(location, CONTENT)
        assert not really.exists(location)

    def test_many_while_faults_rain(
        self, files: ObjectStoreFileIO, really: ObjectStoreFileIO, proxy: Faulty, location: str
    ) -> None:
        proxy.rain(1, 0.4, [each for each in (*LOST, *KEPT_AWAY) if "hang" not in each])

        def write(number: int) -> bool:
            try:
                files.write(f"{location}.{number}", b"%d" % number)
            except ServiceUnavailableError:
                return False
            return True

        with ThreadPoolExecutor(4) as threads:
            done = list(threads.map(write, range(60)))
        assert done.count(True) > 20
        for number, acknowledged in enumerate(done):
            if acknowledged:
                assert really.read(f"{location}.{number}") == b"%d" % number
        left = sum(really.exists(f"{location}.{number}") for number in range(60))
        assert left <= done.count(True) + files.orphans

    @pytest.mark.parametrize("fault", LOST)
    def test_a_replacement_whose_answer_is_lost(
        self,
        files: ObjectStoreFileIO,
        really: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
        fault: str,
    ) -> None:
        really.write(location, b"before")
        proxy.spoil(fault, match=PUT)
        files.replace(location, CONTENT)
        assert really.read(location) == CONTENT

    @pytest.mark.parametrize("fault", ["403", "hang", "503"])
    def test_a_replacement_that_does_not_arrive(
        self,
        files: ObjectStoreFileIO,
        really: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
        fault: str,
    ) -> None:
        really.write(location, b"before")
        proxy.always(fault, match=PUT)
        with pytest.raises(ServiceUnavailableError):
            files.replace(location, CONTENT)
        assert really.read(location) == b"before"


@on_each_kind
class TestRead:
    @pytest.mark.parametrize("fault", ["500", "503", "429", "close", "reset", "cut"])
    def test_a_read_is_repeated(
        self,
        files: ObjectStoreFileIO,
        really: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
        fault: str,
    ) -> None:
        really.write(location, CONTENT)
        proxy.spoil(fault)
        assert files.read(location) == CONTENT
        assert files.exists(location)

    @pytest.mark.parametrize("fault", [*KEPT_AWAY, *REFUSED, "404"])
    def test_a_failure_is_never_a_missing_file(
        self,
        *,
        store: Store,
        files: ObjectStoreFileIO,
        really: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
        fault: str,
    ) -> None:
        really.write(location, CONTENT)
        proxy.always(fault, match=GET)
        with pytest.raises(ObjectStoreError) as raised:
            files.read(location)
        assert raised.value.status == 503
        with pytest.raises(ObjectStoreError):
            list(files.list(store.location))
        with pytest.raises(ObjectStoreError):
            files.remove_empty_folders(store.location)

    def test_a_cut_answer_is_never_short(
        self,
        files: ObjectStoreFileIO,
        really: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
    ) -> None:
        really.write(location, CONTENT)
        proxy.always("cut", match=GET)
        with pytest.raises(ObjectStoreError):
            files.read(location)

    @pytest.mark.parametrize("fault", ["lost-500", "lost-503", "lost-close"])
    def test_a_delete_is_repeated(
        self,
        files: ObjectStoreFileIO,
        really: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
        fault: str,
    ) -> None:
        really.write(location, CONTENT)
        proxy.spoil(fault)
        files.delete(location)
        assert not really.exists(location)
        assert len(proxy.requests) == 2


@pytest.mark.parametrize("fault", [*LOST, *KEPT_AWAY, *REFUSED, "404", "409"])
def test_errors_show_nothing_of_the_store(
    *,
    store: Store,
    files: ObjectStoreFileIO,
    proxy: Faulty,
    location: str,
    fault: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    proxy.always(fault)
    said = []
    # Only the answer to a GET says whether the bucket is missing, or the object alone.
    by_head = () if fault == "404" else (files.exists, files.size, files.version)
    for act in (files.read, files.write, files.delete, files.list, *by_head):
        with pytest.raises(ObjectStoreError, match="The object store of warehouse lake") as raised:
            act(location)
        said += [shown(raised.value), repr(raised.value)]
    text = "".join([*said, caplog.text, repr(files), str(vars(files))])
    for secret in (SECRET, "<Error>", "http://", proxy.url, *store.secrets):
        assert secret not in text


class TestCredentials:
    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(object_store, "_RENEW_AFTER", 0.0)

    @pytest.mark.parametrize("fault", REFUSED)
    def test_refused_ones_are_renewed_once(
        self,
        files: ObjectStoreFileIO,
        really: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
        fault: str,
    ) -> None:
        proxy.spoil(fault)
        files.write(location, CONTENT)
        assert proxy.count("PUT") == 2
        assert really.read(location) == CONTENT

    @pytest.mark.parametrize("fault", REFUSED)
    def test_a_store_that_refuses_all_is_asked_twice(
        self, files: ObjectStoreFileIO, proxy: Faulty, location: str, fault: str
    ) -> None:
        proxy.always(fault)
        with pytest.raises(ObjectStoreError) as raised:
            files.write(location, CONTENT)
        assert (raised.value.reason, raised.value.may_be_done) == ("denied", False)
        assert proxy.count("PUT") == 2

    def test_new_ones_are_not_doubted(
        self,
        files: ObjectStoreFileIO,
        proxy: Faulty,
        location: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(object_store, "_RENEW_AFTER", 60.0)
        proxy.always("403")
        for _ in range(3):
            with pytest.raises(ObjectStoreError):
                files.write(location, CONTENT)
        assert proxy.count("PUT") == 3


class TestBulkhead:
    """Four threads at most wait for a store, and one after it was seen not to answer."""

    def test_a_store_that_hangs_holds_few_threads(
        self, store: Store, proxy: Faulty, location: str, tmp_path: Path
    ) -> None:
        files = store.files(tmp_path, proxy.url, timeout=3)
        proxy.always("hang")
        refused: list[str] = []

        def read() -> None:
            with pytest.raises(WarehouseUnavailableError) as raised:
                files.read(location)
            refused.append(str(raised.value))

        threads = [threading.Thread(target=read) for _ in range(12)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(refused) == 8, "those without a place to be refused")
        assert proxy.hanging == 4
        for thread in threads:
            thread.join()
        assert len(refused) == 12

    def test_it_is_tried_by_one_at_a_time_until_it_answers(
        self, files: ObjectStoreFileIO, really: ObjectStoreFileIO, proxy: Faulty, location: str
    ) -> None:
        really.write(location, CONTENT)
        proxy.always("hang")
        with pytest.raises(ObjectStoreError, match="does not answer in time"):
            files.read(location)
        began = len(proxy.requests)
        with ThreadPoolExecutor(8) as threads:
            tried = [threads.submit(files.read, location) for _ in range(8)]
            failures = [each.exception() for each in tried]
        assert all(isinstance(each, WarehouseUnavailableError) for each in failures)
        assert len(proxy.requests) - began < 4
        proxy.clear()
        wait_for(lambda: _reads(files, location), "the store to be asked again")
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(files.read, [location] * 50)) == {CONTENT}

    def test_callers_wait_for_one_that_answers(
        self, files: ObjectStoreFileIO, really: ObjectStoreFileIO, proxy: Faulty, location: str
    ) -> None:
        really.write(location, CONTENT)
        proxy.always("slow")
        with ThreadPoolExecutor(16) as threads:
            assert set(threads.map(files.read, [location] * 32)) == {CONTENT}

    def test_no_thread_is_left(
        self, files: ObjectStoreFileIO, proxy: Faulty, location: str
    ) -> None:
        with pytest.raises(NotFoundError):
            files.read(location)
        before = _threads()
        proxy.always("hang")
        for _ in range(3):
            with pytest.raises(ObjectStoreError):
                files.read(location)
        proxy.clear()
        wait_for(lambda: _threads() <= before, "threads to end")


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _reads(files: ObjectStoreFileIO, location: str) -> bool:
    try:
        return files.read(location) == CONTENT
    except WarehouseUnavailableError:
        return False
