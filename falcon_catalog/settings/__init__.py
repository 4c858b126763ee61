"""Settings, read once from a file, the environment and flags.

Each setting is described once, beside its field: its help text, rule and flag. ``--help``,
``config show`` and the test of the documentation read that description. Flags win over the
environment, which wins over the file, which wins over the defaults.
"""

from falcon_catalog.settings.describing import Setting, SettingsError
from falcon_catalog.settings.folders import make_writable, prepare
from falcon_catalog.settings.issuers import IssuerSettings
from falcon_catalog.settings.reading import load
from falcon_catalog.settings.sections import (
    SETTINGS,
    AuditSettings,
    AuthSettings,
    LimitSettings,
    ServerSettings,
    Settings,
    StoreSettings,
    TracingSettings,
    WebSettings,
)
from falcon_catalog.settings.storage import StorageSettings

__all__ = [
    "SETTINGS",
    "AuditSettings",
    "AuthSettings",
    "IssuerSettings",
    "LimitSettings",
    "ServerSettings",
    "Setting",
    "Settings",
    "SettingsError",
    "StorageSettings",
    "StoreSettings",
    "TracingSettings",
    "WebSettings",
    "load",
    "make_writable",
    "prepare",
]
