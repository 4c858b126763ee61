"""The program a person types."""

import json
import signal
import socket
import sqlite3
import tomllib
from pathlib import Path
from typing import Any

import pytest
import requests

from falcon_catalog import __version__
from falcon_catalog.settings import SETTINGS

TIMEOUT = 60


def said(process: Any) -> tuple[int, list[str]]:
    """Wait for the end; return the status and the lines of stdout."""
    status = process.status()
    return status, list(iter(process.line, None))


def test_serve_needs_nothing_told(cli: Any, tmp_path: Path) -> None:
    server = cli("serve", "--listen", "127.0.0.1:0")
    url = server.url()
    assert requests.get(f"{url}/health/live", timeout=TIMEOUT).status_code == 200
    assert requests.get(f"{url}/health/ready", timeout=TIMEOUT).status_code == 200
    assert requests.get(f"{url}/v1/config", timeout=TIMEOUT).status_code == 200
    assert server.stop() == 0
    assert (tmp_path / "var/catalog/catalog.db").is_file()
    assert (tmp_path / "var/catalog/warehouse").is_dir()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_database_opens_clean_after_the_end(cli: Any, tmp_path: Path, number: int) -> None:
    flags = [
        "--listen=127.0.0.1:0",
        f"--store=sqlite:///{tmp_path}/c.db",
        f"--warehouse=file://{tmp_path}/w",
    ]
    server = cli("serve", *flags)
    url = server.url()
    created = requests.post(
        f"{url}/v1/default/namespaces", json={"namespace": ["weather"]}, timeout=TIMEOUT
    )
    assert created.status_code == 200, created.text
    server.signal(number)
    assert server.status() == 0
    assert not list(tmp_path.glob("c.db-wal"))  # no log left to recover
    with sqlite3.connect(tmp_path / "c.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    url = cli("serve", *flags).url()
    listed = requests.get(f"{url}/v1/default/namespaces", timeout=TIMEOUT).json()
    assert listed["namespaces"] == [["weather"]]


def test_settings_come_from_a_file_and_the_environment(cli: Any, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/there.db"\n', encoding="utf-8")
    environ = {"CATALOG_SERVER_LISTEN": "127.0.0.1:0", "CATALOG_WAREHOUSE": "of-the-jobs"}
    server = cli("serve", "--config", str(config), environ=environ)
    server.url()
    assert server.stop() == 0
    assert (tmp_path / "there.db").is_file()


@pytest.mark.parametrize(
    ("arguments", "environ", "line"),
    [
        (
            [],
            {"CATALOG_SERVER_LISTEN": "nowhere"},
            "Error: environment CATALOG_SERVER_LISTEN: server.listen = 'nowhere': it must be HOST",
        ),
        (
            ["--warehouse", "s3://bucket"],
            {},
            "Error: warehouse.region: it is required for s3://bucket: the bucket's region, or ",
        ),
        (
            ["--warehouse", "s3://bucket"],
            {
                "CATALOG_WAREHOUSE_REGION": "us-east-1",
                "CATALOG_WAREHOUSE_ENDPOINT": "http://127.0.0.1:1",
            },
            "Error: warehouse.path_style: it must be true for s3://bucket: a bucket cannot be ",
        ),
        (
            [],
            {"CATALOG_SERVER_THREADS": "many"},
            "Error: environment CATALOG_SERVER_THREADS: server.threads = 'many': it must be ",
        ),
        (["--config", "none.toml"], {}, "Error: none.toml: cannot be read: No such file"),
        (
            ["--warehouse", "file:///dev/null/w"],
            {},
            "Error: flag --warehouse: warehouse.location = 'file:///dev/null/w': /dev/null/w",
        ),
    ],
)
@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_a_wrong_setting_is_one_line_and_status_2(
    cli: Any, command: str, arguments: list[str], environ: dict[str, str], line: str
) -> None:
    process = cli(command, *arguments, environ=environ)
    assert said(process) == (2, [])
    (told,) = process.errors
    assert told.startswith(line)


def test_a_port_in_use_is_one_line_and_status_1(cli: Any) -> None:
    port = cli("serve", "--listen=127.0.0.1:0").port()
    second = cli("serve", f"--listen=127.0.0.1:{port}", "--log-level=WARNING")
    assert said(second) == (1, [])
    (told,) = second.errors
    assert told.startswith(f"Error: Cannot listen on 127.0.0.1:{port}: another process")


@pytest.mark.parametrize("others", [["--insecure"], []])
def test_a_start_that_cannot_listen_creates_nothing(
    cli: Any, tmp_path: Path, others: list[str]
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104 - nobody is served
        port = taken.getsockname()[1] if others else 0
        refused = cli("serve", f"--listen=0.0.0.0:{port}", *others)
        assert said(refused)[0] == 1
    assert refused.errors[-1].startswith("Error: Cannot listen on ")
    assert not (tmp_path / "var").exists()


def test_a_path_in_use_is_one_line_and_creates_nothing(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen()
        refused = cli("serve", f"--listen=unix:{path}")
        assert said(refused)[0] == 1
    assert refused.errors[-1].startswith(f"Error: Cannot listen on unix:{path}: another process")
    assert not (tmp_path / "var").exists()


def test_a_store_that_is_no_database_is_one_line_and_status_1(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "c.db").write_text("certainly not a database", encoding="utf-8")
    process = cli("serve", "--store=sqlite:///c.db", "--listen=127.0.0.1:0")
    assert said(process) == (1, [])
    (told,) = process.errors
    assert str(tmp_path / "c.db") in told


def test_migrate_makes_the_store_and_does_nothing_the_second_time(cli: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/c.db"
    for lines in ([f"There was no store at {url}: it was created"], []):
        process = cli("migrate", "--store=sqlite:///c.db")
        assert said(process) == (0, [*lines, f"{url} is up to date"])
    with sqlite3.connect(tmp_path / "c.db") as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert "namespaces" in tables


def test_config_show_prints_a_file_that_gives_the_same_settings(cli: Any, tmp_path: Path) -> None:
    environ = {"CATALOG_WAREHOUSE_ALLOWED_LOCATIONS": "file:///a,file:///b"}
    status, lines = said(cli("config", "show", "--warehouse-name", "lake-1.x", environ=environ))
    assert status == 0
    assert "threads = 8" in "\n".join(lines)
    origins = {line.split(" = ")[0]: line.split("  # ")[-1] for line in lines if " = " in line}
    assert origins["name"] == "flag --warehouse-name"
    assert origins["allowed_locations"] == "environment CATALOG_WAREHOUSE_ALLOWED_LOCATIONS"
    assert origins["threads"] == "default"

    written = tomllib.loads("\n".join(lines))
    assert written["warehouse"]["name"] == "lake-1.x"
    assert written["warehouse"]["allowed_locations"] == ["file:///a", "file:///b"]
    keys = {f"{section}.{name}" for section, values in written.items() for name in values}
    assert keys == {setting.key for setting in SETTINGS}

    (tmp_path / "c.toml").write_text("\n".join(lines), encoding="utf-8")
    status, again = said(cli("config", "show", "--config", "c.toml"))
    assert status == 0
    assert tomllib.loads("\n".join(again)) == written


def test_config_show_prints_the_sections_of_warehouses(cli: Any, tmp_path: Path) -> None:
    lake = {"location": "s3://lake/x", "region": "eu-west-1", "credential": "env:LAKE"}
    text = "".join(f"{name} = {value!r}\n" for name, value in lake.items())
    (tmp_path / "c.toml").write_text(
        f"[warehouse.lake]\n{text}\n[warehouse.'old.lake']\nlocation = '/srv/old'\n"
    )
    status, lines = said(cli("config", "show", "--config", "c.toml"))
    assert status == 0
    written = tomllib.loads("\n".join(lines))["warehouse"]
    assert written["lake"] == lake
    assert written["old.lake"] == {"location": "file:///srv/old"}
    (tmp_path / "again.toml").write_text("\n".join(lines), encoding="utf-8")
    assert said(cli("config", "show", "--config", "again.toml"))[0] == 0
    status, lines = said(cli("config", "show", "--json", "--config", "c.toml"))
    assert json.loads("\n".join(lines))["warehouse.lake.credential"] == {
        "value": "env:LAKE",
        "origin": "c.toml",
    }


def test_help_teaches_with_examples(cli: Any) -> None:
    status, lines = said(cli("--help"))
    assert status == 0
    assert "falcon-catalog serve" in "\n".join(lines)
    for command in (["serve"], ["config", "show"]):
        status, lines = said(cli(*command, "--help"))
        assert status == 0
        text = " ".join(" ".join(lines).split())
        assert "Example" in text
        for setting in SETTINGS:
            if setting.flag:
                value = "" if setting.default == "false" else " VALUE"
                assert f"{setting.flag}{value}" in text
                assert setting.help in text


def test_a_misspelled_command_suggests_close_ones(cli: Any) -> None:
    for typed, meant in (("lst", "ls"), ("drpo", "drop or undrop")):
        process = cli(typed)
        assert said(process)[0] == 2
        assert process.errors[-1] == f"Error: No such command '{typed}' (did you mean {meant}?)."


def test_version(cli: Any) -> None:
    assert said(cli("--version")) == (0, [f"falcon-catalog, version {__version__}"])


def test_the_log_is_one_line_a_request(cli: Any) -> None:
    server = cli("serve", "--listen=127.0.0.1:0")
    requests.get(f"{server.url()}/health/live", timeout=TIMEOUT)
    assert server.stop() == 0
    (line,) = [line for line in server.errors if "/health/live" in line]
    assert line.startswith("time=20")
    assert " level=info " in line
