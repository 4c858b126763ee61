"""Which catalog a command works on, as whom, and the options for it.

A flag takes precedence over an environment variable, which takes precedence over PyIceberg's
configuration (``PYICEBERG_CATALOG__…``, then ``.pyiceberg.yaml``). Without anything it is the
catalog that ``falcon-catalog serve`` starts on this machine. A catalog without token or credential
is used with the login of ``falcon-catalog login``, if there is one.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import click

from falcon_catalog.client_flags import identity, with_identity
from falcon_catalog.console.failures import EXIT_STATUS, ConsoleError, one_line_errors
from falcon_catalog.console.output import Output

if TYPE_CHECKING:
    from pyiceberg.catalog.rest import RestCatalog

_DEFAULT_URI = "http://127.0.0.1:8181"
# No configuration has this name: properties are given to PyIceberg completely. Nor is it taken for
# the first part of a table's name, as PyIceberg does with the name of a catalog.
_NAME = "\0"
# What identifies a client in PyIceberg's configuration.
_IDENTITY = ("token", "credential", "auth")


@dataclass(frozen=True, slots=True)
class Address:
    """How a catalog is reached: PyIceberg's properties, identity included."""

    uri: str
    properties: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Client:
    """A catalog that answers, and where the command prints to."""

    catalog: "RestCatalog"
    address: Address
    out: Output


def client_command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Return a decorator that makes a command of a function whose first argument is a ``Client``.

    The command has the options of the connection, ``--json`` and ``--quiet``. Errors of the catalog
    and of the network are one line. Place it above the options of the command itself::

        @client_command("ls")
        @click.argument("name", type=NAME, required=False)
        def command(client: Client, name: Name | None) -> None:
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        def run(**arguments: Any) -> None:
            connection = {key: arguments.pop(key) for key in CONNECTION}
            out = Output(as_json=arguments.pop("as_json"), quiet=arguments.pop("quiet"))
            with connected(**connection) as (catalog, address):
                function(Client(catalog, address, out), **arguments)

        run = _with_connection(run)
        run.__click_params__ += getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        run.__doc__ = function.__doc__
        return click.command(name, epilog=EXIT_STATUS)(run)

    return decorate


@contextlib.contextmanager
def connected(
    *,
    uri: str | None = None,
    catalog_name: str | None = None,
    warehouse: str | None = None,
    token: str | None = None,
    credential: str | None = None,
) -> Iterator[tuple["RestCatalog", Address]]:
    """Yield the catalog that the flags name; errors of it and of the body are one line.

    Raises:
        ConsoleError: there is no such catalog in PyIceberg's configuration, it is not a REST
            catalog, or it does not answer, rejects the client or fails.
        UsageError: ``token`` and ``credential`` exclude each other.
    """
    address = locate(
        uri=uri, catalog_name=catalog_name, warehouse=warehouse, token=token, credential=credential
    )
    with one_line_errors(address.uri):
        from pyiceberg.catalog import load_catalog

        # It warns of what a person who lists tables cannot change.
        logging.getLogger("pyiceberg").setLevel(logging.ERROR)
        properties = address.properties
        if not any(map(properties.get, _IDENTITY)):
            # Otherwise it sends "Authorization: Bearer None".
            properties = properties | {"auth": {"type": "noop"}}
        catalog = cast("RestCatalog", load_catalog(_NAME, **properties))
        with contextlib.closing(catalog):
            yield catalog, address


def locate(
    *,
    uri: str | None = None,
    catalog_name: str | None = None,
    warehouse: str | None = None,
    token: str | None = None,
    credential: str | None = None,
) -> Address:
    """Return how the catalog that the flags name is reached.

    With ``uri`` and without ``catalog_name`` nothing of PyIceberg's configuration is used, unless
    its default catalog has that address: tokens in it are not for other catalogs.

    Raises:
        ConsoleError: there is no such catalog in PyIceberg's configuration, or it is not REST.
        UsageError: ``token`` and ``credential`` exclude each other.
    """
    token, credential = identity(token, credential)
    configured = _configured(catalog_name)
    if uri is not None and catalog_name is None and not _is_same(uri, configured.get("uri")):
        configured = {}
    address = uri or configured.get("uri") or _DEFAULT_URI
    kind = str(configured.get("type", "rest")).lower()
    if kind != "rest" or "py-catalog-impl" in configured or not _is_http(address):
        name = catalog_name or "its default catalog"
        if uri is None:
            raise ConsoleError(
                f"PyIceberg's configuration says that {name} is at {address}, with type {kind}:"
                " only REST catalogs, at http:// or https://, are supported"
            )
        raise ConsoleError(
            f"{address!r} is not the address of a catalog: it must be like {_DEFAULT_URI}"
        )
    if token is None and credential is None and not any(map(configured.get, _IDENTITY)):
        token, credential = identity(None, None, address)
    if token or credential:
        configured = {key: value for key, value in configured.items() if key not in _IDENTITY}
    given = {"warehouse": warehouse, "token": token, "credential": credential}
    properties = configured | {key: value for key, value in given.items() if value is not None}
    return Address(address, properties | {"type": "rest", "uri": address.rstrip("/")})


def _configured(name: str | None) -> dict[str, Any]:
    """Return PyIceberg's properties of a catalog, by default of its default catalog."""
    from pyiceberg.utils.config import Config

    try:
        config = Config()
        found = config.get_catalog_config(name or config.get_default_catalog_name())
        known = config.get_known_catalogs()
    except Exception as error:  # noqa: BLE001 - a YAML file may be wrong in any way
        raise ConsoleError(f"PyIceberg's configuration cannot be read: {error}") from None
    if found is None and name is not None:
        there = f"it has {', '.join(known)}" if known else "it has none"
        raise ConsoleError(
            f"PyIceberg's configuration (.pyiceberg.yaml, PYICEBERG_CATALOG__…) has no catalog"
            f" {name}: {there}"
        )
    return dict(found or {})


def _is_same(uri: str, other: object) -> bool:
    return isinstance(other, str) and uri.rstrip("/") == other.rstrip("/")


def _is_http(address: object) -> bool:
    return isinstance(address, str) and address.startswith(("http://", "https://"))


CONNECTION = ("uri", "catalog_name", "warehouse", "token", "credential")
"""The parameters of ``connected``, as the commands have them."""


def _with_connection(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the connection and of the output; the last line is the last in --help."""
    for option in (
        click.option("--quiet", "-q", is_flag=True, help="Print only names or ids, one a line."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        with_identity,
        click.option("--warehouse", metavar="NAME", help="The warehouse; the catalog's first."),
        click.option(
            "--catalog",
            "catalog_name",
            metavar="NAME",
            help="A catalog of PyIceberg's configuration.",
        ),
        click.option(
            "--uri",
            metavar="URI",
            help=f"The catalog's address; without a configured one {_DEFAULT_URI}.",
        ),
    ):
        command = option(command)
    return command
