"""Tables served from memory: the same answers, fewer statements, a bound of bytes."""

import gzip
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pytest
from pyiceberg.table import StaticTable

from falcon_catalog.catalog.metadata_cache import Key, MetadataCache
from falcon_catalog.metadata.append_log import CHUNK
from falcon_catalog.metadata.document import Document
from tests.catalog.serving import Server, serving
from tests.several import PROCESSES

T = "/v1/namespaces/ns/tables/t"
GZIP = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}


def set_properties(**updates: str) -> dict[str, Any]:
    return {"updates": [{"action": "set-properties", "updates": updates}]}


def append(number: int) -> dict[str, Any]:
    """Return the commit that appends snapshot ``number`` to the one before it."""
    snapshot = {
        "snapshot-id": number,
        "sequence-number": number,
        "timestamp-ms": 1_700_000_000_000 + number,
        "manifest-list": f"file:///nowhere/{number}.avro",
        "summary": {"operation": "append"},
        "schema-id": 0,
        **({"parent-snapshot-id": number - 1} if number > 1 else {}),
    }
    head = number - 1 or None
    return {
        "requirements": [{"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": head}],
        "updates": [
            {"action": "add-snapshot", "snapshot": snapshot},
            {
                "action": "set-snapshot-ref",
                "ref-name": "main",
                "type": "branch",
                "snapshot-id": number,
            },
        ],
    }


def long_table(server: Server, count: int, **properties: str) -> dict[str, Any]:
    """Register a table with so many snapshots; return what is answered."""
    made = server.table("t", properties=properties)
    server.ok("DELETE", T)
    metadata = made["metadata"]
    metadata["snapshots"] = [append(n)["updates"][0]["snapshot"] for n in range(1, count + 1)]
    metadata["snapshot-log"] = [
        {"snapshot-id": s["snapshot-id"], "timestamp-ms": s["timestamp-ms"]}
        for s in metadata["snapshots"]
    ]
    metadata["refs"] = {"main": {"type": "branch", "snapshot-id": count}}
    metadata["current-snapshot-id"] = metadata["last-sequence-number"] = count
    location = made["metadata-location"].replace("00000-", "00001-")
    Path(location.removeprefix("file://")).write_text(json.dumps(metadata), encoding="utf-8")
    body = {"name": "t", "metadata-location": location}
    return server.ok("POST", "/v1/namespaces/ns/register", body)


@contextmanager
def statements(server: Server) -> Iterator[list[str]]:
    """Yield the list of what the database is asked, growing; the thread pool is warm before."""
    database = server.app.warehouses[0].store
    seen: list[str] = []
    every = [*database._connections, database.writer._connection]
    for connection in every:
        connection.set_trace_callback(seen.append)
    yield seen
    for connection in every:
        connection.set_trace_callback(None)


def words(seen: list[str]) -> list[str]:
    return [statement.split(" ", 1)[0] for statement in seen]


def documents(server: Server) -> MetadataCache:
    return server.app.warehouses[0].metadata


@pytest.mark.sqlite
class TestStatements:
    def test_a_load_is_one_select(self, start: Any) -> None:
        server = start(server__threads=1)
        server.namespace("ns")
        server.table("t")
        server.ok("GET", T)
        server.ok("GET", T, params={"snapshots": "refs"})
        with statements(server) as seen:
            tag = server.call("GET", T).headers["ETag"]
            assert words(seen) == ["SELECT"]
            assert server.call("GET", T, headers={"If-None-Match": tag}).status_code == 304
            server.ok("GET", T, params={"snapshots": "refs"})
            assert server.call("HEAD", T).status_code == 204
            assert words(seen) == ["SELECT"] * 4

    def test_a_commit_is_one_update_and_one_event(self, start: Any) -> None:
        """The first SELECT is whether the warehouse is read-only, the second finds the table."""
        server = start(server__threads=1)
        server.namespace("ns")
        server.table("t")
        with statements(server) as seen:
            server.ok("POST", T, append(1))
        assert words(seen) == ["SELECT", "SELECT", "BEGIN", "UPDATE", "INSERT", "COMMIT"]
        with statements(server) as seen:
            server.ok("POST", T, append(2))
        assert words(seen) == ["SELECT", "BEGIN", "UPDATE", "INSERT", "COMMIT"]

    def test_what_is_missing_is_not_unchanged(self, ns: Server) -> None:
        ns.table("t")
        answer = ns.call("GET", T)
        tag = {"If-None-Match": answer.headers["ETag"]}
        assert ns.call("GET", T, headers=tag).status_code == 304
        Path(answer.json()["metadata-location"].removeprefix("file://")).unlink()
        assert ns.fails("GET", T, headers=tag)[:2] == (404, "NotFoundException")

    def test_a_commit_that_changes_nothing_writes_nothing(self, start: Any) -> None:
        server = start(server__threads=1)
        server.namespace("ns")
        server.table("t")
        server.ok("POST", T, append(1))
        with statements(server) as seen:
            server.ok("POST", T, {"updates": []})
        assert words(seen) == ["SELECT", "SELECT"]


class TestMemory:
    def test_what_is_in_memory_is_what_lies_on_disk(self, ns: Server) -> None:
        ns.table("t")
        for number in range(1, 2 * CHUNK + 3):
            ns.ok("POST", T, append(number))
        shown = ns.ok("GET", T)
        location = shown["metadata-location"]
        assert json.loads(Path(location.removeprefix("file://")).read_bytes()) == shown["metadata"]
        refs = ns.ok("GET", T, params={"snapshots": "refs"})["metadata"]
        assert [one["snapshot-id"] for one in refs["snapshots"]] == [2 * CHUNK + 2]
        with serving(ns.folder, cache__documents_bytes=0) as cold:
            assert cold.ok("GET", T) == shown
            assert cold.ok("GET", T, params={"snapshots": "refs"})["metadata"] == refs
            cold.ok("POST", T, append(2 * CHUNK + 3))
            assert cold.meter("cache_bytes") == 0
            assert cold.ok("GET", T) == ns.ok("GET", T)

    def test_a_file_that_is_gone_is_told_whatever_is_remembered(self, ns: Server) -> None:
        path = Path(ns.table("t")["metadata-location"].removeprefix("file://"))
        shown, text = ns.ok("GET", T), path.read_bytes()
        path.unlink()
        for method, body in (("GET", None), ("POST", set_properties(a="b"))):
            assert ns.fails(method, T, body)[:2] == (404, "NotFoundException")
        path.write_bytes(text)
        assert ns.ok("GET", T) == shown

    def test_a_commit_lets_go_of_what_it_supersedes(self, ns: Server) -> None:
        ns.table("t")
        for number in range(1, 6):
            ns.ok("POST", T, append(number))
            ns.ok("GET", T, params={"snapshots": "refs"})
        assert len(documents(ns)) == 2
        assert documents(ns).evictions == 0

    def test_servers_on_one_store_see_each_others_commits(self, ns: Server) -> None:
        ns.table("t")
        with serving(ns.folder) as other:
            for number in range(1, 9):
                writer, reader = (ns, other) if number % 2 else (other, ns)
                changed = writer.ok("POST", T, append(number))
                assert reader.ok("GET", T)["metadata"] == changed["metadata"]

    def test_another_file_registered_at_the_same_place_is_read(self, ns: Server) -> None:
        location = ns.table("t")["metadata-location"]
        with serving(ns.folder) as other:
            before = other.ok("GET", T)["metadata"]
            ns.ok("DELETE", T)
            path = Path(location.removeprefix("file://"))
            path.write_text(json.dumps({**before, "properties": {"new": "yes"}}), encoding="utf-8")
            body = {"name": "t", "metadata-location": location}
            ns.ok("POST", "/v1/namespaces/ns/register", body)
            for server in (ns, other):
                assert server.ok("GET", T)["metadata"]["properties"] == {"new": "yes"}

    def test_many_readers_and_writers_agree(self, start: Any) -> None:
        server = start(cache__documents_bytes=40_000)  # room for some of them
        server.namespace("ns")
        names = [f"t{number}" for number in range(6)]
        for name in names:
            server.table(name)

        def write(name: str) -> None:
            path = f"/v1/namespaces/ns/tables/{name}"
            for number in range(1, 20):
                changed = server.ok("POST", path, append(number))["metadata"]
                assert server.ok("GET", path)["metadata"] == changed
                refs = server.ok("GET", path, params={"snapshots": "refs"})["metadata"]
                assert refs["snapshots"] == changed["snapshots"][-1:]

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write, names))
        assert server.meter("cache_bytes") <= 40_000 * PROCESSES
        if server.own_app:  # each of several has an own cache, which nobody sees
            assert documents(server).evictions > 0


class TestBound:
    def document(self, size: int) -> Document:
        return Document({"text": "x" * size})

    def test_the_least_recently_used_goes_first(self) -> None:
        kept = MetadataCache(3 * self.document(10).cost)
        keys = [Key(f"{number}.json", 1) for number in range(4)]
        for key in keys[:3]:
            kept.put(key, self.document(10))
        assert kept.get(keys[0]) is not None
        kept.put(keys[3], self.document(10))
        assert [kept.get(key) is not None for key in keys] == [True, False, True, True]
        assert (kept.evictions, kept.hits, kept.misses) == (1, 4, 1)
        assert kept.used_bytes == 3 * self.document(10).cost

    def test_what_is_larger_than_all_is_not_kept(self) -> None:
        kept = MetadataCache(self.document(10).cost)
        small, large = Key("a", 1), Key("b", 1)
        kept.put(small, self.document(10))
        kept.put(large, self.document(10_000))
        assert kept.get(small) is not None
        assert kept.get(large) is None

    def test_the_same_key_is_counted_once(self) -> None:
        kept = MetadataCache(1 << 20)
        for _ in range(3):
            kept.put(Key("a", 1), self.document(10))
        assert (len(kept), kept.used_bytes) == (1, self.document(10).cost)
        kept.forget(Key("a", 2))
        assert len(kept) == 1
        kept.put(Key("a", 1, "refs"), self.document(10))
        kept.forget(Key("a", 1), Key("a", 1, "refs"))
        assert (len(kept), kept.used_bytes) == (0, 0)

    def test_the_bound_holds_under_many_threads(self) -> None:
        kept = MetadataCache(10 * self.document(10).cost)

        def work(worker: int) -> None:
            for number in range(500):
                key = Key(f"{(worker * number) % 17}.json", 1)
                if kept.get(key) is None:
                    kept.put(key, self.document(number % 50))
                if number % 7 == 0:
                    kept.forget(key)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert kept.used_bytes == sum(one.cost for one, _ in kept._values.values())
        assert kept.used_bytes <= kept.limit_bytes


class TestCompression:
    @pytest.fixture
    def long(self, ns: Server) -> dict[str, Any]:
        return long_table(ns, 2 * CHUNK + 1)

    @pytest.mark.parametrize(
        "accepted", ["gzip", "deflate, gzip", "gzip;q=0.5", "GZIP ; q=1.0", "*", "x-gzip", "br,*"]
    )
    def test_it_is_sent_to_who_accepts_it(
        self, ns: Server, long: dict[str, Any], accepted: str
    ) -> None:
        answer = raw(ns, "GET", T, {"Accept-Encoding": accepted})
        assert answer.headers["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(answer.body)) == long
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        assert answer.headers["Vary"] == "Accept-Encoding"

    @pytest.mark.parametrize("accepted", [None, "", "identity", "gzip;q=0", "br", "*;q=0.0"])
    def test_others_get_it_plain(
        self, ns: Server, long: dict[str, Any], accepted: str | None
    ) -> None:
        answer = raw(ns, "GET", T, {} if accepted is None else {"Accept-Encoding": accepted})
        assert "Content-Encoding" not in answer.headers
        assert json.loads(answer.body) == long
        assert answer.headers["Vary"] == "Accept-Encoding"

    def test_what_is_small_goes_plain(self, ns: Server) -> None:
        made = ns.table("t")
        answer = raw(ns, "GET", T, GZIP)
        assert "Content-Encoding" not in answer.headers
        assert json.loads(answer.body) == made

    def test_one_tag_serves_both_forms(self, ns: Server, long: dict[str, Any]) -> None:
        assert long
        zipped, plain = (raw(ns, "GET", T, form).headers["ETag"] for form in (GZIP, PLAIN))
        assert zipped == plain
        for form in (GZIP, PLAIN):
            answer = raw(ns, "GET", T, {**form, "If-None-Match": zipped})
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers["Vary"] == "Accept-Encoding"

    def test_commits_and_refs_are_compressed_too(self, ns: Server, long: dict[str, Any]) -> None:
        assert long
        columns = [{"id": 1, "name": "é" * 5_000, "type": "long", "required": False}]
        schema = {"type": "struct", "schema-id": 1, "fields": columns}
        body = {**append(2 * CHUNK + 2)}
        body["updates"] = [*body["updates"], {"action": "add-schema", "schema": schema}]
        answer = raw(ns, "POST", T, GZIP, body)
        assert answer.headers["Content-Encoding"] == "gzip"
        changed = json.loads(gzip.decompress(answer.body))
        assert changed["metadata"] == ns.ok("GET", T)["metadata"]
        answer = raw(ns, "GET", f"{T}?snapshots=refs", GZIP)
        assert answer.headers["Content-Encoding"] == "gzip"
        refs = json.loads(gzip.decompress(answer.body))["metadata"]
        assert len(refs["snapshots"]) == 1

    @pytest.mark.parametrize("body", [set_properties(a="b"), {"updates": []}])
    def test_a_retry_is_answered_the_same(
        self, ns: Server, long: dict[str, Any], body: dict[str, Any]
    ) -> None:
        assert long
        key = {**GZIP, "Idempotency-Key": "0190a3b4-0000-7000-8000-000000000001"}
        first, second = (raw(ns, "POST", T, key, body) for _ in range(2))
        assert (first.status, second.status) == (200, 200)
        shown = [json.loads(one.text) for one in (first, second)]
        assert shown[0]["metadata"] == shown[1]["metadata"]

    def test_an_answer_without_a_body_leaves_the_connection_open(self, ns: Server) -> None:
        ns.table("t")
        connection = http.client.HTTPConnection(urlsplit(ns.url).netloc)
        connection.request("GET", T)
        first = connection.getresponse()
        first.read()
        sock = connection.sock
        for verb, status in (("HEAD", 204), ("GET", 304), ("HEAD", 204), ("DELETE", 204)):
            known = {"If-None-Match": first.headers["ETag"]}
            connection.request(verb, T, headers=known if verb == "GET" else {})
            answer = connection.getresponse()
            answer.read()
            assert (answer.status, answer.headers.get("Connection")) == (status, None)
            assert connection.sock is sock
        connection.request("HEAD", "/v1/namespaces/ns", headers={"Connection": "close"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (204, "close")
        connection.close()


class TestLongAnswers:
    def test_a_slow_reader_gets_all_of_several_answers(self, ns: Server) -> None:
        shown = long_table(ns, 2 * CHUNK, filler="é" * 400_000)
        host, port = urlsplit(ns.url).netloc.split(":")
        request = f"GET {T} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect((host, int(port)))
            sock.settimeout(30)
            sock.sendall(request * 2)  # the second arrives while the first is being answered
            with sock.makefile("rb") as stream:
                for _ in range(2):
                    headers = http.client.parse_headers(stream) if stream.readline() else None
                    assert headers is not None
                    body = bytearray()
                    while len(body) < int(headers["Content-Length"]):
                        body += stream.read(min(50_000, int(headers["Content-Length"]) - len(body)))
                    assert json.loads(body) == shown

    def test_a_reader_who_leaves_early_takes_nobody_along(self, ns: Server) -> None:
        shown = long_table(ns, 2 * CHUNK, filler="x" * 3_000_000)
        for _ in range(8):
            with socket.create_connection(urlsplit(ns.url).netloc.split(":")) as sock:
                sock.sendall(f"GET {T} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                sock.recv(10)
        assert ns.ok("GET", T) == shown


class TestZippedFiles:
    def test_every_reader_reads_what_was_built_in_parts(self, ns: Server) -> None:
        long_table(ns, 3 * CHUNK, **{"write.metadata.compression-codec": "gzip"})
        for number in range(3 * CHUNK + 1, 3 * CHUNK + 4):
            changed = ns.ok("POST", T, append(number))
        location = changed["metadata-location"]
        assert location.endswith(".gz.metadata.json")
        path = Path(location.removeprefix("file://"))
        assert json.loads(gzip.decompress(path.read_bytes())) == changed["metadata"]
        read = StaticTable.from_metadata(location).metadata
        assert [s.snapshot_id for s in read.snapshots] == list(range(1, 3 * CHUNK + 4))
        rows = duckdb.sql(
            f"SELECT len(snapshots), \"current-snapshot-id\" FROM read_json('{path}',"
            " compression='gzip', maximum_object_size=100000000)"
        ).fetchall()
        assert rows == [(3 * CHUNK + 3, 3 * CHUNK + 3)]
        with serving(ns.folder) as cold:
            assert cold.ok("GET", T)["metadata"] == changed["metadata"]

    def test_a_plain_file_of_many_pieces_is_whole(self, ns: Server) -> None:
        long_table(ns, 3 * CHUNK)
        changed = ns.ok("POST", T, append(3 * CHUNK + 1))
        path = Path(changed["metadata-location"].removeprefix("file://"))
        assert json.loads(path.read_bytes()) == changed["metadata"]


class Answer:
    """An answer as it came over the wire."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()

    @property
    def text(self) -> bytes:
        zipped = self.headers.get("Content-Encoding") == "gzip"
        return gzip.decompress(self.body) if zipped else self.body


def raw(
    server: Server, verb: str, path: str, headers: dict[str, str], body: object = None
) -> Answer:
    """Send one request with these headers and no others that say what is accepted."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
    content = None if body is None else json.dumps(body)
    connection.putrequest(verb, path, skip_accept_encoding=True)
    about = {"Content-Type": "application/json", "Content-Length": str(len(content or ""))}
    for name, value in {**headers, **about}.items():
        connection.putheader(name, value)
    connection.endheaders(content.encode() if content else None)
    try:
        return Answer(connection.getresponse())
    finally:
        connection.close()
