from pathlib import Path

import pytest

from falcon_catalog.errors import BadRequestError, NotFoundError, ServiceUnavailableError
from falcon_catalog.fileio.local import LocalFileIO

files = LocalFileIO()


@pytest.mark.parametrize("form", ["file://{}/m/x.json", "file:{}/m/x.json", "{}/m/x.json"])
def test_each_way_to_write_a_location_names_the_same_file(tmp_path: Path, form: str) -> None:
    location = form.format(tmp_path)
    files.write(location, b"abc")
    assert (tmp_path / "m" / "x.json").read_bytes() == files.read(location) == b"abc"
    files.delete(location)
    files.delete(location)
    with pytest.raises(NotFoundError, match=r"Failed to open input stream for file: .*x\.json"):
        files.read(location)


def test_a_file_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    files.write(f"{tmp_path}/x", b"first")
    with pytest.raises(ServiceUnavailableError, match="File exists"):
        files.write(f"{tmp_path}/x", b"second")
    assert (tmp_path / "x").read_bytes() == b"first"


def test_a_file_that_cannot_be_written_whole_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdatasync", full)
    with pytest.raises(ServiceUnavailableError, match="No space left"):
        files.write(f"{tmp_path}/x", b"abc")
    assert list(tmp_path.iterdir()) == []


def test_a_table_finds_its_folders(tmp_path: Path) -> None:
    files.prepare_table(f"file://{tmp_path}/a/t")
    files.prepare_table(f"file://{tmp_path}/a/t")
    assert sorted(p.name for p in (tmp_path / "a" / "t").iterdir()) == ["data", "metadata"]


def test_another_scheme_is_refused() -> None:
    with pytest.raises(BadRequestError, match="s3"):
        files.read("s3://bucket/key")
