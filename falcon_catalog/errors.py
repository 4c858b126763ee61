"""All errors that clients get, each with its HTTP status and its Iceberg type.

Source: the error responses of the Iceberg REST OpenAPI document. The HTTP layer renders an error as
``{"error": {"message", "type", "code"}}``, and OAuth errors in OAuth's own form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

_SHOWN_CHARACTERS = 80
_LONG_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a caller was refused, for the audit log alone: a response never has it."""

    outcome: Literal["denied", "hidden", "unauthenticated"]
    """``hidden``: the answer is that of something that does not exist."""
    privilege: str
    entity: str
    """As the request names it."""


class CatalogError(Exception):
    """An error with a status and a type in the Iceberg REST specification."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "InternalServerError"
    refusal: Refusal | None = None
    """Set where the caller lacks a privilege."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def as_json(self) -> dict[str, Any]:
        """Return the body of the response."""
        return {"error": {"message": self.message, "type": self.type, "code": self.status}}


class BadRequestError(CatalogError):
    """The request is malformed, or breaks a rule; a retry cannot succeed."""

    status = 400
    type = "BadRequestException"


class IllegalArgumentError(BadRequestError):
    """The request breaks a rule, and Java's client must show the message as it is.

    It prefixes the messages of all other types of a 400 with "Malformed request: ".
    """

    type = "IllegalArgumentException"


class NotAuthenticatedError(CatalogError):
    """The request has no valid token."""

    status = 401
    type = "NotAuthorizedException"


class ForbiddenError(CatalogError):
    """The operation is not allowed."""

    status = 403
    type = "ForbiddenException"


class NoSuchWarehouseError(CatalogError):
    """No warehouse has this name or location."""

    status = 404
    type = "NoSuchWarehouseException"


class NoSuchNamespaceError(CatalogError):
    """No namespace has this name."""

    status = 404
    type = "NoSuchNamespaceException"


class NoSuchTableError(CatalogError):
    """No table has this name."""

    status = 404
    type = "NoSuchTableException"


class NoSuchViewError(CatalogError):
    """No view has this name."""

    status = 404
    type = "NoSuchViewException"


class NoSuchPlanIdError(CatalogError):
    """The table has no planned scan with this id, or it has expired."""

    status = 404
    type = "NoSuchPlanIdException"


class NoSuchPlanTaskError(CatalogError):
    """The table has no such plan task, or it has expired."""

    status = 404
    type = "NoSuchPlanTaskException"


class NoSuchFunctionError(CatalogError):
    """No function has this name."""

    status = 404
    type = "NoSuchFunctionException"


class NoSuchPrincipalError(CatalogError):
    """No principal has this name."""

    status = 404
    type = "NoSuchPrincipalException"


class NotFoundError(CatalogError):
    """A file that the catalog points at does not exist."""

    status = 404
    type = "NotFoundException"


class NoSuchRouteError(CatalogError):
    """No route has this path."""

    status = 404
    type = "NoSuchRouteException"


class MethodNotAllowedError(CatalogError):
    """The route does not have this method."""

    status = 405
    type = "MethodNotAllowedException"


class UnsupportedOperationError(CatalogError):
    """The server does not support this part of the specification."""

    status = 406
    type = "UnsupportedOperationException"


class RequestTimeoutError(CatalogError):
    """The request took too long to arrive and was not processed."""

    status = 408
    type = "RequestTimeoutException"


class AlreadyExistsError(CatalogError):
    """The name is taken."""

    status = 409
    type = "AlreadyExistsException"


class NamespaceNotEmptyError(CatalogError):
    """The namespace still holds tables, views or namespaces."""

    status = 409
    type = "NamespaceNotEmptyException"


class CommitFailedError(CatalogError):
    """The commit failed because of another one. A retry may succeed."""

    status = 409
    type = "CommitFailedException"


class ExpiredTokenError(CatalogError):
    """What a token continues is no longer kept."""

    status = 410
    type = "ExpiredContinuationTokenException"


class PayloadTooLargeError(CatalogError):
    """The request body is larger than the server accepts."""

    status = 413
    type = "PayloadTooLargeException"


class UnsupportedMediaTypeError(CatalogError):
    """The body has a type that the server does not read."""

    status = 415
    type = "UnsupportedMediaTypeException"


class UnsupportedEncodingError(UnsupportedMediaTypeError):
    """The request body is compressed, or encoded in another way."""


class UnprocessableEntityError(CatalogError):
    """The request contradicts itself."""

    status = 422
    type = "UnprocessableEntityException"


class InternalServerError(CatalogError):
    """The server failed; the request is not at fault."""


class CommitStateUnknownError(CatalogError):
    """The outcome of the commit is unknown. None of its files may be deleted."""

    type = "CommitStateUnknownException"


class ServiceUnavailableError(CatalogError):
    """The server cannot process the request now, and has changed nothing."""

    status = 503
    type = "SlowDownException"
    retry_after: ClassVar[int] = 1
    """Seconds after which a client should retry."""


class WarehouseUnavailableError(ServiceUnavailableError):
    """The storage of a warehouse is not available, usually because it is not mounted."""

    retry_after = 10


class ObjectStoreError(WarehouseUnavailableError):
    """A warehouse's object store does not answer, or refuses a request of the server itself."""

    retry_after = 5

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        may_be_done: bool,
        answer: str = "",
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """Tell why in a word, and whether a write may have been done, or may still be.

        ``answer`` is the store's error code or the HTTP status, ``facts`` what else it said that is
        no secret.
        """
        super().__init__(message)
        self.reason = reason
        self.may_be_done = may_be_done
        self.answer = answer
        self.facts = facts or {}

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later, with the same settings and credentials."""
        return self.reason in _PASSING


_PASSING = frozenset({"closed", "dns", "error", "throttled", "timeout", "unreachable"})
_OUT_OF_MEMORY = ("Not enough memory", "Error -4 ")  # orjson's words, and zlib's


def check_memory(error: Exception) -> None:
    """Raise ServiceUnavailableError if a reader ran out of memory.

    The readers of JSON and gzip report that only in the text of their usual error, which would
    become a 4xx: a definite failure, after which a writer deletes its files.
    """
    if any(words in str(error) for words in _OUT_OF_MEMORY):
        raise ServiceUnavailableError("The server is out of memory. Nothing was done") from error


class OAuthError(CatalogError):
    """A token request is rejected; ``type`` is a code of RFC 6749 (section 5.2) or RFC 8693."""

    status = 400
    type = "invalid_request"

    def as_json(self) -> dict[str, Any]:
        """Return the body in OAuth's form."""
        return {"error": self.type, "error_description": self.message}


class InvalidClientError(OAuthError):
    """The client is unknown or its secret is wrong; the response does not say which."""

    status = 401
    type = "invalid_client"


class TooManyLoginsError(OAuthError):
    """Too many logins failed recently. Source: RFC 6585, section 4; the code is RFC 6749's."""

    status = 429
    type = "temporarily_unavailable"


class UnsupportedGrantTypeError(OAuthError):
    """The grant type of the token request is not supported."""

    type = "unsupported_grant_type"


class WouldWaitError(Exception):
    """Who calls can only be told by a thread that may wait for the store or the network."""


def show(value: object) -> str:
    """Return a short description of a JSON value for an error message."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "an array"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) <= _LONG_MAX else "an integer beyond 64 bits"
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
