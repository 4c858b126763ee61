"""``falcon-catalog login``, ``logout`` and ``whoami``."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from falcon_catalog.api.browsers import LOGIN_PAGE
from falcon_catalog.catalog import sessions
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.cli.common import (
    Stopped,
    as_json,
    echo,
    echo_json,
    on_store,
    read,
    with_store,
)
from falcon_catalog.client_flags import identity, with_identity
from falcon_catalog.logins import files, flows
from falcon_catalog.logins.files import Login, login_of
from falcon_catalog.logins.flows import Client
from falcon_catalog.logins.web import LoginError, get, post
from falcon_catalog.rules import listen_address
from falcon_catalog.settings import Settings

_DEFAULT = ParameterSource.DEFAULT
_URI = "http://127.0.0.1:8181"
with_uri = click.option(
    "--uri", default=_URI, show_default=True, help="The address of the catalog, as serve prints it."
)


@click.command("login")
@with_uri
@click.option("--issuer", metavar="NAME", help="The identity provider, if there are several.")
@click.option("--browser", is_flag=True, help="Use a browser on this machine, not a code.")
@click.option(
    "--credential",
    metavar="NAME:SECRET",
    envvar="CATALOG_CREDENTIAL",
    help="Log in as a service of the catalog. [CATALOG_CREDENTIAL]",
)
@click.option(
    "--link", is_flag=True, help="Print a link that logs a browser in to the pages, once."
)
@with_store
def login_command(
    uri: str,
    issuer: str | None,
    config: Path | None,
    *,
    browser: bool,
    credential: str | None,
    link: bool,
    **flags: Any,
) -> None:
    """Log in to a catalog; later commands use that login.

    \b
    Examples:
        falcon-catalog login --uri https://lake.example.com
        falcon-catalog login --uri https://lake.example.com --browser
        falcon-catalog login --credential etl:SECRET
        falcon-catalog login --link

    With --link it works on the store, as "falcon-catalog principals" does: the browser is logged in
    as the user of this machine, who owns the server unless auth.unix_users names a principal. Its
    address is --uri, or that of the setting server.listen.

    Log in only to a catalog that you trust: it says which identity provider to use, and gets your
    token. The login is kept in $XDG_STATE_HOME/falcon-catalog (~/.local/state), for you only.
    """
    uri = uri.rstrip("/")
    if link:
        given = click.get_current_context().get_parameter_source("uri") is not _DEFAULT
        with on_store(config, flags) as call:
            click.echo(login_link(call, uri if given else _address(read(config, flags))))
        return
    try:
        _, checked = identity(None, credential)
        login = _with_secret(uri, checked) if checked else _as_person(uri, issuer, browser=browser)
        who = get(f"{uri}/management/v1/whoami", token=login.token)
        files.save(uri, login)
    except (LoginError, OSError) as error:
        raise Stopped(error) from None
    echo(f"Logged in to {uri} as {who.get('name')}")


def _address(settings: Settings) -> str:
    """Return the address that the settings have, and say on stderr that it comes from there."""
    listen, origin = settings.server.listen, settings.origins["server.listen"]
    address = listen_address(listen)
    if isinstance(address, Path) or address[1] == 0:
        raise Stopped(
            f"server.listen = {listen!r} (from {origin}) has no address for a browser: name the"
            " server's with --uri"
        )
    echo(
        f"The address is that of server.listen (from {origin}): if the server listens elsewhere,"
        " name its address with --uri",
        err=True,
    )
    host, port = address
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def login_link(call: StoreCall, uri: str) -> str:
    """Return a link that logs a browser in as the user of this process."""
    return f"{uri}{LOGIN_PAGE}?code={sessions.make_code(call, os.getuid())}"


@click.command("logout")
@with_uri
def logout_command(uri: str) -> None:
    """Forget the login to a catalog.

    \b
    Example:
        falcon-catalog logout --uri https://lake.example.com

    To make its tokens invalid too: falcon-catalog principals revoke, or at the identity provider.
    """
    try:
        found = files.remove(uri)
    except (LoginError, OSError) as error:
        raise Stopped(error) from None
    echo(f"Logged out of {uri}" if found else f"There was no login to {uri}")


@click.command("whoami")
@with_uri
@with_identity
@as_json
def whoami_command(uri: str, *, token: str | None, credential: str | None, as_json: bool) -> None:
    """Show the principal that a catalog takes you for.

    \b
    Example:
        falcon-catalog whoami --uri https://lake.example.com
    """
    uri = uri.rstrip("/")
    try:
        token, credential = identity(token, credential, uri)
        if credential is not None:
            token = _with_secret(uri, credential).token
        found = get(f"{uri}/management/v1/whoami", token=token)
    except (LoginError, OSError) as error:
        raise Stopped(error) from None
    if as_json:
        echo_json(found)
        return
    name = found.get("name")
    if name is None:
        echo(f"nobody: {uri} needs no token")
        return
    echo(f"{name} ({found.get('authenticated-by')})")
    for group in found.get("groups", ()):
        echo(f"group {group.get('issuer')}~{group.get('value')}")


def _with_secret(uri: str, credential: str) -> Login:
    name, _, secret = credential.partition(":")
    endpoint = f"{uri}/v1/oauth/tokens"
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
    return login_of(post(endpoint, form), issuer="", token_endpoint=endpoint, client_id=name)


def _as_person(uri: str, issuer: str | None, *, browser: bool) -> Login:
    offered = get(f"{uri}/management/v1/login")
    client = _choose(uri, offered, issuer)
    endpoints = client.discover()
    echo(f"Identity provider: {client.url} (client {client.client_id}), for {urlsplit(uri).netloc}")
    if "device_authorization_endpoint" in endpoints and not browser:
        return flows.with_device_code(client, endpoints, echo)
    return flows.with_browser(client, endpoints, echo)


def _choose(uri: str, offered: dict[str, Any], issuer: str | None) -> Client:
    found = [one for one in offered.get("issuers", ()) if issuer in (None, one.get("name"))]
    if not found:
        if offered.get("required") is False:
            raise LoginError(f"{uri} needs no login")
        which = f"identity provider {issuer}" if issuer else "identity provider for people"
        raise LoginError(f"{uri} has no {which}; a service logs in with --credential NAME:SECRET")
    if len(found) > 1:
        names = ", ".join(str(one.get("name")) for one in found)
        raise LoginError(f"{uri} has several identity providers: name one with --issuer ({names})")
    one = found[0]
    return Client(
        str(one.get("name")),
        str(one.get("url")),
        str(one.get("client-id")),
        tuple(map(str, one.get("scopes", ()))),
        {str(name): str(value) for name, value in one.get("parameters", {}).items()},
    )
