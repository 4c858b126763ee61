"""One warehouse of a server, and what the verbs need to work on it."""

import contextlib
import threading
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from falcon_catalog.catalog.audit import Audit
from falcon_catalog.catalog.issued_credentials import IssuedCredentials
from falcon_catalog.catalog.metadata_cache import LastCommits, MetadataCache, TableFolders
from falcon_catalog.catalog.mount import Mount, WarehouseFiles
from falcon_catalog.catalog.permissions import Permissions
from falcon_catalog.catalog.scan_planning.manifest_cache import ManifestCache
from falcon_catalog.catalog.scan_planning.worker import PlanWorker
from falcon_catalog.fileio.storage import Storage
from falcon_catalog.settings import StorageSettings
from falcon_catalog.store.database import Database

_LOCKS = 1024


class CommitLocks:
    """Locks that serialise commits to one table within a process: two tables seldom share one.

    They only save work: a commit that would lose the pointer swap waits for its turn. The swap
    itself decides which commit wins.
    """

    def __init__(self) -> None:
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))

    @contextlib.contextmanager
    def hold(self, names: Iterable[Hashable]) -> Iterator[None]:
        """Hold the locks of all names, taken in one global order to avoid deadlocks."""
        with contextlib.ExitStack() as held:
            for index in sorted({hash(name) % _LOCKS for name in names}):
                held.enter_context(self._locks[index])
            yield


class Counters:
    """Events since the start, over all warehouses of a server. May be read at any time."""

    def __init__(self) -> None:
        self.commits = 0
        """Commits that were stored, of one table or of many."""
        self.conflicts = 0
        """Commits that failed because of another commit."""
        self.retries = 0
        """Attempts that lost the pointer swap to another commit and were repeated."""
        self.failed_purges = 0
        self._guard = threading.Lock()

    def add(
        self, *, commits: int = 0, conflicts: int = 0, retries: int = 0, failed_purges: int = 0
    ) -> None:
        """Increase counters."""
        with self._guard:
            self.commits += commits
            self.conflicts += conflicts
            self.retries += retries
            self.failed_purges += failed_purges


@dataclass(frozen=True, slots=True)
class Warehouse:
    """The tables and views of one warehouse: where their rows and files are, and their limits."""

    id: int
    name: str
    location: str
    """The root of default table locations, without a trailing slash."""
    store: Database
    files: WarehouseFiles
    """Raises WarehouseUnavailableError, not NotFoundError, while the storage is not there."""
    mount: Mount
    """Whether the storage is there."""
    storage: Storage
    """What gives clients access to files; its own ``files`` know nothing of the mount."""
    storage_settings: StorageSettings
    commit_locks: CommitLocks
    """Its own: commits that wait for one store delay no other warehouse."""
    issued: IssuedCredentials
    """Credentials that were issued for tables."""
    schemes: frozenset[str]
    """The schemes that clients may spell locations with."""
    # Shared by all warehouses of a server:
    metadata: MetadataCache
    last_commits: LastCommits
    manifests: ManifestCache
    plans: PlanWorker
    permissions: Permissions
    audit: Audit
    counters: Counters = field(default_factory=Counters)
    folders: TableFolders = field(default_factory=TableFolders)
    # Policy:
    allowed_locations: tuple[str, ...] = ()
    """The folders in which tables may lie, ``location`` among them."""
    roots: tuple[str, ...] = ()
    """The locations of all warehouses of the server."""
    trusted_engines: frozenset[str] = frozenset()
    """The principals that may create and change views that run as another user."""
    allow_overlap: bool = False
    """Whether one table's location may contain another's."""
    properties_bytes: int = 0
    """The largest size of the properties of one entity, as JSON."""
    namespace_tables: int = 0
    """How many tables and views a namespace can have; 0 for any number."""
    namespace_properties: int = 0
    """How many properties a namespace can have; 0 for any number."""
    drop_retention_ms: int = 0
    """How long a dropped table or view can be undropped."""
    keep_reports: int = 0
    """How many metrics reports are stored."""
