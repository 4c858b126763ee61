"""Responses of the weather service, read as a feature collection or an error."""

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
    """Return the error that stands for a response other than 200."""
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
    words = problem.get("detail") or problem.get("title") or response.reason or "no reason given"
    wrong = problem.get("parameterErrors")
    return f"{words} {json.dumps(wrong)}" if wrong else str(words)


def _problem(response: requests.Response) -> dict[str, Any]:
    try:
        problem = json.loads(response.content)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def correlation_id(response: requests.Response) -> str | None:
    """Return the id of the request in the service's own logs."""
    header = response.headers.get("X-Correlation-Id") or response.headers.get("X-Request-Id")
    if header or response.ok:
        return header
    found = _problem(response).get("correlationId")
    return found if isinstance(found, str) else None


def collection(url: str, response: requests.Response) -> dict[str, Any]:
    """Return the body of a response, which must be an object whose `features` is a list.

    Raises:
        Unreadable: the body is anything else.
    """
    try:
        body = json.loads(response.content)
    except ValueError as error:
        problem = f"the body is not JSON: {error}"
    else:
        # After a failure behind the service a success may have null for its features.
        if isinstance(body, dict) and isinstance(body.get("features"), list):
            return body
        problem = "the body has no list of features"
    id_ = correlation_id(response)
    raise Unreadable(problem, url=url, status=response.status_code, correlation_id=id_)
