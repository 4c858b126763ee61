"""How a setting is described, once, beside its field: text, rule, flag and default."""

from collections.abc import Callable
from dataclasses import Field, dataclass
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


def about(
    text: str, rule: Callable[[object], Any], *, flag: str = "", derived: str = ""
) -> dict[str, Any]:
    """Describe a setting; ``derived`` is a default with ``{state}`` for the state directory."""
    return {"help": text, "rule": rule, "flag": flag, "derived": derived}


def describe(section: str, described: Field[Any]) -> Setting:
    """Read the description of a field of the section ``section``."""
    told = described.metadata
    default = described.default
    return Setting(
        key=f"{section}.{described.name}",
        variable=f"CATALOG_{section}_{described.name}".upper(),
        flag=told["flag"],
        default=told["derived"] or _written(default),
        help=told["help"],
        rule=told["rule"],
    )


def _written(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default == () else str(default)
