"""Principals, roles and groups over HTTP, in the management API."""

from collections.abc import Mapping
from typing import Any

import falcon
from falcon import Request, Response

from falcon_catalog.api.requests import (
    check_fields,
    read_boolean,
    read_object,
    read_objects,
    read_optional_object,
    read_page,
)
from falcon_catalog.api.responses import forbid_storing, send, send_page
from falcon_catalog.catalog import accounts, roles
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.roles import Group, Role
from falcon_catalog.errors import BadRequestError, show

_DAY = 86400
_MOST_OVERLAP = 366 * _DAY


class PrincipalsResource:
    """``/management/v1/principals``."""

    def on_get(self, req: Request, resp: Response, call: Call) -> None:
        """List users and services."""
        page = read_page(req, call, "principals")
        found = accounts.list_(call.on_store, page)
        send_page(resp, "principals", found, page, name=lambda row: row.name, show=accounts.as_json)

    def on_post(self, req: Request, resp: Response, call: Call) -> None:
        """Add a service, whose secret only this response has, or a user."""
        body = read_object(req)
        kind = body.get("type", "service")
        if kind == "service":
            name = _text(check_fields(body, "type", "name"), "name")
            secret = accounts.add(call.on_store, name)
            forbid_storing(req, resp)
            added = {"credential": f"{name}:{secret}"}
            send(resp, {**accounts.as_json(accounts.get(call.on_store, name)), **added})
        elif kind == "user":
            check_fields(body, "type", "issuer", "subject", "display-name")
            row = accounts.add_user(
                call.on_store,
                _text(body, "issuer"),
                _text(body, "subject"),
                display_name=_text(body, "display-name") if "display-name" in body else None,
            )
            send(resp, accounts.as_json(row))
        else:
            raise BadRequestError(f"Invalid type {show(kind)}: it is neither service nor user")


class PrincipalResource:
    """``/management/v1/principals/{principal}``."""

    def on_get(self, _req: Request, resp: Response, call: Call, principal: str) -> None:
        """Show a user or service."""
        send(resp, accounts.as_json(accounts.get(call.on_store, principal)))

    def on_post(self, req: Request, resp: Response, call: Call, principal: str) -> None:
        """Disable a user or service, or enable it again."""
        body = check_fields(read_object(req), "disabled")
        if "disabled" not in body:
            raise BadRequestError("Invalid request body: it has no field disabled")
        disabled = read_boolean(body, "disabled")
        row = accounts.set_disabled(call.on_store, principal, disabled=disabled)
        send(resp, accounts.as_json(row))

    def on_delete(self, _req: Request, resp: Response, call: Call, principal: str) -> None:
        """Remove a user or service with its grants."""
        accounts.remove(call.on_store, principal)
        resp.status = falcon.HTTP_204


class SecretResource:
    """``/management/v1/principals/{principal}/secret``."""

    def on_post(self, req: Request, resp: Response, call: Call, principal: str) -> None:
        """Give a service another secret, which only this response has."""
        body = check_fields(read_optional_object(req), "overlap-seconds")
        overlap = body.get("overlap-seconds", _DAY)
        is_number = isinstance(overlap, int) and not isinstance(overlap, bool)
        if not is_number or not 0 <= overlap <= _MOST_OVERLAP:
            raise BadRequestError(
                f"Invalid overlap-seconds {show(overlap)}: it is no whole number from 0 to"
                f" {_MOST_OVERLAP}"
            )
        secret = accounts.rotate(call.on_store, principal, overlap)
        forbid_storing(req, resp)
        send(
            resp,
            {
                "name": principal,
                "credential": f"{principal}:{secret}",
                "overlap-seconds": overlap,
            },
        )


class RolesResource:
    """``/management/v1/roles``."""

    def on_get(self, req: Request, resp: Response, call: Call) -> None:
        """List roles with their direct members."""
        page = read_page(req, call, "roles")
        found = roles.list_(call.on_store, page)
        send_page(resp, "roles", found, page, name=lambda role: role.name, show=Role.as_json)

    def on_post(self, req: Request, resp: Response, call: Call) -> None:
        """Add a role."""
        name = _text(check_fields(read_object(req), "name"), "name")
        send(resp, roles.create(call.on_store, name).as_json())


class RoleResource:
    """``/management/v1/roles/{role}``."""

    def on_get(self, _req: Request, resp: Response, call: Call, role: str) -> None:
        """Show a role with its direct members."""
        send(resp, roles.get(call.on_store, role).as_json())

    def on_post(self, req: Request, resp: Response, call: Call, role: str) -> None:
        """Rename a role."""
        name = _text(check_fields(read_object(req), "name"), "name")
        send(resp, roles.rename(call.on_store, role, name).as_json())

    def on_delete(self, _req: Request, resp: Response, call: Call, role: str) -> None:
        """Remove a role with its grants."""
        roles.delete(call.on_store, role)
        resp.status = falcon.HTTP_204


class MembersResource:
    """``/management/v1/roles/{role}/members``."""

    def on_post(self, req: Request, resp: Response, call: Call, role: str) -> None:
        """Add members to a role and remove others: all of them, or none."""
        body = check_fields(read_object(req), "add", "remove")
        changed = roles.change_members(
            call.on_store, role, add=_names(body, "add"), remove=_names(body, "remove")
        )
        send(resp, changed.as_json())


class GroupsResource:
    """``/management/v1/groups``."""

    def on_get(self, _req: Request, resp: Response, call: Call) -> None:
        """List the groups of identity providers that have roles."""
        found = roles.list_groups(call.on_store)
        send(resp, {"groups": [roles.group_as_json(each) for each in found]})

    def on_post(self, req: Request, resp: Response, call: Call) -> None:
        """Give roles to groups and take others from them: all of them, or none."""
        body = check_fields(read_object(req), "add", "remove")
        add, remove = (
            [_group(each) for each in read_objects(body, field, required=False)]
            for field in ("add", "remove")
        )
        roles.change_groups(call.on_store, add=add, remove=remove)
        resp.status = falcon.HTTP_204


def _group(value: Mapping[str, Any]) -> Group:
    check_fields(value, "issuer", "group", "role")
    return Group(_text(value, "issuer"), _text(value, "group"), _text(value, "role"))


def _text(body: Mapping[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value:
        raise BadRequestError(f"Invalid {field}: {show(value)} is not a text")
    return value


def _names(body: Mapping[str, Any], field: str) -> list[str]:
    value = body.get(field, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise BadRequestError(f"Invalid {field}: {show(value)} is not a list of names")
    return value
