"""The description of a setting beside its field: default, rule, help and flag."""

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field
from typing import Any

MEBIBYTE = 1024 * 1024


class SettingsError(Exception):
    """A setting that cannot be used; the message is one line, fit for a terminal."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting's description."""

    key: str  # server.listen
    variable: str  # CATALOG_SERVER_LISTEN
    flag: str  # --listen, or empty
    default: str  # as documented; {state} stands for the state directory
    help: str
    rule: Callable[[object], Any]


def setting(
    default: object, text: str, rule: Callable[[object], Any], *, flag: str = "", derived: str = ""
) -> Any:
    """Return the field of a setting.

    Args:
        default: its default; None if it depends on the state directory.
        text: what it is for.
        rule: returns the value to use, or raises ValueError.
        flag: its command-line flag.
        derived: a default with ``{state}`` for the state directory.
    """
    metadata = {"help": text, "rule": rule, "flag": flag, "derived": derived}
    return field(default=MISSING if derived else default, metadata=metadata)


def describe(section: str, described: Field[Any]) -> Setting:
    """Return the description of a field of the section ``section``."""
    metadata, default = described.metadata, described.default
    written = str(default).lower() if isinstance(default, bool) else str(default)
    if isinstance(default, tuple):
        written = ", ".join(default)
    return Setting(
        key=f"{section}.{described.name}",
        variable=f"CATALOG_{section}_{described.name}".upper(),
        flag=metadata["flag"],
        default=metadata["derived"] or (written),
        help=metadata["help"],
        rule=metadata["rule"],
    )
