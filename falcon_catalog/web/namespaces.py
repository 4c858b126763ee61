"""Pages of warehouses and namespaces: what is in them, filtered as people type, in parts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import falcon
import orjson

from falcon_catalog.catalog import authorization, browsing, marks, namespaces
from falcon_catalog.catalog.browsing import Listed, Part, What
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.entities import EntityName
from falcon_catalog.errors import BadRequestError
from falcon_catalog.identifiers import MAX_NAME_LENGTH, Namespace
from falcon_catalog.web import paths
from falcon_catalog.web.rendering import send_page

_SIZE = 100
_LISTS: dict[What, str] = {
    "namespace": "Namespaces",
    "table": "Tables",
    "view": "Views",
    "function": "Functions",
}


@dataclass(frozen=True, slots=True)
class _List:
    """A list as its page shows it; the links are queries of the page, empty if there is none."""

    what: What
    title: str
    listed: Listed
    previous: str
    next: str


class WarehousePage:
    """``/ui/warehouses/{warehouse}``."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, call: Call) -> None:
        """Show the namespaces of a warehouse."""
        _show(req, resp, call, None, ["namespace"])


class NamespacePage:
    """``/ui/warehouses/{warehouse}/namespaces/{namespace}``."""

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, call: Call, namespace: Namespace
    ) -> None:
        """Show what is in a namespace."""
        _show(req, resp, call, namespace, list(_LISTS))


def _show(
    req: falcon.Request,
    resp: falcon.Response,
    call: Call,
    namespace: Namespace | None,
    wanted: Sequence[What],
) -> None:
    query = read_query(req)
    lists = [_list(req, call, namespace, what, query) for what in wanted]
    described = authorization.permits(call, "describe", namespace)
    warehouse = call.warehouse
    state = _digest(
        [[each.listed.entries, each.listed.total, each.previous, each.next] for each in lists]
    )
    if req.get_param("state") == state:
        resp.status = falcon.HTTP_204
        return
    entity = EntityName(
        "warehouse" if namespace is None else "namespace", warehouse.name, namespace
    )
    send_page(
        req,
        resp,
        "namespace.html",
        title=warehouse.name if namespace is None else namespace.levels[-1],
        trail=trail(call, None if namespace is None else namespace.parent) if namespace else [],
        call=call,
        namespace=namespace,
        described=described,
        properties=namespaces.load(call, namespace) if namespace and described else {},
        marks=marks.get(call.on_store, entity).values if described else {},
        lists=[each for each in lists if each.listed.total],
        query=query,
        dropped=(req.get_param("done") or "").endswith("-dropped"),
        state=state,
        refresh=urlencode({**req.params, "state": state}),
    )


def _list(
    req: falcon.Request, call: Call, namespace: Namespace | None, what: What, query: str
) -> _List:
    after, before = req.get_param(f"{what}-after"), req.get_param(f"{what}-before")
    listed = browsing.list_(call, what, namespace, Part(_SIZE, query, after, before))
    names = [entry.name for entry in listed.entries]
    shared = {"q": query} if query else {}

    def link(way: str, name: str) -> str:
        return "?" + urlencode({**shared, f"{what}-{way}": name})

    return _List(
        what,
        _LISTS[what],
        listed,
        link("before", names[0]) if names and listed.has_previous else "",
        link("after", names[-1]) if names and listed.has_next else "",
    )


def read_query(req: falcon.Request) -> str:
    """Return the text that names must contain, as a page's form sends it; "" for any.

    Raises:
        BadRequestError: no name is that long.
    """
    query = (req.get_param("q") or "").strip()
    if len(query) > MAX_NAME_LENGTH:
        raise BadRequestError(
            f"Invalid q: {len(query)} characters, but a name has at most {MAX_NAME_LENGTH}"
        )
    return query


def _digest(shown: object) -> str:
    return hashlib.blake2b(orjson.dumps(shown, default=list), digest_size=8).hexdigest()


def trail(call: Call, namespace: Namespace | None = None) -> list[tuple[str, str]]:
    """Return the links to a namespace and everything around it, as names and paths."""
    warehouse = call.warehouse.name
    links = [(warehouse, paths.to_warehouse(warehouse))]
    levels = () if namespace is None else namespace.levels
    for count, level in enumerate(levels, 1):
        links.append((level, paths.to_namespace(warehouse, Namespace(levels[:count]))))
    return links
