"""Spans of requests and verbs; imported only where ``tracing.endpoint`` is set.

A request's span continues the client's trace (W3C Trace Context: ``traceparent``). It has the
request's id and names, as its log line, but nothing of its query, headers or body.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import falcon
from opentelemetry import context, trace
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from falcon_catalog.api.middleware import WSGIApp
from falcon_catalog.api.operations import Operation
from falcon_catalog.api.request_log import named

# They are polled, and would be most of the traces.
_UNTRACED = ("/health/", "/metrics")
_SERVER_ERROR = 500
_CONVERTER = re.compile(r":\w+\}")


class _Headers(Getter[Mapping[str, Any]]):
    """The headers of a WSGI environment."""

    def get(self, carrier: Mapping[str, Any], key: str) -> list[str] | None:
        value = carrier.get(f"HTTP_{key.upper().replace('-', '_')}")
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, Any]) -> list[str]:
        return [name[5:].lower().replace("_", "-") for name in carrier if name.startswith("HTTP_")]


def with_spans(app: WSGIApp, tracer: trace.Tracer) -> WSGIApp:
    """Return an application each of whose requests has a span, with the client's as its parent."""
    propagator, headers = TraceContextTextMapPropagator(), _Headers()

    def traced_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(_UNTRACED):
            return app(environ, start_response)
        method = environ["REQUEST_METHOD"]
        with tracer.start_as_current_span(
            method,
            propagator.extract(environ, getter=headers),
            trace.SpanKind.SERVER,
            {"http.request.method": method, "url.path": environ["PATH_INFO"]},
            record_exception=False,
        ):
            return app(environ, start_response)

    return traced_app


class RequestSpan:
    """Middleware: say in a request's span what became of it. It must be the first."""

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _succeeded: bool,  # noqa: FBT001 - Falcon's signature
    ) -> None:
        """Add what is known at the end."""
        span = trace.get_current_span()
        if not span.is_recording():
            return
        span.set_attribute("falcon_catalog.request_id", req.context.id)
        span.set_attribute("http.response.status_code", resp.status_code)
        if req.uri_template:
            route = _CONVERTER.sub("}", req.uri_template)
            span.set_attribute("http.route", route)
            span.update_name(f"{req.method} {route}")
        for key, value in named(req).items():
            span.set_attribute(
                "error.type" if key == "error" else f"falcon_catalog.{key}", str(value)
            )
        if resp.status_code >= _SERVER_ERROR:
            span.set_status(trace.StatusCode.ERROR)


class VerbSpan:
    """Middleware: a span for the verb of a request that was authorized. It must be the last."""

    def __init__(
        self, tracer: trace.Tracer, operations: Mapping[tuple[str, str], Operation]
    ) -> None:
        """Know the operation of each route's template and method."""
        self._tracer = tracer
        self._operations = operations

    def process_resource(
        self,
        req: falcon.Request,
        _resp: falcon.Response,
        _resource: object,
        _params: dict[str, Any],
    ) -> None:
        """Open the span, around all that the responder does in this thread."""
        operation = self._operations.get((req.uri_template or "", req.method))
        if operation is not None and trace.get_current_span().is_recording():
            span = self._tracer.start_span(operation.name)
            req.context.verb_span = span, context.attach(trace.set_span_in_context(span))

    def process_response(
        self,
        req: falcon.Request,
        _resp: falcon.Response,
        _resource: object,
        _succeeded: bool,  # noqa: FBT001 - Falcon's signature
    ) -> None:
        """Close the span, if there is one."""
        span, token = getattr(req.context, "verb_span", (None, None))
        if span is not None and token is not None:
            if error := getattr(req.context, "error", None):
                span.set_attribute("error.type", error)
            context.detach(token)
            span.end()
