"""Read a group's rows as the table's present schema shows them, without the deleted ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask

from jobs.maintenance.deletes import DeleteFiles
from jobs.maintenance.locations import normal
from jobs.maintenance.planning import Group
from jobs.maintenance.state import State


@dataclass(frozen=True)
class Rows:
    """The live rows of a group's files, which can be read more than once."""

    state: State
    group: Group
    delete_files: DeleteFiles

    def read(self, schema: Schema) -> Iterator[pa.Table]:
        """Return the rows in the order of the files, a few at a time.

        PyIceberg's scan does what old files need: columns are matched by field id or name
        mapping, types promoted, missing columns filled.
        """
        arrow = schema_to_pyarrow(schema, include_field_ids=False)
        scan = ArrowScan(self.state.metadata, self.state.table.io, schema, AlwaysTrue())
        for entry in self.group.files:
            path = entry.data_file.file_path
            deletes = self.group.deletes.get(path, ())
            gone = {path: [self.delete_files.positions(deletes, normal(path))]} if deletes else {}
            task = FileScanTask(entry.data_file)
            # The public reader holds whole files; this generator holds a batch.
            for batch in scan._record_batches_from_scan_tasks_and_deletes([task], gone):  # noqa: SLF001
                yield pa.Table.from_batches([batch]).cast(arrow)
