"""Five people use one catalog through PyIceberg and DuckDB, and the audit log has what they did."""

from pathlib import Path

from tests.permissions import chapters
from tests.permissions.story import Catalog


def test_the_audit_log_reproduces_what_five_people_did(tmp_path: Path) -> None:
    chapters.tell(tmp_path, Catalog.duckdb)
