"""One SQL query on DuckDB, which may read nothing but tables that the server hands out."""

import json
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
_FORBIDDEN = frozenset(
    (
        # They run text, or a syntax tree, that is checked nowhere. A tree can hold addresses of
        # memory, which the next ones call as code of this process.
        *("query", "json_execute_serialized_sql", "json_deserialize_sql"),
        *("arrow_scan", "arrow_scan_dumb", "pandas_scan", "python_map_function"),
        # They change what the process writes, and where, which no locked setting prevents.
        *("enable_logging", "enable_profiling"),
    )
)


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
            # One more than is shown: it says whether there are more.
            rows, more = rows_as_text(connection.fetchmany(limit + 1), limit)
    except duckdb.Error as error:
        raise QueryError(_message(error)) from None
    return {"columns": columns, "rows": rows, "more": more}


def _single(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        # DuckDB turns such a PIVOT into several statements, and creates a type in the first.
        hint = "; a PIVOT needs the values of its columns: ON … IN (…)"
        more = hint if "pivot" in sql.lower() else ""
        raise QueryError(f"Give one statement, not {len(statements)}{more}")
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = statements[0].type.name
        raise QueryError(f"Only queries are allowed here: SELECT or WITH, not {kind}")
    return statements[0]


def _tables(connection: duckdb.DuckDBPyConnection, sql: str) -> set[tuple[str, str]]:
    """Return the namespaces and names of the tables that a query names.

    They are read from its syntax tree: ``get_table_names`` binds the query, and a join with USING
    cannot be bound before its tables are there.

    Raises:
        QueryError: the query has no tree that can be read, or calls a function of _FORBIDDEN.
    """
    text = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0]
    tree = json.loads(text)
    if tree["error"]:
        raise QueryError(str(tree.get("error_message") or "This query cannot be read"))
    found = set()
    for node in _nodes(tree["statements"]):
        if (name := str(node.get("function_name", "")).lower()) in _FORBIDDEN:
            raise QueryError(f"The function {name} is not allowed here")
        if node.get("type") == "BASE_TABLE" and node.get("schema_name"):
            found.add((node["schema_name"], node["table_name"]))
    return found


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a syntax tree, however deep it is."""
    left = [tree]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            yield each
            left += each.values()
        elif isinstance(each, list):
            left += each


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


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _message(error: duckdb.Error) -> str:
    """Return DuckDB's message, or that of the server from within it."""
    text = str(error)
    inner = text.rpartition("QueryError: ")[2]
    return inner.partition("\n\nAt:\n")[0] if inner != text else text
