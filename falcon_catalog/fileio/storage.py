"""The storage of one warehouse: its files, and what gives clients access to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.delegation import Signs, Vends


@dataclass(frozen=True, slots=True)
class Storage:
    """The storage of one warehouse."""

    files: FileIO
    vends: Vends | None = None
    """None: there are no temporary credentials. Where access is signed, they are signed with."""
    signs: Signs | None = None
    client_config: Mapping[str, str] = field(default_factory=dict)
    """What every client needs to reach the store, and is no secret: endpoint, region, style."""
    durable: bool = True
    """Whether what was written outlives a power cut, as far as the settings want it."""
