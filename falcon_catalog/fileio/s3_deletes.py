"""The body of S3's DeleteObjects: the keys that it deletes.

What parsers may understand differently is refused, so that the store deletes what was checked.
"""

from collections.abc import Callable
from xml.parsers import expat

from falcon_catalog.errors import BadRequestError, ForbiddenError, show

MAX_KEYS = 1000
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_FLAG = "Quiet"
_PATHS = {
    ("Delete",),
    ("Delete", _FLAG),
    ("Delete", "Object"),
    ("Delete", "Object", "Key"),
}


def read_keys(body: str) -> list[str]:
    """Return the keys that a DeleteObjects request names.

    Args:
        body: XML, as the client sends it in UTF-8.

    Raises:
        BadRequestError: it is no such XML, or has no keys, or more than 1000.
        ForbiddenError: it has a document type, entities or versions.
    """
    reader = _Reader()
    try:
        reader.parse(body.encode())
    except (expat.ExpatError, UnicodeEncodeError):
        raise BadRequestError("Invalid body of DeleteObjects: it is not XML in UTF-8") from None
    if not reader.keys:
        raise BadRequestError("Invalid body of DeleteObjects: it has no keys")
    return reader.keys


class _Reader:
    """Reads one body. Nothing is expanded or fetched, and nothing unknown is passed over."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._path: tuple[str, ...] = ()
        self._has_key = False
        self._text = ""
        parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._refuse("a document type")
        parser.EntityDeclHandler = self._refuse("an entity")
        parser.StartCdataSectionHandler = self._refuse("a CDATA section")
        parser.CommentHandler = self._refuse("a comment")
        parser.ProcessingInstructionHandler = self._refuse("a processing instruction")
        parser.StartNamespaceDeclHandler = self._declare
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        self._parser = parser

    def parse(self, body: bytes) -> None:
        """Read it; raises as ``read_keys``, and ExpatError."""
        self._parser.Parse(body, True)

    @staticmethod
    def _refuse(what: str) -> Callable[..., None]:
        def handler(*_: object) -> None:
            raise ForbiddenError(f"Cannot sign the request: the body of DeleteObjects has {what}")

        return handler

    def _declaration(self, version: str, encoding: str | None, _standalone: int) -> None:
        if version != "1.0" or (encoding or "utf-8").lower() != "utf-8":
            raise BadRequestError("Invalid body of DeleteObjects: it is not XML 1.0 in UTF-8")

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        if prefix is not None or uri != _NAMESPACE or self._path:
            raise ForbiddenError(
                "Cannot sign the request: the body of DeleteObjects has a namespace that is not"
                " S3's, or not that of all its elements"
            )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        self._path += (local,)
        if self._path not in _PATHS or attributes:
            raise ForbiddenError(
                f"Cannot sign the request: the body of DeleteObjects has {show(local)} where it is"
                " not allowed, or with attributes"
            )
        if local == "Object":
            self._has_key = False
        self._text = ""

    def _end(self, _name: str) -> None:
        local = self._path[-1]
        if local == "Key":
            if self._has_key:
                raise BadRequestError("Invalid body of DeleteObjects: an object has two keys")
            if len(self.keys) == MAX_KEYS:
                raise BadRequestError(
                    f"Invalid body of DeleteObjects: it has more than {MAX_KEYS} keys"
                )
            self._has_key = True
            self.keys.append(self._text)
        elif local == "Object" and not self._has_key:
            raise BadRequestError("Invalid body of DeleteObjects: an object has no key")
        elif local == _FLAG and self._text not in ("true", "false"):
            raise BadRequestError(f"Invalid body of DeleteObjects: {_FLAG} is not true or false")
        self._path = self._path[:-1]

    def _characters(self, text: str) -> None:
        if self._path[-1] in ("Key", _FLAG):
            self._text += text
        elif text.strip():
            raise BadRequestError("Invalid body of DeleteObjects: it has text between elements")
