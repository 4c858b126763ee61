"""How the simulator reads a request's query and refuses one, as the weather service does."""

import base64
import json
import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import falcon

PROBLEM = "application/problem+json"
MAX_LIMIT = 500

Query = dict[str, list[str]]


class Problem(Exception):  # noqa: N818 - RFC 9457's name
    """An error that the API answers as application/problem+json."""

    def __init__(
        self, status: int, title: str, detail: str, parameters: Iterable[tuple[str, str]] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.parameters = list(parameters)


def bad_request(parameter: str, message: str) -> Problem:
    """Return the 400 for an invalid query parameter."""
    return Problem(400, "Bad Request", "Bad Request", [(f"query.{parameter}", message)])


def unexpected() -> Problem:
    """Return the 500 without details."""
    return Problem(500, "Unexpected Problem", "An unexpected problem has occurred.")


def render_problem(_: falcon.Request, resp: falcon.Response, error: Problem, *__: Any) -> None:
    """Write a problem as the service does."""
    correlation_id = str(resp.get_header("X-Correlation-Id") or uuid.uuid4())
    kind = error.title.title().replace(" ", "")
    body: dict[str, Any] = {
        "correlationId": correlation_id,
        "title": error.title,
        "type": f"https://api.weather.gov/problems/{kind}",
        "status": error.status,
        "detail": error.detail,
        "instance": f"https://api.weather.gov/requests/{correlation_id}",
    }
    if error.parameters:
        body["parameterErrors"] = [
            {"parameter": name, "message": message} for name, message in error.parameters
        ]
    resp.status = error.status
    resp.content_type = PROBLEM
    resp.text = json.dumps(body)


def read(
    req: falcon.Request, *, arrays: tuple[str, ...] = (), single: tuple[str, ...] = ()
) -> Query:
    """Return the query; `id=A,B` equals `id[0]=A&id[1]=B`. Raise 400 for unknown parameters."""
    query: Query = {}
    for key, value in req.params.items():
        name = re.sub(r"\[[0-9]*\]$", "", key)
        if name not in arrays and key not in single:
            raise bad_request(key, f"Query parameter {key!r} is not recognized")
        for one in value if isinstance(value, list) else [value]:
            query.setdefault(name, []).extend(one.split(",") if name in arrays else [one])
    return query


def areas(query: Query, name: str) -> list[str]:
    """Return the codes of states or marine areas."""
    for area in query.get(name, []):
        if not re.fullmatch("[A-Z]{2}", area):
            raise bad_request(name, f"{area!r} is not a two-letter area code")
    return query.get(name, [])


def limit_of(query: Query) -> int:
    """Return the size of a page."""
    raw = query.get("limit", [str(MAX_LIMIT)])[0]
    if not re.fullmatch("[0-9]{1,9}", raw) or not 1 <= int(raw) <= MAX_LIMIT:
        raise bad_request("limit", f"{raw!r} is not a number between 1 and {MAX_LIMIT}")
    return int(raw)


def cursor_of(query: Query, shape: str) -> str | None:
    """Return the position in the cursor, which must match `shape`."""
    if "cursor" not in query:
        return None
    raw = query["cursor"][0]
    try:
        place = str(json.loads(base64.b64decode(raw, validate=True))["s"])
    except (ValueError, KeyError, TypeError):
        place = ""
    if not re.fullmatch(shape, place):
        raise bad_request("cursor", f"{raw!r} is not a cursor of this list")
    return place


def offset_of(query: Query) -> int:
    """Return the offset in the cursor of a list with numbered pages."""
    return int(cursor_of(query, "[0-9]{1,9}") or 0)


def moment_of(query: Query, name: str) -> datetime | None:
    """Return a time, or None if it is not given."""
    return time_of(name, query[name][0]) if name in query else None


def time_of(name: str, raw: str) -> datetime:
    """Return a time in UTC."""
    try:
        moment = datetime.fromisoformat(raw)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise bad_request(name, f"{raw!r} is not an ISO 8601 time with an offset")


def next_link(req: falcon.Request, kept: Iterable[tuple[str, str]], position: int | str) -> str:
    """Return the link to the next page."""
    # The service keeps its filters in the link, in this bracketed form, and forgets the limit.
    place = json.dumps({"s": position}, separators=(",", ":")).encode()
    cursor = base64.b64encode(place).decode()
    return f"{req.prefix}{req.path}?{urlencode([*kept, ('cursor', cursor)])}"


def filters(query: Query, arrays: tuple[str, ...], single: tuple[str, ...] = ()) -> list[Any]:
    """Return the query's filters as its next link repeats them."""
    listed = [(f"{n}[{i}]", value) for n in arrays for i, value in enumerate(query.get(n, []))]
    return [*listed, *((name, query[name][0]) for name in single if name in query)]
