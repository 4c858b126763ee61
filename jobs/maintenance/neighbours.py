"""The other tables and views of a catalog, whose files must not be deleted with a table's own."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    NoSuchNamespaceError,
    NoSuchTableError,
    NoSuchViewError,
    RESTError,
)
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.typedef import Identifier
from pyiceberg.utils.concurrent import ExecutorFactory
from requests import HTTPError

from jobs.maintenance import reach
from jobs.maintenance.errors import RefusedError, UncheckedError
from jobs.maintenance.files import is_link
from jobs.maintenance.locations import Place, keys, normal, place
from jobs.maintenance.names import spell

TAKEN = "another table reaches them"

_ROUNDS = 5
_NOT_ACCEPTABLE = 406

# Locations of a table's files besides its own. Java uses the first that is set.
_PATHS = (
    "write.data.path",
    "write.object-storage.path",
    "write.folder-storage.path",
    "write.metadata.path",
)


@dataclass(frozen=True)
class Neighbour:
    """Another table, or a view, which has no ``table``."""

    title: str
    uuid: str
    places: tuple[Place, ...]
    table: Table | None = None


def places(table: Table) -> tuple[Place, ...]:
    """Return the folders that a table's writers use.

    Raises:
        OSError: a local folder cannot be read.
    """
    properties = table.metadata.properties
    paths = [properties[name] for name in _PATHS if properties.get(name)]
    return tuple(place(path) for path in dict.fromkeys([table.location(), *paths]))


def neighbours(catalog: Catalog, mine: Table) -> Iterator[Neighbour]:
    """Yield every other table and view of the catalog, each loaded when it is yielded.

    Tables created or renamed meanwhile are included: the listing is repeated until it has nothing
    new.

    Raises:
        UncheckedError: a namespace cannot be listed, or a table cannot be loaded.
    """
    ours = ("table", mine.name())
    seen, missing = {ours}, set[str]()
    for _ in range(_ROUNDS):
        listed = _listed(catalog)
        if ours not in listed:
            raise _unchecked(
                f"the catalog does not list {spell(mine.name())}; it may leave out others as well"
            )
        fresh = listed - seen
        if not fresh:
            return
        missing = set()
        for kind, name in sorted(fresh):
            neighbour = _load(catalog, kind, name)
            if neighbour is None:
                missing.add(_title(kind, name))
                continue
            seen.add((kind, name))
            yield neighbour
    if missing:
        raise _unchecked(f"the catalog lists {', '.join(sorted(missing))}, but answers 404 for it")
    raise _unchecked("tables keep coming while the catalog's tables are compared")


def refuse_clash(mine: Table, folder: Place, other: Neighbour) -> None:
    """Raise RefusedError if another table is the same one, or its folders overlap this folder."""
    if is_copy(mine, other):
        raise RefusedError(
            f"{spell(mine.name())} and {other.title} are one table under two names:"
            " each would delete files of the other"
        )
    for theirs in other.places:
        if folder.clashes(theirs):
            raise RefusedError(
                f"{spell(mine.name())} lies in {folder.location}, which overlaps {theirs.location}"
                f" of {other.title}: nobody can tell whose files are whose"
            )


def is_copy(mine: Table, other: Neighbour) -> bool:
    """Return whether another table is this one under a second name."""
    if other.table is None:
        return False
    # By the metadata file as well: format version 1 does not require uuids.
    paths = [each.metadata_location for each in (mine, other.table) if each.metadata_location]
    return other.uuid == str(mine.metadata.table_uuid) or len(set(map(normal, paths))) < len(paths)


class OutsideFiles:
    """The files that tables reach outside of their own folders, as ``add_files`` allows.

    Each snapshot and manifest is read once, however many tables are compared.
    """

    def __init__(self) -> None:
        self._snapshots: dict[tuple[str, ...], frozenset[str]] = {}
        self._manifests: dict[tuple[str, ...], frozenset[str]] = {}

    def of(self, other: Neighbour) -> set[str]:
        """Return the keys of such files of a table.

        Raises:
            UncheckedError: a manifest cannot be read.
        """
        if other.table is None:
            return set()
        own = Folders(other.places)
        found: set[str] = set()
        try:
            found |= own.outside(reach.statistics(other.table.metadata))
            for snapshot in other.table.metadata.snapshots:
                found |= self._of_snapshot(other.table.io, snapshot, own)
        except Exception as error:
            raise _unreadable(other, error) from error
        return found

    def _of_snapshot(self, io: FileIO, snapshot: Snapshot, own: "Folders") -> frozenset[str]:
        key = (*own.key, snapshot.manifest_list)
        if key not in self._snapshots:
            manifests = reach.manifests(io, snapshot)
            self._read(io, manifests, own)
            paths = [snapshot.manifest_list, *(each.manifest_path for each in manifests)]
            self._snapshots[key] = own.outside(paths).union(
                *(self._manifests[(*own.key, each.manifest_path)] for each in manifests)
            )
        return self._snapshots[key]

    def _read(self, io: FileIO, manifests: Iterable[ManifestFile], own: "Folders") -> None:
        new = [each for each in manifests if (*own.key, each.manifest_path) not in self._manifests]

        def files(manifest: ManifestFile) -> frozenset[str]:
            return own.outside(path for path, _ in reach.live(io, manifest))

        # Threads, because most of the time is spent waiting for the store.
        read = ExecutorFactory.get_or_create().map(files, new)
        for manifest, found in zip(new, read, strict=True):
            self._manifests[(*own.key, manifest.manifest_path)] = found


def all_files(other: Neighbour) -> set[str]:
    """Return the keys of all files that a table reaches.

    Raises:
        UncheckedError: a manifest cannot be read.
    """
    if other.table is None:
        return set()
    try:
        return {key for path in reach.everything(other.table) for key in keys(path)}
    except Exception as error:
        raise _unreadable(other, error) from error


class Folders:
    """A table's folders, with links resolved; each folder of files is looked up once."""

    def __init__(self, folders: tuple[Place, ...]) -> None:
        self.key = tuple(folder.real for folder in folders)
        self._places = folders
        self._folders: dict[str, bool] = {}

    def contain(self, location: str) -> bool:
        """Return whether the folder of a file lies in one of these."""
        folder = location.rpartition("/")[0]
        if folder not in self._folders:
            self._folders[folder] = self._holds(folder)
        return self._folders[folder]

    def outside(self, locations: Iterable[str]) -> frozenset[str]:
        """Return the keys of the files that lie elsewhere, or are links to elsewhere."""
        found: set[str] = set()
        for location in locations:
            if not self.contain(location) or (is_link(location) and not self._holds(location)):
                found |= keys(location)
        return frozenset(found)

    def _holds(self, location: str) -> bool:
        return any(place.holds(location) for place in self._places)


def _listed(catalog: Catalog) -> set[tuple[str, Identifier]]:
    """Return all tables and views, each with its kind.

    Raises:
        UncheckedError: a namespace cannot be listed.
    """
    for _ in range(_ROUNDS):
        try:
            return set(_walk(catalog))
        except NoSuchNamespaceError as error:
            # Dropped since it was listed. Start over: tables may have been renamed.
            gone = error
        except Exception as error:
            raise _unchecked(f"the catalog's tables cannot be listed ({_words(error)})") from error
    raise _unchecked(f"the catalog lists a namespace, but answers 404 for it ({_words(gone)})")


def _walk(catalog: Catalog) -> Iterator[tuple[str, Identifier]]:
    pending, known = list(catalog.list_namespaces()), set()
    while pending:
        namespace = pending.pop()
        if namespace in known:
            continue
        known.add(namespace)
        for name in catalog.list_tables(namespace):
            yield "table", tuple(name)
        for name in _unless_unsupported(catalog.list_views, namespace):
            yield "view", tuple(name)
        pending += _unless_unsupported(catalog.list_namespaces, namespace)


def _unless_unsupported(
    list_: Callable[[Identifier], list[Identifier]], namespace: Identifier
) -> list[Identifier]:
    """Return nothing if the catalog does not support views or nested namespaces."""
    try:
        return list_(namespace)
    except NotImplementedError:
        return []
    except RESTError as error:
        if _status(error) == _NOT_ACCEPTABLE:
            return []
        raise


def _load(catalog: Catalog, kind: str, name: Identifier) -> Neighbour | None:
    """Return a table or view, or None if it does not exist."""
    title = _title(kind, name)
    try:
        if kind == "view":
            view = catalog.load_view(name)
            location = view.metadata.location
            path = view.metadata.properties.get("write.metadata.path")
            folders = tuple(place(each) for each in (location, path) if each)
            return Neighbour(title, str(view.metadata.view_uuid), folders)
        table = catalog.load_table(name)
        folders = places(table)
        metadata = {path.rpartition("/")[0] for path in reach.metadata_files(table)}
        folders += tuple(
            place(folder)
            for folder in sorted(metadata)
            if not any(known.holds(folder) for known in folders)
        )
        return Neighbour(title, str(table.metadata.table_uuid), folders, table)
    except (NoSuchTableError, NoSuchViewError):
        return None
    except Exception as error:
        raise _unchecked(f"{title} cannot be compared with ({_words(error)})") from error


def _title(kind: str, name: Identifier) -> str:
    return f"the view {spell(name)}" if kind == "view" else spell(name)


def _status(error: BaseException) -> int | None:
    cause = error.__cause__
    response = cause.response if isinstance(cause, HTTPError) else None
    return None if response is None else response.status_code


def _unreadable(other: Neighbour, error: Exception) -> UncheckedError:
    return _unchecked(
        f"the manifests of {other.title} cannot be read ({_words(error)});"
        " --locations-only compares without them"
    )


def _words(error: Exception) -> str:
    status = _status(error)
    return f"{f'{status} ' if status else ''}{type(error).__name__}: {error}"


def _unchecked(why: str) -> UncheckedError:
    return UncheckedError(f"{why}; another table's files may be in the way, so deleted nothing")
