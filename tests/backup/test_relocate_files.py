"""Each kind of file that names others, rewritten by itself."""

import datetime as dt
import io
import json
import struct
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from falcon_catalog.backup import avro, position_deletes
from falcon_catalog.backup.prefix import Move, RelocationError
from falcon_catalog.backup.rewriting import Rewriter
from falcon_catalog.backup.verification import compare_deletes, compare_manifest_lists
from falcon_catalog.errors import BadRequestError
from falcon_catalog.fileio.local import LocalFileIO

MOVE = Move.of("/old", "/new")


class TestAvro:
    def a_file(self, schema: dict[str, Any], records: list[Any], codec: str) -> bytes:
        out = io.BytesIO()
        fastavro.writer(out, schema, records, codec=codec, metadata={"kept": "as it is"})
        return out.getvalue()

    @pytest.mark.parametrize("codec", ["null", "deflate", "zstandard", "snappy"])
    def test_everything_but_what_is_changed_stays(self, codec: str) -> None:
        schema = {
            "type": "record",
            "name": "manifest_entry",
            "fields": [
                {"name": "path", "type": "string", "field-id": 100},
                {"name": "day", "type": {"type": "int", "logicalType": "date"}, "field-id": 1},
                {
                    "name": "at",
                    "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}],
                    "field-id": 2,
                },
                {
                    "name": "rain",
                    "type": {
                        "type": "fixed",
                        "size": 4,
                        "name": "decimal_9_2",
                        "logicalType": "decimal",
                        "precision": 9,
                        "scale": 2,
                    },
                    "field-id": 3,
                },
                {"name": "snow", "type": "decimal_9_2", "field-id": 4},
                {"name": "wind", "type": "double", "field-id": 5},
                {"name": "of_nobody", "type": {"type": "map", "values": "long"}},
            ],
        }
        record = {
            "path": "/old/x",
            "day": dt.date(2013, 7, 18),
            "at": dt.datetime(2013, 7, 18, 1, tzinfo=dt.UTC),
            "rain": Decimal("1.25"),
            "snow": Decimal("-0.01"),
            "wind": float("inf"),
            "of_nobody": {"a": 1},
        }
        content = self.a_file(schema, [record, record], codec)
        file = avro.read(content, "x.avro")
        assert file.records[0]["f1"] == 15904
        for row in file.records:
            row["f100"] = "/new/x"
        made = fastavro.reader(io.BytesIO(avro.write(file)))
        assert list(made) == [{**record, "path": "/new/x"}] * 2
        assert made.metadata == fastavro.reader(io.BytesIO(content)).metadata

    def test_a_day_that_python_has_no_date_for(self) -> None:
        day = {"type": "int", "logicalType": "date"}
        fields = [{"name": "day", "type": day, "field-id": 1}]
        plain = {"type": "record", "name": "r", "fields": [{"name": "day", "type": "int"}]}
        content = self.a_file(plain, [{"day": 2**31 - 1}], "null")
        schema = {"type": "record", "name": "r", "fields": fields}
        file = avro.read(content, "x")
        file.header["meta"]["avro.schema"] = json.dumps(schema).encode()
        again = avro.read(avro.write(file), "x")
        assert again.records == [{"f1": 2**31 - 1}]

    def test_a_name_that_is_defined_twice(self) -> None:
        inner = {"type": "fixed", "size": 2, "name": "twice"}
        fields = [{"name": name, "type": inner} for name in ("a",)]
        content = self.a_file(
            {"type": "record", "name": "r", "fields": fields}, [{"a": b"xy"}], "null"
        )
        file = avro.read(content, "x")
        doubled = {"type": "record", "name": "r", "fields": [fields[0], {**fields[0], "name": "b"}]}
        file.header["meta"]["avro.schema"] = json.dumps(doubled).encode()
        two = avro.AvroFile(
            file.header,
            {
                "type": "record",
                "name": "t",
                "fields": [
                    {"name": "n0", "type": {"type": "fixed", "size": 2, "name": "t0"}},
                    {"name": "n1", "type": "t0"},
                ],
            },
            [{"n0": b"xy", "n1": b"zz"}],
        )
        again = avro.read(avro.write(two), "x")
        assert again.records == [{"n0": b"xy", "n1": b"zz"}]
        assert avro.read(avro.write(again), "x").records == again.records

    @pytest.mark.parametrize("end", [0, 3, 50, -1, -17])
    def test_a_torn_file_is_refused(self, end: int) -> None:
        field = {"name": "a", "type": "string"}
        schema = {"type": "record", "name": "r", "fields": [field]}
        content = self.a_file(schema, [{"a": "x" * 100}], "null")
        with pytest.raises(BadRequestError, match=r"x\.avro cannot be read"):
            avro.read(content[:end], "x.avro")


class TestPositionDeletes:
    def a_file(self, rows: list[tuple[str, int]], **options: Any) -> bytes:
        def column(name: str, kind: pa.DataType, number: int) -> pa.Field:
            return pa.field(name, kind, nullable=False, metadata={"PARQUET:field_id": str(number)})

        schema = pa.schema(
            [
                column("file_path", pa.string(), 2147483546),
                column("pos", pa.int64(), 2147483545),
            ],
            metadata={"kept": "as it is"},
        )
        columns = [[path for path, _ in rows], [position for _, position in rows]]
        out = io.BytesIO()
        pq.write_table(pa.table(columns, schema=schema), out, **options)
        return out.getvalue()

    def test_paths_are_moved_and_in_order(self) -> None:
        # /old lies before /other, and /new does, too; /m lies between.
        rows = [("/m/b", 9), ("/old/a", 2), ("/old/a", 5), ("/other/c", 1)]
        content = self.a_file(rows, compression="zstd", row_group_size=2)
        made = position_deletes.rewrite(content, "parquet", "x", Move.of("/old", "/a"))
        assert made is not None
        moved = [("/a/a", 2), ("/a/a", 5), ("/m/b", 9), ("/other/c", 1)]
        assert position_deletes.positions(made.content, "PARQUET", "x") == moved
        assert made.bounds == (b"/a/a", b"/other/c")
        file = pq.ParquetFile(pa.BufferReader(made.content))
        assert file.schema_arrow.equals(
            pq.ParquetFile(pa.BufferReader(content)).schema_arrow, check_metadata=False
        )
        assert file.metadata.metadata == {b"kept": b"as it is"}
        ids = [field.metadata[b"PARQUET:field_id"] for field in file.schema_arrow]
        assert ids == [b"2147483546", b"2147483545"]
        group = file.metadata.row_group(0)
        assert group.column(0).compression == "ZSTD"
        assert made.column_sizes == {
            2147483546: group.column(0).total_compressed_size,
            2147483545: group.column(1).total_compressed_size,
        }
        assert made.split_offsets == [group.column(0).dictionary_page_offset]

    def test_nothing_is_rewritten_without_need(self) -> None:
        assert (
            position_deletes.rewrite(self.a_file([("/oldest/a", 1)]), "PARQUET", "x", MOVE) is None
        )
        assert position_deletes.rewrite(self.a_file([]), "PARQUET", "x", MOVE) is None

    def test_of_avro(self) -> None:
        schema = {
            "type": "record",
            "name": "r",
            "fields": [
                {"name": "file_path", "type": "string", "field-id": 2147483546},
                {"name": "pos", "type": "long", "field-id": 2147483545},
            ],
        }
        out = io.BytesIO()
        fastavro.writer(out, schema, [{"file_path": "/old/a", "pos": 3}])
        made = position_deletes.rewrite(out.getvalue(), "avro", "x", MOVE)
        assert made is not None
        assert position_deletes.positions(made.content, "AVRO", "x") == [("/new/a", 3)]

    def test_what_cannot_be_rewritten_is_told(self) -> None:
        with pytest.raises(BadRequestError, match="x: position deletes in ORC cannot"):
            position_deletes.rewrite(b"", "ORC", "x", MOVE)
        with pytest.raises(BadRequestError, match="x cannot be read as Parquet"):
            position_deletes.rewrite(b"PAR1", "PARQUET", "x", MOVE)
        out = io.BytesIO()
        pq.write_table(pa.table({"id": [1]}), out)
        with pytest.raises(BadRequestError, match="has no column file_path"):
            position_deletes.rewrite(out.getvalue(), "PARQUET", "x", MOVE)


class TestVectors:
    def a_file(self, blobs: list[dict[str, Any]], flags: int = 0) -> bytes:
        footer = json.dumps({"blobs": blobs, "properties": {"created-by": "x"}}).encode()
        return b"PFA1....vector....PFA1" + footer + struct.pack("<II", len(footer), flags) + b"PFA1"

    def test_the_footer_names_the_new_place_and_blobs_stay(self) -> None:
        blob = {"type": "deletion-vector-v1", "offset": 4, "length": 14, "fields": []}
        blobs = [
            {**blob, "properties": {"referenced-data-file": "/old/a", "cardinality": "2"}},
            {**blob, "properties": {"referenced-data-file": "/oldest/a", "cardinality": "1"}},
        ]
        content = self.a_file(blobs)
        made = position_deletes.rewrite(content, "puffin", "x", MOVE)
        assert made is not None
        assert made.content[:18] == content[:18]
        blobs[0]["properties"]["referenced-data-file"] = "/new/a"
        _, footer = position_deletes._footer(made.content, "x")
        assert footer == {"blobs": blobs, "properties": {"created-by": "x"}}
        assert position_deletes.rewrite(made.content, "PUFFIN", "x", MOVE) is None

    def test_what_cannot_be_rewritten_is_told(self) -> None:
        with pytest.raises(BadRequestError, match="x: its footer is compressed"):
            position_deletes.rewrite(self.a_file([], flags=1), "PUFFIN", "x", MOVE)
        for content in (b"", b"PFA1", self.a_file([])[:-2], self.a_file([])[5:]):
            with pytest.raises(BadRequestError, match="x is no Puffin file"):
                position_deletes.rewrite(content, "PUFFIN", "x", MOVE)


def rewriter_of_v1(tmp_path: Path) -> tuple[Rewriter, str]:
    """Make a table of one file whose manifest its metadata names; return where that was before."""
    old, new = tmp_path / "old", tmp_path / "new"
    (new / "metadata").mkdir(parents=True)
    (new / "a.parquet").write_bytes(b"1234")
    nothing: dict[str, Any] = {"type": "record", "name": "r102", "fields": []}
    entry = {
        "type": "record",
        "name": "data_file",
        "fields": [
            {"name": "file_path", "type": "string", "field-id": 100},
            {"name": "file_format", "type": "string", "field-id": 101},
            {"name": "partition", "type": nothing, "field-id": 102},
            {"name": "record_count", "type": "long", "field-id": 103},
            {"name": "file_size_in_bytes", "type": "long", "field-id": 104},
        ],
    }
    schema = {
        "type": "record",
        "name": "manifest_entry",
        "fields": [
            {"name": "status", "type": "int", "field-id": 0},
            {"name": "data_file", "type": entry, "field-id": 2},
        ],
    }
    file = {
        "file_path": f"{old}/a.parquet",
        "file_format": "PARQUET",
        "partition": {},
        "record_count": 1,
        "file_size_in_bytes": 4,
    }
    with (new / "metadata" / "m0.avro").open("wb") as out:
        fastavro.writer(out, schema, [{"status": 1, "data_file": file}])
    metadata = {
        "format-version": 1,
        "location": str(old),
        "snapshots": [{"snapshot-id": 1, "manifests": [f"{old}/metadata/m0.avro"]}],
    }
    (new / "metadata" / "v7.metadata.json").write_text(json.dumps(metadata))
    rewriter = Rewriter(Move.of(str(old), str(new)), LocalFileIO())
    return rewriter, f"{old}/metadata/v7.metadata.json"


def test_manifests_of_the_first_version_may_be_named_by_metadata_itself(tmp_path: Path) -> None:
    rewriter, before = rewriter_of_v1(tmp_path)
    location, moved = rewriter.metadata(before)
    assert rewriter.problems == []
    assert Path(location).name.startswith("00008-")
    (manifest,) = moved["snapshots"][0]["manifests"]
    with Path(manifest).open("rb") as made:
        (row,) = fastavro.reader(made)
    assert row["data_file"]["file_path"] == f"{tmp_path}/new/a.parquet"


def drop_the_row(file: avro.AvroFile) -> None:
    file.records.clear()


def change_a_count(file: avro.AvroFile) -> None:
    file.records[0]["f2"]["f103"] += 1


def change_the_status(file: avro.AvroFile) -> None:
    file.records[0]["f0"] = 2


def leave_the_path(file: avro.AvroFile) -> None:
    path = file.records[0]["f2"]["f100"]
    file.records[0]["f2"]["f100"] = path.replace("/new/", "/old/")


@pytest.mark.parametrize(
    "mistake", [drop_the_row, change_a_count, change_the_status, leave_the_path]
)
def test_a_manifest_that_is_written_wrong_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: Callable[[avro.AvroFile], None]
) -> None:
    really = avro.write

    def wrong(file: avro.AvroFile) -> bytes:
        mistake(file)
        return really(file)

    rewriter, before = rewriter_of_v1(tmp_path)
    monkeypatch.setattr(avro, "write", wrong)
    with pytest.raises(RelocationError, match="differs from what it was made from"):
        rewriter.metadata(before)


def test_a_file_that_is_not_what_was_written_is_noticed(tmp_path: Path) -> None:
    class Forgetful(LocalFileIO):
        """Storage that loses what is written to metadata files."""

        def write(self, location: str, *pieces: bytes) -> None:
            is_metadata = location.endswith(".metadata.json")
            super().write(location, *((b"{}",) if is_metadata else pieces))

    rewriter, before = rewriter_of_v1(tmp_path)
    rewriter.files = Forgetful()
    with pytest.raises(RelocationError, match="is not what was written"):
        rewriter.metadata(before)


@pytest.mark.parametrize("wrong", [[], [("/new/a", 2)], [("/old/a", 1)], [("/new/a", 1)] * 2])
def test_deletes_that_are_written_wrong_are_noticed(wrong: list[tuple[str, int]]) -> None:
    make = TestPositionDeletes().a_file
    before = make([("/old/a", 1)])
    compare_deletes((before, make([("/new/a", 1)])), "x", MOVE, "PARQUET")
    with pytest.raises(RelocationError, match="x does not delete"):
        compare_deletes((before, make(wrong)), "x", MOVE, "PARQUET")


class TestManifestLists:
    def a_list(self, *rows: tuple[str, int, int]) -> bytes:
        """Return a list of manifests: each one's path, length and snapshot."""
        fields = (("manifest_path", "string", 500), ("manifest_length", "long", 501))
        more = (("partition_spec_id", "int", 502), ("added_snapshot_id", "long", 503))
        schema = {
            "type": "record",
            "name": "manifest_file",
            "fields": [
                {"name": name, "type": kind, "field-id": number}
                for name, kind, number in (*fields, *more)
            ],
        }
        names = [name for name, _, _ in (*fields, *more)]
        out = io.BytesIO()
        records = [
            dict(zip(names, (path, length, 0, id_), strict=True)) for path, length, id_ in rows
        ]
        fastavro.writer(out, schema, records)
        return out.getvalue()

    @pytest.mark.parametrize(
        "wrong",
        [
            [],
            [("/new/b", 5, 1)],
            [("/new/a", 6, 1)],
            [("/new/a", 5, 2)],
            [("/old/a", 3, 1)],
        ],
    )
    def test_one_that_is_written_wrong_is_noticed(self, wrong: list[tuple[str, int, int]]) -> None:
        before, places = self.a_list(("/old/a", 3, 1)), {"/old/a": ("/new/a", 5)}
        right = self.a_list(("/new/a", 5, 1))
        compare_manifest_lists((before, right), "x", MOVE, places)
        with pytest.raises(RelocationError, match="x differs from what it was made from"):
            compare_manifest_lists((before, self.a_list(*wrong)), "x", MOVE, places)

    def test_one_that_names_the_old_place_is_noticed(self) -> None:
        content = self.a_list(("/old/a", 3, 1))
        with pytest.raises(RelocationError, match="x names /old/a, which is at the old location"):
            compare_manifest_lists((content, content), "x", MOVE, {"/old/a": ("/old/a", 3)})
