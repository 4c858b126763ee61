"""One SQL query on DuckDB, which may read nothing but tables that the server hands out."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from falcon_catalog.query.messages import Message
from falcon_catalog.query.scanning import Snapshot
from falcon_catalog.query.server import QueryError, Server
from falcon_catalog.query.values import rows_as_text

_SETTINGS: Mapping[str, str] = {
    "temp_directory": "''",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
    # Names are looked up among tables, not among the variables of this program.
    "python_enable_replacements": "false",
    "python_scan_all_frames": "false",
    "TimeZone": "'UTC'",
    "enable_external_access": "false",
    "lock_configuration": "true",
}
_NAME = re.compile(r'"(?:[^"]|"")*"|[^."]+')
_TABLE_PARTS = 2


def run(server: Server, job: Mapping[str, Any]) -> Message:
    """Return the rows of the query of a job; raise QueryError with DuckDB's message."""
    limit = int(job["limit"])
    config: dict[str, Any] = {"memory_limit": job["memory"], "threads": 2}
    try:
        with duckdb.connect(":memory:", config=config) as connection:
            for name, value in _SETTINGS.items():
                connection.execute(f"SET {name} = {value}")
            statement = _single(connection, job["sql"])
            _define(connection, server, _tables(connection, job["sql"]))
            connection.execute(statement)
            columns = [
                {"name": name, "type": str(kind)} for name, kind, *_ in connection.description or ()
            ]
            rows = connection.fetchmany(limit + 1)
    except duckdb.Error as error:
        raise QueryError(_message(error)) from None
    return {"columns": columns, "rows": rows_as_text(rows[:limit]), "more": len(rows) > limit}


def _single(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise QueryError(f"Give one statement, not {len(statements)}")
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = statements[0].type.name
        raise QueryError(f"Only queries are allowed here: SELECT or WITH, not {kind}")
    return statements[0]


def _tables(connection: duckdb.DuckDBPyConnection, sql: str) -> set[tuple[str, str]]:
    """Return the namespaces and names of the tables that a query names.

    They are read from its syntax tree: ``get_table_names`` binds the query, and a join with USING
    cannot be bound before its tables are there. A PIVOT has no tree that can be read.
    """
    text = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0]
    tree = json.loads(text)
    if not tree["error"]:
        return set(_base_tables(tree["statements"]))
    names = connection.get_table_names(sql, qualified=True)
    parts = [tuple(map(_unquoted, _NAME.findall(name))) for name in names]
    return {(each[0], each[1]) for each in parts if len(each) == _TABLE_PARTS}


def _base_tables(tree: Any) -> Iterator[tuple[str, str]]:
    if isinstance(tree, list):
        for each in tree:
            yield from _base_tables(each)
    elif isinstance(tree, dict):
        if tree.get("type") == "BASE_TABLE" and tree.get("schema_name"):
            yield tree["schema_name"], tree["table_name"]
        for each in tree.values():
            yield from _base_tables(each)


def _define(
    connection: duckdb.DuckDBPyConnection, server: Server, tables: Iterable[tuple[str, str]]
) -> None:
    """Create a view for each table that the query names and the visitor may read."""
    for number, parts in enumerate(sorted(tables)):
        found = server.table(*parts)
        if found is None:
            continue
        source = f"__table_{number}"
        connection.register(source, _Lazy(Snapshot(server, found)))
        schema, table = map(_quoted, parts)
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        connection.execute(f"CREATE VIEW {schema}.{table} AS FROM {source}")


class _Lazy(ds.Dataset):  # type: ignore[misc]
    """A snapshot as DuckDB scans it: only the columns and rows that a query needs."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    @property
    def schema(self) -> pa.Schema:
        return self._snapshot.arrow_schema(self._snapshot.schema)

    def scanner(
        self,
        columns: Sequence[str] | None = None,
        filter: Any = None,  # noqa: A002 - the name that DuckDB uses
        **_: Any,
    ) -> "_Scanner":
        return _Scanner(self._snapshot, columns, filter)


class _Scanner:
    def __init__(self, snapshot: Snapshot, columns: Sequence[str] | None, condition: Any) -> None:
        self._snapshot = snapshot
        self._columns = columns
        self._condition = condition
        whole = snapshot.arrow_schema(snapshot.schema)
        self.projected_schema = (
            whole if columns is None else pa.schema([whole.field(name) for name in columns])
        )

    def to_reader(self) -> pa.RecordBatchReader:
        names = self.projected_schema.names
        schema = self._snapshot.schema
        wanted = schema if self._columns is None else schema.select(*names)
        if not names:  # count(*): the rows alone
            wanted = schema.select(*schema.column_names[:1])

        def batches() -> Any:
            for batch in self._snapshot.batches(wanted):
                table = pa.Table.from_batches([batch])
                if self._condition is not None:
                    table = table.filter(self._condition)
                shown = table.select(names).cast(self.projected_schema)
                yield from shown.to_batches()

        return pa.RecordBatchReader.from_batches(self.projected_schema, batches())


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _message(error: duckdb.Error) -> str:
    """Return DuckDB's message, or that of the server from within it."""
    text = str(error)
    inner = text.rpartition("QueryError: ")[2]
    return inner.partition("\n\nAt:\n")[0] if inner != text else text
