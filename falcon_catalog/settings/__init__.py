"""Settings: read once from a file, the environment and flags, then frozen.

Each setting is described once, beside its field: the help text, the rule it obeys and its
flag. ``--help``, ``config show`` and the documentation's test all read that description.
Flags win over the environment, which wins over the file, which wins over the defaults.
"""

from falcon_catalog.settings.describing import Setting, SettingsError
from falcon_catalog.settings.every import SETTINGS, Settings
from falcon_catalog.settings.folders import make_writable, prepare
from falcon_catalog.settings.lake import (
    CacheSettings,
    PlanningSettings,
    StoreSettings,
    WarehouseSettings,
)
from falcon_catalog.settings.operation import AuthSettings, LogSettings, MetricsSettings
from falcon_catalog.settings.reading import load
from falcon_catalog.settings.serving import LimitSettings, ServerSettings

__all__ = [
    "SETTINGS",
    "AuthSettings",
    "CacheSettings",
    "LimitSettings",
    "LogSettings",
    "MetricsSettings",
    "PlanningSettings",
    "ServerSettings",
    "Setting",
    "Settings",
    "SettingsError",
    "StoreSettings",
    "WarehouseSettings",
    "load",
    "make_writable",
    "prepare",
]
