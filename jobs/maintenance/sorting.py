"""The order of rows in new files."""

import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.transforms import IdentityTransform

from jobs.lake.partitions import transformed
from jobs.maintenance.errors import RefusedError

_TERM = re.compile(
    r"\s*(?P<column>.+?)(?:\s+(?P<way>asc|desc))?(?:\s+nulls\s+(?P<nulls>first|last))?\s*",
    re.IGNORECASE,
)


def parse(text: str, schema: Schema) -> SortOrder:
    """Read ``"station_id, observed_at desc nulls last"``.

    Raises:
        RefusedError: a term is no column of the schema, or one of a nested type.
    """
    fields = []
    for term in text.split(","):
        match = _TERM.fullmatch(term)
        if match is None:
            raise RefusedError(f"{text!r} has an empty term: name columns, separated by commas")
        name, way, nulls = match["column"], match["way"], match["nulls"]
        try:
            field = schema.find_field(name)
        except ValueError:
            columns = ", ".join(field.name for field in schema.fields)
            raise RefusedError(f"cannot sort by {name!r}: no column of {columns}") from None
        if not field.field_type.is_primitive:
            raise RefusedError(f"cannot sort by {name!r}: {field.field_type} has no order")
        fields.append(
            SortField(
                source_id=field.field_id,
                transform=IdentityTransform(),
                direction=SortDirection(way.lower()) if way else SortDirection.ASC,
                null_order=NullOrder(f"nulls-{nulls.lower()}") if nulls else None,
            )
        )
    return SortOrder(*fields)


def ranks(keys: Iterable[pa.Table], order: SortOrder, schema: Schema) -> pa.Array:
    """Return each row's place in a sort order, from tables of just the columns to sort by."""
    table = pa.concat_tables(keys, promote_options="permissive")
    columns, ways = [], []
    for field in order.fields:
        values = transformed(field, schema, table)
        nulls_first = field.null_order == NullOrder.NULLS_FIRST
        columns += [pc.is_null(values), values]
        ways += ["descending" if nulls_first else "ascending"]
        ways += ["ascending" if field.direction == SortDirection.ASC else "descending"]
    names = [str(number) for number in range(len(columns))]
    sorting = list(zip(names, ways, strict=True))
    places = pc.sort_indices(pa.table(columns, names=names), sort_keys=sorting)
    # Where each row goes is the inverse of where each place's row comes from.
    return pc.sort_indices(places)
