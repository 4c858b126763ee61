"""A table in a running catalog, to which a history happens."""

import multiprocessing
import signal
from collections.abc import Callable

from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform, parse_transform

from jobs.maintenance import RefusedError
from tests.maintenance.histories.killing import work
from tests.maintenance.histories.operations import NAME, OPERATIONS, run
from tests.maintenance.histories.story import Step, Story
from tests.maintenance.histories.values import TYPES
from tests.maintenance.histories.writing import Writing
from tests.maintenance.lake import Lake, age, path_of

_HIDDEN = "_delta_log"
_PATIENCE = 120  # seconds
_FORK = multiprocessing.get_context("forkserver")
_FORK.set_forkserver_preload(["tests.maintenance.histories.killing"])


class World(Writing):
    """The table, whose spec, schema and branches change, and which is maintained."""

    def __init__(self, lake: Lake, story: Story, check: Callable[["World", str], None]) -> None:
        super().__init__(lake, story)
        self.check = check

    def happen(self, step: Step) -> bool:
        """Let a step happen; return whether rows must be compared afterwards."""
        kind, *arguments = step
        self.done[kind] += 1
        if kind in OPERATIONS:
            self.maintain(step)
            return True
        return bool(getattr(self, f"_{kind}")(*arguments))

    def _add(self, key: str, kind: str) -> None:
        with self.table().update_schema() as update:
            update.add_column(key, TYPES[kind])
        self.ids[key] = self.table().schema().find_field(key).field_id
        self.model.add_column(key, kind)

    def _rename(self, key: str, name: str) -> None:
        if key in self.model.kinds:
            with self.table().update_schema() as update:
                update.rename_column(self.name_of(key), name)

    def _widen(self, key: str, kind: str) -> None:
        if key in self.model.kinds:
            with self.table().update_schema() as update:
                update.update_column(self.name_of(key), TYPES[kind])
            self.model.kinds[key] = kind

    def _drop(self, key: str) -> None:
        table = self.table()
        if key not in self.model.kinds:
            return
        if self.ids[key] in {field.source_id for field in table.sort_order().fields}:
            return
        if self.ids[key] in {f.source_id for s in table.specs().values() for f in s.fields}:
            return
        with table.update_schema() as update:
            update.delete_column(self.name_of(key))
        del self.model.kinds[key]

    def _sort(self, key: str, way: str) -> None:
        if key != "id" and key not in self.model.kinds:
            return
        with self.table().update_sort_order() as update:
            getattr(update, way)(self.name_of(key), IdentityTransform())

    def _partition(self, key: str, transform: str) -> None:
        if key != "id" and key not in self.model.kinds:
            return
        table = self.table()
        if any(one[0] == key for one in self.partitions(table, all_specs=False)):
            return
        with table.update_spec() as update:
            update.add_field(self.name_of(key), parse_transform(transform), self.fresh())

    def _unpartition(self, key: str, transform: str) -> None:
        table = self.table()
        for field in table.spec().fields:
            if field.source_id == self.ids.get(key) and str(field.transform) == transform:
                with table.update_spec() as update:
                    update.remove_field(field.name)
                return

    def _tag(self, name: str) -> None:
        table = self.table()
        snapshot = table.current_snapshot()
        if snapshot and name not in self.tags and name not in self.model.refs:
            self.tags[name] = self.snapshot_rows(table, snapshot.snapshot_id)
            table.manage_snapshots().create_tag(snapshot.snapshot_id, name).commit()

    def snapshot_rows(self, table: Table, snapshot_id: int) -> str:
        """Return a snapshot's rows, as PyIceberg reads them in the schema of their time."""
        found = table.scan(snapshot_id=snapshot_id).to_arrow().to_pylist()
        return "\n".join(sorted(repr(list(row.values())) for row in found))

    def _branch(self, name: str) -> None:
        table = self.table()
        snapshot = table.current_snapshot()
        if snapshot and name not in self.model.refs:
            table.manage_snapshots().create_branch(snapshot.snapshot_id, name).commit()
            self.model.branch(name)

    def maintain(self, step: Step) -> None:
        """Run an operation that must not change a row, and check what it says it did."""
        kind = step[0]
        if kind in ("orphans", "metadata"):
            self._plant()
        before = self.table()
        try:
            result = run(self.lake.catalog, step)
        except RefusedError:
            assert kind in ("orphans", "metadata", "expire"), step
            assert self.story.layout != "alone", step
            self.done[f"{kind} refused"] += 1
            return
        self.done[f"{kind} that changed something"] += result.changed
        if kind == "compact" and self.story.version == 3:
            assert result.skipped
            assert self.table().metadata == before.metadata
        if kind == "orphans":
            self._gone()

    def _plant(self) -> None:
        """Leave what crashed writers leave, and what belongs to other software."""
        home = path_of(self.table().location())
        name = f"left-{next(self.names)}.parquet"
        for path in (home / "data" / name, home / "data" / "p=%2F" / name, home / _HIDDEN / name):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"left")
            age({path}, 10)
            self.planted.add(path)

    def _gone(self) -> None:
        """Check that what belongs to nothing is gone, and what may belong to others is not."""
        for path in self.planted:
            hidden = path.parent.name == _HIDDEN
            assert path.exists() == hidden, f"{path} exists: {path.exists()}"
        if self.story.layout == "alone":
            left = {p for p in self.lake.unreferenced(NAME) if p.parent.name != _HIDDEN}
            assert not left, f"orphans are left: {left}"

    def _kill(self, step: Step, at: int) -> bool:
        """Kill an operation at one of its calls, and run it again: rows stay through both."""
        process = _FORK.Process(target=work, args=(self.lake.url, step, at))
        process.start()
        process.join(_PATIENCE)
        assert process.exitcode in (0, -signal.SIGKILL, 3), process.exitcode
        self.done["killed"] += process.exitcode == -signal.SIGKILL
        self.check(self, f"killed at call {at} of {step}")
        self.maintain(step)
        return True
