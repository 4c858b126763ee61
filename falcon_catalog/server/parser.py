"""HTTP requests as waitress parses them, and stricter where two readers could disagree.

Source: RFC 9110 and RFC 9112.
"""

import http.client
from collections.abc import Callable, Mapping
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import Error

from falcon_catalog.errors import CatalogError

Admit = Callable[[str, str, Mapping[str, str]], CatalogError | None]
"""Returns an error for a request that is rejected by its method, path and headers alone."""


class RejectedError(Error):  # type: ignore[misc] # waitress has no types
    """A request that is answered with an error, and never reaches the application."""

    def __init__(self, error: CatalogError) -> None:
        super().__init__(error.message)
        self.code = error.status
        self.reason = http.client.responses.get(error.status, "")
        self.error = error


class RequestParser(HTTPRequestParser):  # type: ignore[misc]
    """One request, as it arrives."""

    completed: bool

    def __init__(self, adj: Any, admit: Admit) -> None:
        super().__init__(adj)
        self._admit = admit

    def received(self, data: bytes) -> int:
        """Take bytes; return how many belong to this request."""
        had_headers = self.headers_finished
        taken: int = super().received(data)
        if self.headers_finished and not had_headers and not self.completed:
            # A body is about to come: reject it before it is read, let alone stored.
            error = self._admit(self.command, self.path, self.headers)
            if error is not None:
                self.error = RejectedError(error)
                self.completed = True
        if self.completed:
            # waitress would take the request for unfinished, and merge the next one into it.
            self.expect_continue = False
        return taken

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the request line and the headers.

        Raises:
            ParsingError: they are not HTTP, or not unambiguous.
        """
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a number of too many digits, half an IPv6 address
            raise ParsingError(f"Invalid request: {error}") from error
        headers = self.headers
        if self.version == "1.1":
            if not headers.get("HOST"):
                raise ParsingError("Host is missing")
            if "," in headers["HOST"]:
                raise ParsingError("Host is given more than once")
        if self.chunked and "CONTENT_LENGTH" in headers:
            raise ParsingError("Content-Length and Transfer-Encoding exclude each other")
        if "," in headers.get("CONNECTION", ""):
            options = {option.strip().lower() for option in headers["CONNECTION"].split(",")}
            for option in ("close", "keep-alive"):
                if option in options:
                    headers["CONNECTION"] = option
                    break
