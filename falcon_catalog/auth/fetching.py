"""Requests for a small JSON document of an identity provider, with limits on all that it could do.

One address is resolved, checked and used, so that a name cannot point elsewhere the next time. No
redirect is followed, no proxy is used, nothing but the URL, or a form, is sent.
"""

import contextlib
import http.client
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

SECONDS = 5.0
"""In which the whole document must arrive."""
MAX_BYTES = 1024 * 1024

Reach = Literal["public", "private", "loopback"]
"""How far an address is: on the internet, in the own network, or on this machine."""
_REACHES: dict[Reach, frozenset[Reach]] = {
    "public": frozenset({"public"}),
    "private": frozenset({"public", "private"}),
    "loopback": frozenset({"public", "private", "loopback"}),
}


class FetchError(Exception):
    """The document could not be fetched; the message says why, and names no secret."""


def reach_of(url: str) -> Reach:
    """Return how far the host of a URL is.

    Raises:
        FetchError: it has no address, or one that is no server's.
    """
    host, port, _ = _parts(url)
    return _reach(_resolve(host, port))


def fetch_json(
    url: str,
    *,
    near: Reach,
    ca_file: str = "",
    form: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
) -> Any:
    """Return the JSON document at a URL.

    Args:
        url: https://, or http:// to this machine.
        near: how far the issuer of the settings is: what is on the internet cannot name an address
            in the own network or on this machine.
        ca_file: PEM file of a private authority; empty: the system's authorities.
        form: is posted there; None: GET.
        seconds: in which all of it must arrive.

    Raises:
        FetchError: it cannot be fetched, is too large, too slow, a redirect, or no JSON.
    """
    host, port, is_https = _parts(url)
    address = _resolve(host, port)
    reach = _reach(address)
    if reach not in _REACHES[near]:
        raise FetchError(f"{url} is at {address[0]}, which the issuer may not refer to")
    if not is_https and reach != "loopback":
        raise FetchError(f"{url} must be https://: http:// is only for this machine")
    try:
        with _connection(host, address, seconds, ca_file if is_https else None) as connection:
            return _document(connection, url, form)
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise FetchError(f"{url}: {str(error) or type(error).__name__}") from None


def _document(
    connection: http.client.HTTPConnection, url: str, form: Mapping[str, str] | None
) -> Any:
    parts = urlsplit(url)
    target = parts.path or "/"
    headers = {"Accept": "application/json", "Connection": "close"}
    if form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    connection.request(
        "GET" if form is None else "POST",
        f"{target}?{parts.query}" if parts.query else target,
        None if form is None else urlencode(form),
        headers,
    )
    response = connection.getresponse()
    content = response.read(MAX_BYTES + 1)
    if response.status != http.client.OK:
        raise FetchError(
            f"{url} answered {response.status}{_reason(content)}; redirects are not followed"
        )
    if len(content) > MAX_BYTES:
        raise FetchError(f"{url}: the document is larger than {MAX_BYTES} bytes")
    return json.loads(content)


def _reason(content: bytes) -> str:
    """Return the error of OAuth in an answer (RFC 6749, section 5.2); empty if there is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    error = found.get("error") if isinstance(found, dict) else None
    return f" ({error[:100]})" if isinstance(error, str) and error.isprintable() else ""


@contextlib.contextmanager
def _connection(
    host: str, address: tuple[str, int], seconds: float, ca_file: str | None
) -> Iterator[http.client.HTTPConnection]:
    """Yield a connection to an address that ends after some seconds; TLS unless ca_file is None."""
    raw = socket.create_connection(address, timeout=seconds)
    # A server that sends a byte now and then meets no timeout of a socket.
    deadline = threading.Timer(seconds, _shut, (raw,))
    deadline.daemon = True
    deadline.start()
    try:
        connection = http.client.HTTPConnection(host, address[1], timeout=seconds)
        if ca_file is None:
            connection.sock = raw
        else:
            context = ssl.create_default_context(cafile=ca_file or None)
            # The plain socket stays usable for the deadline.
            wrapped = context.wrap_socket(raw.dup(), server_hostname=host)
            wrapped.settimeout(seconds)
            connection.sock = wrapped
        with contextlib.closing(connection):
            yield connection
    finally:
        deadline.cancel()
        raw.close()


def _shut(raw: socket.socket) -> None:
    with contextlib.suppress(OSError):
        raw.shutdown(socket.SHUT_RDWR)


def _parts(url: str) -> tuple[str, int, bool]:
    """Return host, port, and whether it is https."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise FetchError(f"{url!r} is no URL") from None
    is_https = parts.scheme == "https"
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
        raise FetchError(f"{url!r} must be https://HOST/…, without a user")
    if not url.isascii() or any(one <= " " for one in url):
        raise FetchError(f"{url!r} must be of ASCII characters, without blanks")
    return parts.hostname, port or (443 if is_https else 80), is_https


def _resolve(host: str, port: int) -> tuple[str, int]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchError(f"{host}: {error}") from None
    address = found[0][4]
    return str(address[0]), port


def _reach(address: tuple[str, int]) -> Reach:
    found = ipaddress.ip_address(address[0].partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if found.is_loopback:
        return "loopback"
    if found.is_link_local or found.is_multicast or found.is_unspecified or found.is_reserved:
        raise FetchError(f"{address[0]} is no address of an identity provider")
    return "public" if found.is_global else "private"
