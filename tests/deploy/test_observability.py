"""Alert rules and dashboard, read by Prometheus itself while it scrapes a live server."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.catalog.serving import Server, serving
from tests.processes import Running, free_port, wait_for

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "deploy/observability"
# Panels of what a calm server with a local warehouse never counts.
EMPTY = {"Object stores", "Tasks done", "Tasks failed"}


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: prometheus)")
    return found


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        [program("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    return found


def queries() -> list[tuple[str, str]]:
    """Return each query of the dashboard with its panel's title, the variables replaced."""
    found = [
        (panel["title"], target["expr"])
        for panel in dashboard()["panels"]
        for target in panel.get("targets", [])
    ]
    found += [(each["name"], each["expr"]) for each in dashboard()["annotations"]["list"]]
    return [
        (title, expr.replace("$__rate_interval", "30s").replace("$instance", ".*"))
        for title, expr in found
    ]


def test_the_rules_are_valid_and_fire_as_their_tests_say() -> None:
    promtool("check", "config", "prometheus.yml")
    promtool("test", "rules", "alerts.test.yml")


def test_every_alert_has_a_test_that_it_fires_and_one_that_it_is_silent() -> None:
    tests = yaml.safe_load((FOLDER / "alerts.test.yml").read_text(encoding="utf-8"))["tests"]
    fires = {each["alertname"] for test in tests for each in test["alert_rule_test"]
             if each["exp_alerts"]}  # fmt: skip
    silent = {each["alertname"] for test in tests for each in test["alert_rule_test"]
              if not each["exp_alerts"]}  # fmt: skip
    assert fires == silent == {rule["alert"] for rule in rules()}


def test_every_alert_is_documented() -> None:
    page = (REPOSITORY / "docs/observability.md").read_text(encoding="utf-8")
    rows = [f"| `{rule['alert']}` | {rule['labels']['severity']} |" for rule in rules()]
    assert [row for row in rows if row not in page] == []
    assert page.count("| `Catalog") + page.count("| `Luigid") + page.count("| `Pipeline") == len(
        rows
    )


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@dataclass
class Prometheus:
    url: str

    def api(self, path: str, **query: str) -> Any:
        answer = requests.get(f"{self.url}/api/v1/{path}", params=query, timeout=30).json()
        assert answer["status"] == "success", (query, answer)
        return answer["data"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, retention = tmp_path_factory.mktemp("catalog"), {"warehouse__drop_retention": 60}
    with serving(folder, apart=True, processes=1, **retention) as server:
        yield server


@pytest.fixture(scope="module")
def luigid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, listen = tmp_path_factory.mktemp("luigid"), f"127.0.0.1:{free_port()}"
    environ = {
        "LUIGI_CONFIG_PATH": str(REPOSITORY / "conf/luigi.cfg"),
        "STATE_DIRECTORY": str(folder),
    }
    process = Running(
        [sys.executable, "-m", "jobs.luigid", "--listen", listen], environ, cwd=folder
    )
    assert process.url() == f"http://{listen}"
    yield listen
    process.stop()


@pytest.fixture(scope="module")
def prometheus(
    server: Server, luigid: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Prometheus with the rules and jobs of this folder, on a live catalog and luigid."""
    binary, folder = program("prometheus"), tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "250ms", "evaluation_interval": "250ms"}
    config["rule_files"] = [str(FOLDER / "alerts.yml")]
    targets = {"falcon-catalog": server.url.removeprefix("http://"), "luigid": luigid}
    assert [job["job_name"] for job in config["scrape_configs"]] == list(targets)
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    listen = f"127.0.0.1:{free_port()}"
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [binary, f"--config.file={folder}/prometheus.yml", f"--web.listen-address={listen}",
         f"--storage.tsdb.path={folder}/data"],
        stdout=log, stderr=log, cwd=folder, env=os.environ,
    )  # fmt: skip
    found = Prometheus(f"http://{listen}")

    def scrapes() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            up = found.api("query", query="up == 1")["result"]
        except requests.RequestException:  # it replays its log
            return False
        return len(up) == len(targets)

    try:
        wait_for(scrapes, "the first scrape")
        yield found
    finally:
        log.close()
        process.terminate()
        process.wait(60)


def exposed(server: Server, luigid: str) -> set[str]:
    """Return the names of all metrics as expressions name them, samples or not."""
    names = {"up"}
    for url in (server.url, f"http://{luigid}"):
        text = requests.get(f"{url}/metrics", timeout=30).text
        for family in text_string_to_metric_families(text):
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
            names |= {family.name + end for end in suffixes.get(family.type, [""])}
    return names


def named(prometheus: Prometheus, expression: str) -> set[str]:
    """Return the metrics that an expression names, as Prometheus writes it again."""
    words = prometheus.api("format_query", query=expression)
    return set(prometheus_names(words))


def prometheus_names(expression: str) -> list[str]:
    """Return the words that stand before a selector, a range or nothing, and are no label."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    words = re.findall(r"(?<![\w.])([A-Za-z_:][\w:]*)(?!\w*\s*\()", bare)
    return [word for word in words if word not in {"or", "and", "unless", "bool", "offset"}]


def test_every_metric_of_an_expression_is_exposed(
    prometheus: Prometheus, server: Server, luigid: str
) -> None:
    there = exposed(server, luigid)
    for expression in [*(rule["expr"] for rule in rules()), *(expr for _, expr in queries())]:
        names = named(prometheus, expression)
        assert names, expression
        assert names <= there, (expression, names - there)


def test_prometheus_evaluates_every_rule(prometheus: Prometheus) -> None:
    def evaluated() -> list[dict[str, Any]] | None:
        groups = prometheus.api("rules")["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return found if all(rule["health"] != "unknown" for rule in found) else None

    found = wait_for(evaluated, "the evaluation of the rules")
    assert {rule["name"] for rule in found} == {rule["alert"] for rule in rules()}
    assert [rule for rule in found if rule["health"] != "ok"] == []
    firing = [rule["name"] for rule in found if rule["state"] == "firing"]
    assert set(firing) <= {"CatalogStoreDiskFull", "CatalogWarehouseDiskFull"}  # of this machine


def test_every_panel_shows_something_of_a_server_that_works(
    prometheus: Prometheus, server: Server
) -> None:
    server.namespace("ns")
    names = (f"t{number}" for number in range(100_000))
    panels: dict[str, list[str]] = {}
    for title, expression in queries():
        panels.setdefault(title, []).append(expression)
    waiting = dict(panels)
    last = time.monotonic()

    def all_shown() -> bool:
        nonlocal last
        _work(server, next(names))
        if time.monotonic() - last > 0.5:  # the panels change with the scrapes
            last = time.monotonic()
            for title, expressions in list(waiting.items()):
                if title in EMPTY or title == "Starts" or all(map(shows, expressions)):
                    del waiting[title]
        return not waiting

    def shows(expression: str) -> bool:
        return bool(prometheus.api("query", query=expression)["result"])

    try:
        wait_for(all_shown, "data in all panels")
    except AssertionError:
        raise AssertionError(f"nothing in {sorted(waiting)}") from None
    assert set(panels) >= EMPTY


def _work(server: Server, name: str) -> None:
    """Create, load, change and drop a table, with one conflict."""
    server.table(name)
    path = f"/v1/namespaces/ns/tables/{name}"
    server.ok("GET", path)
    change = {"action": "set-properties", "updates": {"a": "b"}}
    server.ok("POST", path, {"requirements": [], "updates": [change]})
    wrong = {"type": "assert-table-uuid", "uuid": "00000000-0000-0000-0000-000000000000"}
    answer = server.call("POST", path, {"requirements": [wrong], "updates": [change]})
    assert answer.status_code == 409
    server.ok("POST", f"{path}/plan", {})
    server.ok("DELETE", path)
