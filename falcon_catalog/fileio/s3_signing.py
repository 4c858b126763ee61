"""Remote signing: signatures for single requests of clients to S3, confined to one table.

What a request reaches is found from the settings of the warehouse, never guessed: its URI must name
the store's own host, and the key must lie in the table's folders. A path or query is accepted only
in the encoding that the signature is made of, so that no store can decode it to something else.

There is no rate limit of its own: a scan makes thousands of these calls, any limit that lets it
pass stops nobody, and the server's queue of requests is bounded for all of them together.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

from falcon_catalog.errors import BadRequestError, ForbiddenError, show
from falcon_catalog.fileio import s3_deletes, s3_requests, sigv4
from falcon_catalog.fileio.delegation import Credential, Scope, SignedRequest, SignRequest
from falcon_catalog.fileio.sigv4 import Keys
from falcon_catalog.locations import MAX_KEY_BYTES, parse
from falcon_catalog.settings import StorageSettings

# Any byte as %XX in upper case, unless it needs no encoding: - . digits, letters, _ and ~.
_ENCODED = r"%(?!2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])[0-9A-F]{2}"
_URI = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:]+\])(?::(?P<port>[0-9]{1,5}))?"
    rf"(?P<path>/(?:[A-Za-z0-9._~/-]|(?!%2F){_ENCODED})*)?"
    rf"(?:\?(?P<query>(?:[A-Za-z0-9._~&=-]|{_ENCODED})*))?"
)
_MAX_URI = 8192
_PORTS = {"http": "80", "https": "443"}
_GLOBAL_ENDPOINT = "s3.amazonaws.com"
_GLOBAL_REGION = "us-east-1"
_SCHEMES = frozenset({"s3", "s3a", "s3n"})
# The catalog writes these itself; a client that did could roll a table back, or redirect it.
_METADATA_FILE = re.compile(r"\.metadata\.json(?:\.gz)?$")
_NOT_IN_KEYS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\\]")
_MOST_DECODINGS = 4


@dataclass(frozen=True, slots=True)
class _Target:
    """What the URI of a request names."""

    host: str
    path: str
    query: str
    bucket: str
    key: str
    """Decoded; empty for the bucket itself."""
    parameters: dict[str, str]
    """Of the query, decoded."""


class S3Signer:
    """Signs requests to the object store of one warehouse. Safe to use from many threads."""

    def __init__(
        self,
        settings: StorageSettings,
        endpoint: str,
        *,
        is_amazon: bool,
        keys: Callable[[], Keys],
    ) -> None:
        """Know the store.

        Args:
            settings: of the warehouse.
            endpoint: URL of the store as clients reach it.
            is_amazon: whether that is AWS.
            keys: returns the server's own; raises ServiceUnavailableError if it has none.
        """
        scheme, _, rest = endpoint.partition("://")
        netloc, slash, base = rest.partition("/")
        self._scheme = scheme
        self._base = slash + base
        self._host, self._port = _split_port(netloc.lower(), scheme)
        self._hosts = [self._host]
        if is_amazon and settings.region == _GLOBAL_REGION:
            self._hosts.append(_GLOBAL_ENDPOINT)
        # A store that knows no buckets in host names would take the first segment for the bucket.
        self._has_bucket_hosts = is_amazon or not settings.path_style
        self._region = settings.region
        self._kms_keys = frozenset(settings.kms_keys)
        self._keys = keys

    def sign(
        self, request: SignRequest, scope: Scope, credential: Credential | None
    ) -> SignedRequest:
        """Return what makes a request a signed one; see ``delegation.Signs``."""
        target = self._target(request.uri)
        if request.region != self._region:
            raise ForbiddenError(
                f"Cannot sign the request: region {show(request.region)} is not the warehouse's"
            )
        operation = s3_requests.operation_of(
            request.method, target.parameters, of_bucket=not target.key
        )
        if request.permission == "write" and scope.permission != "write":
            raise ForbiddenError(f"Cannot sign the request: {operation.name} needs write access")
        body = None
        if operation.name == "DeleteObjects":
            if request.body is None:
                raise BadRequestError(
                    "Invalid remote sign request: DeleteObjects needs its body, to be checked"
                )
            body = request.body.encode(errors="surrogatepass")
            keys = s3_deletes.read_keys(request.body)
        elif operation.name == "ListObjectsV2":
            keys = []
            _check_listing(target.bucket, target.parameters["prefix"], scope)
        else:
            keys = [target.key]
        for key in keys:
            _check_key(key)
            _check_inside(target.bucket, key, scope)
            if request.permission == "write" and _METADATA_FILE.search(key):
                raise ForbiddenError(
                    "Cannot sign the request: only the catalog writes and deletes metadata files"
                )
        signed = s3_requests.signed_headers(request.headers, target.host, self._kms_keys)
        is_plain = signed.keys() <= s3_requests.CONSTANT
        signing = self._signing_keys(credential)
        own = {
            "x-amz-date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
            "x-amz-content-sha256": s3_requests.payload_hash(signed, body),
        }
        if signing.token:
            own["x-amz-security-token"] = signing.token
        # PyIceberg adds what comes back to its own headers: none may come twice.
        added = {name: value for name, value in own.items() if name not in signed}
        signed |= own
        added["Authorization"] = sigv4.authorization(
            request.method,
            target.path,
            target.query,
            signed,
            own["x-amz-content-sha256"],
            keys=signing,
            region=self._region,
        )
        return SignedRequest(
            uri=request.uri,
            headers={name: (value,) for name, value in added.items()},
            operation=operation.name,
            key=target.key or None,
            may_be_cached=is_plain and request.method in ("GET", "HEAD"),
        )

    def _signing_keys(self, credential: Credential | None) -> Keys:
        if credential is None:
            return self._keys()
        config = credential.config
        return Keys(
            config["s3.access-key-id"],
            config["s3.secret-access-key"],
            config["s3.session-token"],
        )

    def _target(self, uri: str) -> _Target:
        """Return what a URI names in this store."""
        match = _URI.fullmatch(uri) if len(uri) <= _MAX_URI else None
        if match is None:
            raise BadRequestError(
                "Invalid remote sign request: its uri is not SCHEME://HOST[:PORT]/PATH[?QUERY] in"
                " the encoding of signatures: each byte but A-Z a-z 0-9 - . _ ~ as %XX, in upper"
                " case"
            )
        scheme, host, path = match["scheme"], match["host"], match["path"] or ""
        port = match["port"] or _PORTS[scheme]
        in_host = self._bucket_of(host) if self._has_bucket_hosts else None
        is_here = in_host is not None or host in self._hosts
        if (scheme, port) != (self._scheme, self._port) or not is_here:
            raise ForbiddenError(
                "Cannot sign the request: the scheme, host or port of its uri is not that of the"
                " warehouse's object store"
            )
        if not f"{path}/".startswith(f"{self._base}/"):
            raise ForbiddenError("Cannot sign the request: its path is not in the object store")
        named = _decoded(path).removeprefix(self._base).removeprefix("/")
        bucket, key = (in_host, named) if in_host else named.partition("/")[::2]
        return _Target(
            host=host if port == _PORTS[scheme] else f"{host}:{port}",
            path=path,
            query=match["query"] or "",
            bucket=bucket,
            key=key,
            parameters=_parameters(match["query"] or ""),
        )

    def _bucket_of(self, host: str) -> str | None:
        for own in self._hosts:
            if host.endswith(f".{own}"):
                return host.removesuffix(f".{own}")
        return None


def _split_port(netloc: str, scheme: str) -> tuple[str, str]:
    host, colon, port = netloc.rpartition(":")
    if not colon or netloc.endswith("]"):
        return netloc, _PORTS[scheme]
    return host, port


def _decoded(text: str) -> str:
    """Return a part of a URI decoded once."""
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise BadRequestError("Invalid remote sign request: its uri is not UTF-8") from None


def _parameters(query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if "=" in value:
            raise BadRequestError("Invalid remote sign request: a '=' in its query is not encoded")
        name = _decoded(name)
        if name in parameters:
            raise BadRequestError(
                f"Invalid remote sign request: parameter {show(name)} is there twice"
            )
        parameters[name] = _decoded(value)
    return parameters


def _check_key(key: str) -> None:
    """Raise an error for a key that a store or a proxy may take for another one."""
    segments = key.split("/")
    if len(key.encode(errors="surrogatepass")) > MAX_KEY_BYTES:
        raise ForbiddenError(f"Cannot sign the request: a key has more than {MAX_KEY_BYTES} bytes")
    if any(segment in ("", ".", "..") for segment in segments):
        raise ForbiddenError("Cannot sign the request: a segment of a key is empty, '.' or '..'")
    _check_text(key)


def _check_text(text: str) -> None:
    if _NOT_IN_KEYS.search(text):
        raise ForbiddenError(
            "Cannot sign the request: a key has a backslash, a control character or no Unicode"
        )
    # Engines encode the values of partitions in the names of folders, so %2F is a name's own text.
    again = text
    for _ in range(_MOST_DECODINGS):
        if "%" not in again:
            return
        again = unquote(again)
        if any(segment in (".", "..") for segment in re.split(r"[/\\]", again)):
            break
    else:
        return
    raise ForbiddenError("Cannot sign the request: a key has an encoded segment '.' or '..'")


def _check_inside(bucket: str, key: str, scope: Scope) -> None:
    if not _is_inside(f"s3://{bucket}/{key}", scope.locations):
        raise ForbiddenError("Cannot sign the request: a key is not in the table's locations")


def _check_listing(bucket: str, prefix: str, scope: Scope) -> None:
    _check_text(prefix)
    if any(segment in (".", "..") for segment in prefix.split("/")):
        raise ForbiddenError("Cannot sign the request: a segment of its prefix is '.' or '..'")
    if not _is_inside(f"s3://{bucket}/{prefix}", scope.locations):
        raise ForbiddenError(
            "Cannot sign the request: its prefix is not in the table's locations, or ends before"
            " their slash"
        )


def _is_inside(place: str, locations: Iterable[str]) -> bool:
    return any(place.startswith(parse(location, _SCHEMES).key) for location in locations)
