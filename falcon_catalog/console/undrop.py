"""Dropped tables and views over HTTP: falcon-catalog's management API."""

from typing import Any

import click

from falcon_catalog.console import http
from falcon_catalog.console.connection import Client
from falcon_catalog.console.failures import ConsoleError, NotFoundError
from falcon_catalog.console.names import InvalidNameError, dotted, parse
from falcon_catalog.wording import did_you_mean


def undrop(client: Client, which: str, to: str | None) -> None:
    """Undrop the table or view that was dropped last under a name, or that has an id.

    Args:
        client: the catalog.
        which: the name or the id.
        to: the name to restore it under, if not its own.

    Raises:
        NotFoundError: there is no such dropped table or view.
        ConsoleError: the catalog cannot undrop.
    """
    dropped = list_(client)
    if which.isdecimal():
        found = next((each for each in dropped if each["id"] == int(which)), None)
    else:
        parts = _parts(which)
        named = [each for each in dropped if _name(each) == parts]
        found = max(named, key=lambda each: int(each["id"]), default=None)
    if found is None:
        maybe = did_you_mean(which, _names(dropped))
        raise NotFoundError(f"No dropped table or view is {which}{maybe}")
    back = _parts(to) if to else _name(found)
    body = {"identifier": {"namespace": list(back[:-1]), "name": back[-1]}} if to else {}
    http.send(client, "POST", http.in_management(client, f"dropped/{found['id']}/undrop"), body)
    out = client.out
    if out.as_json:
        out.document({**found, "restored-as": {"namespace": list(back[:-1]), "name": back[-1]}})
    else:
        out.line(
            f"{found['type']} {dotted(_name(found))} is back{f' as {dotted(back)}' if to else ''}"
        )


def list_(client: Client) -> list[dict[str, Any]]:
    """Return the dropped tables and views, oldest first, as the management API has them.

    Raises:
        ConsoleError: the catalog cannot undrop.
    """
    try:
        url = http.in_management(client, "dropped")
        answer = http.send(client, "GET", url, absent=http.NO_ROUTE)
        return list(answer["dropped"])
    except (NotFoundError, KeyError, TypeError, ValueError):
        raise ConsoleError(
            f"The catalog at {client.address.uri} cannot undrop: only falcon-catalog can"
        ) from None


def names(client: Client) -> list[str]:
    """Return the names of the dropped tables and views, each once; raise as ``list_``."""
    return _names(list_(client))


def _names(dropped: list[dict[str, Any]]) -> list[str]:
    return sorted({dotted(_name(each)) for each in dropped})


def _parts(text: str) -> tuple[str, ...]:
    try:
        found = parse(text)
    except InvalidNameError as error:
        raise click.UsageError(str(error)) from None
    if found.at is not None or len(found.parts) == 1:
        raise click.UsageError(f"{text!r} is no name of a table, such as weather.observations")
    return found.parts


def _name(row: dict[str, Any]) -> tuple[str, ...]:
    identifier = row["identifier"]
    return (*identifier["namespace"], identifier["name"])
