"""``falcon-catalog properties``."""

from typing import TYPE_CHECKING

import click

from falcon_catalog.console import http
from falcon_catalog.console.connection import Client, client_command
from falcon_catalog.console.entities import NAME, Namespace, find, is_table, is_view
from falcon_catalog.console.failures import NotFoundError
from falcon_catalog.console.names import Name
from falcon_catalog.wording import did_you_mean

if TYPE_CHECKING:
    from pyiceberg.view import View


@client_command("properties")
@click.argument("name", type=NAME)
@click.argument("changes", metavar="[KEY | KEY=VALUE]...", nargs=-1)
@click.option("--unset", multiple=True, metavar="KEY", help="Remove a property.")
def command(client: Client, name: Name, changes: tuple[str, ...], unset: tuple[str, ...]) -> None:
    """Show or change properties of a table, view or namespace.

    \b
    Examples:
        falcon-catalog properties weather.observations
        falcon-catalog properties weather.observations write.format.default
        falcon-catalog properties weather.observations comment='Hourly, from airports'
        falcon-catalog properties weather owner=ann --unset contact

    Changes of one command are made together. -q prints the value of a single KEY alone.
    """
    if name.at is not None:
        raise click.UsageError(f"properties have no history: {name.entity} without @{name.at}")
    updates, keys = _read(changes, unset)
    found = find(client, name)
    before = dict(found.properties)
    for key in (*keys, *unset):
        if key not in before:
            raise NotFoundError(f"{name} has no property {key}{did_you_mean(key, list(before))}")
    if updates or unset:
        _apply(client, name, found, updates, unset)
        before = {**{k: v for k, v in before.items() if k not in unset}, **updates}
    shown = {key: before[key] for key in keys} if keys else before
    out = client.out
    if out.as_json:
        out.document(shown)
    elif out.quiet:
        out.names(shown.values() if len(keys) == 1 else sorted(shown))
    elif shown:
        out.pairs(sorted(shown.items()))
    else:
        out.line(f"{name} has no properties.")


def _read(changes: tuple[str, ...], unset: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """Return the properties to set, and the keys to show."""
    updates = dict(each.split("=", 1) for each in changes if "=" in each)
    keys = [each for each in changes if "=" not in each]
    if keys and (updates or unset):
        raise click.UsageError(f"{keys[0]!r} shows a property: KEY=VALUE changes one")
    if "" in updates:
        raise click.UsageError("a property has a name before =")
    if both := set(updates) & set(unset):
        raise click.UsageError(f"{min(both)} cannot be set and removed at once")
    return updates, keys


def _apply(
    client: Client,
    name: Name,
    found: object,
    updates: dict[str, str],
    unset: tuple[str, ...],
) -> None:
    if isinstance(found, Namespace):
        client.catalog.update_namespace_properties(name.parts, set(unset), updates)
    elif is_table(found):
        with found.transaction() as transaction:
            if updates:
                transaction.set_properties(updates)
            if unset:
                transaction.remove_properties(*unset)
    elif is_view(found):
        _change_view(client, name, found, updates, unset)


def _change_view(
    client: Client, name: Name, view: "View", updates: dict[str, str], unset: tuple[str, ...]
) -> None:
    """Commit to a view, which PyIceberg has no function for."""
    from urllib.parse import quote

    changes: list[dict[str, object]] = []
    if updates:
        changes.append({"action": "set-properties", "updates": updates})
    if unset:
        changes.append({"action": "remove-properties", "removals": list(unset)})
    same = {"type": "assert-view-uuid", "uuid": str(view.uuid())}
    namespace = quote("\x1f".join(name.parts[:-1]), safe="")
    path = f"namespaces/{namespace}/views/{quote(name.parts[-1], safe='')}"
    body = {"requirements": [same], "updates": changes}
    http.send(client, "POST", http.in_catalog(client, path), body)
