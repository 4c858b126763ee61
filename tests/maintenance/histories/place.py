"""A table and its neighbour in a running catalog."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import parse_transform
from pyiceberg.types import LongType, NestedField, StringType, StructType

from tests.maintenance.histories.model import Model
from tests.maintenance.histories.operations import NAME
from tests.maintenance.histories.story import NESTED, Story
from tests.maintenance.histories.values import TYPES
from tests.maintenance.lake import Lake

_NESTED_ID = 900
THEIRS = 1_000_001
"""The first of the neighbour's ids."""
_SIMPLE = Schema(
    NestedField(1, "id", LongType(), required=False),
    NestedField(2, "name", StringType(), required=False),
)


class Place:
    """The table, its model, and another table that must keep every file."""

    def __init__(self, lake: Lake, story: Story) -> None:
        self.lake = lake
        self.story = story
        self.model = Model(dict(story.columns))
        self.ids: dict[str, int] = {"id": 1}
        self.other: str | None = None
        self.others_rows: list[Any] = []
        self.left_out: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.tags: dict[str, str] = {}
        self.names = itertools.count()
        self.planted: set[Path] = set()
        self._settle()

    def _settle(self) -> None:
        """Create the table, and the neighbour where the layout has one from the start."""
        home, layout = self.lake.warehouse, self.story.layout
        place = home / "ns" / "t"
        if layout == "around":
            place = home / "around" / "within" / "t"
        elif layout == "behind":
            (home / "real").mkdir(parents=True)
            (home / "alias").symlink_to(home / "real")
            place = home / "alias" / "t"
        spec = []
        for number, key in enumerate(self.story.columns, 2):
            self.ids[key] = _NESTED_ID if key == NESTED else number
        for key, transform in self.story.spec:
            field_id, parsed = self.ids[key], parse_transform(transform)
            spec.append(PartitionField(field_id, 1000 + len(spec), parsed, self.fresh()))
        self.lake.catalog.create_table(
            NAME,
            self._schema(),
            location=f"file://{place}",
            partition_spec=PartitionSpec(*spec),
            properties=self.story.properties,
        )
        schema = self.table().schema()  # the catalog, or PyIceberg, may give other ids
        for key in self.story.columns:
            path = f"{NESTED}.inner" if key == NESTED else key
            self.ids[key] = schema.find_field(path).field_id
        where = {
            "nested": ("ns.t.x", place / "x"),
            "inside": ("other.y", place / "data" / "y"),
            "around": ("other.y", home / "around"),
            "linked": ("other.y", home / "link" / "y"),
            "behind": ("other.y", home / "real" / "t" / "y"),
            "borrowed": ("other.y", home / "other" / "y"),
            "lent": ("other.y", home / "other" / "y"),
        }.get(layout)
        if layout == "linked":
            (home / "link").symlink_to(place)
        if where:
            self._neighbour(*where)

    def _schema(self) -> Schema:
        fields = [NestedField(1, "id", LongType(), required=False)]
        for number, (key, kind) in enumerate(self.story.columns.items(), 2):
            if key == NESTED:
                inner = NestedField(_NESTED_ID, "inner", TYPES[kind], required=False)
                fields.append(NestedField(number, key, StructType(inner), required=False))
            else:
                fields.append(NestedField(number, key, TYPES[kind], required=False))
        return Schema(*fields)

    def _neighbour(self, name: str, place: Path) -> None:
        catalog, layout = self.lake.catalog, self.story.layout
        catalog.create_namespace_if_not_exists(name.rpartition(".")[0])
        shared = layout in ("lent", "borrowed")
        schema = self._schema() if shared else _SIMPLE
        table = catalog.create_table(name, schema, location=f"file://{place}")
        for number in range(3):
            if layout == "borrowed":
                rows = [{"id": THEIRS + number}]
            else:
                rows = [{"id": THEIRS + number, **({} if shared else {"name": "theirs"})}]
            table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))
        self.meet(name)

    def meet(self, name: str) -> None:
        """Remember another table and its rows."""
        self.other = name
        self.others_rows = self.read_other()

    def read_other(self) -> list[Any]:
        """Return the neighbour's rows as PyIceberg reads them, by id."""
        assert self.other
        found = self.lake.load(self.other).scan().to_arrow().to_pylist()
        return sorted(repr(sorted(row.items())) for row in found)

    def table(self) -> Table:
        """Load the table."""
        return self.lake.load(NAME)

    def name_of(self, key: str, table: Table | None = None, schema: Schema | None = None) -> str:
        """Return a column's present name, or that of a schema, with dots."""
        schema = schema or (table or self.table()).schema()
        return str(schema.find_column_name(self.ids[key]))

    @property
    def pyiceberg_reads(self) -> bool:
        """Say whether PyIceberg reads the table: not where deletion vectors may be."""
        return self.story.version < 3

    def sql_name(self, key: str, table: Table) -> str:
        """Return a column's present name as SQL has it."""
        name = self.name_of(key, table)
        parts = name.split(".") if key == NESTED else [name]
        return ".".join(f'"{part}"' for part in parts)

    def fresh(self) -> str:
        """Return a name that no partition field or file of the history has."""
        return f"p{next(self.names)}"

    def partitions(self, table: Table, *, all_specs: bool) -> list[tuple[str, str, str]]:
        """Return key, type and transform of the spec's fields, or of those of all specs."""
        keys = {field_id: key for key, field_id in self.ids.items()}
        specs = table.specs().values() if all_specs else [table.spec()]
        kinds = {"id": "long", **self.model.kinds}
        found = {
            (keys[field.source_id], kinds.get(keys[field.source_id], ""), str(field.transform))
            for spec in specs
            for field in spec.fields
        }
        return sorted(one for one in found if one[1])

    def leave_out(self, why: str) -> None:
        """Count what an engine cannot do."""
        self.left_out[why] += 1
