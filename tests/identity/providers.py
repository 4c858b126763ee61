"""Identity providers that the tests install and start."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import jwt
import requests

from tests import npm
from tests.auth.issuer import SigningKey
from tests.processes import Running, free_port

VERSION = "9.13.3"
PROGRAM = Path(__file__).with_name("provider.mjs")


def installed() -> Path:
    """Return the folder of oidc-provider, installed with npm the first time, or skip."""
    folder = npm.install("oidc-provider", VERSION)
    shutil.copyfile(PROGRAM, folder / PROGRAM.name)  # node looks for modules beside it
    return folder


@dataclass
class OidcProvider:
    """oidc-provider, which issues tokens for the audience ``catalog``."""

    port: int
    lifetime: int = 60
    """Of access tokens, in seconds."""
    services: tuple[str, ...] = ("etl",)
    keys: list[SigningKey] = field(default_factory=lambda: [SigningKey("one")])
    process: Running | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tokens_url(self) -> str:
        return f"{self.url}/token"

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return the section of a catalog's settings."""
        return {
            "url": self.url,
            "audiences": ["catalog"],
            "groups_claim": "groups",
            "login_client_id": "cli",
            **more,
        }

    def start(self) -> None:
        folder = installed()
        jwks = {"keys": [_private(key) for key in self.keys]}
        settings = {
            "issuer": self.url,
            "port": self.port,
            "lifetime": self.lifetime,
            "services": self.services,
            "groups": ["data"],
            "jwks": jwks,
        }
        self.process = Running(
            ["node", str(folder / PROGRAM.name)], {"SETTINGS": json.dumps(settings)}, cwd=folder
        )
        self.process.url()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()

    def issued(self, client: str) -> int:
        """Return how many tokens it has issued to a client since it was started."""
        assert self.process is not None
        return sum(line.startswith(f"issued {client} ") for line in self.process.errors)

    def token(self, service: str = "etl") -> str:
        form = {"grant_type": "client_credentials", "scope": "catalog"}
        credential = service, f"{service}-secret"
        answer = requests.post(self.tokens_url, form, auth=credential, timeout=30)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


@contextlib.contextmanager
def oidc_provider(**options: Any) -> Iterator[OidcProvider]:
    """Start it, and end it."""
    provider = OidcProvider(free_port(), **options)
    try:
        provider.start()
        yield provider
    finally:
        provider.stop()


class _Form(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action = values.get("action", "")
        elif tag == "input" and self.action is not None and values.get("name"):
            self.fields[values["name"]] = values.get("value", "")


def as_person(url: str, name: str = "alice", **answers: str) -> str:
    """Do in pages what a person does who logs in and consents; return the last page."""
    with requests.Session() as browser:
        page = visit(browser, url, name, **answers)
        assert page.status_code == 200, page.text
        return page.text


def visit(
    browser: requests.Session, url: str, name: str = "alice", **answers: str
) -> requests.Response:
    """Do in the provider's pages what a person does; return the first page of another server."""
    page = browser.get(url, timeout=30)
    provider = urlsplit(page.url).netloc
    for _ in range(10):
        form = _Form()
        form.feed(page.text)
        elsewhere = urlsplit(page.url).netloc != provider
        if form.action is None or page.status_code != 200 or elsewhere:
            break
        given = {"login": name, "password": "x", **answers}
        fields = {key: given.get(key, value) for key, value in form.fields.items()}
        page = browser.post(urljoin(page.url, form.action), fields, timeout=30)
    return page


def _private(key: SigningKey) -> dict[str, Any]:
    kinds: dict[str, Any] = {"RS": jwt.algorithms.RSAAlgorithm, "ES": jwt.algorithms.ECAlgorithm}
    made = kinds[key.algorithm[:2]].to_jwk(key.private, as_dict=True)
    made.pop("key_ops", None)
    return {**made, "kid": key.kid, "alg": key.algorithm, "use": "sig"}
