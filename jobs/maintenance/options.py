"""Times and sizes as people write them."""

import datetime as dt
import re

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def age(text: str) -> dt.timedelta:
    """Read a span of time: 90m, 36h, 5d, 2w."""
    match = re.fullmatch(r"(\d+)\s*([smhdw])", text.strip().lower())
    if match is None:
        raise click.BadParameter(f"{text!r}: give a number and s, m, h, d or w, such as 5d")
    return dt.timedelta(**{_UNITS[match[2]]: int(match[1])})


def size(text: str) -> int:
    """Read a number of bytes: 64M, 512MB, 1GiB; each unit is 1024 of the one before."""
    match = re.fullmatch(r"(\d+)\s*([KMG]?)(I?B)?", text.strip().upper())
    if match is None or not int(match[1]):
        raise click.BadParameter(f"{text!r}: give a number and K, M or G, such as 512M")
    return int(match[1]) * _FACTORS[match[2]]
