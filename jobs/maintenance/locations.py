"""One spelling for each file, however writers spell its location."""

import posixpath

# Hadoop's names of the same store.
_SCHEMES = {"s3a": "s3", "s3n": "s3", "abfs": "abfss", "wasb": "abfss", "wasbs": "abfss"}
_SCHEMES |= {"gcs": "gs"}


def normal(location: str) -> str:
    """Spell a location one way: ``file:/a``, ``file:///a`` and ``/a`` are one, so are s3 and s3a.

    Nothing is decoded: a ``%20`` in a location is a ``%20`` in the file's name. Slashes of object
    stores stay, for there they are part of the name.
    """
    scheme, separator, rest = location.partition(":")
    if not separator or "/" in scheme:
        return posixpath.normpath(location)
    scheme = scheme.lower()
    if scheme == "file":
        path = rest
        if rest.startswith("//"):
            host, _, path = rest[2:].partition("/")
            path = f"/{path}" if host in {"", "localhost"} else f"//{host}/{path}"
        return posixpath.normpath("/" + path.lstrip("/"))
    host, slash, path = rest.removeprefix("//").partition("/")
    return f"{_SCHEMES.get(scheme, scheme)}://{host.lower()}{slash}{path}"


def within(location: str, folder: str) -> bool:
    """Say whether a location is the folder or lies in it; a namesake prefix does not."""
    inner, outer = normal(location), normal(folder).rstrip("/")
    return inner.rstrip("/") == outer or inner.startswith(f"{outer}/")


def overlap(one: str, other: str) -> bool:
    """Say whether one of two folders lies in the other."""
    return within(one, other) or within(other, one)
