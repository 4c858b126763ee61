"""One SQL query on DuckDB, which may read nothing but tables that the server hands out."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
_LAKE = "lake"
"""A catalog that tables may be named with, as in ``falcon-catalog sql``."""
_MEMORY = "memory"
_CATALOGS = frozenset(("", _LAKE, _MEMORY, "system"))
_OWN = frozenset(("main", "information_schema", "pg_catalog"))
"""DuckDB's own schemas."""
_NO_TABLE = re.compile(r"Catalog Error: Table with name (.*?) does not exist!.*", re.DOTALL)
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
            named = _tables(connection, job["sql"])
            _define(connection, server, named)
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


@dataclass(frozen=True, slots=True, order=True)
class _Name:
    """A table as a query names it."""

    catalog: str
    """Empty, ``lake``, or one of DuckDB's own."""
    namespace: str
    table: str


def _tables(connection: duckdb.DuckDBPyConnection, sql: str) -> set[_Name]:
    """Return the tables that a query names with their namespaces.

    They are read from its syntax tree: ``get_table_names`` binds the query, and a join with USING
    cannot be bound before its tables are there.

    Raises:
        QueryError: the query has no tree that can be read, calls a function of _FORBIDDEN, asks for
            a list, or names a catalog that there is not.
    """
    text = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0]
    tree = json.loads(text)
    if tree["error"]:
        raise QueryError(str(tree.get("error_message") or "This query cannot be read"))
    found = set[_Name]()
    for node in _nodes(tree["statements"]):
        if (function := str(node.get("function_name", "")).lower()) in _FORBIDDEN:
            raise QueryError(f"The function {function} is not allowed here")
        if node.get("type") == "SHOW_REF" and str(node.get("show_type")).startswith("SHOW_"):
            raise QueryError(
                "SHOW lists what DuckDB itself has, which is nothing. Your tables are listed beside"
                " the query; DESCRIBE namespace.table has the columns of one"
            )
        if node.get("type") == "BASE_TABLE" and node.get("schema_name"):
            name = _Name(node["catalog_name"], node["schema_name"], node["table_name"])
            if name.catalog.lower() not in _CATALOGS:
                whole = f"{name.catalog}.{name.namespace}.{name.table}"
                nested = f"{_quoted(f'{name.catalog}.{name.namespace}')}.{_quoted(name.table)}"
                raise QueryError(
                    f"There is no catalog {name.catalog}: {whole} in a nested namespace is {nested}"
                )
            found.add(name)
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
    connection: duckdb.DuckDBPyConnection, server: Server, tables: Collection[_Name]
) -> None:
    """Create a view for each table that the query names.

    Raises:
        QueryError: there is none that the visitor may read.
    """
    if any(name.catalog.lower() == _LAKE for name in tables):
        connection.execute(f"ATTACH ':memory:' AS {_LAKE}")
    for number, name in enumerate(sorted(tables)):
        try:
            found = server.table(name.namespace, name.table)
        except QueryError:
            if name.namespace.lower() in _OWN:
                continue
            raise
        source = f"__table_{number}"
        connection.register(source, _Lazy(Snapshot(server, found)))
        schema = f"{_quoted(name.catalog or _MEMORY)}.{_quoted(name.namespace)}"
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        connection.execute(f"CREATE VIEW {schema}.{_quoted(name.table)} AS FROM {source}")


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
    if inner != text:
        return inner.partition("\n\nAt:\n")[0]
    if found := _NO_TABLE.fullmatch(text):  # followed by names of DuckDB's own tables
        return f"Table {found[1]} does not exist. Name its namespace, too: namespace.table"
    return text
