"""Entities and principals as people type them, and suggestions for misspelled names."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import click
from click.shell_completion import CompletionItem

from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.entities import TYPES, EntityName, Type
from falcon_catalog.catalog.privileges import BITS, Privilege
from falcon_catalog.cli.common import on_store, one_line_errors, read_existing
from falcon_catalog.console.completion import starting
from falcon_catalog.errors import (
    CatalogError,
    NoSuchFunctionError,
    NoSuchNamespaceError,
    NoSuchPrincipalError,
    NoSuchTableError,
    NoSuchViewError,
    NoSuchWarehouseError,
)
from falcon_catalog.identifiers import Namespace, check_name
from falcon_catalog.store import principals, reading, survey
from falcon_catalog.wording import did_you_mean, or_mean

_PART = re.compile(r'"((?:[^"]|"")*)"|([^."]+)')
ENTITY_HELP = (
    "ENTITY is server, warehouse NAME, namespace A.B, table A.B.T, view A.B.V, function A.B.F, or"
    " dropped ID. A name with a dot is quoted: '\"my.namespace\".t'."
)

_OTHER_WORDS: dict[str, Privilege] = {
    "read": "select",
    "query": "select",
    "insert": "write",
    "update": "write",
    "delete": "write",
    "modify": "write",
    "alter": "write",
    "remove": "drop",
    "show": "list",
    "usage": "list",
    "use": "list",
    "owner": "own",
}
"""What databases call privileges, and the privilege here."""

in_warehouse = click.option(
    "--warehouse",
    "in_warehouse",
    metavar="NAME",
    help="The warehouse of the namespace, table, view or function. Default: warehouse.name.",
)


def complete_entity(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the types of entities, then names of a type in the store, that start with a text."""
    words = context.params.get("words") or ()
    if not words:
        return starting(TYPES, incomplete)
    kind = words[0]
    if len(words) > 1 or kind not in TYPES:
        return []
    params = context.params
    flags = {"store_url": params.get("store_url")}
    with contextlib.suppress(Exception):
        settings = read_existing(params.get("config"), flags)
        with reading(settings.store) as tx:
            if kind == "warehouse":
                return starting(survey.warehouse_names(tx), incomplete)
            warehouse = params.get("in_warehouse") or settings.warehouse.name
            return starting(survey.names_in(tx, warehouse, kind), incomplete)
    return []


def read_entity(words: Sequence[str], warehouse: str) -> EntityName:
    """Return the entity that some words of a command name.

    Raises:
        UsageError: they name none.
    """
    word, *rest = words or ("",)
    if word not in TYPES:
        maybe = did_you_mean(word, TYPES) if rest else _with_type(word)
        raise click.UsageError(f"{word!r} is no type of entity{maybe}. {ENTITY_HELP}")
    if len(rest) != (0 if word == "server" else 1):
        raise click.UsageError(f"{' '.join(words)!r} is no entity. {ENTITY_HELP}")
    return _entity(cast("Type", word), rest[0] if rest else "", warehouse)


def _with_type(name: str) -> str:
    """Return the suggestion for a name that was typed without its type."""
    kind = "table" if "." in name else "namespace"
    return did_you_mean(name, ["server"]) or f" (did you mean {kind} {name}?)"


def _entity(kind: Type, name: str, warehouse: str) -> EntityName:
    if kind == "server":
        return EntityName("server")
    if kind == "warehouse":
        return EntityName("warehouse", name)
    if kind == "dropped":
        if not name.isascii() or not name.isdigit() or len(name) > 18:  # noqa: PLR2004 - 64 bits
            raise click.UsageError(f"{name!r} is not the id of a dropped table or view")
        return EntityName("dropped", warehouse, id=int(name))
    parts = _split(name)
    if kind == "namespace":
        return EntityName("namespace", warehouse, Namespace.of(parts))
    if len(parts) < 2:  # noqa: PLR2004 - a namespace and a name
        raise click.UsageError(
            f"{name!r} is no {kind}: it needs a namespace, such as weather.{name}"
        )
    return EntityName(kind, warehouse, Namespace.of(parts[:-1]), check_name(parts[-1], kind))


def _split(name: str) -> list[str]:
    """Return the parts of a name between its dots; quotes hold a part with dots together."""
    parts, position = [], 0
    while match := _PART.match(name, position):
        quoted, plain = match.groups()
        parts.append(plain if quoted is None else quoted.replace('""', '"'))
        position = match.end()
        if position == len(name):
            return parts
        if name[position] != ".":
            break
        position += 1
    raise click.UsageError(f"{name!r} is no name: parts are separated by dots, and not empty")


def read_privileges(text: str) -> list[str]:
    """Return the privileges in a list with commas; ``all`` stands for every one.

    Raises:
        UsageError: one does not exist.
    """
    found = [each.strip() for each in text.split(",")]
    for each in found:
        if each not in BITS and each != "all":
            raise click.UsageError(
                f"{each!r} is no privilege{_privilege(each)}. There are {', '.join(BITS)}"
            )
    return found


def _privilege(word: str) -> str:
    """Return the suggestion for a word that is no privilege."""
    meant = _OTHER_WORDS.get(word.lower())
    return or_mean([meant]) if meant else did_you_mean(word, list(BITS))


@contextlib.contextmanager
def on_entity(
    words: Sequence[str], warehouse: str | None, config: Path | None, flags: dict[str, Any]
) -> Iterator[tuple[StoreCall, EntityName]]:
    """Open an existing store, as ``on_store``, for the entity that some words name."""
    with one_line_errors():
        entity = read_entity(words, warehouse or read_existing(config, flags).warehouse.name)
    with on_store(config, flags) as call, suggestions(call, entity):
        yield call, entity


@contextlib.contextmanager
def suggestions(call: StoreCall, entity: EntityName | None = None) -> Iterator[None]:
    """Add the names that may have been meant to an error about one that does not exist."""
    try:
        yield
    except NoSuchPrincipalError as error:
        with call.store.read() as tx:
            known = [row.name for row in principals.all_(tx)]
        raise _suggest(error, known) from None
    except NoSuchWarehouseError as error:
        with call.store.read() as tx:
            known = survey.warehouse_names(tx)
        raise _suggest(error, known) from None
    except (
        NoSuchNamespaceError,
        NoSuchTableError,
        NoSuchViewError,
        NoSuchFunctionError,
    ) as error:
        if entity is None:
            raise
        with call.store.read() as tx:
            known = survey.names_in(tx, entity.warehouse, entity.type)
        raise _suggest(error, known) from None


def _suggest(error: CatalogError, known: Sequence[str]) -> CatalogError:
    missing = error.message.partition(": ")[2]
    return type(error)(f"{error.message}{did_you_mean(missing, known)}")
