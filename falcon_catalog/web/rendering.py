"""Rendering of pages: templates, what they may use, and the headers of every page."""

import hashlib
import mimetypes
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import falcon
from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from falcon_catalog import __version__
from falcon_catalog.catalog import event_log
from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.metadata import history
from falcon_catalog.web import paths, plots
from falcon_catalog.web.results import is_numeric, shortened

_PACKAGE = files("falcon_catalog.web")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
"""Of all that is not a static file: also of downloads and redirections, which no cache may keep."""
_NOTICES = {
    "table-dropped": "The table was dropped.",
    "table-renamed": "The table was renamed.",
    "view-dropped": "The view was dropped.",
    "view-renamed": "The view was renamed.",
}
"""What a page says of the change that led to it (``?done=``)."""
_UNITS = (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1000))
_YEAR = 365 * 24 * 3600
_KIB = 1024


def load() -> None:
    """Read all templates and static files into memory, where no installation can change them."""
    _environment()
    _static_files()


def send_page(req: falcon.Request, resp: falcon.Response, template: str, **values: Any) -> None:
    """Respond with a page.

    Args:
        req: the request; one that htmx sends for a part of a page gets the ``main`` block alone.
        resp: the response.
        template: its file name.
        values: what the template uses. ``title`` is the page's; ``trail`` the links to the pages
            around it, as pairs of a name and a path.
    """
    session = getattr(req.context, "session", None)
    base = "fragment.html" if is_fragment(req) else "layout.html"
    shared = {
        "base": base,
        "path": req.path,
        "principal": getattr(req.context, "principal", None),
        "authenticates": getattr(req.context, "authenticates", False),
        "notice": _NOTICES.get(req.get_param("done") or ""),
        "form_token": "" if session is None else session.form_token,
        "administers": getattr(req.context, "administers", False),
        "sql": getattr(req.context, "sql", False),
    }
    send_html(resp, _environment().get_template(template).render(**shared, **values))


def send_html(resp: falcon.Response, text: str) -> None:
    """Respond with HTML."""
    resp.content_type = falcon.MEDIA_HTML
    resp.set_headers(HEADERS)
    resp.append_header("Vary", "HX-Request")
    resp.data = text.encode()


def is_fragment(req: falcon.Request) -> bool:
    """Return whether htmx requests a part of the page, and not a browser the whole of it."""
    return req.get_header("HX-Request") == "true" and req.get_header("HX-Boosted") != "true"


class StaticResource:
    """``/ui/static/{file}``: files of the wheel, by a name that contains their digest."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response, file: str) -> None:
        """Respond with a file, which browsers may keep for a year."""
        found = _static_files().get(file)
        if found is None:
            raise falcon.HTTPNotFound
        resp.content_type, resp.data = found
        resp.set_header("Cache-Control", f"public, max-age={_YEAR}, immutable")


def static(name: str) -> str:
    """Return the path of a static file."""
    return paths.STATIC.format(file=_static_names()[name])


def number(value: float | None, digits: int = 0) -> Markup:
    """Return a number as the page shows it; the visitor's browser writes it in its own way."""
    if value is None:
        return Markup('<span class="none">-</span>')
    text = f"{value:,.{digits}f}"
    # Numbers need no escaping, and a page may have hundreds of them.
    return Markup(f'<data value="{value}" data-digits="{digits}">{text}</data>')  # noqa: S704


def counted(value: int, what: str) -> Markup:
    """Return a number of things, such as ``1 field`` and ``2 fields``."""
    return Markup("{} {}{}").format(number(value), what, "" if value == 1 else "s")


def duration(milliseconds: int) -> str:
    """Return a length of time in the largest unit that has a whole number of it."""
    for unit, length in _UNITS:
        count, rest = divmod(milliseconds, length)
        if count and not rest:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{milliseconds / 1000:g} seconds"


def size(value: float | None) -> Markup:
    """Return a size in bytes as the page shows it."""
    if value is None:
        return number(None)
    shown, unit = float(value), "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(shown) < _KIB:
            break
        shown, unit = shown / _KIB, bigger
    digits = 0 if unit == "B" or shown >= 100 else 1  # noqa: PLR2004 - three digits are enough
    text = number(shown, digits)
    return Markup(f'<span title="{int(value):,} bytes">{text} {unit}</span>')  # noqa: S704


def moment(milliseconds: int | None, *, exact: bool = False) -> Markup:
    """Return a time in UTC, which the visitor's browser writes in its own form and zone.

    It keeps this form as the title: fields of pages accept it.

    ``exact`` times have milliseconds: a second before its end is before some of its snapshots.
    """
    if milliseconds is None:
        return number(None)
    try:
        at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):  # a client's clock may say anything
        return Markup("{} ms").format(number(milliseconds))
    return Markup('<time datetime="{}">{} UTC</time>').format(
        at.isoformat(timespec="milliseconds"),
        at.replace(tzinfo=None).isoformat(" ", "milliseconds" if exact else "seconds"),
    )


def token_field(token: str) -> Markup:
    """Return the hidden field of a form in which its page sends the form token."""
    return Markup('<input type="hidden" name="form-token" value="{}">').format(token)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=DictLoader(dict(_texts(_PACKAGE / "templates"))),
        auto_reload=False,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "size": size,
        "moment": moment,
        "duration": duration,
        "is_numeric": is_numeric,
        "shortened": shortened,
        "operation": history.operation,
        "in_words": event_log.in_words,
    }
    environment.globals |= {
        "static": static,
        "token_field": token_field,
        "paths": paths,
        "server_version": __version__,
        "identifier": TableIdentifier,
        "namespace_of": Namespace,
        "number": number,
        "counted": counted,
        "size": size,
        "share": plots.share,
    }
    return environment


def _texts(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name, relative to the first folder, and the text of each file."""
    for each in folder.iterdir():
        if each.is_dir():
            yield from _texts(each, f"{prefix}{each.name}/")
        else:
            yield prefix + each.name, each.read_text(encoding="utf-8")


@cache
def _static_files() -> Mapping[str, tuple[str, bytes]]:
    found = {}
    for each in (_PACKAGE / "static").iterdir():
        content = each.read_bytes()
        stem, _, ending = each.name.rpartition(".")
        digest = hashlib.sha256(content).hexdigest()[:12]
        kind = mimetypes.guess_type(each.name)[0] or "application/octet-stream"
        if kind.startswith("text/"):
            kind += "; charset=utf-8"
        found[f"{stem}-{digest}.{ending}"] = kind, content
    return found


@cache
def _static_names() -> Mapping[str, str]:
    names = {}
    for hashed in _static_files():
        stem, _, ending = hashed.rpartition(".")
        names[f"{stem.rpartition('-')[0]}.{ending}"] = hashed
    return names
