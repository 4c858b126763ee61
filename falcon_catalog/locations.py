"""Locations of warehouses, tables and files: parsed by scheme, normalised and compared.

A location is kept as its owner wrote it; only comparisons use the canonical form. Nothing is
percent-decoded: Iceberg clients take a path literally.

On a local file system ``file:///x``, ``file:/x`` and ``/x`` are one place, and empty segments and
``.`` are left out. A location in an object store is rejected where stores, clients and
policies may understand it differently, never repaired: a key is not a path.
"""

import functools
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from falcon_catalog.errors import BadRequestError

FILE = frozenset({"file"})
OBJECT_STORES = frozenset({"s3", "gs", "abfss"})
ALIASES = {"s3a": "s3", "s3n": "s3", "abfs": "abfss", "wasb": "abfss", "wasbs": "abfss"}
"""Schemes that only some engines write, and what they mean."""
ANY = FILE | OBJECT_STORES | frozenset(ALIASES)

MAX_LENGTH = 4096  # characters of any location
MAX_SEGMENT_BYTES = 255  # Linux's limit of a file name
MAX_KEY_BYTES = 1024  # S3's and GCS's limit of a key, ADLS's of a path
_LOCATION = re.compile(r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):)?(?P<rest>.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_LOCAL_HOSTS = {"", "localhost"}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_CONTAINER = re.compile(
    r"(?P<container>\$root|\$web|[a-z0-9][a-z0-9-]{1,61}[a-z0-9])"
    r"@(?P<account>[a-z0-9]{3,24})\.(?:dfs|blob)\.(?P<suffix>[a-z0-9-]+(?:\.[a-z0-9-]+)*)"
)
_NOT_IN_KEYS = "?#\\"  # Java's S3URI drops what follows ? and #; Windows separates with the last
_CATEGORIES_NOT_IN_KEYS = {"Cc", "Cf", "Cs"}


@dataclass(frozen=True, slots=True)
class Location:
    """A place in its canonical form: two locations are one place if these are equal."""

    scheme: str
    """``file``, ``s3``, ``gs`` or ``abfss``."""
    authority: str
    """The bucket, or ``container@account.dfs.suffix``; empty for ``file``."""
    path: str
    """Without a slash at its end; absolute for ``file``, else a key without a slash before it."""

    @property
    def key(self) -> str:
        """The text that comparisons use: it ends in a slash, so that a prefix is a parent.

        A local one is a path. The slash keeps ``/db/table`` from looking like the parent of
        ``/db/table2``.
        """
        end = "" if self.path in ("", "/") else "/"
        if self.scheme == "file":
            return self.path + end
        return f"{self.scheme}://{self.authority}/{self.path}{end}"

    def inside(self, root: "Location") -> bool:
        """Return whether this is ``root`` or below it."""
        return self.key.startswith(root.key)

    def overlaps(self, other: "Location") -> bool:
        """Return whether one of the two is the other or below it."""
        return self.inside(other) or other.inside(self)


@functools.lru_cache(maxsize=1024)  # the same few roots and tables, several times a request
def parse(location: str, schemes: frozenset[str] = ANY) -> Location:
    """Return the place that a location names.

    Args:
        location: as a client or a setting spells it.
        schemes: those that are accepted, aliases among them. Without a scheme it is ``file``.

    Raises:
        BadRequestError: its scheme is another, or it breaks a rule of its scheme.
    """
    if len(location) > MAX_LENGTH or _CONTROL.search(location):
        raise BadRequestError(
            f"Invalid location {location[:200]!r}: it contains a control character, "
            f"or more than {MAX_LENGTH} characters"
        )
    match = _LOCATION.fullmatch(location)
    scheme, rest = (match["scheme"], match["rest"]) if match else (None, location)
    if "file" in schemes and (scheme is None or scheme.lower() == "file"):
        return Location("file", "", _local_path(location, rest, has_scheme=scheme is not None))
    if scheme not in schemes:
        raise BadRequestError(
            f"Invalid location {location!r}: the scheme {scheme!r} is not supported, use "
            f"{' or '.join(sorted(schemes))}"
        )
    try:
        return _in_object_store(ALIASES.get(scheme, scheme), rest)
    except ValueError as error:
        raise BadRequestError(f"Invalid location {location!r}: {error}") from None


def _local_path(location: str, path: str, *, has_scheme: bool) -> str:
    if has_scheme and path.startswith("//"):
        host, slash, tail = path[2:].partition("/")
        if host.lower() not in _LOCAL_HOSTS:
            raise BadRequestError(f"Invalid location {location!r}: the host {host!r} is not local")
        path = slash + tail
    if not path.startswith("/"):
        raise BadRequestError(f"Invalid location {location!r}: it is not an absolute path")
    segments = [segment for segment in path.split("/") if segment not in ("", ".")]
    if ".." in segments:
        raise BadRequestError(f"Invalid location {location!r}: it contains '..'")
    if any(len(segment.encode()) > MAX_SEGMENT_BYTES for segment in segments):
        raise BadRequestError(
            f"Invalid location {location[:200]!r}: a segment of its path has more than"
            f" {MAX_SEGMENT_BYTES} bytes"
        )
    return "/" + "/".join(segments)


def _in_object_store(scheme: str, rest: str) -> Location:
    """Return a place in an object store; raise ValueError with the rule that it breaks."""
    if not rest.startswith("//"):
        raise ValueError("it has no // after its scheme")
    authority, _, path = rest[2:].partition("/")
    if scheme == "abfss":
        match = _CONTAINER.fullmatch(authority)
        if match is None:
            raise ValueError(f"{authority!r} is not container@account.dfs.SUFFIX in lower case")
        # One account has two hosts.
        authority = f"{match['container']}@{match['account']}.dfs.{match['suffix']}"
    elif not _BUCKET.fullmatch(authority):
        raise ValueError(f"{authority!r} is not the name of a bucket in lower case")
    path = path.removesuffix("/")
    _check_key(path)
    if scheme == "abfss" and "%" in path:  # Azure decodes it, other stores do not
        raise ValueError("it contains '%'")
    return Location(scheme, authority, path)


def _check_key(path: str) -> None:
    if len(path.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"its key has more than {MAX_KEY_BYTES} bytes")
    for segment in path.split("/") if path else ():
        if segment in ("", ".", ".."):
            raise ValueError("a segment of its key is empty, '.' or '..'")
        if segment != segment.strip():
            raise ValueError(f"the segment {segment!r} begins or ends with a blank")
    for character in path:
        if character in _NOT_IN_KEYS or unicodedata.category(character) in _CATEGORIES_NOT_IN_KEYS:
            raise ValueError(f"it contains {character!r}")
    if not unicodedata.is_normalized("NFC", path):
        raise ValueError("it is not in Unicode's normal form C")


def local_path(location: str) -> str:
    """Return the absolute path of a local location, without a trailing slash.

    Raises:
        BadRequestError: the location is not local, not absolute, or climbs with ``..``.
    """
    return parse(location, FILE).path


def is_local(location: str) -> bool:
    """Return whether a location is on a local file system, not in an object store."""
    return parse(location).scheme == "file"


def schemes_of(locations: Iterable[str], *, aliases: bool) -> frozenset[str]:
    """Return the schemes of locations, with those that mean the same if ``aliases``."""
    own = {parse(location).scheme for location in locations}
    others = {alias for alias, scheme in ALIASES.items() if scheme in own} if aliases else set()
    return frozenset(own | others)


def key(location: str) -> str:
    """Return the canonical form for comparing, which ends in a slash.

    Raises:
        BadRequestError: as ``parse``.
    """
    return parse(location).key


def key_or_none(location: object) -> str | None:
    """Return the canonical form for comparing; None for what is no location here."""
    try:
        return key(location) if isinstance(location, str) else None
    except BadRequestError:
        return None


def is_inside(location: str, root: str) -> bool:
    """Return whether ``location`` is ``root`` or below it."""
    return parse(location).inside(parse(root))


def overlap(one: str, other: str) -> bool:
    """Return whether one of two locations is the other or below it."""
    return parse(one).overlaps(parse(other))


def outermost(locations: Iterable[str]) -> tuple[str, ...]:
    """Return the locations that are not inside another one of them."""
    by_key = {key(location): location for location in locations}
    inner = {each for each in by_key if not by_key.keys().isdisjoint(ancestors(each))}
    return tuple(location for each, location in by_key.items() if each not in inner)


def ancestors(location_key: str) -> list[str]:
    """Return the keys of all that is around ``location_key``, itself left out."""
    first = location_key.find("//") + 2 if "//" in location_key else 0
    slashes = (at for at in range(first, len(location_key) - 1) if location_key[at] == "/")
    return [location_key[: at + 1] for at in slashes]


def nested(keys: Iterable[tuple[str, int]]) -> list[tuple[int, int]]:
    """Return pairs of ids of which the first one's location key is around the second one's."""
    found, around = [], list[tuple[str, int]]()
    for location_key, owner in sorted(keys):  # a folder before what is in it
        while around and not location_key.startswith(around[-1][0]):
            around.pop()
        if around:
            found.append((around[-1][1], owner))
        around.append((location_key, owner))
    return found


def strip_slash(location: str) -> str:
    """Return ``location`` without trailing slashes, as Iceberg writes table locations."""
    return location.rstrip("/") or location


def with_scheme(location: str) -> str:
    """Return a path as rows and settings hold it, with the scheme; another location as it is."""
    return f"file://{location}" if location.startswith("/") else location


def join(base: str, *segments: str) -> str:
    """Append path segments to a location."""
    return "/".join([strip_slash(base), *segments])


def safe_segment(name: str) -> str:
    """Turn any name into a readable path segment that no engine or shell misreads."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:64]
