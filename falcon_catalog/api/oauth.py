"""getToken: issues tokens for credentials, or for older tokens.

Source: the operation getToken of the REST specification, RFC 6749 (section 4.4, 2.3.1) and
RFC 8693. It is deprecated there, but DuckDB, PyIceberg and Java use it.
"""

import base64
import binascii
import contextlib
import logging
import math
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote_plus

import falcon

from falcon_catalog.api.responses import send
from falcon_catalog.catalog import identity
from falcon_catalog.catalog.identity import Realm, Token
from falcon_catalog.errors import (
    InvalidClientError,
    NotAuthenticatedError,
    OAuthError,
    TooManyLoginsError,
    UnsupportedGrantTypeError,
    show,
)

TOKENS_PATH = "/v1/oauth/tokens"
CLIENT_CREDENTIALS = "client_credentials"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
_TOKEN_TYPES = (ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt")
# The scope of every token, whatever was requested.
_SCOPE = "catalog"
_MAX_BODY_BYTES = 64 * 1024
_MAX_FIELDS = 32
_log = logging.getLogger(__name__)

Form = dict[str, str]
Client = tuple[str, str]


class TokensResource:
    """``/v1/oauth/tokens``."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Issue a token. The requested scope is ignored."""
        resp.cache_control = ["no-store"]
        form = _read_form(req)
        client = _read_client(req, resp, form)
        if client is None:
            self._issue(resp, form, None)
            return
        with login_attempt(self._realm, req, resp, client[0]):
            self._issue(resp, form, client)

    def _issue(self, resp: falcon.Response, form: Form, client: Client | None) -> None:
        grant = form.get("grant_type")
        if grant is None:
            raise OAuthError("grant_type is missing")
        if grant == CLIENT_CREDENTIALS:
            if client is None:
                raise InvalidClientError(
                    "The client's credentials are missing: send client_id and client_secret, in the"
                    " form or as HTTP Basic"
                )
            _send_token(resp, identity.authenticate(self._realm, *client))
        elif grant == TOKEN_EXCHANGE:
            _send_token(resp, self._exchange(form, client))
        else:
            raise UnsupportedGrantTypeError(
                f"grant_type must be {CLIENT_CREDENTIALS} or {TOKEN_EXCHANGE}"
            )

    def _exchange(self, form: Form, client: Client | None) -> Token:
        if "actor_token" in form:
            raise OAuthError("actor_token is not supported")
        if form.get("requested_token_type", ACCESS_TOKEN) not in _TOKEN_TYPES:
            raise OAuthError(f"requested_token_type must be {ACCESS_TOKEN}")
        if form.get("subject_token_type") not in _TOKEN_TYPES:
            raise OAuthError(f"subject_token_type must be {ACCESS_TOKEN}")
        if "subject_token" not in form:
            raise OAuthError("subject_token is missing")
        return identity.renew(self._realm, form["subject_token"], client)


@contextlib.contextmanager
def login_attempt(
    realm: Realm, req: falcon.Request, resp: falcon.Response, client: str
) -> Iterator[None]:
    """Run a login, unless too many have failed; count and log it if it fails.

    Failures with a client's id delay the client wherever they come from. ``client`` is what the
    request calls itself; empty if it gives no name.

    Raises:
        TooManyLoginsError: too many have failed.
    """
    # Names have no colon: what follows one is a secret in the wrong place.
    named = show(client.partition(":")[0])
    keys = [f"address {req.remote_addr}"]
    details = {"address": req.remote_addr}
    if client:
        req.context.claimed = f"client {named}"
        keys.append(f"client {client}")
        details = {"client": named, **details}
    if seconds := realm.failed_logins.wait(*keys):
        _log.warning("login refused: too many have failed", extra=details)
        resp.set_header("Retry-After", str(math.ceil(seconds)))
        raise TooManyLoginsError("Too many logins have failed: try again in a moment")
    try:
        yield
    except (InvalidClientError, NotAuthenticatedError):
        realm.failed_logins.add(*keys)
        _log.warning("login failed", extra=details)
        raise


def _read_form(req: falcon.Request) -> Form:
    # No message contains a value: any of them may be a secret.
    kind = (req.content_type or "").partition(";")[0].strip().lower()
    if kind != falcon.MEDIA_URLENCODED:
        raise OAuthError(f"The request's body must be {falcon.MEDIA_URLENCODED}")
    body = req.bounded_stream.read(_MAX_BODY_BYTES + 1)
    if len(body) > _MAX_BODY_BYTES:
        raise OAuthError(f"The request's body is larger than {_MAX_BODY_BYTES} bytes")
    try:
        pairs = parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:  # not text, not UTF-8, or too many
        raise OAuthError("The request's body is not a form, or has too many fields") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthError("A field of the form is repeated")
    return form


def _read_client(req: falcon.Request, resp: falcon.Response, form: Form) -> Client | None:
    """Return the client's name and secret, from HTTP Basic or from the form."""
    scheme, _, encoded = (req.auth or "").partition(" ")
    if scheme.lower() == "basic":
        resp.set_header("WWW-Authenticate", 'Basic realm="falcon-catalog", charset="UTF-8"')
        client = _read_basic(encoded)
        if "client_secret" in form or form.get("client_id", client[0]) != client[0]:
            raise OAuthError("The client's credentials are given twice: in the form, and as Basic")
        return client
    if "client_id" in form and "client_secret" in form:
        return form["client_id"], form["client_secret"]
    return None


def _read_basic(encoded: str) -> Client:
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidClientError("The HTTP Basic credentials cannot be read") from None
    name, colon, secret = text.partition(":")
    if not colon:  # it may be the secret alone, which no log may have
        raise InvalidClientError("The HTTP Basic credentials cannot be read")
    # RFC 6749 has both form-encoded; ours read the same, encoded or not.
    return unquote_plus(name), unquote_plus(secret)


def _send_token(resp: falcon.Response, token: Token) -> None:
    resp.delete_header("WWW-Authenticate")
    send(
        resp,
        {
            "access_token": token.text,
            "token_type": "bearer",
            "expires_in": token.lifetime_seconds,
            "issued_token_type": ACCESS_TOKEN,
            "scope": _SCOPE,
        },
    )
