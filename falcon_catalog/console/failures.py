"""Errors of a catalog and of the way to it: one line on stderr and an exit status."""

import contextlib
from collections.abc import Iterator
from typing import Any

import click

from falcon_catalog.terminal import printable

EXIT_STATUS = "Exit status: 0 success, 1 error, 2 wrong usage, 4 not found."


class ConsoleError(click.ClickException):
    """The command cannot continue: exit status 1."""

    def __init__(self, message: object) -> None:
        super().__init__(printable(" ".join(str(message).split())))


class NotFoundError(ConsoleError):
    """There is no such namespace, table, view, snapshot, branch or tag: exit status 4."""

    exit_code = 4


@contextlib.contextmanager
def one_line_errors(uri: str) -> Iterator[None]:
    """Turn errors of PyIceberg and of the network into one line and an exit status."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        for explain in (_of_the_network, _of_the_catalog, _of_the_answer):
            if (found := explain(uri, error)) is not None:
                raise found from None
        raise


def _of_the_catalog(  # noqa: PLR0911 - one for each kind of error
    uri: str, error: Exception
) -> ConsoleError | None:
    from pyiceberg import exceptions

    text = message(error)
    match error:
        case (
            exceptions.NoSuchTableError()
            | exceptions.NoSuchViewError()
            | exceptions.NoSuchNamespaceError()
            | exceptions.NoSuchIdentifierError()
        ):
            return NotFoundError(text)
        case exceptions.UnauthorizedError():
            return not_authorized(uri, text)
        case exceptions.ForbiddenError():
            return ConsoleError(f"{uri} does not permit it: {text}")
        case NotImplementedError():
            return ConsoleError(f"{uri} cannot do this: {text}")
        case exceptions.RESTError():
            return ConsoleError(_rejection(uri, error))
        case (
            exceptions.CommitFailedException()
            | exceptions.NamespaceAlreadyExistsError()
            | exceptions.NamespaceNotEmptyError()
            | exceptions.TableAlreadyExistsError()
            | exceptions.ViewAlreadyExistsError()
            | exceptions.ValidationException()
            | exceptions.ValidationError()
            | exceptions.NotInstalledError()
        ):
            return ConsoleError(text)
    return None


def not_authorized(uri: str, text: str) -> ConsoleError:
    """Return the error of a catalog that needs a token, or another one, and what to do."""
    return ConsoleError(
        f"{uri}: {text.rstrip('.')}. Log in with falcon-catalog login --uri {uri}, or give"
        " --credential NAME:SECRET or --token"
    )


def _of_the_network(uri: str, error: Exception) -> ConsoleError | None:
    from requests import exceptions

    match error:
        case exceptions.InvalidURL() | exceptions.MissingSchema() | exceptions.InvalidSchema():
            return ConsoleError(
                f"{uri!r} is not the address of a catalog: it must be like http://127.0.0.1:8181"
            )
        case exceptions.Timeout():
            return ConsoleError(f"The catalog at {uri} does not answer in time")
        case exceptions.SSLError():
            return ConsoleError(f"No TLS connection to {uri}: {_reason(error)}")
        case exceptions.ConnectionError():
            return ConsoleError(
                f"No catalog answers at {uri}: {_reason(error)}. Start one with falcon-catalog"
                " serve, or name another address with --uri"
            )
        case exceptions.RequestException():
            return ConsoleError(f"{uri}: {error}")
    return None


def _of_the_answer(uri: str, error: Exception) -> ConsoleError | None:
    import pydantic

    match error:
        case pydantic.ValidationError():
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            return ConsoleError(
                f"{uri} answered what PyIceberg cannot read ({error.title} {where}): {first['msg']}"
            )
        case OSError() | ValueError():  # files that cannot be read, among others
            return ConsoleError(message(error))
    return None


def message(error: Exception) -> str:
    """Return the catalog's own message of an error, without the type that PyIceberg adds."""
    answer: Any = getattr(error.__cause__, "response", None)
    try:
        found = answer.json()["error"]["message"]
    except (AttributeError, ValueError, KeyError, TypeError):
        return str(error) or type(error).__name__
    return str(found)


def _rejection(uri: str, error: Exception) -> str:
    answer = getattr(error.__cause__, "response", None)
    if answer is None:
        return f"{uri}: {message(error)}"
    if "Received unexpected JSON" in str(error) or "Could not decode" in str(error):
        hint = ". Its address ends before /v1" if uri.rstrip("/").endswith("/v1") else ""
        path = answer.request.path_url
        return f"{uri} is not an Iceberg REST catalog: {path} answered {answer.status_code}{hint}"
    return f"{uri}: {message(error)}"


def _reason(error: Exception) -> str:
    """Return the innermost cause: ``Connection refused`` instead of a chain of classes."""
    seen: BaseException | None = error
    inner: BaseException = error
    while seen is not None:
        inner, seen = seen, seen.__cause__ or seen.__context__
    return getattr(inner, "strerror", None) or str(inner)
