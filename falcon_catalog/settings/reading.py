"""Read settings from a file, the environment and flags, over the defaults."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from falcon_catalog.settings.describing import Setting, SettingsError
from falcon_catalog.settings.sections import SECTIONS, SETTINGS, Settings

REMOVED = {
    "server.processes": "run several servers instead: systemctl start catalog@{1..4}, or"
    " falcon-catalog serve --reuse-port for each",
    "server.worker_timeout": "systemd restarts a server that hangs: WatchdogSec= in its unit",
}
"""Removed settings and their replacements."""


def load(config: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """Return the settings in force.

    Args:
        config: a TOML file, or None.
        environ: the environment, usually ``os.environ``.
        flags: value by key (``server.listen``); None means not given.

    Raises:
        SettingsError: a setting is unknown or invalid; one line names it, its origin, its value
            and the rule it breaks.
    """
    # systemd's STATE_DIRECTORY may hold several, separated by colons: ours is the first.
    state = Path(environ.get("STATE_DIRECTORY", "").split(":")[0] or "var/catalog").absolute()
    given: list[tuple[Setting, object, str]] = [
        *((s, s.default.format(state=state), "default") for s in SETTINGS),
        *(_from_file(config) if config else ()),
        *_from_environment(environ),
        *(
            (found := _known(key, "flag"), value, f"flag {found.flag or key}")
            for key, value in flags.items()
            if value is not None
        ),
    ]
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    origins: dict[str, str] = {}
    for setting, raw, origin in given:
        section, _, name = setting.key.partition(".")
        try:
            sections[section][name] = setting.rule(raw)
        except ValueError as error:
            raise SettingsError(f"{origin}: {setting.key} = {raw!r}: it {error}") from None
        origins[setting.key] = origin
    built = {section: kind(**sections[section]) for section, kind in SECTIONS.items()}
    if "*" in built["cors"].origins and not built["auth"].required:
        raise SettingsError(
            f"{origins['cors.origins']}: cors.origins = '*': it needs auth.required, or else any"
            " web page could read and change everything"
        )
    return Settings(**built, origins=origins)


def _from_file(config: Path) -> Iterator[tuple[Setting, object, str]]:
    try:
        content = tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{config}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # neither UTF-8 nor TOML
        raise SettingsError(f"{config}: is not TOML: {error}") from None
    for section, values in content.items():
        if section not in SECTIONS:
            raise SettingsError(
                f"{config}: unknown section [{section}], expected one of {', '.join(SECTIONS)}"
            )
        if not isinstance(values, dict):
            raise SettingsError(f"{config}: {section} = {values!r}: it must be a [{section}] table")
        for name, value in values.items():
            yield _known(f"{section}.{name}", str(config)), value, str(config)


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[Setting, object, str]]:
    by_variable = {setting.variable: setting for setting in SETTINGS}
    ours = tuple(f"CATALOG_{section.upper()}_" for section in SECTIONS)
    removed = {f"CATALOG_{key.replace('.', '_')}".upper(): key for key in REMOVED}
    for variable, value in environ.items():
        if variable in removed:
            _known(removed[variable], f"environment {variable}")
        if variable in by_variable:
            yield by_variable[variable], value, f"environment {variable}"
        elif variable.startswith(ours):
            raise SettingsError(
                f"environment {variable}: no such setting{_nearest(variable, by_variable)}"
            )


def _known(key: str, origin: str) -> Setting:
    by_key = {setting.key: setting for setting in SETTINGS}
    if key in REMOVED:
        raise SettingsError(f"{origin}: {key} was removed: {REMOVED[key]}")
    if key not in by_key:
        raise SettingsError(f"{origin}: {key}: no such setting{_nearest(key, by_key)}")
    return by_key[key]


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]}?" if close else f", expected one of {', '.join(known)}"
