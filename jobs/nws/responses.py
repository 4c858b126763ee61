"""Responses of the weather service: a page of features, or an error."""

import json
import re
from html import unescape
from typing import Any

import requests

from jobs.nws.errors import (
    BadRequest,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
    Unreadable,
    WeatherError,
)
from jobs.nws.retry import retry_after

# The CDN's page has no correlation id; this is what its own operators ask for.
_CDN_REFERENCE = re.compile(r"Reference\s*#\s*([0-9a-z.]{4,80})", re.IGNORECASE)
_THROTTLES = frozenset({429, 503, 504})


def failure(url: str, response: requests.Response) -> WeatherError:
    """Return the error of a response other than 200: slow down, retry, or give up."""
    status = response.status_code
    html = "html" in response.headers.get("Content-Type", "").lower()
    kind: type[WeatherError]
    if status in _THROTTLES or (status == requests.codes.forbidden and html):
        kind = Throttled
    elif status >= requests.codes.internal_server_error:
        kind = Unavailable
    else:
        kind = {400: BadRequest, 404: NotFound}.get(status, Refused)
    return kind(
        _detail(response, html=html),
        url=url,
        status=status,
        correlation_id=correlation_id(response),
        retry_after=retry_after(response.headers.get("Retry-After")),
    )


def _detail(response: requests.Response, *, html: bool) -> str:
    if html and response.status_code == requests.codes.forbidden:
        found = _CDN_REFERENCE.search(unescape(response.text))
        quoted = f" (its reference {found[1]})" if found else ""
        return f"a web page of the CDN: too many requests, or a User-Agent it blocks{quoted}"
    problem = _problem(response)
    parts = [
        str(problem.get("detail") or problem.get("title") or response.reason or "no reason given")
    ]
    if problem.get("parameterErrors"):
        parts.append(json.dumps(problem["parameterErrors"]))
    return " ".join(parts)


def _problem(response: requests.Response) -> dict[str, Any]:
    try:
        problem = json.loads(response.content)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def correlation_id(response: requests.Response) -> str | None:
    """Return the id that names this request in the service's own logs."""
    header = response.headers.get("X-Correlation-Id") or response.headers.get("X-Request-Id")
    if header or response.ok:
        return header
    found = _problem(response).get("correlationId")
    return found if isinstance(found, str) else None


def collection(url: str, response: requests.Response) -> dict[str, Any]:
    """Read a feature collection: an object whose `features` is a list.

    Raises:
        Unreadable: the body is something else.
    """
    status, id_ = response.status_code, correlation_id(response)
    try:
        body = json.loads(response.content)
    except ValueError as error:
        raise Unreadable(
            f"the body is not JSON: {error}", url=url, status=status, correlation_id=id_
        ) from error
    # A failed upstream can come as a success whose features are null.
    if not isinstance(body, dict) or not isinstance(body.get("features"), list):
        raise Unreadable(
            "the body has no list of features",
            url=url,
            status=status,
            correlation_id=id_,
        )
    return body
