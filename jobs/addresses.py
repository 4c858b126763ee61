"""Addresses to listen on, as ``--listen`` of the programs of this package takes them."""

MAX_PORT = 65_535


def split_address(value: str, *, lowest: int = 1) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` or ``[IPV6]:PORT``.

    Args:
        value: the address.
        lowest: the lowest port that is valid; 0 where a free one can be taken.

    Raises:
        ValueError: the value is neither.
    """
    host, colon, port = value.rpartition(":")
    digits = port.isascii() and port.isdecimal()
    if not colon or not host or not digits or not lowest <= int(port) <= MAX_PORT:
        free = " (0: a free one)" if lowest == 0 else ""
        raise ValueError(
            f"{value!r} is not HOST:PORT, such as 127.0.0.1:8182, with a PORT from {lowest} to"
            f" {MAX_PORT}{free}"
        )
    return host.strip("[]"), int(port)
