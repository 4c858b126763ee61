"""What units need for a store, and warehouses, that are not in the state folder."""

from pathlib import Path

from falcon_catalog.locations import is_local
from falcon_catalog.rules import location_path
from falcon_catalog.settings import Settings

_SPECIAL = frozenset(" \t\n\"'\\")


def warehouse_folders(settings: Settings, state: str) -> list[str]:
    """Return the local folders of tables outside the state folder."""
    paths = [location_path(each) for each in settings.warehouse.locations if is_local(each)]
    return _outside(paths, state)


def folders(settings: Settings, state: str) -> list[str]:
    """Return every folder outside the state folder that the catalog writes."""
    store = [settings.store.path.parent] if settings.store.is_file else []
    return _outside(store, state) + warehouse_folders(settings, state)


def of_catalog(settings: Settings, state: str) -> str:
    """Return a drop-in of the catalog's units; empty if they need none."""
    lines = [f"ReadWritePaths={_quoted(each)}\n" for each in folders(settings, state)]
    if _needs_network(settings):
        lines.append("IPAddressAllow=any\n")
    return f"[Service]\n{''.join(lines)}" if lines else ""


def of_pipeline(settings: Settings, state: str) -> str:
    """Return a drop-in of the pipeline's units, which write tables and do not see the store."""
    lines = [f"ReadWritePaths={_quoted(each)}\n" for each in warehouse_folders(settings, state)]
    if settings.store.is_file and _outside([settings.store.path], state):
        lines.append(f"InaccessiblePaths=-{_quoted(str(settings.store.path))}\n")
    return f"[Service]\n{''.join(lines)}" if lines else ""


def _outside(paths: list[Path], state: str) -> list[str]:
    return list(dict.fromkeys(str(each) for each in paths if not each.is_relative_to(state)))


def _needs_network(settings: Settings) -> bool:
    """Return whether the catalog calls programs that may be on other machines."""
    return (
        not settings.store.is_file
        or bool(settings.tracing.endpoint)
        or not all(map(is_local, settings.warehouse.locations))
    )


def _quoted(path: str) -> str:
    """Return a path as a word of a unit file. Source: systemd.syntax(7), systemd.unit(5)."""
    text = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if set(path) & _SPECIAL else text
