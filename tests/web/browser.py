"""A browser without a screen: cookies, the Origin of forms, and what their pages put into them."""

import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from tests import several
from tests.processes import DEADLINE


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, str]] = {}
        self._fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._fields = self.forms.setdefault(values.get("action", ""), {})
        elif tag == "input" and values.get("name"):
            self._fields[values["name"]] = values.get("value", "")


class Browser:
    """A browser; ``cookies`` are those of any host, as it visits one only."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        if several.BALANCED:  # to another server each time
            self.session.headers["Connection"] = "close"
        self.page = requests.Response()

    @property
    def cookies(self) -> dict[str, str]:
        return {each.name: each.value or "" for each in self.session.cookies}

    def set_cookie(self, name: str, value: str) -> None:
        """Have a cookie of the server, instead of the one of this name."""
        self.session.cookies.set(name, value, domain=urlsplit(self.url).hostname, path="/")

    @property
    def visitor(self) -> str:
        """Whom the page names as the one who is logged in; empty without a login."""
        found = re.search(r'<div class="visitor">\s*([^<]*)', self.page.text)
        assert found is not None
        return found[1].strip()

    @property
    def forms(self) -> dict[str, dict[str, str]]:
        """The fields of the page's forms, by their actions."""
        parser = _Forms()
        parser.feed(self.page.text)
        return parser.forms

    def open(self, path: str, **headers: str) -> requests.Response:
        """Open a page, and those that it leads to."""
        return self._follow(self._send("GET", path, headers))

    def submit(self, action: str, **fields: str) -> requests.Response:
        """Fill in and send a form of the page."""
        return self.post(action, {**self.forms[action], **fields})

    def post(self, path: str, form: dict[str, str], **headers: str) -> requests.Response:
        """Send a form that need not be on the page."""
        return self._follow(self._send("POST", path, {"Origin": self.url, **headers}, form))

    def _send(
        self, verb: str, path: str, headers: dict[str, str], form: Any = None
    ) -> requests.Response:
        self.page = self.session.request(
            verb,
            urljoin(self.url, path),
            data=form,
            headers=headers,
            timeout=DEADLINE,
            allow_redirects=False,
        )
        return self.page

    def _follow(self, page: requests.Response) -> requests.Response:
        for _ in range(10):
            if page.status_code != 303:
                break
            target = urljoin(page.url, page.headers["Location"])
            assert urlsplit(target).netloc == urlsplit(self.url).netloc, target
            page = self._send("GET", target, {})
        return page
