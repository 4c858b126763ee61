"""What an error of an object store means, recognised by its code, or by the words of a library.

Those words contain URLs and requests. Only the store's error code leaves this module.
"""

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from falcon_catalog.errors import ObjectStoreError
from falcon_catalog.fileio.client import amazon_suffix, bucket_url
from falcon_catalog.locations import OBJECT_STORES, parse
from falcon_catalog.settings import StorageSettings

Kind = Literal[
    "wrong-key",
    "wrong-region",
    "no-sts",
    "no-conditional-write",
    "path-style",
    "clock-skew",
    "denied",
    "kms",
    "no-bucket",
    "tls",
    "proxy",
    "no-host",
    "no-connection",
    "timeout",
    "throttled",
    "expired",
    "no-credential",
    "policy",
    "unknown",
]

_CODE = re.compile(r"error occurred \((\w+)\)|\"(?:code|error)\":\s*\"(\w+)\"|ErrorCode:\s*(\w+)")
_STATUS = re.compile(r"status code: (\d{3})|HTTP(?: status)? (\d{3})")

_BY_CODE: dict[str, Kind] = {
    "InvalidAccessKeyId": "wrong-key",
    "SignatureDoesNotMatch": "wrong-key",
    "InvalidClientTokenId": "wrong-key",
    "InvalidSecurity": "wrong-key",
    "AuthenticationFailed": "wrong-key",
    "AuthorizationHeaderMalformed": "wrong-region",
    "PermanentRedirect": "wrong-region",
    "IllegalLocationConstraintException": "wrong-region",
    "RequestTimeTooSkewed": "clock-skew",
    "RequestExpired": "clock-skew",
    "NoSuchBucket": "no-bucket",
    "ContainerNotFound": "no-bucket",
    "AccountIsDisabled": "no-bucket",
    "NotImplemented": "no-sts",
    "InvalidAction": "no-sts",
    "UnsupportedOperation": "no-sts",
    "ExpiredToken": "expired",
    "ExpiredTokenException": "expired",
    "InvalidToken": "expired",
    "SlowDown": "throttled",
    "TooManyRequests": "throttled",
    "ServerBusy": "throttled",
    "Throttling": "throttled",
    "PackedPolicyTooLarge": "policy",
    "MalformedPolicyDocument": "policy",
    "AccessDenied": "denied",
    "AccessDeniedException": "denied",
    "AllAccessDisabled": "denied",
    "AuthorizationFailure": "denied",
    "AuthorizationPermissionMismatch": "denied",
    "InsufficientAccountPermissions": "denied",
    "invalid_grant": "wrong-key",
    "invalid_client": "wrong-key",
    "unauthorized_client": "wrong-key",
}
_BY_REASON: dict[str, Kind] = {
    "closed": "no-connection",
    "credentials": "no-credential",
    "denied": "denied",
    "dns": "no-host",
    "no-bucket": "no-bucket",
    "redirect": "wrong-region",
    "throttled": "throttled",
    "timeout": "timeout",
    "tls": "tls",
    "unreachable": "no-connection",
}
_BY_TEXT: tuple[tuple[str, Kind], ...] = (
    ("ProxyConnectionError", "proxy"),
    ("proxy", "proxy"),
    ("CERTIFICATE_VERIFY_FAILED", "tls"),
    ("SSL validation failed", "tls"),
    ("Name or service not known", "no-host"),
    ("Could not connect to the endpoint", "no-connection"),
    ("Connection was closed", "no-connection"),
    ("Connection refused", "no-connection"),
    ("timed out", "timeout"),
    ("Read timeout", "timeout"),
    ("Connect timeout", "timeout"),
    ("Unable to locate credentials", "no-credential"),
)
"""What the libraries say that are not obstore."""
_BY_STATUS: dict[str, Kind] = {
    "301": "wrong-region",
    "307": "wrong-region",
    "401": "wrong-key",
    "403": "denied",
    "429": "throttled",
    "501": "no-sts",
    "503": "throttled",
}


@dataclass(frozen=True, slots=True)
class Symptom:
    """What an error means."""

    kind: Kind
    code: str = ""
    """The store's own error code, or the HTTP status."""
    region: str = ""
    """That the store expects."""
    identity: str = ""
    """Who made the request, as the store calls it."""
    host: str = ""
    """That could not be reached, or is not trusted."""


def words(error: BaseException) -> str:
    """Return the texts of an error and of all that it was raised from. Not for people."""
    return "\n".join(str(each) for each in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it was raised from."""
    at: BaseException | None = error
    seen = set[int]()
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def is_refusal(error: BaseException) -> bool:
    """Return whether a store refused a request for lack of permission: 401 or 403."""
    text = words(error)
    status = _STATUS.search(text)
    known = type(error).__name__ in {"PermissionDeniedError", "UnauthenticatedError"}
    return known or (status is not None and status[status.lastindex or 0] in {"401", "403"})


def recognise(error: BaseException, settings: StorageSettings, *, of: str = "") -> Symptom:
    """Return what an error of a store or of its token service means.

    Args:
        error: from FileIO, from vending, or from an obstore client.
        settings: of the warehouse.
        of: the check that met it; ``vend`` talks to another host.
    """
    from falcon_catalog.fileio.failures import Failure  # noqa: PLC0415 - an extra

    text = words(error)
    known = next((each for each in _chain(error) if isinstance(each, ObjectStoreError)), None)
    seen = Failure.of(Exception(text))
    reason, facts = known.reason if known else seen.reason, (known and known.facts) or seen.facts
    code = (known and known.answer) or seen.answer or _first(_CODE, text)
    status = _first(_STATUS, text) or (code if code.isdecimal() else "")
    kind = (
        _BY_CODE.get(code)
        or _BY_REASON.get(reason)
        or _by_text(text)
        or _BY_STATUS.get(status, "unknown")
    )
    action = facts.get("action", "")
    if kind in {"denied", "unknown"} and action.lower().startswith("kms"):
        kind = "kms"
    if of == "vend" and kind == "unknown" and _is_no_sts(code, status, text):
        kind = "no-sts"
    if of != "vend" and kind == "no-sts":
        kind = "no-conditional-write" if of in {"create", "conditional-write"} else "unknown"
    host = _host(settings, of)
    if kind in {"no-connection", "timeout", "no-host"} and (proxy := _proxy(settings, of)):
        kind, host = "proxy", proxy
    elif kind == "proxy":
        host = _proxy(settings, of) or host
    if kind == "no-host" and _needs_path_style(settings):
        kind = "path-style"
    return Symptom(kind, code, facts.get("region", ""), facts.get("identity", ""), host)


def _is_no_sts(code: str, status: str, text: str) -> bool:
    """Return whether an answer to AssumeRole is none of a token service.

    botocore calls an error Unknown whose XML is S3's, not that of STS.
    """
    strange = code == "Unknown" or "Unable to parse response" in text
    return strange or status in {"400", "404", "405", "501"}


def _by_text(text: str) -> Kind | None:
    return next((kind for part, kind in _BY_TEXT if part in text), None)


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[match.lastindex or 0] if match else ""


def endpoint(settings: StorageSettings, of: str = "") -> str:
    """Return the URL of the host that a check talks to."""
    place = parse(settings.location, OBJECT_STORES)
    if of == "vend" and settings.sts_endpoint:
        return settings.sts_endpoint
    if settings.kind == "s3":
        own = settings.server_endpoint or settings.endpoint
        if of == "vend":
            return own or f"https://sts.{settings.region}.{amazon_suffix(settings.region)}"
        return bucket_url(place.authority, settings)
    clouds = {
        "gs": "https://sts.googleapis.com" if of == "vend" else "https://storage.googleapis.com",
        "abfss": f"https://{place.authority.partition('@')[2].replace('.dfs.', '.blob.')}",
    }
    return settings.server_endpoint or settings.endpoint or clouds[settings.kind]


def _host(settings: StorageSettings, of: str) -> str:
    return urlsplit(endpoint(settings, of)).netloc


def _proxy(settings: StorageSettings, of: str) -> str:
    """Return the proxy that the environment names for the store, if it does not answer."""
    parts = urlsplit(endpoint(settings, of))
    named = getproxies().get(parts.scheme)
    if not named or proxy_bypass(parts.netloc):
        return ""
    proxy = urlsplit(named if "//" in named else f"//{named}")
    try:
        socket.create_connection((proxy.hostname or "", proxy.port or 80), 2).close()
    except (OSError, ValueError):
        return f"{proxy.hostname}:{proxy.port}"
    return ""


def _needs_path_style(settings: StorageSettings) -> bool:
    """Return whether the endpoint's host is there, and the bucket's host is not."""
    own = settings.server_endpoint or settings.endpoint
    if settings.kind != "s3" or settings.path_style or not own:
        return False
    return _resolves(urlsplit(own).hostname) and not _resolves(
        urlsplit(bucket_url(parse(settings.location, OBJECT_STORES).authority, settings)).hostname
    )


def _resolves(host: str | None) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True
