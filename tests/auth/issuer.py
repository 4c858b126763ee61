"""An identity provider of our own, which can misbehave in any way."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "catalog"
_CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


@dataclass
class SigningKey:
    """A private key, and how it is published."""

    kid: str | None = "one"
    algorithm: str = "RS256"
    bits: int = 2048
    published: dict[str, Any] = field(default_factory=dict)
    """Members that are added to the published key."""

    def __post_init__(self) -> None:
        kind = self.algorithm[:2]
        self.private: Any
        if kind in ("RS", "PS"):
            self.private = rsa.generate_private_key(65537, self.bits)
        elif kind == "ES":
            self.private = ec.generate_private_key(_CURVES[self.algorithm]())
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()

    @property
    def jwk(self) -> dict[str, Any]:
        public = self.private.public_key()
        kinds: dict[str, Any] = {"RS": RSAAlgorithm, "PS": RSAAlgorithm, "ES": ECAlgorithm}
        made = kinds.get(self.algorithm[:2], OKPAlgorithm).to_jwk(public, as_dict=True)
        named = {} if self.kid is None else {"kid": self.kid}
        return {**made, **named, "use": "sig", "alg": self.algorithm, **self.published}


class Provider:
    """Discovery and keys at an address of this machine, and tokens."""

    def __init__(self) -> None:
        self.keys = [SigningKey()]
        self.responses: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        """What to do for a path instead of what is right."""
        self.requests: list[str] = []
        self.is_down = False
        self.url = ""

    @property
    def issuer(self) -> str:
        return f"{self.url}/realm"

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"url": self.issuer, "audiences": (AUDIENCE,), **more}

    def claims(self, **more: Any) -> dict[str, Any]:
        """Return the claims of a good token; ``...`` leaves one out."""
        now = int(time.time())
        content = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "u-1",
            "iat": now,
            "exp": now + 600,
            "preferred_username": "alice",
            **more,
        }
        return {name: value for name, value in content.items() if value is not ...}

    def token(
        self, *, key: SigningKey | None = None, headers: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        key = key or self.keys[0]
        named = {} if key.kid is None else {"kid": key.kid}
        return jwt.encode(
            self.claims(**claims),
            key.private,
            algorithm=key.algorithm,
            headers={**named, **(headers or {})},
        )

    def count(self, path: str) -> int:
        return self.requests.count(path)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.path)
        if self.is_down:
            handler.connection.close()
        elif special := self.responses.get(handler.path):
            special(handler)
        elif handler.path == "/realm/.well-known/openid-configuration":
            send(handler, {"issuer": self.issuer, "jwks_uri": f"{self.url}/keys"})
        elif handler.path == "/keys":
            send(handler, {"keys": [key.jwk for key in self.keys]})
        else:
            send(handler, {"error": "no such page"}, status=404)


def send(
    handler: BaseHTTPRequestHandler,
    body: object,
    *,
    status: int = 200,
    kind: str = "application/json",
    **headers: str,
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in {"Content-Type": kind, **headers}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    with contextlib.suppress(OSError):  # who fetches has limits
        handler.wfile.write(content)


@contextlib.contextmanager
def provider() -> Iterator[Provider]:
    """Start a provider, and end it."""
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                made.answer(self)

        do_POST = do_GET  # noqa: N815 - its name

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def encoded(value: object) -> str:
    """Return a part of a token."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def write_config(folder: Path, issuers: dict[str, dict[str, Any]]) -> Path:
    """Write a file of settings with identity providers."""
    lines = []
    for name, settings in issuers.items():
        lines.append(f"[auth.issuer.{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    path = folder / "issuers.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
