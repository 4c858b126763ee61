"""The flags by which commands that are clients of a catalog identify themselves."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from falcon_catalog.logins import files
from falcon_catalog.logins.web import LoginError

Command = TypeVar("Command", bound=Callable[..., Any])


def with_identity(command: Command) -> Command:
    """Add --token and --credential to a command."""
    command = click.option(
        "--credential",
        metavar="NAME:SECRET",
        envvar="CATALOG_CREDENTIAL",
        help="Name and secret of a principal. [CATALOG_CREDENTIAL]",
    )(command)
    return click.option(
        "--token", metavar="TOKEN", envvar="CATALOG_TOKEN", help="Bearer token. [CATALOG_TOKEN]"
    )(command)


def identity(
    token: str | None, credential: str | None, uri: str | None = None
) -> tuple[str | None, str | None]:
    """Return the token or the credential to use; a flag takes precedence over the environment.

    Without either it is the token of the login to the catalog at ``uri``, if there is one.

    Raises:
        UsageError: both are given in the same way, or the credential has another form.
    """
    if token is not None and credential is not None:
        source = click.get_current_context().get_parameter_source
        flags = [name for name in ("token", "credential") if source(name) is _FLAG]
        if len(flags) != 1:
            raise click.UsageError("--token and --credential exclude each other")
        token, credential = (token, None) if flags == ["token"] else (None, credential)
    if credential is not None:
        name, _, secret = credential.partition(":")
        if not (name and secret):
            raise click.UsageError("--credential must be NAME:SECRET")
    if token is None and credential is None and uri is not None:
        try:
            token = files.token_for(uri)
        except (LoginError, OSError) as error:
            raise click.ClickException(str(error)) from None
    return token, credential


_FLAG = ParameterSource.COMMANDLINE
