"""Who calls, and how people log in."""

from typing import Any

import falcon

from falcon_catalog import rules
from falcon_catalog.api.responses import send
from falcon_catalog.settings import AuthSettings

LOGIN_PATH = "/management/v1/login"


class WhoamiResource:
    """``/management/v1/whoami``."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the caller's principal; its name is null where no token is required."""
        principal = getattr(req.context, "principal", None)
        if principal is None:
            send(resp, {"name": None, "authenticated-by": None, "groups": []})
            return
        groups = [{"issuer": issuer, "value": value} for issuer, value in sorted(principal.groups)]
        send(
            resp,
            {"name": principal.name, "authenticated-by": principal.via, "groups": groups},
        )


class LoginResource:
    """``/management/v1/login``: what ``falcon-catalog login`` needs to know, for everybody."""

    def __init__(self, settings: AuthSettings) -> None:
        self._content: dict[str, Any] = {
            "required": settings.required,
            "secrets": settings.secrets,
            "issuers": [
                {
                    "name": name,
                    "url": issuer.url,
                    "client-id": issuer.login_client_id,
                    "scopes": list(issuer.login_scopes),
                    "parameters": dict(map(rules.pair, issuer.login_parameters)),
                }
                for name, issuer in settings.issuers.items()
                if issuer.login_client_id
            ],
        }

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Show the identity providers that people can log in with; no secret is among it."""
        send(resp, self._content)
