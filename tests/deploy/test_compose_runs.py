"""The services of compose.yaml together: commands, variables, files and ports are read from it.

Not shown: that the images of others start, SeaweedFS and Grafana among them, and what an engine
adds: restarts, its network, limits of the ports to this machine (``test_compose.py`` reads those).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import composed
from tests.deploy.composed import REPOSITORY, SERVICES, Composed
from tests.deploy.image import Builder, base_root
from tests.processes import wait_for

# The longest steps: images that start cold, and an hour of weather on a slow machine.
_SECONDS = 300.0
_ROWS = """
from pyiceberg.catalog import load_catalog
catalog = load_catalog("c", uri="http://catalog:8181")
print(catalog.load_table("weather.observations").scan().to_arrow().num_rows)
"""


@pytest.fixture(scope="module")
def started(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """All services but Grafana, each started once those that it depends on are ready."""
    base_root()
    with composed.network(tmp_path_factory.mktemp("compose"), builder) as services:
        weather = composed.start_simulator(services)
        stand_ins = {
            "postgres": composed.start_postgres,
            "objects": composed.start_objects,
            "prometheus": composed.start_prometheus,
        }
        ready: set[str] = set()
        waiting = [name for name in SERVICES if name != "grafana"]
        while waiting:
            name = next(each for each in waiting if set(dependencies(each)) <= ready)
            waiting.remove(name)
            if start := stand_ins.get(name):
                start(services)
            else:
                of_pipeline = SERVICES[name]["build"]["target"] == "pipeline"
                more = {"WEATHER_BASE_URL": weather} if of_pipeline else services.storage
                services.start(name, **more)
                if "service_completed_successfully" in conditions(name):
                    container = services.containers[name]
                    assert container.process.wait(_SECONDS) == 0, container.output()
                elif conditions(name):
                    services.wait_until_healthy(name)
            ready.add(name)
        yield services


def dependencies(name: str) -> dict[str, Any]:
    found: dict[str, Any] = SERVICES[name].get("depends_on", {})
    return found


def conditions(name: str) -> set[str]:
    """Return what others wait for of a service."""
    return {
        dependencies(other)[name]["condition"] for other in SERVICES if name in dependencies(other)
    }


@pytest.mark.timeout(3600)
def test_the_catalog_is_ready_on_postgresql_and_the_object_store(started: Composed) -> None:
    assert "Listening on" in started.containers["catalog"].output()
    config = json.loads(started.get("http://catalog:8181/v1/config"))
    assert config
    done = started.containers["catalog"].run("falcon-catalog", "config", "show", "--json")
    values = json.loads(done.stdout)
    assert values["store.url"]["value"] == "postgresql://falcon@postgres/falcon"
    assert values["warehouse.location"]["value"] == "s3://lake/warehouse"
    assert values["store.url"]["origin"] == values["warehouse.endpoint"]["origin"]


@pytest.mark.timeout(3600)
def test_the_pipeline_loads_hours_of_weather(started: Composed) -> None:
    """Its own loop does, and reads the rows back with credentials that the catalog vends."""
    pipeline = started.containers["pipeline"]

    def rows() -> int:
        assert pipeline.process.poll() is None, pipeline.output()
        done = pipeline.run("python", "-c", _ROWS)
        return int(done.stdout) if done.returncode == 0 else 0

    assert wait_for(rows, "rows", _SECONDS) >= 3, pipeline.output()
    assert "Watch it at http://luigid:8082" in pipeline.output()


@pytest.mark.timeout(3600)
def test_prometheus_scrapes_what_it_is_configured_to(started: Composed) -> None:
    config = yaml.safe_load((REPOSITORY / "deploy/observability/prometheus.yml").read_text())
    jobs = {job["job_name"] for job in config["scrape_configs"]}

    def up() -> set[str]:
        answer = started.get("http://prometheus:9090/api/v1/query?query=up")
        found = json.loads(answer)["data"]["result"] if answer else []
        return {each["metric"]["job"] for each in found if each["value"][1] == "1"}

    wait_for(lambda: up() == jobs, "the first scrapes", _SECONDS)
    rules = json.loads(started.get("http://prometheus:9090/api/v1/rules"))["data"]["groups"]
    assert rules, started.log("prometheus")


@pytest.mark.timeout(3600)
def test_grafanas_files_lead_to_prometheus_and_the_dashboard(started: Composed) -> None:
    given = composed.files("grafana", started.secrets)
    read = {target: Path(file).read_text(encoding="utf-8") for target, file in given.items()}
    provisioning = "/etc/grafana/provisioning"
    [source] = yaml.safe_load(read[f"{provisioning}/datasources/prometheus.yml"])["datasources"]
    [provider] = yaml.safe_load(read[f"{provisioning}/dashboards/falcon-catalog.yml"])["providers"]
    boards = [target for target in given if target.startswith(provider["options"]["path"])]
    [dashboard] = [json.loads(read[target]) for target in boards]
    variable = next(
        each for each in dashboard["templating"]["list"] if each["name"] == "datasource"
    )
    assert (variable["type"], variable["query"]) == ("datasource", source["type"])
    used = {panel["datasource"]["uid"] for panel in dashboard["panels"] if "datasource" in panel}
    assert used == {"${datasource}"}
    variables = [each for each in dashboard["templating"]["list"] if each["type"] == "query"]
    for each in variables:
        assert each["datasource"]["uid"] == "${datasource}"
    # The servers that the dashboard offers, by the URL of its data source.
    [servers] = variables
    metric = servers["query"]["query"].removeprefix("label_values(").partition(",")[0]
    answer = json.loads(started.get(f"{source['url']}/api/v1/query?query={metric}"))
    assert [each["metric"]["instance"] for each in answer["data"]["result"]] == ["catalog:8181"]
