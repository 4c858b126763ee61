"""Forms that pages send: their fields, and the proof that a page of this server has sent them."""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

import falcon

from falcon_catalog.api.browsers import MAX_FORM_BYTES
from falcon_catalog.catalog.sessions import Session
from falcon_catalog.errors import BadRequestError, ForbiddenError, PayloadTooLargeError
from falcon_catalog.identifiers import Namespace, TableIdentifier

TOKEN_FIELD = "form-token"  # noqa: S105 - a name
TOKEN_HEADER = "X-Form-Token"  # noqa: S105 - a name
_MAX_FIELDS = 1000

Fields = Mapping[str, str]


def read(req: falcon.Request) -> Fields:
    """Return the fields of a form; of those that are repeated, the last one.

    Raises:
        PayloadTooLargeError: it is larger than any form of a page.
        BadRequestError: it cannot be read.
    """
    known: Fields | None = getattr(req.context, "form", None)
    if known is not None:
        return known
    body = req.bounded_stream.read(MAX_FORM_BYTES + 1)
    if len(body) > MAX_FORM_BYTES:
        raise PayloadTooLargeError(f"The form is larger than {MAX_FORM_BYTES} bytes")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:  # not text, not UTF-8, or too many
        raise BadRequestError("The form cannot be read, or has too many fields") from None
    req.context.form = dict(pairs)
    return dict(pairs)


def destination(fields: Fields, identifier: TableIdentifier) -> Namespace:
    """Return the namespace that a form moves a table or view into; its own without one.

    Levels have dots between them. A namespace whose levels have dots can only be kept.

    Raises:
        BadRequestError: there can be no such namespace.
    """
    text = fields.get("namespace", "").strip()
    if text in ("", str(identifier.namespace)):
        return identifier.namespace
    return Namespace.of(text.split("."))


def own_origin(req: falcon.Request) -> str:
    """Return the origin of the page that sent a request, which is one of this server.

    Browsers send it with each POST, so that one without it is rejected.

    Raises:
        ForbiddenError: it is a page of another origin, or no page.
    """
    origin = (req.get_header("Origin") or "").lower()
    host = (req.get_header("Host") or "").lower()
    if not host or origin not in (f"http://{host}", f"https://{host}"):
        raise ForbiddenError(
            "Only a page of this server can send this: its Origin must be that of the server"
        )
    return origin


def require_token(req: falcon.Request, session: Session) -> None:
    """Check that a page of the session has sent a request: the page knows the form token.

    Raises:
        ForbiddenError: the form token is missing, or is another session's.
    """
    sent = req.get_header(TOKEN_HEADER) or read(req).get(TOKEN_FIELD, "")
    if not hmac.compare_digest(sent.encode(), session.form_token.encode()):
        raise ForbiddenError("This form is from before the last login: open its page again")


def require_confirmation(req: falcon.Request) -> None:
    """Raise BadRequestError unless the form's box is checked, without which nothing is removed."""
    if read(req).get("confirmed") != "yes":
        raise BadRequestError("Check the box to confirm. Nothing was changed")
