"""Traces with OpenTelemetry: spans of the store and of files inside a request.

Imported only where ``tracing.endpoint`` is set. A warehouse is then used through what is here, so
that neither the store nor fileio knows of it. Work in the background is not traced: it belongs to
no request. Spans have no values of statements and no content of files.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, cast

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from falcon_catalog import __version__
from falcon_catalog.catalog.mount import WarehouseFiles
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.settings import TracingSettings
from falcon_catalog.store.database import Database, Transaction

_EXPORT_SECONDS = 5
# What takes no time, or yields its results later, has no span.
_FILE_OPERATIONS = frozenset(
    {
        *("create", "delete", "delete_all", "exists", "is_still_there", "prepare_table"),
        *("read", "read_part", "remove_empty_folders", "replace", "size", "version", "write"),
    }
)


class Traces:
    """The spans of one server, on their way to the collector."""

    def __init__(self, settings: TracingSettings) -> None:
        """Send spans in the background; a collector that does not answer delays no request."""
        resource = Resource.create({SERVICE_NAME: "falcon-catalog", SERVICE_VERSION: __version__})
        sampler = ParentBased(TraceIdRatioBased(settings.percent / 100))
        self._provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(
            endpoint=f"{settings.endpoint}/v1/traces", timeout=_EXPORT_SECONDS
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self._provider.get_tracer("falcon_catalog", __version__)

    def of(self, warehouse: Warehouse) -> Warehouse:
        """Return a warehouse whose use has spans."""
        store = cast("Database", _Store(self.tracer, warehouse.store))
        files = cast("WarehouseFiles", _Files(self.tracer, warehouse.files))
        return replace(warehouse, store=store, files=files)

    def close(self) -> None:
        """Send what is left, and stop."""
        self._provider.shutdown()


@contextmanager
def failing(span: trace.Span) -> Iterator[None]:
    """Mark a span as failed, with the type of an exception but not its text."""
    try:
        yield
    except Exception as error:
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(trace.StatusCode.ERROR)
        raise


@contextmanager
def _inner(tracer: trace.Tracer, name: str, attributes: dict[str, str | int]) -> Iterator[None]:
    """Open a span inside that of a request; none outside of one."""
    if not trace.get_current_span().is_recording():
        yield
        return
    with (
        tracer.start_as_current_span(
            name,
            kind=trace.SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span,
        failing(span),
    ):
        yield


class _Files:
    """WarehouseFiles with a span for each operation."""

    def __init__(self, tracer: trace.Tracer, files: WarehouseFiles) -> None:
        self._tracer = tracer
        self._files = files

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._files, name)
        if name not in _FILE_OPERATIONS:
            return method

        def traced(location: Any, *arguments: Any, **options: Any) -> Any:
            about: dict[str, str | int] = (
                {"file.path": location} if isinstance(location, str) else {"files": len(location)}
            )
            with _inner(self._tracer, f"file {name}", about):
                return method(location, *arguments, **options)

        return traced


class _Statements:
    """A view for single statements, each with a span."""

    def __init__(self, tracer: trace.Tracer, transaction: Transaction, system: str) -> None:
        self._tracer = tracer
        self._transaction = transaction
        self._system = system

    def __getattr__(self, name: str) -> Any:
        method: Any = getattr(self._transaction, name)
        if name not in ("one", "all", "change"):
            return method

        def traced(sql: str, *parameters: Any) -> Any:
            about: dict[str, str | int] = {"db.system.name": self._system, "db.query.text": sql}
            with _inner(self._tracer, "store statement", about):
                return method(sql, *parameters)

        return traced


class _Store:
    """A Database with a span for each transaction."""

    def __init__(self, tracer: trace.Tracer, database: Database) -> None:
        self._tracer = tracer
        self._database = database
        self._system = "postgresql" if database.path is None else "sqlite"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def autocommit(self) -> Transaction:
        """Return a view for single statements."""
        statements = _Statements(self._tracer, self._database.autocommit(), self._system)
        return cast("Transaction", statements)

    def read(self) -> AbstractContextManager[Transaction]:
        """See one moment of the database."""
        return self._in_span("read", self._database.read)

    def fresh_read(self) -> AbstractContextManager[Transaction]:
        """See the database over a new connection."""
        return self._in_span("fresh read", self._database.fresh_read)

    def write(self) -> AbstractContextManager[Transaction]:
        """Change the database."""
        return self._in_span("write", self._database.write)

    @contextmanager
    def _in_span(
        self, name: str, open_one: Callable[[], AbstractContextManager[Transaction]]
    ) -> Iterator[Transaction]:
        about: dict[str, str | int] = {"db.system.name": self._system, "db.operation.name": name}
        with _inner(self._tracer, f"store {name}", about), open_one() as transaction:
            yield transaction
