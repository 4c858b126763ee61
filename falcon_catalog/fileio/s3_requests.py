"""Requests to S3 that may be signed for a client: which operations, with which headers.

What is not listed here is refused: never left out, never changed. Java's client puts its own
headers over those that come back, so a changed one would only invalidate the signature.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from falcon_catalog.errors import BadRequestError, ForbiddenError, show
from falcon_catalog.fileio import sigv4

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PRINTABLE = re.compile(r"[\t\x20-\x7e]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of S3: the parameters that its query must have, and those that it may have."""

    name: str
    required: frozenset[str]
    optional: frozenset[str]

    def matches(self, names: Collection[str]) -> bool:
        """Return whether a request with these parameters is this operation."""
        return self.required <= set(names) <= self.required | self.optional


def _operation(name: str, required: str = "", optional: str = "") -> Operation:
    return Operation(name, frozenset(required.split()), frozenset(optional.split()) | {"x-id"})


OF_OBJECTS: Mapping[str, tuple[Operation, ...]] = {
    "GET": (
        _operation("GetObject", optional="partNumber versionId"),
        _operation("ListParts", "uploadId", "max-parts part-number-marker"),
    ),
    "HEAD": (_operation("HeadObject", optional="partNumber versionId"),),
    "PUT": (_operation("PutObject"), _operation("UploadPart", "partNumber uploadId")),
    "POST": (
        _operation("CreateMultipartUpload", "uploads"),
        _operation("CompleteMultipartUpload", "uploadId"),
    ),
    "DELETE": (_operation("DeleteObject"), _operation("AbortMultipartUpload", "uploadId")),
}
OF_BUCKETS: Mapping[str, tuple[Operation, ...]] = {
    "GET": (
        _operation(
            "ListObjectsV2",
            "list-type prefix",
            "continuation-token delimiter encoding-type fetch-owner max-keys start-after",
        ),
    ),
    "POST": (_operation("DeleteObjects", "delete"),),
}
_NUMBER = re.compile(r"[0-9]{1,10}")
_VALUES = {
    "list-type": re.compile("2"),
    "uploads": re.compile(""),
    "delete": re.compile(""),
    "partNumber": _NUMBER,
    "max-parts": _NUMBER,
    "max-keys": _NUMBER,
    "part-number-marker": _NUMBER,
}
"""What the values of some parameters look like; any other must only not be empty."""

_SIGNED = {"content-type", "content-md5", "if-match", "if-none-match"}
_CHUNKED = {"x-amz-trailer", "x-amz-decoded-content-length"}
_SIGNED_PREFIXES = ("x-amz-checksum-", "x-amz-meta-")
_ENCRYPTION = "x-amz-server-side-encryption"
_CHOICES: Mapping[str, frozenset[str]] = {
    "x-amz-te": frozenset({"append-md5"}),  # of every read of Java's
    "x-amz-acl": frozenset({"private", "bucket-owner-full-control"}),
    "x-amz-storage-class": frozenset(
        {"STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"}
    ),
    f"{_ENCRYPTION}-bucket-key-enabled": frozenset({"true", "false"}),
}
_CONTENT_HASH = "x-amz-content-sha256"
CONSTANT = frozenset({"host", "x-amz-te", "x-amz-checksum-mode"})
"""Signed headers that a client sends with each of its reads, or with none."""


def operation_of(method: str, parameters: Mapping[str, str], *, of_bucket: bool) -> Operation:
    """Return the operation that a request is.

    Args:
        method: of the request.
        parameters: of its query, decoded.
        of_bucket: whether its path names a bucket and no object.

    Raises:
        ForbiddenError: it is none that is signed.
    """
    for operation in (OF_BUCKETS if of_bucket else OF_OBJECTS).get(method, ()):
        if operation.matches(parameters):
            for name, value in parameters.items():
                _check_parameter(operation, name, value)
            return operation
    what = "a bucket" if of_bucket else "an object"
    named = " with " + ", ".join(map(show, sorted(parameters)[:5])) if parameters else ""
    raise ForbiddenError(f"Cannot sign the request: {method} of {what}{named} is not allowed")


def _check_parameter(operation: Operation, name: str, value: str) -> None:
    if name == "x-id":
        is_valid = value == operation.name
    elif pattern := _VALUES.get(name):
        is_valid = pattern.fullmatch(value) is not None
    else:
        is_valid = bool(value) and value.isprintable()
    if not is_valid:
        raise ForbiddenError(
            f"Cannot sign the request: {operation.name} with {name} = {show(value)} is not allowed"
        )


def signed_headers(
    headers: Mapping[str, tuple[str, ...]], host: str, kms_keys: Collection[str]
) -> dict[str, str]:
    """Return the headers of a request that its signature covers, by their names in lower case.

    Headers that S3 gives no meaning to are left out, and so is ``range``, which a client may
    change while it uses a signature again.

    Args:
        headers: as the client sends them.
        host: that the client's URI names.
        kms_keys: the keys that new objects may be encrypted with.

    Raises:
        ForbiddenError: one has a meaning that a client must not choose, such as the source of a
            copy or another owner's rights.
        BadRequestError: one is no header.
    """
    signed = {"host": host}
    for name, values in headers.items():
        lower = name.lower()
        if lower == "host":
            if values != (host,):
                raise BadRequestError(
                    "Invalid remote sign request: its Host header is not the host of its uri"
                )
            continue
        if lower == "authorization":
            raise ForbiddenError("Cannot sign the request: it has an Authorization header already")
        is_signed = lower in _SIGNED
        if lower.startswith("x-amz-"):
            _check_amazon_header(lower, values, kms_keys)
            is_signed = True
        if not is_signed:
            continue
        if len(values) != 1 or lower in signed or not _TOKEN.fullmatch(name):
            raise BadRequestError(
                f"Invalid remote sign request: header {show(name)} must be there once"
            )
        if not _PRINTABLE.fullmatch(values[0]):
            raise BadRequestError(
                f"Invalid remote sign request: header {show(name)} has characters that are not"
                " printable ASCII"
            )
        signed[lower] = values[0]
    return signed


def _check_amazon_header(name: str, values: tuple[str, ...], kms_keys: Collection[str]) -> None:
    value = values[0] if values else ""
    if name == _ENCRYPTION:
        is_allowed = value in (("aws:kms", "aws:kms:dsse") if kms_keys else ("AES256",))
    elif name == f"{_ENCRYPTION}-aws-kms-key-id":
        is_allowed = value in kms_keys
    elif name == _CONTENT_HASH:
        is_allowed = value in (sigv4.UNSIGNED_PAYLOAD, sigv4.UNSIGNED_CHUNKS) or bool(
            _SHA256.fullmatch(value)
        )
    elif choices := _CHOICES.get(name):
        is_allowed = value in choices
    else:
        is_allowed = (
            name == "x-amz-sdk-checksum-algorithm"
            or name in _CHUNKED
            or name.startswith(_SIGNED_PREFIXES)
        )
    if not is_allowed:
        raise ForbiddenError(
            f"Cannot sign the request: header {show(name)} with this value is not allowed"
        )


def payload_hash(headers: Mapping[str, str], body: bytes | None) -> str:
    """Return what stands for the body in a signature.

    Args:
        headers: those that are signed.
        body: if the signature must hold for this one only.

    Raises:
        BadRequestError: the client says that the body is another one.
    """
    given = headers.get(_CONTENT_HASH)
    if body is not None:
        found = hashlib.sha256(body).hexdigest()
        if given not in (None, found):
            raise BadRequestError(
                f"Invalid remote sign request: header {_CONTENT_HASH} is not the hash of its body"
            )
        return found
    if given is not None:
        return given
    return sigv4.UNSIGNED_CHUNKS if "x-amz-trailer" in headers else sigv4.UNSIGNED_PAYLOAD
