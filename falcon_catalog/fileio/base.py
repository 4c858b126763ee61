"""What the catalog asks of a file store: Iceberg's FileIO, reduced to metadata files."""

from collections.abc import Hashable
from typing import Protocol


class FileIO(Protocol):
    """Reads, writes and deletes whole files by location."""

    def read(self, location: str) -> bytes:
        """Return the content of a file.

        Raises:
            NotFoundError: there is no such file.
            BadRequestError: the location cannot name a file here.
        """

    def require(self, location: str) -> None:
        """Do nothing if there is such a file.

        Raises:
            NotFoundError: there is none.
        """

    def size(self, location: str) -> int:
        """Return the bytes of a file.

        Raises:
            NotFoundError: there is no such file.
            BadRequestError: the location cannot name a file here.
        """

    def write(self, location: str, *pieces: bytes) -> None:
        """Create a file of these pieces that outlives a power cut once this returns.

        Raises:
            ServiceUnavailableError: the file is there already and was left alone, or could
                not be made durable and no part of it is left behind.
        """

    def delete(self, location: str) -> None:
        """Delete a file; one that is not there is no error."""

    def version(self, location: str) -> Hashable:
        """Return what changes when a file is replaced by another; the file is not read.

        Raises:
            NotFoundError: there is no such file.
        """

    def replace(self, location: str, content: bytes) -> None:
        """Create a file, or take the place of one: whole or not at all, durable on return.

        Raises:
            ServiceUnavailableError: it could not be done; what was there is still there.
        """

    def is_empty(self, location: str) -> bool:
        """Say whether nothing lies below a location, hidden files aside."""

    def prepare_table(self, location: str, *, staged: bool = False) -> None:
        """Make what engines expect to find at a table's location before they write.

        For a table that is only ``staged`` it need not outlive a power cut.

        Raises:
            ServiceUnavailableError: it could not be made.
        """

    def abandon_table(self, location: str) -> None:
        """Count on nothing that ``prepare_table`` made: the table was not created."""

    def remove_empty_folders(self, location: str) -> None:
        """Remove what is at a location as far as there is no file in it."""
