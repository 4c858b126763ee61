"""The server's own identity in Google Cloud: tokens, renewed before they end.

A credential is what Google's libraries read: the key file of a service account, the configuration
of workload identity federation, or that of ``gcloud auth application-default login``. Ambient is
what they find by themselves: $GOOGLE_APPLICATION_CREDENTIALS, gcloud's file or the metadata server.
"""

import contextlib
import datetime as dt
import os
import re
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import google.auth
import google.auth.aws
import google.auth.identity_pool
import google.auth.impersonated_credentials
import google.oauth2.credentials
import google.oauth2.sts
import requests
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.auth.transport.requests import Request

from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.fileio.credential_file import CredentialFile
from falcon_catalog.fileio.single_fetch import SingleFetch
from falcon_catalog.settings import StorageSettings

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
"""What a token is good for is decided by IAM; the exchange refuses one without a scope."""
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type
_AMBIENT_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
_AWS_TOKEN = "urn:ietf:params:aws:token-type:aws4_request"  # noqa: S105
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ERROR_CODE = re.compile(r"Error code ([a-z_]{1,40})|\b(invalid_[a-z]{1,30}|PERMISSION_DENIED)\b")
_STATUS = re.compile(r"\b\"?(?:code|status)\"?: ?\"?([A-Z_0-9]{3,40})\b")
_EARLY = dt.timedelta(minutes=6)  # obstore asks for a new one five minutes before the end
_STS_HOST = "https://sts.{}"
_IAM_HOST = "https://iamcredentials.{}"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token."""

    text: str = field(repr=False)
    expires_at: dt.datetime
    """With its time zone."""


class Identity:
    """The identity of one warehouse, and what it gets tokens for. Safe to use from many threads."""

    def __init__(self, warehouse: str, settings: StorageSettings) -> None:
        """Find the credential that the settings name; an ambient one is looked for when needed.

        Raises:
            SettingsError: it is not there, or is no JSON object.
        """
        self._warehouse = warehouse
        self._settings = settings
        path = os.environ.get(_AMBIENT_FILE) if settings.credential == "ambient" else None
        self._file = CredentialFile(warehouse, f"file:{path}" if path else settings.credential)
        self._session = requests.Session()
        self._fetch = SingleFetch()
        self._credentials: tuple[Hashable, Any] | None = None
        self._token: Token | None = None

    def version(self) -> Hashable:
        """Return what changes when the credential's file does."""
        return self._file.version()

    def token(self, left: dt.timedelta = _EARLY) -> Token:
        """Return a token of the server itself, if possible one that lives that much longer.

        Raises:
            ServiceUnavailableError: there is none.
        """
        with self._fetch.turn():
            version, values = self._file.read()
            if self._credentials is None or self._credentials[0] != version:
                with self._failures("finds no credentials"):
                    self._credentials = version, self._load(values)
                self._token = None
            now = dt.datetime.now(dt.UTC)
            if self._token is None or self._token.expires_at - now < left:
                credentials = self._credentials[1]
                with self._failures("got no token"):
                    credentials.refresh(self._request())
                self._token = _token(credentials.token, credentials.expiry)
            return self._token

    def impersonated(self, email: str, seconds: int) -> Token:
        """Return a new token of another service account.

        Raises:
            ServiceUnavailableError: the server may not act for it, or there is no answer.
        """
        source = google.oauth2.credentials.Credentials(self.token().text)
        host = self._settings.sts_endpoint or self._host(_IAM_HOST)
        target = google.auth.impersonated_credentials.Credentials(
            source,
            email,
            target_scopes=list(SCOPES),
            lifetime=seconds,
            iam_endpoint_override=f"{host}/v1/projects/-/serviceAccounts/{email}"
            ":generateAccessToken",
        )
        with self._failures(f"got no token of {email} for {seconds} s from {host}"):
            target.refresh(self._request())
        return _token(target.token, target.expiry)

    def downscoped(self, source: Token, boundary: Mapping[str, Any]) -> Token:
        """Return a token that may do what another one may, within an access boundary.

        Raises:
            ServiceUnavailableError: the exchange is refused, or there is no answer.
        """
        host = self._settings.sts_endpoint or self._host(_STS_HOST)
        with self._failures(f"got no token with an access boundary from {host}"):
            answer = google.oauth2.sts.Client(f"{host}/v1/token").exchange_token(
                self._request(),
                grant_type=_EXCHANGE,
                subject_token=source.text,
                subject_token_type=ACCESS_TOKEN,
                requested_token_type=ACCESS_TOKEN,
                additional_options=boundary,
            )
            seconds = answer.get("expires_in")
            expires_at = source.expires_at
            if seconds is not None:
                expires_at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=int(seconds))
            return Token(str(answer["access_token"]), min(expires_at, source.expires_at))

    def _load(self, values: Mapping[str, Any]) -> Any:
        if not values:
            return google.auth.default(scopes=SCOPES, request=self._request())[0]
        if values.get("type") == "external_account":
            # The function below would look for the name of the project, in another service.
            is_aws = values.get("subject_token_type") == _AWS_TOKEN
            kind = google.auth.aws if is_aws else google.auth.identity_pool
            return kind.Credentials.from_info(dict(values), scopes=SCOPES)
        with warnings.catch_warnings():
            # It warns of credentials that strangers have sent; this one is the operator's own.
            warnings.simplefilter("ignore", DeprecationWarning)
            return google.auth.load_credentials_from_dict(dict(values), scopes=SCOPES)[0]

    def _host(self, pattern: str) -> str:
        """Return the host of a service in the credential's universe: Google's, or a sovereign."""
        universe = "googleapis.com"
        if self._credentials is not None:
            universe = getattr(self._credentials[1], "universe_domain", universe) or universe
        return pattern.format(universe)

    def _request(self) -> Callable[..., Any]:
        """Return Google's transport, bounded in time over all requests of one operation."""
        send, settings = Request(self._session), self._settings
        end = monotonic() + settings.timeout

        def bounded(
            url: str,
            method: str = "GET",
            body: bytes | None = None,
            headers: Mapping[str, str] | None = None,
            timeout: float | None = None,
            **more: Any,
        ) -> Any:
            left = end - monotonic()
            if left <= 0:
                raise TransportError(f"no answer within {settings.timeout} s")
            if settings.ca_file and settings.sts_endpoint and url.startswith(settings.sts_endpoint):
                more["verify"] = settings.ca_file
            return send(url, method, body, headers, min(left, timeout or left), **more)

        return bounded

    @contextlib.contextmanager
    def _failures(self, what: str) -> Iterator[None]:
        """Raise errors of Google's library as one that shows no token, URL or answer."""
        try:
            yield
        except (GoogleAuthError, ValueError, KeyError, TypeError) as error:
            raise ServiceUnavailableError(
                f"The server {what} for warehouse {self._warehouse} (credential ="
                f" {self._settings.credential!r}): {_reason(error)}"
            ) from None


def _token(text: object, expiry: dt.datetime | None) -> Token:
    """Return a token as Google's library has it: its times are UTC, without saying so."""
    if expiry is None:
        raise ValueError("a token without an end")
    return Token(str(text), expiry.replace(tzinfo=dt.UTC))


def _reason(error: Exception) -> str:
    """Return why, in words that are known to be no secret."""
    if isinstance(error, DefaultCredentialsError):
        return "there are none that Google's library can use"
    if isinstance(error, TransportError):
        return "no answer from the token service"
    text = str(error)
    code = _ERROR_CODE.search(text) or _STATUS.search(text)
    found = next(filter(None, code.groups()), "") if code else ""
    return found or type(error).__name__
