"""One login with a browser: authorization code, with PKCE and without a client secret.

Sources: RFC 6749 (section 4.1), RFC 7636 (PKCE), OpenID Connect Core 1.0 (nonce).
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class CodeFlow:
    """What the client has to remember between the two steps of a login."""

    client_id: str
    redirect_uri: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What is added to each request."""
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    state: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "CodeFlow":
        """Return the flow that ``as_json`` wrote."""
        return cls(**content)

    def as_json(self) -> dict[str, Any]:
        """Return what ``read`` needs."""
        return asdict(self)

    def page(self, endpoint: str, scopes: Sequence[str]) -> str:
        """Return the page of the provider that the browser has to open."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(scopes),
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **self.parameters,
        }
        if "offline_access" in scopes:
            query["prompt"] = "consent"  # OpenID Connect Core 1.0, section 11
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def form(self, code: str) -> dict[str, str]:
        """Return the form that exchanges the provider's code for tokens."""
        return {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": self.verifier,
            **self.parameters,
        }
