"""The checks of one warehouse's storage, in order; each is passed, failed or skipped.

All that is written lies in one folder below the warehouse's root, and is deleted at the end,
whatever happened before.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from falcon_catalog.catalog.mount import Condition
from falcon_catalog.catalog.storage_check import remedies, signed, vended
from falcon_catalog.catalog.storage_check.results import CHECKS, Outcome, Report, Result
from falcon_catalog.catalog.storage_check.steps import Failed, Probe, Skipped
from falcon_catalog.catalog.storage_check.symptoms import (
    Symptom,
    endpoint,
    recognise,
)
from falcon_catalog.errors import CatalogError, NotFoundError
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.opening import open_storage
from falcon_catalog.fileio.storage import Storage
from falcon_catalog.locations import join, local_path
from falcon_catalog.settings import SettingsError, StorageSettings

QUICK = frozenset({"settings", "reach", "vend"})
"""The checks that write nothing and need few requests."""

FOLDER = ".falcon-catalog-check-"
"""How the names of the checks' folders begin. What begins with a dot makes no folder count as not
empty, so that a server may start for the first time beside a check."""

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "reach": ("settings",),
    "marker": ("list",),
    "create": ("settings", "reach"),
    "read": ("create",),
    "list": ("create",),
    "conditional-write": ("create",),
    "delete": ("create",),
    "durable": ("create",),
    "vend": ("settings", "reach"),
    "vended-inside": ("vend", "create"),
    "vended-outside": ("vended-inside",),
    "vended-sibling": ("vended-inside",),
    "vended-read-only": ("vended-inside",),
    "signing": ("settings", "create"),
    "signing-copy": ("signing",),
    "clean-up": ("settings", "reach"),
}
"""The checks that must have passed before one makes sense."""


@dataclass(frozen=True, slots=True)
class Target:
    """The warehouse whose storage is checked."""

    name: str
    settings: StorageSettings
    durable: bool = True
    """Whether local files are synced (store.durability), where the storage is opened here."""
    storage: Storage | None = None
    """None: it is opened here."""
    condition: Callable[[Storage], Condition] | None = None
    """Judges by the store whether the location is this catalog's warehouse; None: no store yet."""


def check(
    target: Target,
    *,
    only: frozenset[str] = frozenset(CHECKS),
    starting: Callable[[str], object] = lambda _: None,
    done: Callable[[Result], object] = lambda _: None,
) -> Report:
    """Check the storage of a warehouse.

    Args:
        target: the warehouse.
        only: the checks to run; the others are left out of the report.
        starting: is called with the name of each check before it runs.
        done: is called with the result of each check.
    """
    run = _Run(target)
    try:
        for name in CHECKS:
            if name in only:
                starting(name)
                done(run.step(name))
    except BaseException:  # such as Ctrl-C
        if run.probe is not None:
            run.probe.clean_up()
        raise
    return Report(
        target.name, target.settings.location, target.settings.access, tuple(run.results.values())
    )


class _Run:
    """One run of the checks."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.settings = target.settings
        self.is_local = target.settings.kind == "file"
        self.results: dict[str, Result] = {}
        self.inherited: dict[str, str] = {}
        """Why checks were skipped that needed one which did not pass, by their names."""
        self.of = remedies.Warehouse(target.name, target.settings)
        self.probe: Probe | None = None

    def step(self, name: str) -> Result:
        """Run one check, unless one that it needs did not pass."""
        began = time.monotonic()
        outcome, detail, remedy = self._outcome(name)
        took = round((time.monotonic() - began) * 1000)
        result = Result(name, outcome, took, detail, remedy)
        self.results[name] = result
        return result

    def _outcome(self, name: str) -> tuple[Outcome, str, str]:
        for needed in _NEEDS.get(name, ()):
            before = self.results.get(needed)
            if before is not None and before.outcome != "passed":
                how = "failed" if before.outcome == "failed" else "was skipped"
                why = self.inherited.get(needed, f"{needed} {how}")
                self.inherited[name] = why
                return "skipped", why, ""
        prove = getattr(self, f"_{name.replace('-', '_')}")
        try:
            return "passed", prove() or "", ""
        except Skipped as skipped:
            return "skipped", str(skipped), ""
        except Failed as failed:
            return "failed", failed.detail, failed.remedy
        except Exception as error:  # noqa: BLE001 - whatever it is, the other checks go on
            return self._failure(name, error)

    def _failure(self, name: str, error: Exception) -> tuple[Outcome, str, str]:
        """Return what an unexpected error of a check means."""
        if self.is_local:
            detail = error.message if isinstance(error, CatalogError) else type(error).__name__
            folder = local_path(self.settings.location)
            return (
                "failed",
                detail,
                f"Let the user that runs the server read and write {folder}, and check its disk.",
            )
        symptom = recognise(error, self.settings, of=name)
        detail = symptom.code or symptom.kind.replace("-", " ")
        return "failed", detail, remedies.remedy(symptom, name, self.of)

    @property
    def _opened(self) -> Probe:
        if self.probe is None:
            raise Skipped("the storage is not open")
        return self.probe

    def _settings(self) -> str:
        storage = self.target.storage
        if storage is None:
            try:
                storage = open_storage(self.target.name, self.settings, durable=self.target.durable)
            except SettingsError as error:
                raise Failed("the storage cannot be opened", f"{error}.") from None
        root = join(self.settings.location, f"{FOLDER}{uuid.uuid4()}")
        self.probe = Probe(storage, self.settings, root)
        if self.is_local:
            return ""
        return f"credential = {self.settings.credential}"

    def _reach(self) -> str:
        files = self._opened.storage.files
        if self.is_local:
            folder = Path(local_path(self.settings.location))
            if not folder.is_dir():
                raise Skipped(f"{folder} is not there: serve and migrate create it")
            return ""
        if self.settings.puts_bucket_before_address:
            host = urlsplit(endpoint(self.settings)).netloc
            remedy = remedies.remedy(Symptom("path-style", host=host), "reach", self.of)
            raise Failed(f"there is no host {host}", remedy)
        self._ask_for_nothing(files, self.settings.location)
        for location in self.settings.allowed_locations:
            try:
                self._ask_for_nothing(files, location)
            except (CatalogError, OSError) as error:
                of = replace(self.settings, location=location)
                symptom = recognise(error, of, of="reach")
                place = remedies.Warehouse(self.target.name, of, "allowed_locations")
                detail = f"{location}: {symptom.code or symptom.kind.replace('-', ' ')}"
                raise Failed(detail, remedies.remedy(symptom, "reach", place)) from None
        return ""

    def _ask_for_nothing(self, files: FileIO, root: str) -> None:
        """Read a file that is not there: the answer shows whether the store can be reached."""
        try:
            files.read(join(root, f"{FOLDER}{uuid.uuid4()}"))
        except NotFoundError as error:
            if recognise(error, self.settings).kind == "no-bucket":
                raise
        except (CatalogError, OSError) as error:
            symptom = recognise(error, self.settings, of="reach")
            # Without permission to list, stores say so of an object that is not there. Azure's
            # AuthorizationFailure is about the network or the key.
            if symptom.kind not in {"denied", "kms"} or symptom.code == "AuthorizationFailure":
                raise

    def _marker(self) -> str:
        if self.target.condition is None:
            raise Skipped("there is no store yet: serve and migrate mark the warehouse")
        condition = self.target.condition(self._opened.storage)
        if condition.state == "present":
            return ""
        if condition.is_there:
            return "new: serve and migrate mark it"
        raise Failed(
            condition.why,
            f"Correct {self.of.setting('location')} or store.url, mount what is missing, or read"
            " docs/durability.md before you start once with --adopt-warehouse.",
        )

    def _create(self) -> str:
        self._opened.create("one", b"one")
        return ""

    def _read(self) -> str:
        if self._opened.storage.files.read(self._opened.at("one")) != b"one":
            raise Failed(
                "what was read is not what was written",
                "Remove what is between this server and the store, such as a cache.",
            )
        return ""

    def _list(self) -> str:
        found = [entry.name for entry in self._opened.storage.files.list(self._opened.root)]
        if found != ["one"]:
            raise Failed(
                f"{len(found)} files are listed, and there is one",
                "Use a store whose lists show at once what was written.",
            )
        return ""

    def _conditional_write(self) -> str:
        files, place = self._opened.storage.files, self._opened.at("one")
        refused = not files.create(place, b"another")
        if files.read(place) != b"one" or not refused:
            raise Failed(
                "a file that exists was replaced",
                remedies.remedy(Symptom("no-conditional-write"), "conditional-write", self.of),
            )
        return ""

    def _delete(self) -> str:
        files, place = self._opened.storage.files, self._opened.at("one")
        files.delete(place)
        with suppress(NotFoundError):
            files.read(place)
            raise Failed(
                "a deleted file can still be read",
                "Use a store that is strongly consistent, and no cache in front of it.",
            )
        return ""

    def _durable(self) -> str:
        if not self.is_local:
            return "what the store has acknowledged is durable"
        if not self._opened.storage.durable:
            raise Skipped("store.durability = relaxed")
        folder = local_path(self.settings.location)
        if _file_system(folder) in {"tmpfs", "ramfs"}:
            raise Failed(
                f"{folder} is in memory",
                f"Move {self.of.setting('location')} to a disk: a restart of the machine empties"
                f" {folder}.",
            )
        return ""

    def _vend(self) -> str:
        # Signatures are made with credentials of one table, too, where there are some.
        if self.settings.access != "signed" or self._opened.storage.vends is None:
            self._wants("vended")
        return vended.vend(self._opened, self.of)

    def _vended_inside(self) -> str:
        return vended.inside(self._opened)

    def _vended_outside(self) -> str:
        return vended.outside(self._opened, self.of)

    def _vended_sibling(self) -> str:
        return vended.sibling(self._opened, self.of)

    def _vended_read_only(self) -> str:
        return vended.read_only(self._opened, self.of)

    def _signing(self) -> str:
        self._wants("signed")
        return signed.sign(self._opened)

    def _signing_copy(self) -> str:
        return signed.copy(self._opened)

    def _wants(self, access: str) -> None:
        if self.is_local:
            raise Skipped("clients read and write local files themselves")
        if self.settings.access != access:
            raise Skipped(f"access = {self.settings.access}")

    def _clean_up(self) -> str:
        left, error = self._opened.clean_up()
        if not left:
            return ""
        remedy = f"Delete {self._opened.root} from the store."
        if error is not None and not self.is_local:
            symptom = recognise(error, self.settings, of="clean-up")
            remedy = f"{remedies.remedy(symptom, 'clean-up', self.of)} {remedy}"
        raise Failed(f"{len(left)} files are left", remedy)


def _file_system(folder: str) -> str:
    """Return the type of the file system that a folder is on; "" where the system has no list."""
    best, kind = "", ""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    real = f"{Path(folder).resolve()}/"
    for line in lines:
        _, point, found, *_ = line.split(" ")
        if real.startswith(f"{point.rstrip('/')}/") and len(point) >= len(best):
            best, kind = point, found
    return kind
