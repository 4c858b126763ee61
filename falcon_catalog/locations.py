"""Locations: where tables and warehouses live, compared the way a file system would.

``file:///x``, ``file:/x`` and ``/x`` are one place, written three ways. A location is kept as
its owner wrote it; only comparisons use the canonical form. Nothing is percent-decoded:
Iceberg clients take a path to the letter.
"""

import functools
import os
import re

from falcon_catalog.errors import BadRequestError

_LOCATION = re.compile(r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):)?(?P<rest>.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_LOCAL_HOSTS = {"", "localhost"}
MAX_LENGTH = 4096  # characters


@functools.lru_cache(maxsize=1024)  # the same few roots and tables, several times a request
def local_path(location: str) -> str:
    """Return the absolute path of a local location, without a trailing slash.

    Raises:
        BadRequestError: the location is not local, not absolute, or climbs with ``..``.
    """
    if len(location) > MAX_LENGTH or _CONTROL.search(location):
        raise BadRequestError(
            f"Invalid location {location[:200]!r}: it contains a control character, "
            f"or more than {MAX_LENGTH} characters"
        )
    match = _LOCATION.fullmatch(location)
    scheme, path = (match["scheme"], match["rest"]) if match else (None, location)
    if scheme is not None and scheme.lower() != "file":
        raise BadRequestError(
            f"Invalid location {location!r}: the scheme {scheme!r} is not supported, use file"
        )
    if scheme is not None and path.startswith("//"):
        host, slash, tail = path[2:].partition("/")
        if host.lower() not in _LOCAL_HOSTS:
            raise BadRequestError(f"Invalid location {location!r}: the host {host!r} is not local")
        path = slash + tail
    if not path.startswith("/"):
        raise BadRequestError(f"Invalid location {location!r}: it is not an absolute path")
    segments = [segment for segment in path.split("/") if segment not in ("", ".")]
    if ".." in segments:
        raise BadRequestError(f"Invalid location {location!r}: it contains '..'")
    return "/" + "/".join(segments)


def key(location: str) -> str:
    """Return the canonical form for comparing: an absolute path that ends in a slash.

    The slash keeps ``/db/table`` from looking like the parent of ``/db/table2``.

    Raises:
        BadRequestError: as ``local_path``.
    """
    path = local_path(location)
    return path if path == "/" else path + "/"


def is_inside(location: str, root: str) -> bool:
    """Tell whether ``location`` is ``root`` or below it."""
    return key(location).startswith(key(root))


def resolved_key(location: str) -> str:
    """Return the canonical form of what a location leads to, with symbolic links followed."""
    path = os.path.realpath(local_path(location))
    return path if path == "/" else path + "/"


def ancestors(location_key: str) -> list[str]:
    """Return the keys of all folders around ``location_key``, itself left out."""
    segments = location_key.strip("/").split("/")
    return ["/", *("/" + "/".join(segments[:end]) + "/" for end in range(1, len(segments)))]


def strip_slash(location: str) -> str:
    """Return ``location`` without trailing slashes, as Iceberg writes table locations."""
    return location.rstrip("/") or location


def join(base: str, *segments: str) -> str:
    """Append path segments to a location."""
    return "/".join([strip_slash(base), *segments])


def safe_segment(name: str) -> str:
    """Turn any name into a readable path segment that no engine or shell misreads."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:64]
