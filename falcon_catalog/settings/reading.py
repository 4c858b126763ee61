"""Read settings from a file, the environment and flags, over the defaults."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from falcon_catalog import rules
from falcon_catalog.locations import overlap
from falcon_catalog.settings.describing import Setting, SettingsError
from falcon_catalog.settings.issuers import IssuerSettings
from falcon_catalog.settings.sections import (
    ISSUER_SETTINGS,
    SECTIONS,
    SETTINGS,
    STORAGE_SETTINGS,
    AuthSettings,
    Settings,
    WarehouseSettings,
)
from falcon_catalog.settings.storage import FILE, MEANT_FOR, S3, StorageSettings, kind_of

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
    content = _content(config) if config else {}
    named = _take_named(content, str(config))
    issuers = _take_issuers(content, str(config))
    given: list[tuple[Setting, object, str]] = [
        *((s, s.default.format(state=state), "default") for s in SETTINGS),
        *_from_file(content, str(config)),
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
        sections[section][name] = _accepted(setting, setting.key, raw, origin)
        origins[setting.key] = origin
    own = {s.key.partition(".")[2] for s in STORAGE_SETTINGS}
    sections["warehouse"]["given"] = {
        name: origins[key]
        for key in origins
        if (name := key.removeprefix("warehouse.")) in own and origins[key] != "default"
    }
    sections["warehouse"]["sections"] = {
        name: _named(name, values, str(config)) for name, values in named.items()
    }
    origins |= {f"warehouse.{name}.{key}": str(config) for name in named for key in named[name]}
    sections["auth"]["issuers"] = {
        name: _issuer(name, values, str(config)) for name, values in issuers.items()
    }
    origins |= {
        f"auth.issuer.{name}.{key}": str(config) for name in issuers for key in issuers[name]
    }
    built = {section: kind(**sections[section]) for section, kind in SECTIONS.items()}
    _check_warehouses(built["warehouse"])
    _check_auth(built["auth"], str(config))
    if "*" in built["cors"].origins and not built["auth"].required:
        raise SettingsError(
            f"{origins['cors.origins']}: cors.origins = '*': it needs auth.required, or else any"
            " web page could read and change everything"
        )
    return Settings(**built, origins=origins)


def _accepted(setting: Setting, key: str, raw: object, origin: str) -> Any:
    try:
        return setting.rule(raw)
    except ValueError as error:
        raise SettingsError(
            f"{origin}: {key} = {rules.without_password(raw)!r}: it {error}"
        ) from None


def _take_named(content: dict[str, Any], origin: str) -> dict[str, dict[str, Any]]:
    """Remove the sections [warehouse.NAME] from a file's content; return them by name."""
    warehouse = content.get("warehouse")
    if not isinstance(warehouse, dict):
        return {}
    named = {name: values for name, values in warehouse.items() if isinstance(values, dict)}
    for name in named:
        try:
            rules.warehouse_name(name)
        except ValueError as error:
            raise SettingsError(f"{origin}: [warehouse.{name}]: the name {error}") from None
        del warehouse[name]
    return named


def _named(name: str, values: Mapping[str, Any], origin: str) -> StorageSettings:
    """Return the settings of a section [warehouse.NAME]."""
    where = f"warehouse.{name}"
    if "location" not in values:
        raise SettingsError(f"{origin}: [{where}]: it needs a location")
    accepted = _of_section(where, values, STORAGE_SETTINGS, origin)
    return StorageSettings(**accepted, given=dict.fromkeys(values, origin))


def _of_section(
    where: str, values: Mapping[str, Any], settings: Sequence[Setting], origin: str
) -> dict[str, Any]:
    """Return the values of a section that has a name of its own."""
    by_name = {each.key.rpartition(".")[2]: each for each in settings}
    accepted = {}
    for key, value in values.items():
        if key not in by_name:
            raise SettingsError(f"{origin}: {where}.{key}: no such setting{_nearest(key, by_name)}")
        accepted[key] = _accepted(by_name[key], f"{where}.{key}", value, origin)
    return accepted


def _take_issuers(content: dict[str, Any], origin: str) -> dict[str, dict[str, Any]]:
    """Remove the sections [auth.issuer.NAME] from a file's content; return them by name."""
    auth = content.get("auth")
    if not isinstance(auth, dict) or "issuer" not in auth:
        return {}
    issuers = auth.pop("issuer")
    if not isinstance(issuers, dict) or not all(isinstance(one, dict) for one in issuers.values()):
        raise SettingsError(f"{origin}: auth.issuer: it must be a section [auth.issuer.NAME]")
    for name in issuers:
        try:
            rules.issuer_name(name)
        except ValueError as error:
            raise SettingsError(f"{origin}: [auth.issuer.{name}]: the name {error}") from None
    return issuers


def _issuer(name: str, values: Mapping[str, Any], origin: str) -> IssuerSettings:
    """Return the settings of a section [auth.issuer.NAME]."""
    where = f"auth.issuer.{name}"
    for required in ("url", "audiences"):
        if required not in values:
            raise SettingsError(f"{origin}: [{where}]: it needs {required}")
    accepted = _of_section(where, values, ISSUER_SETTINGS, origin)
    return IssuerSettings(**accepted, given=dict.fromkeys(values, origin))


def _check_auth(auth: AuthSettings, origin: str) -> None:
    """Check that the identity providers can be told apart, and have a use."""
    urls = [url for each in auth.issuers.values() for url in (each.url, *each.aliases)]
    if twice := [url for url in urls if urls.count(url) > 1]:
        raise SettingsError(f"{origin}: [auth.issuer]: {twice[0]} is named twice")
    if auth.issuers and not auth.required:
        raise SettingsError(
            f"{origin}: [auth.issuer.{next(iter(auth.issuers))}]: it needs auth.required = true"
        )
    for name in auth.admins:
        issuer, tilde, _ = name.partition("~")
        if tilde and issuer not in auth.issuers:
            raise SettingsError(
                f"{origin}: auth.admins = {name!r}: there is no section [auth.issuer.{issuer}]"
            )


def _check_warehouses(warehouse: WarehouseSettings) -> None:
    """Check that the settings of each warehouse have a meaning for its kind of storage."""
    names = [warehouse.name, *(name for name, _ in map(rules.named_location, warehouse.more))]
    if twice := [name for name in warehouse.sections if name in names]:
        raise SettingsError(f"[warehouse.{twice[0]}]: there are two warehouses of this name")
    defaults = {each.name: each.default for each in fields(StorageSettings)}
    for name, storage in warehouse.storages.items():
        where = "warehouse" if name == warehouse.name else f"warehouse.{name}"
        for setting, origin in storage.given.items():
            kinds = MEANT_FOR.get(setting)
            is_default = getattr(storage, setting) == defaults[setting]
            if kinds is not None and storage.kind not in kinds and not is_default:
                meant = " and ".join(f"{kind}://" for kind in sorted(kinds))
                raise SettingsError(
                    f"{origin}: {where}.{setting}: it has no meaning for {storage.location}, only"
                    f" for {meant}"
                )
        if storage.kind == S3 and not storage.region:
            raise SettingsError(
                f"{where}.region: it is required for {storage.location}: the bucket's region, or"
                " us-east-1 for a store that has none"
            )
        if storage.puts_bucket_before_address:
            raise SettingsError(
                f"{where}.path_style: it must be true for {storage.location}: a bucket cannot"
                f" be put before the IP address of {storage.server_endpoint or storage.endpoint}"
            )
        if storage.access == "signed" and storage.kind not in (S3, FILE):
            raise SettingsError(
                f"{storage.given['access']}: {where}.access = 'signed': only requests to s3:// can"
                " be signed; it must be vended or client"
            )
        for allowed in storage.allowed_locations:
            if kind_of(allowed) != storage.kind:
                raise SettingsError(
                    f"{where}.allowed_locations: {allowed} is in another kind of storage than"
                    f" {storage.location}; it needs a warehouse of its own"
                )
    _check_overlap(warehouse.roots)


def _check_overlap(roots: Mapping[str, str]) -> None:
    """Check that no warehouse in an object store lies in another one."""
    apart = [(name, root) for name, root in roots.items() if kind_of(root) != FILE]
    for number, (name, root) in enumerate(apart):
        for other, other_root in apart[number + 1 :]:
            if overlap(root, other_root):
                raise SettingsError(
                    f"the warehouses {name} ({root}) and {other} ({other_root}) overlap: each must"
                    " have a bucket or a prefix of its own"
                )


def _content(config: Path) -> dict[str, Any]:
    """Return what a file has."""
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{config}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # neither UTF-8 nor TOML
        raise SettingsError(f"{config}: is not TOML: {error}") from None


def _from_file(content: Mapping[str, Any], config: str) -> Iterator[tuple[Setting, object, str]]:
    for section, values in content.items():
        if section not in SECTIONS:
            raise SettingsError(
                f"{config}: unknown section [{section}], expected one of {', '.join(SECTIONS)}"
            )
        if not isinstance(values, dict):
            raise SettingsError(f"{config}: {section} = {values!r}: it must be a [{section}] table")
        for name, value in values.items():
            yield _known(f"{section}.{name}", config), value, config


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
