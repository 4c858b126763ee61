"""What compaction cannot read is refused with the file's name and the reason."""

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat

from jobs.maintenance.deletes import DeleteFiles
from jobs.maintenance.errors import RefusedError


def test_position_deletes_that_are_not_parquet_are_refused_by_name() -> None:
    delete = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path="file:///lake/t/data/deletes.avro",
        file_format=FileFormat.AVRO,
    )
    with pytest.raises(RefusedError, match=r"deletes\.avro .* AVRO, and only those in Parquet"):
        DeleteFiles(PyArrowFileIO()).referenced(delete, known=())
