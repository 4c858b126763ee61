"""What writers do to the table, and what its model has after it."""

import uuid
from typing import Any

import pyarrow as pa
from pyiceberg.expressions import In
from pyiceberg.table import Table

from jobs.lake import commits
from tests.maintenance.histories import exclusions
from tests.maintenance.histories.operations import NAME
from tests.maintenance.histories.place import THEIRS, Place
from tests.maintenance.histories.story import NESTED, Row
from tests.maintenance.histories.values import as_expression, as_sql, sql


class Writing(Place):
    """Appends, deletes and overwrites by PyIceberg, DuckDB and the pipeline."""

    def _append(self, writer: str, rows: list[Row], ref: str) -> None:
        if ref not in self.model.refs:
            return
        table = self.table()
        chosen = self._writer(table, writer if ref == "main" else "pyiceberg")
        if chosen is None or (ref != "main" and chosen != "pyiceberg"):
            return
        if chosen == "duckdb":
            rows = [{key: exclusions.unsigned(value) for key, value in row.items()} for row in rows]
            if not self._duck(self._insert(table, rows)):
                return
        elif chosen == "pyiceberg":
            table.append(self._arrow(table, rows), branch=ref)
        else:
            commits.append(table, self._arrow(table, rows), {})
        self.model.add(ref, rows)

    def _writer(self, table: Table, wanted: str) -> str | None:
        """Return who can write to the table: who is wanted, else the pipeline, or nobody."""
        spec = [one[1:] for one in self.partitions(table, all_specs=False)]
        if wanted == "duckdb" and not self._duckdb_cannot_insert(table, spec):
            return wanted
        if self.story.version == 3:
            self.leave_out("PyIceberg writes version 3")
            return None
        if wanted == "pyiceberg" and not exclusions.pyiceberg_cannot_write(spec):
            return wanted
        if wanted == "pyiceberg":
            self.leave_out("PyIceberg writes such partitions")
        return "pipeline"

    def _duckdb_cannot_insert(self, table: Table, spec: list[tuple[str, str]]) -> bool:
        # DuckDB does not find fields of structs among the sources of partitions.
        nested = any(key == NESTED for key, _, _ in self.partitions(table, all_specs=True))
        # Into version 1, DuckDB writes that the manifests which are there have no files.
        again = self.story.version == 1 and table.current_snapshot() is not None
        cannot = nested or again or exclusions.duckdb_cannot_insert(self.model.kinds.values(), spec)
        self.left_out["DuckDB inserts"] += cannot
        return cannot

    def _duckdb_cannot_delete(self, table: Table) -> bool:
        partitions = self.partitions(table, all_specs=True)
        specs = {task.file.spec_id for task in table.scan().plan_files()}
        # It records deletes under the present spec: for others they are not of older specs' files.
        cannot = (
            any(key == NESTED for key, _, _ in partitions)
            or specs - {table.spec().spec_id}
            or exclusions.duckdb_cannot_delete(one[1:] for one in partitions)
        )
        self.left_out["DuckDB deletes"] += bool(cannot)
        return bool(cannot)

    def _insert(self, table: Table, rows: list[Row]) -> str:
        names, kinds = [], []
        for key, kind in [("id", "long"), *self.model.kinds.items()]:
            names.append(f'"{NESTED if key == NESTED else self.name_of(key, table)}"')
            kinds.append((key, kind))

        def spelled(row: Row) -> str:
            values = []
            for key, kind in kinds:
                text = sql(kind, row.get(key))
                if key == NESTED:
                    null = row.get(key) is None and row["id"] % 2
                    text = "NULL" if null else f"{{'inner': {text}}}"
                values.append(text)
            return f"({', '.join(values)})"

        return (
            f"INSERT INTO lake.{NAME} ({', '.join(names)}) VALUES {', '.join(map(spelled, rows))}"
        )

    def _duck(self, statement: str) -> bool:
        """Let DuckDB write; return whether it could."""
        try:
            self.lake.sql(statement)
        except Exception as error:
            for words, why in exclusions.DUCKDB_REFUSES.items():
                if words in str(error):
                    self.leave_out(why)
                    return False
            raise
        return True

    def _arrow(self, table: Table, rows: list[Row]) -> pa.Table:
        names = {key: self.name_of(key, table) for key in self.model.kinds if key != NESTED}

        def given(row: Row) -> dict[str, Any]:
            found = {"id": row["id"]}
            for key, name in names.items():
                found[name] = _plain(row.get(key))
            if NESTED in self.model.kinds:
                value = _plain(row.get(NESTED))
                found[NESTED] = None if value is None and row["id"] % 2 else {"inner": value}
            return found

        return pa.Table.from_pylist([given(row) for row in rows], schema=table.schema().as_arrow())

    def _delete(self, engine: str, where: tuple[Any, ...]) -> None:
        table = self.table()
        if self.story.version == 3:
            engine = "duckdb"
        if where[0] == "filter" and not self._can_find(engine, table, where):
            self.leave_out(f"{engine} deletes by a filter")
            return
        ids = self.model.found(where)
        if engine == "duckdb":
            if self.story.version == 1 or self._duckdb_cannot_delete(table):
                return
            if where[0] == "ids":
                condition = f"id % {where[1]} = {where[2]}"
            else:
                name = self.sql_name(where[1], table)
                condition = as_sql(name, self.model.kinds[where[1]], where[2])
            if not self._duck(f"DELETE FROM lake.{NAME} WHERE {condition}"):
                return
        else:
            spec = [one[1:] for one in self.partitions(table, all_specs=False)]
            if exclusions.pyiceberg_cannot_write(spec):
                self.leave_out("PyIceberg writes such partitions")
                return
            if ids:
                table.delete(self._expression(table, where, ids))
        self.model.remove(ids)

    def _can_find(self, engine: str, table: Table, where: tuple[Any, ...]) -> bool:
        key, one = where[1:]
        kind = self.model.kinds.get(key)
        if kind is None:
            return False
        if engine == "pyiceberg":
            values = [row[key] for row in self.model.refs["main"].values()]
            return not exclusions.pyiceberg_cannot_find(kind, one) and not any(
                exclusions.pyiceberg_may_miss(kind, value) for value in values
            )
        transforms = [t for k, _, t in self.partitions(table, all_specs=True) if k == key]
        return not exclusions.duckdb_cannot_find(kind, transforms, one)

    def _expression(self, table: Table, where: tuple[Any, ...], ids: set[int]) -> Any:
        if where[0] == "ids":
            return In("id", ids)
        return as_expression(self.name_of(where[1], table), where[2])

    def _overwrite(self, writer: str, where: tuple[Any, ...], rows: list[Row]) -> None:
        table = self.table()
        spec = [one[1:] for one in self.partitions(table, all_specs=False)]
        if self.story.version == 3:
            return
        if writer == "pyiceberg" and exclusions.pyiceberg_cannot_write(spec):
            self.leave_out("PyIceberg writes such partitions")
            return
        if where[0] == "filter" and not self._can_find("pyiceberg", table, where):
            return
        ids = self.model.found(where)
        if not ids:
            return
        scope, data = self._expression(table, where, ids), self._arrow(table, rows)
        if writer == "pyiceberg":
            table.overwrite(data, overwrite_filter=scope)
        else:
            commits.overwrite(table, data, scope, {})
        self.model.remove(ids)
        self.model.add("main", rows)

    def _share(self) -> None:
        """Let the layout's sharing begin, or go on."""
        catalog, layout = self.lake.catalog, self.story.layout
        table = self.table()
        snapshot = table.current_snapshot()
        if layout == "twin" and self.other is None and snapshot:
            catalog.create_namespace_if_not_exists("other")
            catalog.register_table("other.twin", table.metadata_location)
            self.meet("other.twin")
        if layout not in ("lent", "borrowed") or snapshot is None:
            return
        other = self.lake.load(str(self.other))
        if table.schema().fields != other.schema().fields:
            return
        giver, taker = (table, other) if layout == "lent" else (other, table)
        if not taker.spec().is_unpartitioned() or self.done["shared"] > (layout == "lent"):
            return
        had = {task.file.file_path for task in taker.scan().plan_files()}
        files = {task.file.file_path for task in giver.scan().plan_files()} - had
        if files:
            self.done["shared"] += 1
            taker.add_files(sorted(files))
        if layout == "lent":
            self.meet(str(self.other))
        elif files:
            self.model.add("main", [{"id": THEIRS + number} for number in range(3)])


def _plain(value: Any) -> Any:
    return value.bytes if isinstance(value, uuid.UUID) else value
