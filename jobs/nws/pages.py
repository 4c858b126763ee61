"""Pagination of the service's lists, also around records that it fails on."""

import base64
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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


def pages(service: Service, path: str, params: Mapping[str, str]) -> Iterator[list[Feature]]:
    """Yield pages, following `pagination.next` until a page has no new record.

    The size of a page says nothing: the service offers a next page after the last record, too, and
    may return fewer records than requested before it.

    Raises:
        Refused: the list does not end, or continues on another origin.
        WeatherError: the service failed, for good or too often.
    """
    return _walk(service, service.url(path, _sized(params)), set())


def pages_around(service: Service, path: str, params: Mapping[str, str]) -> Iterator[list[Feature]]:
    """Yield a list's pages, leaving out the records that make the service fail (500).

    One station with an invalid geometry breaks every page it is on. Such a page is bisected down to
    the record, which is left out with a warning that names its offset, provided that the rest can
    be read and records can still be requested by their id.

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
            found = _BrokenPage(service, path, params, error, seen).read(offset)
            fresh = {identity(feature) for feature in found} - seen
            if not fresh:
                return
            seen |= fresh
            yield found
            url = service.url(path, _sized(params) | {"cursor": cursor(offset + PAGE_SIZE)})


def cursor(offset: int) -> str:
    """Return the service's cursor for an offset."""
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
        url = service.next_page(url, link) if isinstance(link, str) and link else None


def _offset(url: str) -> int | None:
    """Return the offset at which a page begins, or None if its cursor holds none."""
    found = parse_qs(urlsplit(url).query).get("cursor")
    if not found:
        return 0
    try:
        offset = json.loads(base64.b64decode(found[0], validate=True))["s"]
    except (ValueError, KeyError, TypeError):
        return None
    return offset if isinstance(offset, int) else None


@dataclass
class _BrokenPage:
    """A page that the service fails to produce, read in parts."""

    service: Service
    path: str
    params: Mapping[str, str]
    error: Unavailable
    seen: set[str]
    left_out: list[int] = field(default_factory=list)

    def read(self, offset: int) -> list[Feature]:
        """Return the records of the page at an offset that can be read."""
        # Two failures in a row: the service is down, not the record invalid.
        if self._part(offset, 1) is None and self._part(offset + 1, 1) is None:
            raise self.error
        self.left_out.clear()
        found = self._halves(offset, PAGE_SIZE)
        if self.left_out:
            known = {identity(one) for one in found} | self.seen
            if not known:
                raise self.error
            one = min(known).rpartition("/")[2]
            self.service.get(self.service.url(self.path, {"id": one, "limit": "1"}), hasty=True)
            log.warning(
                "left out %d record(s) of %s %s, at place(s) %s of the list: the service fails on"
                " them (%s); what is missing can still be requested by its id",
                len(self.left_out),
                self.path,
                " ".join(f"{name}={value}" for name, value in self.params.items()),
                ", ".join(str(place) for place in self.left_out),
                self.error,
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
            features: list[Feature] = self.service.get(
                self.service.url(self.path, {**self.params, **page}), hasty=True
            )["features"]
        except BadRequest as error:  # the cursor is not one of the service's
            raise self.error from error
        except Unavailable as error:
            if error.status != HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            if size == 1:
                self.left_out.append(offset)
                if len(self.left_out) > MAX_LEFT_OUT:
                    raise self.error from error
            return None
        return features
