"""Storage checks of a running server: on request, and in the background when it starts."""

import logging
import threading
from collections.abc import Sequence

from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.storage_check.results import Report
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import ServiceUnavailableError

_log = logging.getLogger(__name__)
_running = threading.Lock()
"""One check at a time: each keeps a thread for seconds."""


def check_storage(call: Call) -> Report:
    """Run all checks of a warehouse's storage.

    Raises:
        ServiceUnavailableError: another check is running.
    """
    if not _running.acquire(blocking=False):
        raise ServiceUnavailableError(
            f"Cannot check the storage of warehouse {call.warehouse.name}: another check is running"
        )
    try:
        return _check(call.warehouse)
    finally:
        _running.release()


def check_at_start(warehouses: Sequence[Warehouse]) -> None:
    """Check in the background what is cheap, of warehouses in object stores; log what failed."""
    stores = [each for each in warehouses if each.storage_settings.kind != "file"]
    if stores:
        threading.Thread(
            target=_check_and_log, args=(stores,), name="storage-check", daemon=True
        ).start()


def _check_and_log(warehouses: Sequence[Warehouse]) -> None:
    for warehouse in warehouses:
        report = _check(warehouse, quick=True)
        for result in report.results:
            if result.outcome == "failed":
                _log.warning(
                    "storage check of warehouse %s: %s failed: %s. %s",
                    warehouse.name,
                    result.check,
                    result.detail,
                    result.remedy,
                )
        if report.passed:
            _log.info("storage check of warehouse %s: nothing failed", warehouse.name)


def _check(warehouse: Warehouse, *, quick: bool = False) -> Report:
    # A server of local warehouses does without HTTP clients.
    from falcon_catalog.catalog.storage_check.check import QUICK, Target, check  # noqa: PLC0415

    target = Target(
        warehouse.name,
        warehouse.storage_settings,
        storage=warehouse.storage,
        condition=lambda _: warehouse.mount.examine(),
    )
    return check(target, only=QUICK) if quick else check(target)
