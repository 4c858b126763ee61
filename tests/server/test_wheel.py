"""The wheel installs alone: the catalog without the weight of the pipeline."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog

REPOSITORY = Path(__file__).parents[2]
WEIGHT = {"pyarrow", "duckdb", "luigi", "dbt-core", "pandas", "numpy"}
SHARED = ("systemd", "conf", "dbt")
SOURCES = (
    "falcon_catalog",
    "jobs",
    *SHARED,
    "pyproject.toml",
    "setup.cfg",
    "README.md",
    "LICENSE",
)


def run(*command: str, cwd: Path) -> str:
    result = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=280
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Build from a copy: building writes into its tree."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in SOURCES:
        source = REPOSITORY / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, tree / name, ignore=ignored)
        else:
            shutil.copy(source, tree)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), cwd=tree)
    (built,) = tmp_path.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_alone_serves(wheel: Path, start: Any, tmp_path: Path) -> None:
    run(sys.executable, "-m", "virtualenv", "--quiet", "alone", cwd=tmp_path)
    python = str(tmp_path / "alone" / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    constraints = str(REPOSITORY / "constraints.txt")
    run(*pip, "install", "--quiet", "--constraint", constraints, str(wheel), cwd=tmp_path)
    run(*pip, "check", cwd=tmp_path)
    listed = run(*pip, "list", "--format=freeze", cwd=tmp_path)
    installed = {line.partition("==")[0].lower() for line in listed.splitlines()}
    assert {"falcon-catalog", "falcon", "waitress"} <= installed
    assert installed & WEIGHT == set()

    # What falcon-catalog install needs is all there.
    tracked = run("git", "ls-files", *SHARED, cwd=REPOSITORY).splitlines()
    shared = tmp_path / "alone/share/falcon-catalog"
    there = {str(each.relative_to(shared)) for each in shared.rglob("*") if each.is_file()}
    assert there == set(tracked)

    program = str(tmp_path / "alone" / "bin" / "falcon-catalog")
    server = start(program, "serve", "--listen", "127.0.0.1:0", cwd=tmp_path)
    url = server.url()
    assert requests.get(f"{url}/health/live", timeout=60).status_code == 200
    assert requests.get(f"{url}/health/ready", timeout=60).status_code == 200
    assert _planned_files(url) == 1
    assert server.stop() == 0


@pytest.mark.slow
def test_the_readme_s_installation_serves(start: Any, tmp_path: Path) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    *installing, serving = re.search(r"```sh\n(.*?)```", readme, re.DOTALL)[1].splitlines()
    assert "`uvx --from . falcon-catalog serve`" in readme
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", str(REPOSITORY), str(clone), cwd=tmp_path)
    for line in installing:
        run("sh", "-c", line, cwd=clone)
    for line in (serving, f"{sys.executable} -m uv tool run --from . falcon-catalog serve"):
        server = start(*line.split(), "--listen=127.0.0.1:0", cwd=clone)
        assert requests.get(f"{server.url()}/health/ready", timeout=60).status_code == 200
        assert server.stop() == 0


def _planned_files(url: str) -> int:
    """Write a table with this Python's PyIceberg, and have the server beside it plan a scan."""
    client = RestCatalog("wheel", uri=url)
    client.create_namespace("ns")
    rows = pa.table({"i": [1, 2, 3]})
    client.create_table("ns.t", schema=rows.schema).append(rows)
    plan = requests.post(f"{url}/v1/namespaces/ns/tables/t/plan", json={}, timeout=60)
    assert plan.status_code == 200, plan.text
    return len(plan.json()["file-scan-tasks"])
