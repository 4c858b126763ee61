"""The storage check: proves that a warehouse's storage does what the catalog relies on."""

from falcon_catalog.catalog.storage_check.check import Target, check
from falcon_catalog.catalog.storage_check.results import CHECKS, Report, Result

__all__ = ["CHECKS", "Report", "Result", "Target", "check"]
