"""compose.yaml: valid, closed to other machines, and with files that fit together."""

import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from falcon_catalog.settings import load
from tests.deploy.tools import module_folder

REPOSITORY = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((REPOSITORY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SPECIFICATION = "github.com/compose-spec/compose-go/v2@v2.16.2"
OWN = {"migrate", "catalog", "luigid", "pipeline"}
by_service = pytest.mark.parametrize("name", SERVICES)


def names(listed: list[Any]) -> set[str]:
    return {each["source"] if isinstance(each, dict) else each.split(":")[0] for each in listed}


def test_it_fits_the_specifications_schema() -> None:
    schema = json.loads((module_folder(SPECIFICATION) / "schema/compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**COMPOSE, "services": {"a": {"imagge": "b"}}}, schema)


@by_service
def test_only_this_machine_reaches_a_port(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
    assert "network_mode" not in SERVICES[name]
    assert not SERVICES[name].get("privileged")


@by_service
def test_a_service_is_started_again_and_has_a_health_check(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] in ("unless-stopped", "on-failure")
    # Those of the catalog's image are in the Dockerfile; nobody waits for the pipeline.
    assert "healthcheck" in service or name in {"catalog", "pipeline"}
    for other, how in service.get("depends_on", {}).items():
        assert other in SERVICES
        assert how["condition"] in ("service_healthy", "service_completed_successfully")
        assert (how["condition"] == "service_completed_successfully") == (other == "migrate")


@by_service
def test_our_services_have_a_read_only_root_and_no_rights(name: str) -> None:
    service = SERVICES[name]
    if name in OWN:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["build"]["target"] in ("catalog", "pipeline")
    else:
        assert not service["image"].endswith(":latest")
        assert ":" in service["image"]


def test_what_is_declared_is_used_and_the_other_way_round() -> None:
    for kind in ("configs", "secrets", "volumes"):
        used = set().union(*(names(service.get(kind, [])) for service in SERVICES.values()))
        assert used == set(COMPOSE[kind]), kind
    for config in COMPOSE["configs"].values():
        assert (REPOSITORY / config["file"]).is_file()


def test_no_secret_is_in_the_file_or_in_a_variable() -> None:
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|CREDENTIAL", key):
                assert str(value).startswith("/run/secrets/")
    assert all(set(each) == {"file"} for each in COMPOSE["secrets"].values())


def write_secrets(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, REPOSITORY / "deploy/compose/secrets", folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_secrets_are_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "compose"
    assert write_secrets(folder).returncode == 0
    there = {path.name: path.read_text() for path in folder.iterdir()}
    assert {f"var/compose/{name}" for name in there} == {
        secret["file"] for secret in COMPOSE["secrets"].values()
    }
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE((folder / name).stat().st_mode) == 0o644 for name in there)
    (folder / "grafana-password").unlink()
    assert "grafana-password: written" in write_secrets(folder).stdout
    again = {path.name: path.read_text() for path in folder.iterdir()}
    assert again.pop("grafana-password") != there.pop("grafana-password")
    assert again == there
    (folder / "s3-identities").unlink()
    refused = write_secrets(folder)
    assert refused.returncode == 1
    assert "belong together" in refused.stderr


def test_catalog_and_object_store_agree(tmp_path: Path) -> None:
    """As PostgreSQL's password does: catalog.toml names the files that the containers have."""
    assert write_secrets(tmp_path).returncode == 0
    credential = json.loads((tmp_path / "s3-credential").read_text())
    identities = json.loads((tmp_path / "s3-identities").read_text())
    [identity] = identities["identities"]
    assert identity["credentials"] == [
        {"accessKey": credential["access_key_id"], "secretKey": credential["secret_access_key"]}
    ]
    text = (REPOSITORY / "deploy/compose/catalog.toml").read_text(encoding="utf-8")
    [role] = identities["roles"]
    assert f'role_arn = "{role["roleArn"]}"' in text
    assert {policy["name"] for policy in identities["policies"]} == set(role["attachedPolicies"])
    bucket = re.search(r'location = "s3://(\w+)/', text)
    assert bucket is not None
    assert f"-bucket={bucket[1]}" in SERVICES["objects"]["command"]
    assert f'"Read:{bucket[1]}"' in json.dumps(identity)
    named = re.findall(r'"file:/run/secrets/(\S+)"', text)
    assert set(named) == names(SERVICES["catalog"]["secrets"])


def test_the_catalog_reads_its_settings() -> None:
    environ = dict(SERVICES["catalog"]["environment"])
    del environ["CATALOG_CONFIG"]
    found = load(REPOSITORY / "deploy/compose/catalog.toml", environ, {})
    assert found.auth.required is False
    assert found.server.allowed_hosts == ("catalog",)
    postgres = SERVICES["postgres"]["environment"]
    user, database = postgres["POSTGRES_USER"], postgres["POSTGRES_DB"]
    assert found.store.url == f"postgresql://{user}@postgres/{database}"


def test_prometheus_and_the_pipeline_call_services_by_their_names() -> None:
    config = yaml.safe_load((REPOSITORY / "deploy/observability/prometheus.yml").read_text())
    for job in config["scrape_configs"]:
        for target in job["static_configs"][0]["targets"]:
            assert target.split(":")[0] in SERVICES
    environ = SERVICES["pipeline"]["environment"]
    assert environ["CATALOG_URI"] == "http://catalog:8181"
    assert environ["LUIGID_LISTEN"] == "luigid:8082"
    assert "luigid" in SERVICES["luigid"]["command"]


def test_the_pipelines_loop_is_a_script() -> None:
    [script] = SERVICES["pipeline"]["command"]
    assert SERVICES["pipeline"]["entrypoint"] == ["sh", "-c"]
    done = subprocess.run(
        ["sh", "-n"], input=script.replace("$$", "$"), text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
