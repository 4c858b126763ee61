"""Whether signed requests do what they are signed for, and nothing else."""

from collections.abc import Mapping
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request

from falcon_catalog.catalog.storage_check.steps import Failed, Probe, Skipped
from falcon_catalog.errors import ForbiddenError
from falcon_catalog.fileio.delegation import Scope, SignRequest, Signs
from falcon_catalog.fileio.http import open_url
from falcon_catalog.locations import OBJECT_STORES, parse

_COPIED = (
    "Upgrade the store: it obeys a header that was added after signing, so that a client could copy"
    " the tables of others into its own. docs/storage.md has the versions. Until then use"
    ' access = "vended" or "client".'
)


def sign(probe: Probe) -> str:
    """Write and read in the table with signed requests; try to have foreign ones signed."""
    _sender(probe)
    kept = probe.key("table", "data", "kept")
    _send(probe, "PUT", kept, b"kept")
    if _send(probe, "GET", kept) != b"kept":
        raise Failed(
            "what was read is not what was written",
            "Remove what is between clients and the store, such as a cache.",
        )
    try:
        _sign(probe, "GET", probe.key("table2", "secret"))
    except ForbiddenError:
        return ""
    raise Failed("a request for a foreign file was signed", "Do not serve this warehouse.")


def copy(probe: Probe) -> str:
    """Add a copy header to a signed request, as an attacker would."""
    probe.create("foreign", b"of another table")
    foreign = quote(probe.key("foreign"))
    source = f"/{_bucket(probe)}/{foreign}"
    target = probe.at("table", "copied")
    try:
        _send(probe, "PUT", probe.key("table", "copied"), b"own", {"x-amz-copy-source": source})
    except HTTPError as error:
        return f"refused with {error.code}"
    if probe.storage.files.read(target) != b"own":
        raise Failed("the store copied a foreign file", _COPIED)
    return "the store ignored the header"


def _sender(probe: Probe) -> Signs:
    signs = probe.storage.signs
    if signs is None:
        raise Failed("this storage signs nothing", 'Set access = "vended" or "client".')
    return signs


def _bucket(probe: Probe) -> str:
    return parse(probe.root, OBJECT_STORES).authority


def _url(probe: Probe, key: str) -> str:
    """Return the URL of a key as clients reach it: that is what is signed."""
    settings = probe.settings
    base = settings.endpoint or f"https://s3.{settings.region}.amazonaws.com"
    if settings.path_style:
        return f"{base}/{_bucket(probe)}/{quote(key)}"
    parts = urlsplit(base)
    return f"{parts.scheme}://{_bucket(probe)}.{parts.netloc}/{quote(key)}"


def _sign(probe: Probe, method: str, key: str) -> tuple[str, Mapping[str, tuple[str, ...]]]:
    """Return a signed URL and the headers to add, as the catalog signs for a client."""
    request = SignRequest(method, _url(probe, key), probe.settings.region, {})
    signs, scope = _sender(probe), Scope((probe.table,), "write")
    vends = probe.storage.vends
    credential = vends.vend(scope, session="storage-check") if vends else None
    signed = signs.sign(request, scope, credential)
    return signed.uri, signed.headers


def _send(
    probe: Probe,
    method: str,
    key: str,
    body: bytes | None = None,
    more: Mapping[str, str] | None = None,
) -> bytes:
    uri, headers = _sign(probe, method, key)
    request = Request(uri, body, method=method)  # noqa: S310 - the settings' endpoint
    for name, values in headers.items():
        request.add_unredirected_header(name.capitalize(), ",".join(values))
    if body is not None:
        request.add_header("Content-type", "application/octet-stream")
    for name, value in (more or {}).items():
        request.add_header(name.capitalize(), value)
    try:
        with open_url(request, probe.settings) as response:
            content: bytes = response.read()
            return content
    except HTTPError:
        raise
    except URLError:
        if probe.settings.server_endpoint:
            raise Skipped(
                f"{probe.settings.endpoint}, the endpoint of clients, cannot be reached from here"
            ) from None
        raise
