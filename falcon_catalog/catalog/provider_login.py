"""Logins to the web pages at an identity provider, with the browser of the person who logs in.

What the two steps share travels with the browser, sealed, so that any process can do the second
one. Nobody but the browser that began a login can end it.
"""

import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING

from falcon_catalog import auth
from falcon_catalog.auth import InvalidTokenError, KeysUnavailableError
from falcon_catalog.catalog import sessions
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.identity import Realm
from falcon_catalog.errors import (
    NoSuchRouteError,
    NotAuthenticatedError,
    ServiceUnavailableError,
)
from falcon_catalog.logins.code_flow import CodeFlow
from falcon_catalog.settings import WebSettings
from falcon_catalog.store import principals as rows

if TYPE_CHECKING:
    from falcon_catalog.auth.oidc import Issuer

SECONDS = 600
"""In which a login has to end."""
_PURPOSE = "web-login"


def begin(realm: Realm, name: str, redirect_uri: str, target: str) -> tuple[str, str]:
    """Begin a login.

    Args:
        realm: the principals.
        name: of the issuer in the settings.
        redirect_uri: where the provider sends the browser.
        target: the page that the person wants.

    Returns:
        The provider's page, and what the browser must bring back.

    Raises:
        NoSuchRouteError: people cannot log in at such an issuer.
        ServiceUnavailableError: the issuer has not answered yet.
    """
    try:
        flow, page = _issuer(realm, name).begin_login(redirect_uri)
    except KeysUnavailableError as error:
        raise ServiceUnavailableError(str(error)) from None
    signing = rows.signing_key(realm.database.autocommit())
    if signing is None:
        raise LookupError("the signing key")
    content = {"issuer": name, "flow": flow.as_json(), "target": target}
    return page, auth.seal(signing.kid, signing.key, _PURPOSE, content, SECONDS)


def finish(
    call: StoreCall, realm: Realm, settings: WebSettings, sealed: str, answer: Mapping[str, str]
) -> tuple[str, str]:
    """End a login with what the provider sends through the browser.

    Returns:
        The id of a new session, and the page that the person wants.

    Raises:
        NotAuthenticatedError: it was refused, or is none that this browser has begun.
        ServiceUnavailableError: the issuer does not answer.
    """
    try:
        with realm.database.read() as tx:
            content = auth.unseal(lambda kid: rows.verifying_key(tx, kid), _PURPOSE, sealed)
    except InvalidTokenError:
        raise _refused("this browser has not begun it, or too long ago") from None
    flow = CodeFlow.read(content["flow"])
    if not hmac.compare_digest(answer.get("state", "").encode(), flow.state.encode()):
        raise _refused("it is another one than this browser has begun")
    if "code" not in answer:
        raise _refused(answer.get("error_description") or answer.get("error") or "no code")
    try:
        token = _issuer(realm, content["issuer"]).finish_login(flow, answer["code"])
    except InvalidTokenError as error:
        raise _refused(error) from None
    except KeysUnavailableError as error:
        raise ServiceUnavailableError(str(error)) from None
    session = sessions.open_with_token(call, realm, settings, token, outlives=True)
    return session, content["target"]


def _issuer(realm: Realm, name: str) -> "Issuer":
    found = None if realm.issuers is None else realm.issuers.for_login(name)
    if found is None:
        raise NoSuchRouteError(f"There is no login at an identity provider {name}")
    return found


def _refused(reason: object) -> NotAuthenticatedError:
    return NotAuthenticatedError(f"The login was refused: {reason}")
