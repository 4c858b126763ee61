"""Lists of the service: pages up to the end, and around a page that it fails on."""

import base64
import json
import logging
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jobs.nws.errors import BadRequest, Refused, Unavailable
from jobs.nws.service import Service

log = logging.getLogger("jobs.nws")

Feature = dict[str, Any]

PAGE_SIZE = 500  # the most the service gives
MAX_PAGES = 1000
MAX_LEFT_OUT = 10


def identity(feature: Any) -> str:
    """Return what identifies a record: its id, or else all of its content."""
    found = feature.get("id") if isinstance(feature, dict) else None
    return found if isinstance(found, str) else json.dumps(feature, sort_keys=True)


def pages(
    service: Service, path: str, params: Mapping[str, str], *, ends_short: bool = False
) -> Iterator[list[Feature]]:
    """Follow `pagination.next` until nothing new comes: the service offers it for ever.

    With `ends_short` a first page that is not even half full is the only one. That halves the
    requests of an hour's reading, where every list is a handful of records.

    Raises:
        Refused: a list without end, or one that goes on elsewhere.
        WeatherError: the service failed, for good or too often.
    """
    for number, page in enumerate(_walk(service, service.url(path, _sized(params)), set())):
        yield page
        # Only the first request says how long a page may be: the next links forget it.
        if ends_short and number == 0 and len(page) < PAGE_SIZE // 2:
            return


def pages_around(service: Service, path: str, params: Mapping[str, str]) -> Iterator[list[Feature]]:
    """Return a list's pages, leaving out the records that make the service fail (500).

    One station with an impossible geometry breaks every page it is on. Such a page is read in
    halves down to the record, which is left out, with a warning that names its place, as long as
    the rest can be read and records can still be requested by their id.

    Raises:
        WeatherError: as of `pages`; or too many records would be left out.
    """
    seen: set[str] = set()
    url: str | None = service.url(path, _sized(params))
    while url:
        try:
            # The error names the page that the walk failed on.
            yield from _walk(service, url, seen)
            url = None
        except Unavailable as error:
            offset = _offset(error.url)
            if error.status != HTTPStatus.INTERNAL_SERVER_ERROR or offset is None:
                raise
            found = _Block(service, path, params, error, seen).read(offset)
            fresh = {identity(feature) for feature in found} - seen
            if not fresh:
                return
            seen |= fresh
            yield found
            url = service.url(path, _sized(params) | {"cursor": cursor(offset + PAGE_SIZE)})


def cursor(offset: int) -> str:
    """Write the cursor of a list whose pages are cut by number, as the service does."""
    return base64.b64encode(json.dumps({"s": offset}, separators=(",", ":")).encode()).decode()


def _sized(params: Mapping[str, str]) -> dict[str, str]:
    return {**params, "limit": str(PAGE_SIZE)}


def _walk(service: Service, url: str | None, seen: set[str]) -> Iterator[list[Feature]]:
    seen_urls: set[str] = set()
    while url and url not in seen_urls:
        if len(seen_urls) == MAX_PAGES:
            raise Refused(f"more than {MAX_PAGES} pages", url=url)
        seen_urls.add(url)
        body = service.get(url)
        fresh = {identity(feature) for feature in body["features"]} - seen
        if not fresh:
            return
        seen |= fresh
        yield body["features"]
        pagination = body.get("pagination")
        link = pagination.get("next") if isinstance(pagination, dict) else None
        url = service.follow(url, link, "next page") if isinstance(link, str) and link else None


def _offset(url: str) -> int | None:
    """Read at which place of its list a page begins; None if its cursor is not of that kind."""
    found = parse_qs(urlsplit(url).query).get("cursor")
    if not found:
        return 0
    try:
        offset = json.loads(base64.b64decode(found[0], validate=True))["s"]
    except (ValueError, KeyError, TypeError):
        return None
    return offset if isinstance(offset, int) else None


class _Block:
    """The records of one page the service cannot make."""

    def __init__(
        self,
        service: Service,
        path: str,
        params: Mapping[str, str],
        error: Unavailable,
        seen: set[str],
    ) -> None:
        self._service = service
        self._path = path
        self._params = dict(params)
        self._error = error
        self._seen = seen
        self._left_out: list[int] = []

    def read(self, offset: int) -> list[Feature]:
        """Read what can be read of the page at this place of the list."""
        # Two records in a row that fail are no bad record but a service that is down.
        if self._part(offset, 1) is None and self._part(offset + 1, 1) is None:
            raise self._error
        self._left_out.clear()
        found = self._halves(offset, PAGE_SIZE)
        if self._left_out:
            known = {identity(one) for one in found} | self._seen
            if not known:
                raise self._error
            one = min(known).rpartition("/")[2]
            self._service.get(self._service.url(self._path, {"id": one, "limit": "1"}), hasty=True)
            log.warning(
                "left out %d record(s) of %s %s, at place(s) %s of the list: the service fails on"
                " them (%s); what is missing can still be requested by its id",
                len(self._left_out),
                self._path,
                " ".join(f"{name}={value}" for name, value in self._params.items()),
                ", ".join(str(place) for place in self._left_out),
                self._error,
            )
        return found

    def _halves(self, offset: int, size: int) -> list[Feature]:
        part = self._part(offset, size)
        if part is not None:
            return part
        if size == 1:
            return []
        half = size // 2
        return self._halves(offset, half) + self._halves(offset + half, size - half)

    def _part(self, offset: int, size: int) -> list[Feature] | None:
        page = {"limit": str(size), "cursor": cursor(offset)}
        try:
            features: list[Feature] = self._service.get(
                self._service.url(self._path, {**self._params, **page}), hasty=True
            )["features"]
        except BadRequest as error:  # it does not write its cursors like that
            raise self._error from error
        except Unavailable as error:
            if error.status != HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            if size == 1:
                self._left_out.append(offset)
                if len(self._left_out) > MAX_LEFT_OUT:
                    raise self._error from error
            return None
        return features
