"""Grants, explanations and protection over HTTP, in the management API.

The verbs authorize their callers themselves, in the transaction that they work in.
"""

from typing import Any

from falcon import Request, Response

from falcon_catalog.api.requests import (
    check_fields,
    read_namespace,
    read_object,
    read_objects,
)
from falcon_catalog.api.responses import send
from falcon_catalog.catalog import access_control, marks
from falcon_catalog.catalog.access_control import Change
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.entities import EntityName
from falcon_catalog.decimals import read_decimal
from falcon_catalog.errors import BadRequestError


class GrantsResource:
    """``/management/v1/grants``."""

    def on_get(self, req: Request, resp: Response, call: Call) -> None:
        """List the grants on an entity itself, or those of ``principal``."""
        principal = req.get_param("principal")
        if principal and req.get_param("type"):
            raise BadRequestError("Invalid query: it names both a principal and an entity")
        if principal:
            found = access_control.of_principal(call.on_store, principal)
        else:
            found = access_control.on_entity(call.on_store, _entity(req))
        send(resp, {"grants": [each.as_json() for each in found]})

    def on_post(self, req: Request, resp: Response, call: Call) -> None:
        """Grant and revoke privileges: all of them, or none."""
        body = check_fields(read_object(req), "grant", "revoke")
        grant, revoke = (
            [Change.of(each) for each in read_objects(body, field, required=False)]
            for field in ("grant", "revoke")
        )
        done = access_control.change(call.on_store, grant=grant, revoke=revoke)
        send(resp, {"grants": [each.as_json() for each in done]})


class AccessResource:
    """``/management/v1/access``."""

    def on_get(self, req: Request, resp: Response, call: Call) -> None:
        """Explain why ``principal`` has ``privilege`` on an entity, or what is missing."""
        principal = access_control.read_principal(req.get_param("principal"))
        privilege = access_control.read_privilege(req.get_param("privilege"))
        found = access_control.explain(call.on_store, principal, privilege, _entity(req))
        send(resp, found.as_json())


class EntitiesResource:
    """``/management/v1/entities``."""

    def on_get(self, req: Request, resp: Response, call: Call) -> None:
        """Show whether an entity is protected, managed or read-only."""
        send(resp, marks.get(call.on_store, _entity(req)).as_json())

    def on_post(self, req: Request, resp: Response, call: Call) -> None:
        """Protect an entity, manage it, make it read-only, or end that."""
        body = dict(read_object(req))
        entity = EntityName.of(body.pop("entity", None))
        send(resp, marks.change(call.on_store, entity, body).as_json())


def _entity(req: Request) -> EntityName:
    """Return the entity in the query: ``type``, ``warehouse``, ``namespace``, ``name``, ``id``."""
    value: dict[str, Any] = {"type": req.get_param("type")}
    for name in ("warehouse", "name"):
        if (given := req.get_param(name)) is not None:
            value[name] = given
    if (namespace := read_namespace(req, "namespace")) is not None:
        value["namespace"] = list(namespace.levels)
    if (number := req.get_param("id")) is not None:
        value["id"] = read_decimal(number, most=2**63 - 1) or number
    return EntityName.of(value)
