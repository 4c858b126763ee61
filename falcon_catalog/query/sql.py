"""One SQL query on DuckDB, which may read nothing but tables that the server hands out."""

import re
from collections.abc import Iterable, Mapping, Sequence
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
            _define(connection, server, connection.get_table_names(job["sql"], qualified=True))
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


def _define(connection: duckdb.DuckDBPyConnection, server: Server, names: Iterable[str]) -> None:
    """Create a view for each table that the query names and the visitor may read."""
    for number, name in enumerate(sorted(names)):
        parts = [_unquoted(part) for part in _NAME.findall(name)]
        if len(parts) != _TABLE_PARTS:
            continue
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
