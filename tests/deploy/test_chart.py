"""The Helm chart: rendered by helm, and judged by the schemas of Kubernetes and its operators."""

import copy
import importlib.util
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from falcon_catalog.settings import Settings, load
from tests.deploy.image import instructions
from tests.deploy.tools import BUILDING, built, module_folder

pytestmark = pytest.mark.timeout(BUILDING)
REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "deploy/helm/falcon-catalog"
HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0"
KUBECONFORM = "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0"
# Where the operators' resources are described: a module, and a file in it.
RESOURCES = {
    "ServiceMonitor": (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
    "PrometheusRule": (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
    "ExternalSecret": (
        "github.com/external-secrets/external-secrets@v1.3.2",
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
    ),
}
FULL = yaml.safe_load((CHART / "ci/postgres-values.yaml").read_text(encoding="utf-8"))
POSTGRES = {
    "replicaCount": 2,
    "store": {"type": "postgresql", "url": "postgresql://falcon@db/falcon"},
    "settings": {"warehouse.location": "s3://lake/warehouse", "warehouse.region": "eu-central-1"},
    "secrets": {"existingSecret": "catalog"},
}
PIPELINE = {"pipeline": {"enabled": True}}
KUBERNETES = ("1.27", "1.34")
VALUES = {"sqlite": {}, "postgres": POSTGRES, "pipeline": PIPELINE, "everything": FULL}


def helm(*arguments: str, values: object = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [built(HELM), *arguments, *(["--values=-"] if values is not None else [])],
        input=None if values is None else json.dumps(values),
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@cache
def rendered(name: str) -> str:
    done = _template(VALUES[name])
    assert done.returncode == 0, done.stderr
    return done.stdout


def _template(values: object, *more: str) -> "subprocess.CompletedProcess[str]":
    where = ["--namespace=lake", "--kube-version=1.34.0"]
    return helm("template", "rel", str(CHART), *where, *more, values=values)


def objects(name: str, kind: str = "") -> list[dict[str, Any]]:
    found = [each for each in yaml.safe_load_all(rendered(name)) if each]
    return [each for each in found if kind in ("", each["kind"])]


def one(name: str, kind: str) -> dict[str, Any]:
    [found] = objects(name, kind)[:1]
    return found


def pods(name: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the specification of each pod, with the name of what makes it."""
    found = []
    for each in objects(name):
        spec = each.get("spec") or {}
        if each["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            found.append((f"{each['kind']} {each['metadata']['name']}", spec["template"]["spec"]))
    return found


def variables(pod: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in pod["containers"][0].get("env", [])}


def read_settings(pod: dict[str, Any], folder: Path, config: str = "") -> Settings:
    """Return the settings that a pod of the catalog would have, the image's own ones included."""
    image = {
        key: value
        for name, text in instructions()
        if name == "ENV"
        for key, _, value in (pair.partition("=") for pair in text.split())
        if key.startswith("CATALOG_") or key == "STATE_DIRECTORY"
    }
    environ = {**image, **variables(pod)}
    file = folder / "catalog.toml"
    file.write_text(config)
    assert bool(config) == (environ.pop("CATALOG_CONFIG", "") != "")
    return load(file, environ, {})


@pytest.mark.parametrize("name", VALUES)
def test_helm_lint_finds_nothing(name: str) -> None:
    done = helm("lint", "--strict", "--kube-version=1.34.0", str(CHART), values=VALUES[name])
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of schemas: Kubernetes' from a package, the operators' from their modules."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        pytest.skip("kubernetes-validate is not installed, which has Kubernetes' schemas")
    folder = tmp_path_factory.mktemp("schemas")
    for kind, (module, path) in RESOURCES.items():
        resource = yaml.safe_load((module_folder(module) / path).read_text(encoding="utf-8"))
        for version in resource["spec"]["versions"]:
            schema = _strict(version["schema"]["openAPIV3Schema"])
            (folder / f"{kind.lower()}-{version['name']}.json").write_text(json.dumps(schema))
    own = Path(spec.origin).parent / "kubernetes-json-schema"
    for version in KUBERNETES:
        _write_core(own / f"v{version}.0-local-strict", folder / version)
    return folder


def _write_core(origin: Path, folder: Path) -> None:
    """Write the schema of each kind that the chart has, with the definitions that it refers to."""
    folder.mkdir()
    own = "/api/_definitions.json#"
    definitions = (origin / "_definitions.json").read_text(encoding="utf-8").replace(own, "#")
    for each in objects("everything") + objects("sqlite"):
        group, _, version = each["apiVersion"].rpartition("/")
        parts = [each["kind"].lower(), *([group.split(".")[0]] if group else []), version]
        path = origin / f"{'-'.join(parts)}.json"
        if path.exists():
            schema = json.loads(path.read_text(encoding="utf-8").replace(own, "#"))
            (folder / path.name).write_text(json.dumps({**schema, **json.loads(definitions)}))


def _strict(schema: Any) -> Any:
    """Return a schema of OpenAPI that allows nothing that it does not name, as the API server."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(value) for key, value in schema.items()}
    if "properties" in schema and "x-kubernetes-preserve-unknown-fields" not in schema:
        found.setdefault("additionalProperties", False)
    if found.pop("x-kubernetes-int-or-string", False):
        found["type"] = ["integer", "string"]
    if "properties" in found and "metadata" in found["properties"]:
        found["properties"]["metadata"] = {"type": "object"}
    return found


def conform(manifests: str, schemas: Path, kubernetes: str) -> dict[str, Any]:
    core = f"{schemas}/{kubernetes}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    own = f"{schemas}/{{{{.ResourceKind}}}}-{{{{.ResourceAPIVersion}}}}.json"
    done = subprocess.run(
        [built(KUBECONFORM), "-strict", "-summary", "-output=json", f"-schema-location={core}",
         f"-schema-location={own}"],
        input=manifests, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("name", VALUES)
def test_every_object_conforms_to_its_schema(name: str, kubernetes: str, schemas: Path) -> None:
    found = conform(rendered(name), schemas, kubernetes)
    assert found["resources"] == []
    assert found["summary"] == {
        "valid": len(objects(name)), "invalid": 0, "errors": 0, "skipped": 0,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["Deployment", "CronJob", *RESOURCES])
def test_the_schemas_refuse_a_field_that_is_not_there(kind: str, schemas: Path) -> None:
    wrong = copy.deepcopy(one("everything", kind))
    wrong["spec"]["selektor"] = {}
    found = conform(yaml.safe_dump(wrong), schemas, KUBERNETES[-1])
    assert found["summary"]["invalid"] == 1


def test_sqlite_has_one_replica_and_a_volume_that_stays() -> None:
    deployment = one("sqlite", "Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    claim = one("sqlite", "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    state = {each["name"]: each for each in deployment["spec"]["template"]["spec"]["volumes"]}
    assert state["state"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert objects("sqlite", "Job") == objects("sqlite", "PodDisruptionBudget") == []


def test_sqlite_migrates_before_the_server_starts() -> None:
    pod = one("sqlite", "Deployment")["spec"]["template"]["spec"]
    (migration,), (server,) = pod["initContainers"], pod["containers"]
    assert migration["args"] == ["migrate"]
    for same in ("image", "env", "volumeMounts", "resources", "securityContext"):
        assert migration[same] == server[same]
    assert "initContainers" not in one("everything", "Deployment")["spec"]["template"]["spec"]


def test_postgresql_has_several_replicas_and_migrates_before_they_are_replaced() -> None:
    deployment = one("everything", "Deployment")
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    assert not any("persistentVolumeClaim" in each for each in volumes)
    assert one("everything", "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    job = one("everything", "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-upgrade"
    server = deployment["spec"]["template"]["spec"]["containers"][0]
    migration = job["spec"]["template"]["spec"]["containers"][0]
    assert migration["args"] == ["migrate"]
    for same in ("image", "env", "volumeMounts"):
        assert migration[same] == server[same]


@pytest.mark.parametrize("name", VALUES)
def test_pods_have_no_rights_and_a_read_only_root(name: str) -> None:
    for owner, pod in pods(name):
        assert pod["automountServiceAccountToken"] is False, owner
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            mounted = {each["name"] for each in container["volumeMounts"]}
            assert mounted == {each["name"] for each in pod["volumes"]}


@pytest.mark.parametrize("name", VALUES)
def test_services_select_pods_and_no_secret_is_in_a_variable(name: str) -> None:
    labels = []
    for each in objects(name, "Deployment"):
        labels.append(each["spec"]["template"]["metadata"]["labels"].items())
        assert each["spec"]["selector"]["matchLabels"].items() <= labels[-1]
    for service in objects(name, "Service"):
        assert sum(service["spec"]["selector"].items() <= each for each in labels) == 1
    for _, pod in pods(name):
        for key in variables(pod):
            assert "SECRET" not in key
            assert "PASSWORD" not in key or variables(pod)[key].startswith("file:/run/secrets/")


@pytest.mark.parametrize("name", ["sqlite", "postgres", "everything"])
def test_the_catalog_reads_what_the_chart_sets(name: str, tmp_path: Path) -> None:
    config = str(VALUES[name].get("config", ""))
    for owner, pod in pods(name):
        if "pipeline" in owner:
            continue
        found = read_settings(pod, tmp_path, config)
        assert found.auth.required is True
        assert found.server.insecure is False
        assert found.server.listen == "0.0.0.0:8181"
        assert found.log.format == "json"
        service = "rel-falcon-catalog"
        assert {service, f"{service}.lake.svc"} <= set(found.server.allowed_hosts)
        if name == "everything":
            assert found.server.max_body_bytes == 67108864
            assert {"catalog.example.com", "lake.internal"} <= set(found.server.allowed_hosts)
            assert list(found.warehouse.roots) == ["default", "archive"]


def test_files_that_settings_name_are_those_of_the_secret() -> None:
    [secret] = objects("everything", "ExternalSecret")
    keys = {each["secretKey"] for each in secret["spec"]["data"]}
    pod = one("everything", "Deployment")["spec"]["template"]["spec"]
    mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    [volume] = [each for each in pod["volumes"] if "secret" in each]
    assert volume["secret"]["secretName"] == secret["spec"]["target"]["name"]
    named = [v.removeprefix("file:") for v in variables(pod).values() if v.startswith("file:")]
    assert {f"{mounts[volume['name']]}/{key}" for key in keys} == set(named)


def test_the_pipelines_tasks_are_those_of_the_timers() -> None:
    for each in objects("pipeline", "CronJob"):
        container = each["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
        task = each["metadata"]["name"].rpartition("-")[2]
        unit = {"days": "pipeline"}.get(task, task)
        text = (REPOSITORY / f"systemd/weather-{unit}.service").read_text(encoding="utf-8")
        line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
        arguments = line.partition("jobs.stack run ")[2].partition(" --lock-pid-dir")[0]
        assert container["args"] == arguments.split()
        assert each["spec"]["concurrencyPolicy"] == "Forbid"
        assert variables({"containers": [container]})["CATALOG_URI"].startswith("http://rel-")


@pytest.mark.parametrize(("status", "expected"), [(0, 0), (5, 0), (10, 0), (30, 30)])
def test_a_degraded_run_is_no_failed_job(status: int, expected: int, tmp_path: Path) -> None:
    job = one("pipeline", "CronJob")
    container = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nexit {status}\n')
    python.chmod(0o755)
    done = subprocess.run(
        [*container["command"], *container["args"]],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False,
    )  # fmt: skip
    assert done.returncode == expected
    said = (tmp_path / "arguments").read_text().split()
    assert said == ["-m", "jobs.stack", "run", *container["args"]]


def test_alerts_and_dashboard_are_those_of_this_repository() -> None:
    folder = REPOSITORY / "deploy/observability"
    rules = yaml.safe_load((folder / "alerts.yml").read_text(encoding="utf-8"))
    assert one("everything", "PrometheusRule")["spec"] == rules
    [dashboard] = [
        each
        for each in objects("everything", "ConfigMap")
        if "dashboard" in each["metadata"]["name"]
    ]
    assert dashboard["data"]["falcon-catalog.json"] == (folder / "dashboard.json").read_text(
        "utf-8"
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replicaCount": 2}, "replicaCount"),
        ({"store": {"type": "mysql"}}, "store.type"),
        ({"store": {"type": "postgresql"}}, "store.url"),
        ({"store": {"type": "postgresql", "url": "postgresql://u:secret@h/d"}}, "store.url"),
        ({"settings": {"auth.required": False}}, "auth.required"),
        ({"settings": {"nonsense.key": 1}}, "nonsense.key"),
        ({"replicas": 3}, "replicas"),
        ({"ingress": {"enabled": True}}, "ingress.hosts"),
        ({"ingress": {"hosts": ["https://a"]}}, "ingress.hosts"),
        ({"secrets": {"external": {"enabled": True}}}, "secrets.external"),
        ({"pipeline": {"tasks": {"x": {"schedule": "hourly"}}}}, "pipeline.tasks.x"),
        ({"metrics": {"serviceMonitor": {"enabled": True}}}, "metrics.serviceMonitor"),
    ],
)  # fmt: skip
def test_values_that_cannot_work_are_refused(values: object, message: str) -> None:
    done = _template(values)
    assert done.returncode != 0
    assert message in done.stderr.replace("/", ".")


def test_every_value_has_a_schema_and_is_used() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))["properties"]
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    templates = "".join(path.read_text("utf-8") for path in (CHART / "templates").iterdir())
    assert set(values) | {"global"} == set(schema)
    for name in set(values):
        assert f".Values.{name}" in templates, name


def test_the_charts_version_is_the_packages() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{chart["appVersion"]}"' in project
