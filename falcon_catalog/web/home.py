"""The home page: the server, its warehouses, the last commits, and how clients connect."""

from dataclasses import dataclass

import falcon

from falcon_catalog.catalog import authorization, browsing
from falcon_catalog.catalog.browsing import Counter, Numbers
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.sizes import Sizes
from falcon_catalog.catalog.watching import free_bytes
from falcon_catalog.engines import ENGINES, Address, Engine
from falcon_catalog.errors import CatalogError
from falcon_catalog.web.rendering import send_page
from falcon_catalog.web.site import Site

_COMMITS = 15
_CREDENTIAL = "NAME:SECRET"
_FIRST = ("duckdb", "pyiceberg")
"""The engines whose settings come first: they need no server of their own."""


@dataclass(frozen=True, slots=True)
class _Card:
    """A warehouse as the home page shows it."""

    name: str
    location: str | None
    """None if the visitor may not describe the warehouse."""
    numbers: Numbers | None
    """None if the visitor may not list all that is in it."""
    free: float | None
    """Free bytes of a local file system."""


class HomeResource:
    """``/``."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._counter = Counter()

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the server's health and the warehouses that the visitor can see."""
        calls = list(self._site.calls(req))
        commits = sorted(
            (
                (each, call.warehouse.name)
                for call in calls
                for each in browsing.recent(call, _COMMITS)
            ),
            key=lambda each: each[0].at_ms,
            reverse=True,
        )[:_COMMITS]
        state = str(max((each.sequence for each, _ in commits), default=0))
        if req.get_param("state") == state:
            resp.status = falcon.HTTP_204
            return
        cards = [self._card(call) for call in calls]
        name = req.get_param("warehouse") or (cards[0].name if cards else "")
        chosen = next((call for call in calls if call.warehouse.name == name), None)
        send_page(
            req,
            resp,
            "home.html",
            title="Home",
            problems=self._problems(),
            cards=cards,
            commits=commits,
            state=state,
            chosen=name,
            engines=[] if chosen is None else self._engines(req, chosen),
            empty=all(each.numbers and not each.numbers.tables for each in cards),
        )

    def _card(self, call: Call) -> _Card:
        described = authorization.permits(call, "describe", None)
        listed = authorization.permits(call, "list", None)
        return _Card(
            call.warehouse.name,
            call.warehouse.location if described else None,
            self._counter.numbers(call) if listed else None,
            free_bytes(call.warehouse.location) if described else None,
        )

    def _problems(self) -> list[str]:
        try:
            return self._site.serving()
        except CatalogError as error:
            return [error.message]

    def _engines(self, req: falcon.Request, call: Call) -> list[tuple[str, Engine, str]]:
        """Return the settings of each engine for the address that the browser has opened."""
        at = Address(
            f"{req.forwarded_scheme}://{req.netloc}",
            call.warehouse.name,
            credential=_CREDENTIAL if self._site.settings.auth.required else None,
            storage=dict(call.warehouse.storage.client_config),
        )
        order = sorted(ENGINES, key=lambda name: name not in _FIRST)
        return [(name, ENGINES[name], ENGINES[name].write(at)) for name in order]


class SizePage:
    """``/ui/warehouses/{warehouse}/size``: a part of the home page."""

    def __init__(self) -> None:
        self._sizes = Sizes()

    def on_get(self, req: falcon.Request, resp: falcon.Response, call: Call) -> None:
        """Show the size of a warehouse, as far as it is known by now."""
        size = self._sizes.of(call)
        send_page(
            req, resp, "size.html", title=f"Size of {call.warehouse.name}", call=call, size=size
        )
