"""Every error that a client can get, with its HTTP status and its Iceberg type.

Source: the error responses of the Iceberg REST OpenAPI document. Below the HTTP layer a
class is raised; the edge renders it once as
``{"error": {"message", "type", "code"}}``. Errors of OAuth have OAuth's own shape.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

_SHOWN_CHARACTERS = 80
_LONG_MAX = 2**63 - 1


class CatalogError(Exception):
    """A failure with a place in the Iceberg REST specification."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "InternalServerError"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def as_json(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return {"error": {"message": self.message, "type": self.type, "code": self.status}}


class BadRequestError(CatalogError):
    """The request is malformed, or breaks a rule that no retry will mend."""

    status = 400
    type = "BadRequestException"


class IllegalArgumentError(BadRequestError):
    """The request breaks a rule whose text Java's client shows to its caller.

    Of the types of a 400 it knows this one only; any other becomes "Malformed request: …".
    """

    type = "IllegalArgumentException"


class NotAuthenticatedError(CatalogError):
    """The caller did not prove who they are."""

    status = 401
    type = "NotAuthorizedException"


class ForbiddenError(CatalogError):
    """The caller is known, and may not do this."""

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
    """The table has no scan planned under this id, or no longer."""

    status = 404
    type = "NoSuchPlanIdException"


class NoSuchPlanTaskError(CatalogError):
    """The table has no such part of a planned scan, or no longer."""

    status = 404
    type = "NoSuchPlanTaskException"


class NoSuchFunctionError(CatalogError):
    """No function has this name."""

    status = 404
    type = "NoSuchFunctionException"


class NoSuchPrincipalError(CatalogError):
    """Nobody has this name."""

    status = 404
    type = "NoSuchPrincipalException"


class NotFoundError(CatalogError):
    """A file that the catalog points at is not there."""

    status = 404
    type = "NotFoundException"


class NoSuchRouteError(CatalogError):
    """The path is none of the specification's."""

    status = 404
    type = "NoSuchRouteException"


class MethodNotAllowedError(CatalogError):
    """The path exists, the verb does not."""

    status = 405
    type = "MethodNotAllowedException"


class UnsupportedOperationError(CatalogError):
    """The specification allows this, the server does not do it."""

    status = 406
    type = "UnsupportedOperationException"


class RequestTimeoutError(CatalogError):
    """The request took too long to arrive. Nothing of it was looked at."""

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
    """The commit did not happen: another commit was first. Retrying may succeed."""

    status = 409
    type = "CommitFailedException"


class PayloadTooLargeError(CatalogError):
    """The request body is larger than the server takes."""

    status = 413
    type = "PayloadTooLargeException"


class UnprocessableEntityError(CatalogError):
    """The request contradicts itself."""

    status = 422
    type = "UnprocessableEntityException"


class InternalServerError(CatalogError):
    """The server failed. Never the client's mistake."""


class CommitStateUnknownError(CatalogError):
    """It is unknown whether the commit happened. None of its files may be deleted."""

    type = "CommitStateUnknownException"


class ServiceUnavailableError(CatalogError):
    """The server cannot serve this now, and has changed nothing."""

    status = 503
    type = "SlowDownException"
    retry_after: ClassVar[int] = 1
    """Seconds after which a client may come again."""


class WarehouseUnavailableError(ServiceUnavailableError):
    """The storage of a warehouse is not there: it is not mounted, as a rule."""

    retry_after = 10


_OUT_OF_MEMORY = ("Not enough memory", "Error -4 ")  # orjson's words, and zlib's


def check_memory(error: Exception) -> None:
    """Raise ServiceUnavailableError when a reader failed for want of memory.

    Readers of JSON and gzip tell so in the text of the error that is otherwise the reader's
    verdict on what it read. A 4xx would tell a writer that its commit never happened.
    """
    if any(words in str(error) for words in _OUT_OF_MEMORY):
        raise ServiceUnavailableError("The server is out of memory. Nothing was done") from error


class OAuthError(CatalogError):
    """A request for a token is refused. Source: RFC 6749, section 5.2.

    ``type`` is the code that RFC 6749 and RFC 8693 give the case.
    """

    status = 400
    type = "invalid_request"

    def as_json(self) -> dict[str, Any]:
        """Return OAuth's body, which is not wrapped."""
        return {"error": self.type, "error_description": self.message}


class InvalidClientError(OAuthError):
    """The client is unknown or its secret is wrong; the response does not say which."""

    status = 401
    type = "invalid_client"


class TooManyLoginsError(OAuthError):
    """Too many logins failed lately. Source: RFC 6585, section 4; the code is RFC 6749's."""

    status = 429
    type = "temporarily_unavailable"


class UnsupportedGrantTypeError(OAuthError):
    """This way to a token does not exist here."""

    type = "unsupported_grant_type"


def show(value: object) -> str:
    """Describe a JSON value in an error message, briefly whatever its size."""
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
