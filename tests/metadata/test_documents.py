"""Documents: text built in parts is the text built whole, whatever happened before."""

import copy
import gzip
import struct
import tracemalloc
import zlib
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcon_catalog.errors import CatalogError
from falcon_catalog.metadata import append_log, table
from falcon_catalog.metadata.append_log import CHUNK, History, with_values
from falcon_catalog.metadata.document import Document
from falcon_catalog.metadata.gzip_join import GzipJoin, Zipped, compress
from tests.metadata.test_histories import RANDOM
from tests.metadata.test_histories import History as Commits

BEFORE, AFTER = b'{"metadata":', b',"config":{}}'
BOUNDARIES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1, 3 * CHUNK]


@contextmanager
def runs_of(size: int) -> Any:
    """Seal chunks of that many items, so that short histories cross many boundaries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(append_log, "CHUNK", size)
        yield


def unzip_one_member(content: bytes) -> bytes:
    """Return the text of gzip that is one member with nothing behind it."""
    unzipper = zlib.decompressobj(wbits=31)
    text = unzipper.decompress(content)
    assert unzipper.eof
    assert unzipper.unused_data == b""
    return text


def check(document: Document, plain: dict[str, Any]) -> None:
    """Check that a document says what the plain dict says, in each of its forms."""
    assert orjson.loads(document.text()) == plain
    assert document.length == len(document.text()) == len(b"".join(document.pieces()))
    assert all(document.pieces())
    assert orjson.loads(document.text(BEFORE, AFTER)) == {"metadata": plain, "config": {}}
    assert unzip_one_member(document.gzip(BEFORE, AFTER)) == document.text(BEFORE, AFTER)
    assert document.gzip(BEFORE, AFTER) is document.gzip(BEFORE, AFTER)
    assert unzip_one_member(b"".join(document.gzip_pieces())) == document.text()
    assert unzip_one_member(document.gzip()) == gzip.decompress(document.gzip()) == document.text()
    for key in ("snapshots", "snapshot-log"):
        assert list(document.metadata[key]) == plain[key]


class TestAgainstPlainDicts:
    @RANDOM
    @given(data=st.data())
    def test_random_histories_with_runs_of_any_size(self, make: Any, data: st.DataObject) -> None:
        with runs_of(data.draw(st.integers(1, 4))):
            commits = Commits(make, data, plain=False)
            document = Document(commits.meta)
            for _ in range(data.draw(st.integers(1, 14))):
                plain, before = commits.meta, document.text()
                updates = commits.commit()
                base = document
                warm = table.apply(
                    base.metadata, updates, now_ms=commits.now_ms, metadata_location="old.json"
                )
                assert (warm is base.metadata) == (commits.meta is plain)
                document = base if warm is base.metadata else Document(warm)
                check(document, commits.meta)
                assert base.text() == before
                self.check_questions(document, commits.meta, updates)
                if data.draw(st.booleans()):  # as after an eviction
                    document = Document(orjson.loads(document.text()))
                    check(document, commits.meta)

    def check_questions(
        self, document: Document, plain: dict[str, Any], updates: list[dict[str, Any]]
    ) -> None:
        """Check that what is asked of a table is answered alike: refs, replays."""
        refs = Document(table.filter_snapshots_to_refs(document.metadata))
        check(refs, table.filter_snapshots_to_refs(plain))
        assert table.is_replay(document.metadata, updates) == table.is_replay(plain, updates)
        assert table.with_defaults(document.metadata) is document.metadata

    @pytest.mark.parametrize("version", [1, 2, 3])
    @pytest.mark.parametrize("count", BOUNDARIES)
    def test_boundaries_of_real_runs(self, make: Any, count: int, version: int) -> None:
        plain = make.history(count, version)
        document = Document(plain)
        check(document, plain)
        more = {"first_row_id": count, "added_rows": 1} if version == 3 else {}
        updates = make.append(count + 1, count or None, **more)
        following = Document(make.apply(document.metadata, *updates))
        check(following, make.apply(plain, *updates))
        check(document, plain)

    def test_a_long_history_shares_all_that_is_old(self, make: Any) -> None:
        plain = make.history(3 * CHUNK)
        document = Document(plain)
        document.gzip()
        following = Document(make.apply(document.metadata, *make.append(3 * CHUNK + 1, 3 * CHUNK)))
        for key in ("snapshots", "snapshot-log"):
            old, new = (one.metadata[key].sealed.chunks for one in (document, following))
            assert len(new) == len(old) + 1 == 3
            assert all(theirs is ours for ours, theirs in zip(old, new, strict=False))
            assert all("zipped" in vars(chunk) for chunk in old)

    @pytest.mark.parametrize(
        ("action", "fields"),
        [
            ("remove-snapshots", {"snapshot-ids": [1, CHUNK, CHUNK + 1]}),
            ("remove-snapshots", {"snapshot-ids": list(range(1, 2 * CHUNK))}),
            ("remove-snapshots", {"snapshot-ids": [99_999]}),
            ("set-snapshot-ref", {"ref-name": "old", "type": "tag", "snapshot-id": 1}),
            ("set-snapshot-ref", {"ref-name": "main", "type": "branch", "snapshot-id": CHUNK}),
            ("upgrade-format-version", {"format-version": 3}),
            ("set-properties", {"updates": {"a": "b"}}),
        ],
    )
    def test_what_reaches_into_sealed_runs(
        self, make: Any, action: str, fields: dict[str, Any]
    ) -> None:
        plain = make.history(2 * CHUNK + 3)
        base = Document(plain)
        update = {"action": action, **fields}
        check(Document(make.apply(base.metadata, update)), make.apply(plain, update))
        check(base, plain)

    @pytest.mark.parametrize(
        "updates",
        [
            [{"snapshot-id": 1, "sequence-number": 9_999}],
            [{"snapshot-id": 9_999, "sequence-number": 1, "parent-snapshot-id": 1}],
        ],
    )
    def test_refusals_are_the_same(self, make: Any, updates: list[dict[str, Any]]) -> None:
        plain = make.history(CHUNK + 1)
        given_up = [
            {"action": "add-snapshot", "snapshot": {**make.snapshot(1), **fields}}
            for fields in updates
        ]
        said = []
        for base in (plain, Document(plain).metadata):
            with pytest.raises(CatalogError) as refused:
                make.apply(base, *given_up)
            said.append((type(refused.value), str(refused.value)))
        assert said[0] == said[1]

    def test_a_replay_of_an_old_commit_is_known(self, make: Any) -> None:
        document = Document(make.history(2 * CHUNK + 5))
        assert table.is_replay(document.metadata, make.append(3, 2))
        assert not table.is_replay(document.metadata, make.append(3, 1))

    def test_only_what_is_asked_for_is_read(self, make: Any, monkeypatch: Any) -> None:
        document = Document(make.history(3 * CHUNK))
        read: list[append_log.Chunk] = []
        items = append_log.Chunk.items
        monkeypatch.setattr(
            append_log.Chunk, "items", lambda chunk: read.append(chunk) or items(chunk)
        )
        make.apply(document.metadata, *make.append(3 * CHUNK + 1, 3 * CHUNK))
        table.filter_snapshots_to_refs(document.metadata)
        assert read == []
        make.apply(document.metadata, make.set_ref("old", 2, "tag"))
        assert len(read) == 1


class TestHistory:
    @RANDOM
    @given(size=st.integers(1, 5), count=st.integers(0, 23), more=st.integers(0, 12))
    def test_it_is_the_list_that_it_stands_for(self, size: int, count: int, more: int) -> None:
        with runs_of(size):
            items = [{"id": number, "text": "é\u2028,"} for number in range(count + more)]
            grown = History.of(items[:count], "id")
            for item in items[count:]:
                grown = grown.plus(item)
            assert (len(grown), list(grown)) == (len(items), items)
            assert [grown[at] for at in range(len(items))] == items
            assert [grown[-at - 1] for at in range(len(items))] == items[::-1]
            assert grown[1:4] == items[1:4]
            with pytest.raises(IndexError):
                grown[len(items)]
            wanted = {0, 3, len(items) - 1, 99}
            assert with_values(grown, "id", wanted) == [i for i in items if i["id"] in wanted]
            assert with_values(grown, "text", {"no"}) == []
            assert bool(grown.opened) == bool(items)
            assert len(grown.opened) <= size
            assert grown.sealed.crc == zlib.crc32(b"".join(r.text for r in grown.sealed.chunks))

    def test_a_field_that_is_looked_up_need_not_be_unique(self) -> None:
        with runs_of(1):
            items = [{"id": 1, "n": 1}, {"id": 1, "n": 2}, {"id": 2, "n": 3}]
            assert with_values(History.of(items, "id"), "id", {1}) == items[:2]


class TestDeflate:
    @RANDOM
    @given(
        texts=st.lists(st.binary(max_size=300) | st.just(b"x" * 70_000), max_size=6),
        how=st.lists(st.sampled_from(["compressed", "stored", "zipped"]), min_size=6, max_size=6),
    )
    def test_any_parts_make_one_member(self, texts: list[bytes], how: list[str]) -> None:
        joined = GzipJoin()
        for text, way in zip(texts, how, strict=False):
            if way == "zipped":
                joined.add(Zipped([compress(text)], zlib.crc32(text), len(text)))
            elif way == "compressed":
                joined.add_compressed(text, compress(text))
            else:
                joined.add_stored(text)
        whole = b"".join(texts)
        assert unzip_one_member(b"".join(joined.gzip())) == whole

    def test_checksums_of_long_texts_are_joined_right(self) -> None:
        part = bytes(1 << 25)
        joined = GzipJoin()
        for _ in range(3):
            joined.add(Zipped([], zlib.crc32(part), len(part)))
        end = struct.pack("<II", zlib.crc32(3 * part), 3 * len(part))
        assert joined.gzip()[-1] == end


def test_a_document_changes_nothing_that_it_was_given(make: Any) -> None:
    plain = make.history(CHUNK + 2)
    before = copy.deepcopy(plain)
    document = Document(plain)
    document.gzip()
    Document(make.apply(document.metadata, *make.append(CHUNK + 3, CHUNK + 2)))
    assert plain == before


@pytest.mark.parametrize("shape", ["empty", "wide", "open", "long"])
def test_its_cost_covers_what_it_holds_and_not_much_more(make: Any, shape: str) -> None:
    columns = [make.column(number, f"c{number}") for number in range(1, 2_001)]
    plain = {
        "empty": make.table,
        "wide": lambda: make.create(make.request(make.schema(*columns))),
        "open": lambda: make.history(CHUNK),
        "long": lambda: make.history(6 * CHUNK),
    }[shape]()
    text = orjson.dumps(plain)
    tracemalloc.start()
    try:
        document = Document(orjson.loads(text))
        document.gzip()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 0.9 * held < document.cost < 4 * held + 4096
