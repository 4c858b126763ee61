"""Grants on an entity, why a principal may do something with it, and what it is marked as."""

from dataclasses import dataclass
from typing import Any, cast

import falcon

from falcon_catalog.catalog import access_control, accounts, authorization, marks, roles
from falcon_catalog.catalog.access_control import Change, Grant
from falcon_catalog.catalog.authorization import SERVER, Kind
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.entities import EntityName, Type
from falcon_catalog.catalog.evaluation import Explanation
from falcon_catalog.catalog.privileges import ALLOWS, BITS, names
from falcon_catalog.errors import BadRequestError, CatalogError, ForbiddenError
from falcon_catalog.identifiers import Namespace, Page, TableIdentifier
from falcon_catalog.web import forms, paths
from falcon_catalog.web.administration import TABS
from falcon_catalog.web.errors import note
from falcon_catalog.web.namespaces import trail
from falcon_catalog.web.rendering import send_page
from falcon_catalog.web.tables import view

_OFFERED = 200


@dataclass(frozen=True, slots=True)
class Holders:
    """The grants on an entity itself."""

    entity: EntityName
    grants: list[Grant]


class GrantsPage:
    """``…/grants`` of the server, a warehouse, a namespace, a table, a view or a function."""

    def __init__(self, kind: Type) -> None:
        self._kind: Type = kind

    def on_get(self, req: falcon.Request, resp: falcon.Response, call: Call, **named: Any) -> None:
        """Show who may do what, and explain one privilege of a principal if that is requested."""
        entity = _entity(call, self._kind, **named)
        explanation = problem = None
        if principal := req.get_param("principal"):
            try:
                explanation = _explain(call, entity, principal, req.get_param("privilege"))
            except CatalogError as error:
                note(req, resp, error)
                problem = error.message
        self._show(req, resp, call, entity, explanation=explanation, problem=problem)

    def on_post(self, req: falcon.Request, resp: falcon.Response, call: Call, **named: Any) -> None:
        """Grant or revoke privileges, or change what the entity is marked as."""
        entity, form = _entity(call, self._kind, **named), forms.read(req)
        try:
            done = _act(call, entity, form)
        except CatalogError as error:
            note(req, resp, error)
            entered = form if form.get("action") == "grant" else {}
            self._show(req, resp, call, entity, problem=error.message, entered=entered)
            return
        self._show(req, resp, call, entity, done=done)

    def _show(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        call: Call,
        entity: EntityName,
        *,
        explanation: Explanation | None = None,
        problem: str | None = None,
        done: str | None = None,
        entered: forms.Fields | None = None,
    ) -> None:
        own, around = _holders(call, entity)
        holders = around if own is None else [own, *around]
        send_page(
            req,
            resp,
            "grants.html",
            **_frame(req, call, entity),
            here=to_grants(entity),
            entity=entity,
            own=own,
            around=around,
            privileges={
                each: says for each, says in ALLOWS.items() if access_control.suits(each, entity)
            },
            names=_names(req, call, holders),
            entered=entered or {},
            marks=_marks(call, entity),
            may_mark=_may_mark(call, entity),
            explanation=explanation,
            problem=problem,
            done=done,
            asked={name: req.get_param(name) or "" for name in ("principal", "privilege")},
            names_of=names,
            to_grants=to_grants,
        )


def to_grants(entity: EntityName) -> str:
    """Return the path of the page with the grants on an entity."""
    if entity.type == "server":
        return paths.GRANTS
    if entity.namespace is None:
        return paths.to_warehouse(entity.warehouse, "grants")
    if entity.type == "namespace":
        return paths.to_namespace(entity.warehouse, entity.namespace, "grants")
    warehouse, identifier = entity.warehouse, entity.identifier
    to_entity = {
        "table": paths.to_table,
        "view": paths.to_view,
        "function": paths.to_function,
    }
    return to_entity[entity.type](warehouse, identifier, "grants")


def _frame(req: falcon.Request, call: Call, entity: EntityName) -> dict[str, Any]:
    """Return what is around the page: tabs of the table or of the administration, or links."""
    if entity.type == "server":
        frame = "admin.html" if req.context.administers else "entity.html"
        return {"frame": frame, "title": "Access to the server", "tabs": TABS, "trail": []}
    if entity.type != "table":
        title, around = f"Access to {entity}", _trail(call, entity)
        return {"frame": "entity.html", "title": title, "trail": around}
    return {
        "frame": "table/base.html",
        "title": entity.name,
        "trail": trail(call, entity.namespace),
        "call": call,
        "table": entity.identifier,
        "tabs": view.TABS,
        "tab": "grants",
    }


def _names(req: falcon.Request, call: Call, holders: list[Holders]) -> list[str]:
    """Return names of principals and roles that the visitor may see, for forms to offer."""
    names = {grant.principal for each in holders for grant in each.grants}
    if req.context.administers:
        page = Page(None, _OFFERED)
        names |= {each.name for each in accounts.list_(call.on_store, page)}
        names |= {each.name for each in roles.list_(call.on_store, page)}
    if call.principal is not None:
        names.add(call.principal.name)
    return sorted(names)


def _entity(
    call: Call,
    kind: Type,
    namespace: Namespace | None = None,
    identifier: TableIdentifier | None = None,
) -> EntityName:
    if kind == "server":
        return EntityName("server")
    if identifier is not None:
        return EntityName(kind, call.warehouse.name, identifier.namespace, identifier.name)
    return EntityName(kind, call.warehouse.name, namespace)


def _trail(call: Call, entity: EntityName) -> list[tuple[str, str]]:
    """Return the links to an entity and what is around it."""
    if entity.type == "server":
        return [("Administration", paths.ADMINISTRATION)]
    links = trail(call, entity.namespace)
    if entity.is_in_namespace:
        links.append((entity.name, to_grants(entity).removesuffix("/grants")))
    return links


def _around(entity: EntityName) -> list[EntityName]:
    """Return the containers of an entity, the innermost first."""
    if entity.type == "server":
        return []
    levels = () if entity.namespace is None else entity.namespace.levels
    if not entity.is_in_namespace:
        levels = levels[:-1]
    found = [
        EntityName("namespace", entity.warehouse, Namespace(levels[:count]))
        for count in range(len(levels), 0, -1)
    ]
    if entity.type != "warehouse":
        found.append(EntityName("warehouse", entity.warehouse))
    return [*found, EntityName("server")]


def _holders(call: Call, entity: EntityName) -> tuple[Holders | None, list[Holders]]:
    """Return the grants on an entity, and on what is around it, as far as the caller may see them.

    Raises:
        CatalogError: the entity does not exist, or the caller may not list it.
    """
    try:
        own = Holders(entity, access_control.on_entity(call.on_store, entity))
    except ForbiddenError:
        return None, []
    around = []
    for each in _around(entity):
        try:
            found = access_control.on_entity(call.on_store, each)
        except CatalogError:
            continue
        if found:
            around.append(Holders(each, found))
    return own, around


def _marks(call: Call, entity: EntityName) -> dict[str, bool]:
    try:
        return dict(marks.get(call.on_store, entity).values)
    except ForbiddenError:
        return {}


def _may_mark(call: Call, entity: EntityName) -> bool:
    if entity.type == "server":
        return authorization.permits(call, "admin", SERVER)
    if entity.is_in_namespace:
        kind = cast("Kind", entity.type)
        return authorization.permits(call, "grant", entity.identifier, kind)
    return authorization.permits(call, "grant", entity.namespace)


def _explain(call: Call, entity: EntityName, principal: str, privilege: str | None) -> Explanation:
    wanted = access_control.read_privilege(privilege)
    return access_control.explain(call.on_store, principal.strip(), wanted, entity)


def _act(call: Call, entity: EntityName, form: forms.Fields) -> str:
    """Do what a form requests; return what was done."""
    action = form.get("action")
    if action == "mark":
        name, value = form.get("mark", ""), form.get("value") == "true"
        marks.change(call.on_store, entity, {name: value})
        return f"{str(entity).capitalize()} is {'' if value else 'no longer '}{name}"
    chosen = [each for each in BITS if each in form]
    if not chosen:
        raise BadRequestError("Choose at least one privilege")
    privileges = access_control.read_privileges(chosen)
    principal = access_control.read_principal(form.get("principal", "").strip())
    change = Change(privileges, entity, principal)
    if action == "grant":
        access_control.change(call.on_store, grant=[change])
        return f"Granted {', '.join(privileges)} on {entity} to {principal}"
    if action == "revoke":
        access_control.change(call.on_store, revoke=[change])
        return f"Revoked {', '.join(privileges)} on {entity} from {principal}"
    raise BadRequestError(f"Invalid action {action!r}: it is none of grant, revoke, mark")
