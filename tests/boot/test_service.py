"""falcon-catalog install on a machine that systemd boots, from the first command to the last."""

import json
import re
import shlex
from pathlib import Path

from tests.boot.client import URL, answers_to_strangers, get, make_table, post
from tests.boot.image import PREFIX
from tests.boot.machine import Machine
from tests.processes import DEADLINE

PROGRAM = f"{PREFIX}/bin/falcon-catalog"
UNITS = "/etc/systemd/system"
NAMES = ("catalog.service", "catalog.socket")


def answers(machine: Machine) -> list[int]:
    """Return the rows of the table that the first test makes, through a client."""
    sql = machine.run(PROGRAM, "engines", "duckdb") + "SELECT answer FROM lake.notes.first;"
    command = f"printf %s {shlex.quote(sql)} | {as_user(f'{PREFIX}/bin/duckdb -json')}"
    *_, rows = machine.run("sh", "-c", command).split("\n[")
    return [row["answer"] for row in json.loads("[" + rows.removeprefix("["))]


def as_user(command: str) -> str:
    return f"runuser -u iceberg -- env --chdir=/tmp HOME=/var/lib/falcon-catalog {command}"


def drop_in(machine: Machine, unit: str, text: str) -> None:
    folder = machine.path(f"{UNITS}/{unit}.d")
    folder.mkdir(exist_ok=True)
    (folder / "test.conf").write_text(text, encoding="utf-8")
    machine.run("systemctl", "daemon-reload")


def main_process(machine: Machine) -> str:
    return machine.show("catalog.service", "MainPID")


def test_pip_installs_the_wheel(machine: Machine, wheel: Path) -> None:
    machine.path(f"/opt/{wheel.name}").write_bytes(wheel.read_bytes())
    pip = (f"{PREFIX}/bin/pip", "install", "--quiet", "--no-index", "--no-deps")
    machine.run(*pip, f"/opt/{wheel.name}")
    machine.run(f"{PREFIX}/bin/pip", "check")


def test_a_dry_run_writes_nothing(machine: Machine) -> None:
    said = machine.run(PROGRAM, "install", "--pipeline", "--dry-run")
    assert "+ExecStart=/opt/falcon-catalog/venv/bin/falcon-catalog serve" in said
    assert "Nothing was changed." in said
    assert not machine.path("/etc/falcon-catalog").exists()
    assert not machine.path(f"{UNITS}/catalog.service").exists()


def test_only_root_installs(machine: Machine) -> None:
    result = machine.result("runuser", "-u", "nobody", "--", PROGRAM, "install")
    assert result.returncode == 1
    assert "only root can install services" in result.stderr


def test_a_port_in_use_is_refused_before_anything_is_written(machine: Machine) -> None:
    machine.run(
        *("systemd-run", "--quiet", "--unit=other", "--service-type=exec"),
        *("python3", "-m", "http.server", "--bind", "127.0.0.1", "8181"),
    )
    machine.wait_until(lambda: machine.result("curl", "--silent", URL).returncode == 0, "other")
    result = machine.result(PROGRAM, "install")
    assert result.returncode == 1
    assert "another program listens on 127.0.0.1:8181" in result.stderr
    assert not machine.path("/etc/falcon-catalog").exists()
    machine.run("systemctl", "stop", "other")


def test_an_environment_in_root_s_home_is_refused(machine: Machine) -> None:
    machine.run("python3", "-m", "venv", "--without-pip", "/root/venv")
    site = machine.path("/root/venv/lib").glob("python3.*/site-packages")
    (next(site) / "there.pth").write_text(
        machine.run("sh", "-c", f"echo {PREFIX}/lib/python3.*/site-packages"), encoding="utf-8"
    )
    machine.run("ln", "--symbolic", PROGRAM, "/root/venv/bin/falcon-catalog")
    result = machine.result("/root/venv/bin/python", "-m", "falcon_catalog", "install")
    assert result.returncode == 1
    assert "/root/venv is in /root, which ProtectHome= hides from services" in result.stderr
    machine.run("rm", "--recursive", "/root/venv")


def test_install_serves_and_prints_a_first_query_that_works(machine: Machine) -> None:
    said = machine.run(PROGRAM, "install")
    assert f"serves {URL}" in said
    assert all(machine.show(unit, "ActiveState") == "active" for unit in NAMES)
    assert machine.show("catalog.service", "User") == "iceberg"
    # Its extensions come from wheels here; elsewhere from DuckDB's site.
    names = ("iceberg", "avro", "httpfs")
    script = f"import duckdb_extensions as d; [d.import_extension(e) for e in {names}]"
    machine.run("sh", "-c", as_user(f"{PREFIX}/bin/python -c {shlex.quote(script)}"))
    pip, query = re.search(r"(?s)\n  (/\S+/pip install duckdb-cli)\n(  \{ .*duckdb)", said).groups()
    assert pip.startswith(PREFIX)  # it is in the image: there is no network
    assert "42" in machine.run("sh", "-c", query)
    assert answers(machine) == [42]


def test_a_second_run_changes_nothing(machine: Machine) -> None:
    before = main_process(machine)
    said = machine.run(PROGRAM, "install")
    assert said.startswith("Nothing to change for falcon-catalog")
    assert "run " not in said
    assert main_process(machine) == before


def test_tables_are_made_over_http(machine: Machine) -> None:
    make_table(machine, "second")
    tables = json.loads(get(machine, "/v1/namespaces/notes/tables"))["identifiers"]
    assert [each["name"] for each in tables] == ["first", "second"]


def test_a_killed_service_is_started_again_and_has_lost_nothing(machine: Machine) -> None:
    before = main_process(machine)
    machine.run("systemctl", "kill", "--signal=KILL", "catalog.service")
    # The socket is systemd's: the client waits for the next process instead of failing.
    assert get(machine, "/health/ready")
    assert main_process(machine) != before
    assert int(machine.show("catalog.service", "NRestarts")) == 1
    assert answers(machine) == [42]


def test_a_service_that_hangs_is_started_again(machine: Machine) -> None:
    drop_in(machine, "catalog.service", "[Service]\nWatchdogSec=3s\nWatchdogSignal=SIGKILL\n")
    machine.run("systemctl", "restart", "catalog.service")
    before = main_process(machine)
    machine.run("systemctl", "kill", "--signal=STOP", "catalog.service")
    machine.wait_until(lambda: main_process(machine) not in {"0", before}, "catalog")
    assert get(machine, "/health/ready")
    assert "Watchdog timeout" in machine.run("journalctl", "--no-pager", "--unit=catalog")
    assert answers(machine) == [42]
    machine.path(f"{UNITS}/catalog.service.d/test.conf").unlink()
    machine.run("systemctl", "daemon-reload")


def test_a_reboot_starts_it(machine: Machine) -> None:
    machine.reboot()
    assert get(machine, "/health/ready")
    assert answers(machine) == [42]


def test_a_changed_unit_is_installed_and_restarts_the_service(machine: Machine) -> None:
    shipped = machine.path(f"{PREFIX}/share/falcon-catalog/systemd/catalog.service")
    text = shipped.read_text(encoding="utf-8")
    shipped.write_text(text.replace("LimitNOFILE=8192", "LimitNOFILE=8000"), encoding="utf-8")
    before = main_process(machine)
    said = machine.run(PROGRAM, "install")
    assert f"update   {UNITS}/catalog.service" in said
    assert "run      systemctl restart catalog.service" in said
    assert main_process(machine) != before
    assert machine.show("catalog.service", "LimitNOFILE") == "8000"


def test_instances_are_restarted_one_by_one_without_a_failed_request(machine: Machine) -> None:
    machine.run("systemctl", "disable", "--now", "catalog.service")
    machine.run("systemctl", "enable", "--now", "catalog@1.service", "catalog@2.service")
    loop = (
        "for i in $(seq 100000); do [ -e /run/done ] && break;"
        f" curl --silent --show-error --fail --output /dev/null {URL}/v1/config || echo failed;"
        " done;"
        " echo requests: $i"
    )
    machine.run("systemd-run", "--quiet", "--unit=load", "sh", "-c", loop)
    pids = {unit: machine.show(unit, "MainPID") for unit in ("catalog@1", "catalog@2")}
    shipped = machine.path(f"{PREFIX}/share/falcon-catalog/systemd/catalog@.service")
    text = shipped.read_text(encoding="utf-8")
    shipped.write_text(text.replace("LimitNOFILE=8192", "LimitNOFILE=8000"), encoding="utf-8")
    said = machine.run(PROGRAM, "install")
    assert said.index("restart catalog@1.service") < said.index("restart catalog@2.service")
    assert "catalog.service" not in said.partition("update")[2]
    machine.path("/run/done").parent.mkdir(exist_ok=True)
    machine.run("touch", "/run/done")
    machine.wait_until(lambda: machine.show("load", "ActiveState") != "active", "load")
    log = machine.run("journalctl", "--no-pager", "--output=cat", "--unit=load")
    assert "failed" not in log.splitlines(), log
    assert int(re.search(r"requests: (\d+)", log)[1]) > 10
    assert all(machine.show(unit, "MainPID") != pid for unit, pid in pids.items())
    machine.run("systemctl", "disable", "--now", *pids)
    machine.run("systemctl", "enable", "--now", "catalog.service")


def test_a_warehouse_elsewhere_is_written_after_another_install(machine: Machine) -> None:
    settings = machine.path("/etc/falcon-catalog/catalog.toml")
    text = settings.read_text("utf-8")
    more = '[warehouse]\nmore = ["elsewhere=file:///srv/my lake"]\n'
    settings.write_text(text.replace("[warehouse]\n", more), encoding="utf-8")
    said = machine.run(PROGRAM, "install")
    assert "create   /srv/my lake/ (of the user iceberg)" in said
    assert "run      systemctl restart catalog.service" in said
    post(machine, "/v1/elsewhere/namespaces", '{"namespace":["notes"]}')
    make_table(machine, "there", "/v1/elsewhere")
    assert list(machine.path("/srv/my lake").rglob("*.metadata.json"))


def test_the_pipeline_s_timer_loads_weather_with_a_credential_of_its_own(machine: Machine) -> None:
    settings = machine.path("/etc/falcon-catalog/catalog.toml")
    settings.write_text(settings.read_text("utf-8") + "\n[auth]\nrequired = true\n", "utf-8")
    machine.run("systemctl", "restart", "catalog.service")
    said = machine.run(PROGRAM, "install", "--pipeline")
    assert "credential of the principal weather" in said
    for name in ("admin", "weather"):
        path = machine.path(f"/etc/falcon-catalog/credentials/{name}")
        assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o600, 0)
        assert path.read_text("utf-8").strip() not in said
    assert not answers_to_strangers(machine)
    assert get(machine, "/health/ready")

    simulator = ("-m", "jobs.nws_simulator", "--listen", "127.0.0.1:9999", "--shift-to-now")
    run = ("systemd-run", "--quiet", "--unit=simulator", "--working-directory=/tmp")
    machine.run(*run, f"{PREFIX}/bin/python", *simulator)
    station = "http://127.0.0.1:9999/stations/KJFK"
    machine.wait_until(
        lambda: machine.result("curl", "--silent", station).returncode == 0, "simulator"
    )
    luigi = machine.path("/etc/falcon-catalog/luigi.cfg")
    text = luigi.read_text("utf-8")
    text = re.sub(r"(?m)^base_url = .*", "base_url = http://127.0.0.1:9999", text)
    luigi.write_text(re.sub(r"(?m)^stations = .*", "stations = KJFK", text), encoding="utf-8")
    unit = "weather-ingestion.service"
    start = machine.run("grep", "^ExecStart=", f"{UNITS}/{unit}").replace("limit 24", "limit 3")
    drop_in(machine, unit, f"[Service]\nExecStart=\n{start}\n")
    soon = "OnCalendar=\nOnActiveSec=1s\nRandomizedDelaySec=0\nAccuracySec=1ms"
    drop_in(machine, "weather-ingestion.timer", f"[Timer]\n{soon}\n")
    machine.run("systemctl", "restart", "weather-ingestion.timer")
    # Three hours of weather, which take a minute on a slow machine.
    ended = "ExecMainExitTimestamp"
    machine.wait_until(lambda: machine.show(unit, ended) != "", unit, 5 * DEADLINE)
    assert (machine.show(unit, "Result"), machine.show(unit, "ExecMainStatus")) == ("success", "0")
    assert machine.show("weather-ingestion.timer", "LastTriggerUSec") != ""
    assert machine.path("/var/lib/falcon-weather").is_dir()
    credential = machine.path("/etc/falcon-catalog/credentials/admin").read_text("utf-8").strip()
    name, _, secret = credential.partition(":")
    grant = f"grant_type=client_credentials&client_id={name}&client_secret={secret}"
    token = json.loads(get(machine, "/v1/oauth/tokens", "--data", grant))["access_token"]
    bearer = ("--header", f"Authorization: Bearer {token}")
    table = json.loads(get(machine, "/v1/namespaces/weather/tables/observations", *bearer))
    assert int(table["metadata"]["snapshots"][-1]["summary"]["total-records"]) > 0


def test_uninstall_needs_a_confirmation_and_keeps_the_data(machine: Machine) -> None:
    refused = machine.result(PROGRAM, "uninstall")
    assert refused.returncode == 2
    assert "confirm it with --yes" in refused.stderr
    assert machine.show("catalog.service", "ActiveState") == "active"

    said = machine.run(PROGRAM, "uninstall", "--yes")
    assert "Kept: " in said
    for unit in (*NAMES, "luigid.service", "weather-ingestion.timer"):
        assert machine.show(unit, "LoadState") == "not-found"
        assert machine.show(unit, "ActiveState") == "inactive"
    assert machine.path("/var/lib/falcon-catalog/catalog.db").exists()
    assert machine.result("curl", "--silent", URL).returncode != 0

    machine.run(PROGRAM, "install")
    assert not answers_to_strangers(machine)
    assert get(machine, "/health/ready")


def test_purge_leaves_nothing(machine: Machine) -> None:
    machine.run(PROGRAM, "uninstall", "--purge", "--yes")
    found = machine.run(
        *("find", "/etc", "/var/lib", "/usr/local", "/run/systemd", "-xdev"),
        *("-iname", "*falcon*", "-o", "-name", "catalog*", "-o", "-name", "*weather-*"),
    )
    assert found in {"", "/var/lib/systemd/catalog"}  # the journal's own
    assert machine.result("systemctl", "list-unit-files", "--no-legend", "catalog*").stdout == ""
