"""The pages to log in and out: by token or secret, by a login link, at an identity provider."""

from urllib.parse import urlsplit

import falcon

from falcon_catalog.api.browsers import is_page
from falcon_catalog.api.oauth import login_attempt
from falcon_catalog.catalog import provider_login, sessions
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.errors import (
    CatalogError,
    NotAuthenticatedError,
    OAuthError,
    ServiceUnavailableError,
)
from falcon_catalog.web import cookies, forms, paths
from falcon_catalog.web.errors import note
from falcon_catalog.web.rendering import send_page
from falcon_catalog.web.sign_in import send_on
from falcon_catalog.web.site import Site

_LONGEST_TARGET = 2000


class LoginPage:
    """``/ui/login``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the ways to log in. A login link is used by the form, not by opening it."""
        if not self._site.settings.auth.required:
            raise falcon.HTTPSeeOther(paths.HOME)
        self._show(req, resp)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Log in, and open the page that the visitor wanted."""
        if not self._site.settings.auth.required:
            raise falcon.HTTPSeeOther(paths.HOME)
        try:
            session = self._log_in(req, resp)
        except (NotAuthenticatedError, OAuthError, ServiceUnavailableError) as error:
            self._show(req, resp, error)
            return
        secure = forms.own_origin(req).startswith("https:")
        start(self._site, req, resp, session, secure=secure)
        resp.status = falcon.HTTP_303
        resp.location = local_target(forms.read(req).get("next", ""))

    def _log_in(self, req: falcon.Request, resp: falcon.Response) -> str:
        """Return the id of a new session."""
        form, realm, settings = forms.read(req), self._site.realm, self._site.settings.web
        call = store_call(self._site, req)
        if code := form.get("code"):
            with login_attempt(realm, req, resp, ""):
                return sessions.open_with_code(call, realm, settings, code)
        credential = form.get("credential", "").strip()
        name, colon, secret = credential.partition(":")
        if colon:
            with login_attempt(realm, req, resp, name):
                return sessions.open_with_secret(call, realm, settings, name, secret)
        with login_attempt(realm, req, resp, ""):
            if not credential:
                raise NotAuthenticatedError("Enter a token, or NAME:SECRET")
            return sessions.open_with_token(call, realm, settings, credential)

    def _show(
        self, req: falcon.Request, resp: falcon.Response, error: CatalogError | None = None
    ) -> None:
        wanted = forms.read(req) if req.method == "POST" else req.params
        show_login(self._site, req, resp, error, target=local_target(wanted.get("next", "")))


class ProviderLogin:
    """``/ui/login/issuer/{issuer}``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_post(self, req: falcon.Request, resp: falcon.Response, issuer: str) -> None:
        """Send the browser to an identity provider.

        Not with a redirect: some browsers apply the policy for forms to it.
        """
        origin, target = forms.own_origin(req), local_target(forms.read(req).get("next", ""))
        callback = f"{origin}{paths.CALLBACK}"
        page, sealed = provider_login.begin(self._site.realm, issuer, callback, target)
        cookies.write(
            req,
            resp,
            "login",
            sealed,
            secure=origin.startswith("https:"),
            seconds=provider_login.SECONDS,
        )
        send_on(req, resp, page)


class Callback:
    """``/ui/login/callback``: where identity providers send the browser back to."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Log in, and open the page that the visitor wanted."""
        sealed, secure = cookies.read(req, "login") or "", cookies.is_secure(req, "login")
        cookies.delete(req, resp, "login")
        answer = {name: value for name, value in req.params.items() if isinstance(value, str)}
        realm, settings = self._site.realm, self._site.settings.web
        try:
            with login_attempt(realm, req, resp, ""):
                call = store_call(self._site, req)
                session, target = provider_login.finish(call, realm, settings, sealed, answer)
        except (NotAuthenticatedError, OAuthError, ServiceUnavailableError) as error:
            show_login(self._site, req, resp, error, target=paths.HOME)
            return
        start(self._site, req, resp, session, secure=secure)
        send_on(req, resp, target)


class Logout:
    """``/ui/logout``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """End the session."""
        if session := getattr(req.context, "session", None):
            sessions.close(store_call(self._site, req), session.id)
        cookies.delete(req, resp, "session")
        resp.status, resp.location = falcon.HTTP_303, paths.LOGIN


def start(
    site: Site, req: falcon.Request, resp: falcon.Response, session: str, *, secure: bool
) -> None:
    """Give the browser a new session, and end the one that it had."""
    if former := cookies.read(req, "session"):
        sessions.close(store_call(site, req), former)
    cookies.write(
        req,
        resp,
        "session",
        session,
        secure=secure,
        seconds=site.settings.web.session_lifetime,
    )


def show_login(
    site: Site,
    req: falcon.Request,
    resp: falcon.Response,
    error: CatalogError | None,
    *,
    target: str,
) -> None:
    """Respond with the ways to log in, and why the last one did not work."""
    if error is not None:
        note(req, resp, error)
    auth = site.settings.auth
    send_page(
        req,
        resp,
        "login.html",
        title="Log in",
        problem=None if error is None else error.message,
        next=target,
        code=req.get_param("code") or "",
        secrets=auth.secrets,
        issuers=[name for name, issuer in auth.issuers.items() if issuer.login_client_id],
    )


def store_call(site: Site, req: falcon.Request) -> StoreCall:
    """Return a request on the store itself."""
    return StoreCall(
        site.realm.database,
        getattr(req.context, "principal", None),
        request_id=req.context.id,
        address=req.remote_addr or "",
        user_agent=req.user_agent or "",
    )


def local_target(target: object) -> str:
    """Return the path of a page that a request names; the home page if it is anything else."""
    if not isinstance(target, str) or not 0 < len(target) <= _LONGEST_TARGET:
        return paths.HOME
    if not target.isascii() or not target.isprintable() or any(one in target for one in "\\ "):
        return paths.HOME
    try:
        parts = urlsplit(target)
    except ValueError:
        return paths.HOME
    if parts.scheme or parts.netloc or target.startswith("//") or not is_page(parts.path):
        return paths.HOME
    return target
