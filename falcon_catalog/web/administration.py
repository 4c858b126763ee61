"""The pages for administrators: principals, roles, settings, storage checks and backups."""

from collections.abc import Callable, Mapping, Sequence

import falcon

from falcon_catalog.catalog import accounts, roles
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.roles import Group
from falcon_catalog.catalog.storage_check.server import check_storage
from falcon_catalog.errors import BadRequestError, CatalogError, show
from falcon_catalog.identifiers import Page
from falcon_catalog.settings import SETTINGS
from falcon_catalog.web import forms, paths
from falcon_catalog.web.errors import note
from falcon_catalog.web.rendering import send_page
from falcon_catalog.web.site import Site

_SIZE = 200
_DAY = 86400
TABS = (
    ("Principals", paths.ADMINISTRATION),
    ("Roles", paths.ROLES),
    ("Access", paths.GRANTS),
    ("Settings", paths.SETTINGS),
    ("Storage", paths.STORAGE),
    ("Backups", paths.BACKUPS),
)


def send_tab(
    req: falcon.Request, resp: falcon.Response, template: str, title: str, **values: object
) -> None:
    """Respond with one of the pages for administrators."""
    shown = {"problem": None, "done": None, **values}
    send_page(req, resp, template, title=title, tabs=TABS, **shown)


class PrincipalsPage:
    """``/ui/admin``."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, call: Call) -> None:
        """List users and services."""
        self._show(req, resp, call)

    def on_post(self, req: falcon.Request, resp: falcon.Response, call: Call) -> None:
        """Add, disable, enable or remove a principal, or give it another secret."""
        form = forms.read(req)
        try:
            done, credential = _change_principal(call, form)
        except CatalogError as error:
            note(req, resp, error)
            self._show(req, resp, call, problem=error.message)
            return
        self._show(req, resp, call, done=done, credential=credential)

    def _show(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        call: Call,
        *,
        problem: str | None = None,
        done: str | None = None,
        credential: str | None = None,
    ) -> None:
        after = req.get_param("after")
        found = accounts.list_(call.on_store, Page(after, _SIZE + 1))
        send_tab(
            req,
            resp,
            "principals.html",
            "Principals",
            found=found[:_SIZE],
            next=found[_SIZE - 1].name if len(found) > _SIZE else None,
            problem=problem,
            done=done,
            credential=credential,
        )


class RolesPage:
    """``/ui/admin/roles``."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, call: Call) -> None:
        """List roles with their members, and the groups that have them."""
        self._show(req, resp, call)

    def on_post(self, req: falcon.Request, resp: falcon.Response, call: Call) -> None:
        """Add, rename or remove a role; change its members or its groups."""
        try:
            done = _change_role(call, forms.read(req))
        except CatalogError as error:
            note(req, resp, error)
            self._show(req, resp, call, problem=error.message)
            return
        self._show(req, resp, call, done=done)

    def _show(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        call: Call,
        *,
        problem: str | None = None,
        done: str | None = None,
    ) -> None:
        groups: dict[str, list[Group]] = {}
        for each in roles.list_groups(call.on_store):
            groups.setdefault(each.role, []).append(each)
        after = req.get_param("after")
        found = roles.list_(call.on_store, Page(after, _SIZE + 1))
        send_tab(
            req,
            resp,
            "roles.html",
            "Roles",
            found=found[:_SIZE],
            next=found[_SIZE - 1].name if len(found) > _SIZE else None,
            groups=groups,
            problem=problem,
            done=done,
        )


class SettingsPage:
    """``/ui/admin/settings``."""

    def __init__(self, site: Site) -> None:
        self._settings = site.settings

    def on_get(self, req: falcon.Request, resp: falcon.Response, call: Call) -> None:  # noqa: ARG002 - authorized by it
        """Show the settings in force with their origin. None of them holds a secret."""
        settings = self._settings
        described = {each.key: each.help for each in SETTINGS}
        keys = (*described, *settings.section_keys)
        found = [
            (key, _as_toml(settings.value(key)), settings.origins[key], described.get(key, ""))
            for key in keys
        ]
        send_tab(req, resp, "settings.html", "Settings", found=found)


class StoragePage:
    """``/ui/admin/storage``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: falcon.Request, resp: falcon.Response, call: Call) -> None:  # noqa: ARG002 - authorized by it
        """Show the warehouses whose storage can be checked."""
        self._show(req, resp)

    def on_post(self, req: falcon.Request, resp: falcon.Response, call: Call) -> None:  # noqa: ARG002 - authorized by it
        """Check the storage of a warehouse, and show each step."""
        wanted = forms.read(req).get("warehouse")
        for each in self._site.calls(req):
            if each.warehouse.name == wanted:
                self._show(req, resp, report=check_storage(each))
                return
        raise BadRequestError(f"Invalid warehouse {wanted!r}: there is none of this name")

    def _show(self, req: falcon.Request, resp: falcon.Response, report: object = None) -> None:
        warehouses = [
            (each.warehouse.name, each.warehouse.location) for each in self._site.calls(req)
        ]
        send_tab(req, resp, "storage.html", "Storage", warehouses=warehouses, report=report)


class BackupsPage:
    """``/ui/admin/backups``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: falcon.Request, resp: falcon.Response, call: Call) -> None:  # noqa: ARG002 - authorized by it
        """Show the command that makes a backup, and the backups beside the store."""
        store = self._site.settings.store
        backups = self._site.backups() if store.is_file else []
        send_tab(req, resp, "backups.html", "Backups", store=store, backups=backups)


def _as_toml(value: object) -> str:
    """Return a value as the settings file would have it, but for quotes and brackets."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_as_toml, value))
    return str(value)


def _change_principal(call: Call, form: forms.Fields) -> tuple[str, str | None]:
    """Return what was done, and the credential that a service has got, if any."""
    on_store, action, name = call.on_store, form.get("action"), form.get("name", "").strip()
    if action == "add":
        credential = f"{name}:{accounts.add(on_store, name)}"
        return f"Added {name}, without any grants", credential
    if action == "add-user":
        issuer, subject = (form.get(field, "").strip() for field in ("issuer", "subject"))
        return f"Added {accounts.add_user(on_store, issuer, subject).name}", None
    if action == "rotate":
        credential = f"{name}:{accounts.rotate(on_store, name, _DAY)}"
        return f"{name} has another secret; the old one is valid for a day", credential
    verbs: dict[str, tuple[Callable[[], object], str]] = {
        "disable": (
            lambda: accounts.set_disabled(on_store, name, disabled=True),
            f"Disabled {name}",
        ),
        "enable": (
            lambda: accounts.set_disabled(on_store, name, disabled=False),
            f"Enabled {name}",
        ),
        "remove": (lambda: accounts.remove(on_store, name), f"Removed {name}"),
    }
    return _do(verbs, form), None


def _change_role(call: Call, form: forms.Fields) -> str:
    """Return what was done."""
    on_store, name = call.on_store, form.get("name", "").strip()
    member, new_name = (form.get(field, "").strip() for field in ("member", "new-name"))
    group = Group(form.get("issuer", "").strip(), form.get("group", ""), name)
    of_group = f"members of {group.issuer}~{group.value}"
    verbs: dict[str, tuple[Callable[[], object], str]] = {
        "create": (lambda: roles.create(on_store, name), f"Created the role {name}"),
        "delete": (lambda: roles.delete(on_store, name), f"Removed the role {name}"),
        "rename": (
            lambda: roles.rename(on_store, name, new_name),
            f"Renamed the role {name} to {new_name}",
        ),
        "add-member": (
            lambda: roles.change_members(on_store, name, add=[member]),
            f"Gave the role {name} to {member}",
        ),
        "remove-member": (
            lambda: roles.change_members(on_store, name, remove=[member]),
            f"Took the role {name} from {member}",
        ),
        "add-group": (
            lambda: roles.change_groups(on_store, add=[group]),
            f"Gave the role {name} to {of_group}",
        ),
        "remove-group": (
            lambda: roles.change_groups(on_store, remove=[group]),
            f"Took the role {name} from {of_group}",
        ),
    }
    return _do(verbs, form)


def _do(verbs: Mapping[str, tuple[Callable[[], object], str]], form: forms.Fields) -> str:
    """Do what a form requests; return the text about it."""
    action = form.get("action", "")
    if action not in verbs:
        raise BadRequestError(f"Invalid action {show(action)}: no form of this page has it")
    verb, done = verbs[action]
    verb()
    return done
