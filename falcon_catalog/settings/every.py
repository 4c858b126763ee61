"""All settings: by section, as one list of descriptions, and as values in force."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from falcon_catalog.settings.describing import Setting, describe
from falcon_catalog.settings.lake import (
    CacheSettings,
    PlanningSettings,
    StoreSettings,
    WarehouseSettings,
)
from falcon_catalog.settings.operation import AuthSettings, LogSettings, MetricsSettings
from falcon_catalog.settings.serving import LimitSettings, ServerSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the catalog was told, and by whom (``origins``: key to place)."""

    store: StoreSettings
    warehouse: WarehouseSettings
    server: ServerSettings = field(default_factory=ServerSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    planning: PlanningSettings = field(default_factory=PlanningSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    log: LogSettings = field(default_factory=LogSettings)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def value(self, key: str) -> Any:
        """Return the value of the setting ``key``, for example ``server.listen``."""
        section, _, name = key.partition(".")
        return getattr(getattr(self, section), name)


SECTIONS = {
    "server": ServerSettings,
    "limits": LimitSettings,
    "store": StoreSettings,
    "warehouse": WarehouseSettings,
    "cache": CacheSettings,
    "planning": PlanningSettings,
    "auth": AuthSettings,
    "metrics": MetricsSettings,
    "log": LogSettings,
}

SETTINGS: tuple[Setting, ...] = tuple(
    describe(section, described) for section, kind in SECTIONS.items() for described in fields(kind)
)
