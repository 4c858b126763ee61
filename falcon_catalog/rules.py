"""Rules for the values of settings.

A rule converts a given value (text from a flag or a variable, any TOML value from a file) to the
value in force. Its ``ValueError`` has the end of a sentence that begins with "it".
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

from falcon_catalog.errors import BadRequestError
from falcon_catalog.locations import ALIASES, OBJECT_STORES, parse

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LAST_PORT = 65535
_WORDS_OF_ROUTES = {"config", "namespaces", "oauth", "tables", "transactions", "views"}


def listen_address(listen: str) -> tuple[str, int] | Path:
    """Return ``(host, port)`` of ``HOST:PORT`` or ``[IPV6]:PORT``, or the path of ``unix:/PATH``.

    ``:PORT`` is on 127.0.0.1: other machines are admitted only if the host says so.

    Raises:
        ValueError: it is none of these.
    """
    if listen.startswith("unix:/"):
        return Path(listen.removeprefix("unix:"))
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]/\s]*)):([0-9]{1,5})", listen)
    if match is None or int(match[3]) > LAST_PORT:
        raise ValueError(
            "must be HOST:PORT, :PORT, [IPV6]:PORT or unix:/absolute/path,"
            f" PORT from 0 to {LAST_PORT}"
        )
    return match[1] or match[2] or "127.0.0.1", int(match[3])


def store_path(url: str) -> Path:
    """Return the absolute path of the database file that ``sqlite:///PATH`` names.

    PATH is relative after three slashes and absolute after four, as in SQLAlchemy.

    Raises:
        ValueError: the URL is of another kind, or names no file.
    """
    path = url.removeprefix("sqlite:///")
    if path == url or path in ("", ":memory:") or path.endswith("/") or "?" in path:
        raise ValueError(
            "must be the path of a file, sqlite:///relative/file.db or sqlite:////absolute/file.db"
            " (four slashes)"
        )
    return Path(path).absolute()


def location_path(location: str) -> Path:
    """Return the directory that ``file:///absolute/path`` names.

    Raises:
        ValueError: the location is of another kind, relative or not in its simplest form.
    """
    path = location.removeprefix("file://")
    if path == location or not path.startswith("/") or os.path.normpath(path) != path:
        raise ValueError(
            "must be the path of a folder or file:///absolute/path, without '.', '..' or '//' in it"
        )
    return Path(path)


def text(value: object) -> str:
    """Accept printable text that is not blank."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("must be a text that is not empty")
    return value


def listen(value: object) -> str:
    """Accept an address to listen on, and write its host out."""
    address = text(value)
    listen_address(address)
    return f"127.0.0.1{address}" if address.startswith(":") else address


def store_url(value: object) -> str:
    """Accept a store, and make it absolute: a later change of directory must not move it."""
    store = text(value)
    if store.startswith(("postgresql:", "postgres:")):
        if store != without_password(store):
            raise ValueError("must not contain a password: store.password says where it is")
        if not re.match(r"postgres(?:ql)?://", store):
            raise ValueError("must be postgresql://user@host:port/database")
        return store
    return f"sqlite:///{store_path(store if _has_scheme(store) else f'sqlite:///{store}')}"


def optional(rule: Callable[[object], str]) -> Callable[[object], str]:
    """Return the rule that accepts nothing, or what another one accepts."""
    return lambda value: "" if value == "" else rule(value)


def without_password(value: object) -> object:
    """Return a value as it may be shown: with *** for the password in a URL."""
    if not isinstance(value, str):
        return value
    value = re.sub(r"^([a-z]+://[^:@/?]*):[^@/]*@", r"\1:***@", value)
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", value)


def search_path(value: object) -> str:
    """Accept names of schemas, separated by commas."""
    names = [name.strip() for name in text(value).split(",")]
    if not all(re.fullmatch(r'[a-z_][a-z0-9_$]{0,62}|"[^"\\]{1,63}"', name) for name in names):
        raise ValueError(
            'must be names of schemas, separated by commas; "quoted" unless they consist of a-z,'
            " 0-9, _ and $"
        )
    return ", ".join(names)


def location(value: object) -> str:
    """Accept a root of tables, absolute and without a slash at its end."""
    root = text(value).rstrip("/")
    scheme = root.partition(":")[0]
    if scheme in OBJECT_STORES:
        try:
            parse(root, OBJECT_STORES)
        except BadRequestError as error:
            raise ValueError(f"is no location: {error.message}") from None
        return root
    if scheme in ALIASES:
        raise ValueError(f"must be written with {ALIASES[scheme]}://")
    if root and not _has_scheme(root):
        root = f"file://{os.path.abspath(root)}"  # noqa: PTH100 - which resolves no link
    return f"file://{location_path(root)}"


def _has_scheme(value: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|:", value) is not None


def _several(value: object, what: str) -> list[object] | tuple[object, ...]:
    several = value.split(",") if isinstance(value, str) and value else value or []
    if not isinstance(several, list | tuple):
        raise ValueError(f"must be a list of {what}")  # noqa: TRY004 - what rules raise
    return several


def locations(value: object) -> tuple[str, ...]:
    """Accept several roots: a list, or comma-separated text."""
    several = _several(value, "locations")
    return tuple(location(one.strip() if isinstance(one, str) else one) for one in several)


def url_or_empty(value: object) -> str:
    """Accept the URL of a service, without a path, a query or a password; or nothing.

    The host is put in lower case, as signatures and comparisons need it.
    """
    if value == "":
        return ""
    url = text(value).rstrip("/")
    if not re.fullmatch(
        r"https?://(?:[A-Za-z0-9._-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._-]+)?", url
    ):
        raise ValueError(
            "must be https://HOST[:PORT] or http://HOST[:PORT], without a user, a query or a slash"
            " at its end"
        )
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.lower()}{slash}{path}"


def word_or_empty(value: object) -> str:
    """Accept a text without blanks, or nothing."""
    if value == "":
        return ""
    word = text(value)
    if re.search(r"\s", word):
        raise ValueError("must not contain blanks")
    return word


def words(value: object) -> tuple[str, ...]:
    """Accept several texts without blanks: a list, or comma-separated text."""
    return tuple(
        word_or_empty(one.strip() if isinstance(one, str) else one)
        for one in _several(value, "texts")
    )


def path(value: object) -> str:
    """Accept the absolute path of a file, or nothing."""
    if value == "":
        return ""
    if not text(value).startswith("/"):
        raise ValueError("must be the absolute path of a file")
    return text(value)


def credential_reference(value: object) -> str:
    """Accept where a credential is; never a credential itself."""
    reference = text(value)
    if not re.fullmatch(
        r"ambient|env:[A-Za-z_][A-Za-z0-9_]*|file:/.+|systemd:[A-Za-z0-9_.-]+", reference
    ):
        raise ValueError(
            "must be ambient, env:PREFIX, file:/absolute/path or systemd:NAME, never a secret"
            " itself"
        )
    return reference


def host_names(value: object) -> tuple[str, ...]:
    """Accept host names without a port: a list, or comma-separated text."""
    names = tuple(text(one).strip().lower() for one in _several(value, "host names"))
    if not all(re.fullmatch(r"[^:/@\[\]\s*]+", name) for name in names):
        raise ValueError("must be host names, without a scheme, a port or '*'")
    return names


def origins(value: object) -> tuple[str, ...]:
    """Accept origins of web pages as browsers send them: a list, or comma-separated text."""
    several = tuple(text(one).strip() for one in _several(value, "origins"))
    if not all(one == "*" or re.fullmatch(r"https?://[a-z0-9.:\[\]-]+", one) for one in several):
        raise ValueError("must be origins in lower case such as https://app.example.com, or *")
    return several


def warehouse_name(value: object) -> str:
    """Accept a name that needs no quoting in a URL and is not a segment of a route."""
    name = text(value)
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name) or name in _WORDS_OF_ROUTES:
        raise ValueError(
            "must be of letters, digits, '_', '-' and '.', and none of "
            + ", ".join(sorted(_WORDS_OF_ROUTES))
        )
    return name


def named_location(value: object) -> tuple[str, str]:
    """Return the name and the root of a warehouse written ``NAME=file:///absolute/path``."""
    name, equals, root = text(value).partition("=")
    if not equals:
        raise ValueError("must be NAME=FOLDER or NAME=file:///absolute/path")
    return warehouse_name(name.strip()), location(root.strip())


def named_locations(value: object) -> tuple[str, ...]:
    """Accept several warehouses: a list, or comma-separated text."""
    named = [named_location(one) for one in _several(value, "NAME=file:///absolute/path")]
    if len({name for name, _ in named}) < len(named):
        raise ValueError("must name each warehouse once")
    return tuple(f"{name}={root}" for name, root in named)


def one_of(*words: str) -> Callable[[object], str]:
    """Return the rule that accepts one of these words, in any case."""
    by_lower = {word.lower(): word for word in words}

    def accept(value: object) -> str:
        word = by_lower.get(text(value).lower())
        if word is None:
            raise ValueError(f"must be one of {', '.join(words)}")
        return word

    return accept


def boolean(value: object) -> bool:
    """Accept true and false."""
    named = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(named, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - what rules raise
    return named


def whole(low: int, high: int) -> Callable[[object], int]:
    """Return the rule that accepts whole numbers from ``low`` to ``high``."""

    def accept(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return accept


def issuer_url(value: object) -> str:
    """Accept the URL of an identity provider, exactly as its tokens name it."""
    url = text(value)
    host = r"(?:[A-Za-z0-9._-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?"
    on_this_machine = r"http://(?:localhost|127\.[0-9.]+|\[::1\])(?::[0-9]{1,5})?"
    if not re.fullmatch(rf"(?:https://{host}|{on_this_machine})(?:/[A-Za-z0-9._~%/-]*)?", url):
        raise ValueError(
            "must be https://HOST[:PORT][/PATH], or http:// on this machine, without a user, a"
            " query or a fragment"
        )
    return url


def issuer_name(value: object) -> str:
    """Accept the name of a section ``[auth.issuer.NAME]``, which begins the names of its users."""
    name = text(value)
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", name) or name == "local":
        raise ValueError("must be 1 to 32 of a-z, 0-9, '_' and '-', and not local")
    return name


def some_words(value: object) -> tuple[str, ...]:
    """Accept at least one text without blanks: a list, or comma-separated text."""
    found = words(value)
    if not found or "" in found:
        raise ValueError("must name at least one")
    return found


def some_of(*words_: str) -> Callable[[object], tuple[str, ...]]:
    """Return the rule that accepts at least one of these words."""

    def accept(value: object) -> tuple[str, ...]:
        found = some_words(value)
        if unknown := [one for one in found if one not in words_]:
            raise ValueError(f"must be of {', '.join(words_)}, not {unknown[0]}")
        return found

    return accept


def pair(value: object) -> tuple[str, str]:
    """Return the name and the value of ``NAME=VALUE``."""
    name, equals, content = text(value).strip().partition("=")
    if not (name and equals and content):
        raise ValueError("must be NAME=VALUE")
    return name, content


def pairs(value: object) -> tuple[str, ...]:
    """Accept several NAME=VALUE: a list, or comma-separated text."""
    return tuple("=".join(pair(one)) for one in _several(value, "NAME=VALUE"))


def principals(value: object) -> tuple[str, ...]:
    """Accept names of principals, or ISSUER~SUBJECT: a list, or comma-separated text."""
    names = tuple(text(one).strip() for one in _several(value, "names of principals"))
    for name in names:
        issuer, tilde, subject = name.partition("~")
        if not (subject if tilde else issuer):
            raise ValueError("must be names of principals, or ISSUER~SUBJECT")
    return names


def unix_users(value: object) -> tuple[str, ...]:
    """Accept several UID=PRINCIPAL: a list, or comma-separated text."""
    found = pairs(value)
    if not all(re.fullmatch(r"[0-9]{1,9}", pair(one)[0]) for one in found):
        raise ValueError("must be UID=PRINCIPAL, UID a number")
    return found
