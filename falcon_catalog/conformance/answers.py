"""Answers of a catalog, and expectations of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

JSON = dict[str, Any]

_QUOTED = 200  # characters of an answer that a reason quotes
_NOT_SUPPORTED = 406
REFUSED = (400, 403, 406, 422)
"""Statuses with which a catalog refuses what it does not offer."""


class FailureError(Exception):
    """The catalog breaks a rule; the message names the request, and how."""


class AbsentError(Exception):
    """The catalog does not offer what a probe needs; the message names it."""


class WrongCatalogError(click.ClickException):
    """There is no catalog to check: one line on stderr, exit status 2."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request."""

    request: str
    """Method and target, as sent."""
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    content: bytes

    def object(self, *statuses: int) -> JSON:
        """Return the JSON object of an answer with one of these statuses, by default 200."""
        self._expect(*(statuses or (200,)))
        return self._read_object()

    def object_unless_refused(self, reason: str, refused: tuple[int, ...] = REFUSED) -> JSON:
        """Return the JSON object; raise AbsentError with a reason if the request is refused."""
        if self.status in refused:
            raise AbsentError(f"{reason}: {self.error(refused)}")
        return self.object()

    def empty(self, status: int = 204) -> None:
        """Expect a status without a body."""
        self._expect(status)
        self.expect_no_content()

    def expect_no_content(self) -> None:
        """Expect that the answer has no body."""
        if self.content:
            raise self.failure(f"has a body but must not: {self._quoted()}")

    def error(self, status: int | tuple[int, ...], kind: str | None = None) -> str:
        """Expect an error with one of these statuses, in the standard shape; return its message.

        ``kind`` is the error's type, by which clients choose their exception.
        """
        allowed = status if isinstance(status, tuple) else (status,)
        self._expect(*allowed)
        self.expect_error_shape()
        error = self._read_object()["error"]
        if kind is not None and error["type"] != kind:
            raise self.failure(f"has the error type {error['type']!r}, expected {kind!r}")
        return str(error["message"])

    def expect_error_shape(self) -> None:
        """Expect ``{"error": {"message", "type", "code"}}`` and nothing else."""
        document = self._read_object()
        error = document.get("error")
        if list(document) != ["error"] or not isinstance(error, dict):
            raise self.failure(f'is not {{"error": {{…}}}} and nothing else: {self._quoted()}')
        for field, kind in (("message", str), ("type", str), ("code", int)):
            if not isinstance(error.get(field), kind):
                raise self.failure(f"has an error whose {field} is not {kind.__name__}")
        if error["code"] != self.status:
            raise self.failure(f"has an error whose code is {error['code']}")

    def failure(self, what: str) -> FailureError:
        """Return the failure that ``what`` describes, for this answer."""
        return FailureError(f"{self.request}: the answer {self.status} {what}")

    def _expect(self, *statuses: int) -> None:
        if self.status in statuses:
            return
        if self.status == _NOT_SUPPORTED:
            raise AbsentError(f"{self.request} is not supported: {self._quoted()}")
        expected = " or ".join(map(str, statuses))
        raise FailureError(
            f"{self.request}: expected {expected}, got {self.status}: {self._quoted()}"
        )

    def _read_object(self) -> JSON:
        kind = self.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise self.failure(f"has the content type {kind!r}, expected application/json")
        try:
            document = json.loads(self.content)
        except ValueError as error:
            raise self.failure(f"is not JSON: {self._quoted()}") from error
        if not isinstance(document, dict):
            raise self.failure(f"is not a JSON object: {self._quoted()}")
        return document

    def _quoted(self) -> str:
        text = " ".join(self.content.decode("utf-8", "replace").split())
        return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"


def expect(truth: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise FailureError(what) unless something holds; ``what`` says what is wrong."""
    if not truth:
        raise FailureError(what)


def expect_equal(found: object, wanted: object, what: str) -> None:
    """Raise FailureError unless ``what`` has the value."""
    expect(found == wanted, f"{what} is {found!r}, expected {wanted!r}")


def expect_field(
    document: Mapping[str, Any], field: str, kind: type | tuple[type, ...], what: str
) -> Any:
    """Return a field that must be present and of a JSON type."""
    if not isinstance(value := document.get(field), kind):
        raise FailureError(f"{what}: {field} is {value!r}")
    return value
