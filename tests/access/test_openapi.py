"""The OpenAPI document of the management API, against its routes and with requests from it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from falcon_catalog.api.openapi import document
from falcon_catalog.api.routes import MANAGEMENT_ROUTES
from tests.fuzz.asking import SCALE, Asker, asking, judge, often, one_of

DOCUMENT: dict[str, Any] = json.loads(document())
_METHODS = {"get", "post", "put", "delete"}
_SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
_OPERATIONS = {each.ok().label: each.ok() for each in _SCHEMA.get_all_operations()}
_CASES = [
    (label, mode)
    for label, operation in _OPERATIONS.items()
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    # The check of a storage takes seconds, and has tests of its own. Paths alone are never wrong.
    if not label.endswith("/check")
    and (mode is GenerationMode.POSITIVE or operation.body or operation.query)
]
_FOLLOWS_THE_DOCUMENT = schemathesis.checks.CHECKS.get_one("response_schema_conformance")
_AIMS: dict[str, list[Any]] = {
    "warehouse": ["default"],
    "namespace": [["ns"]],
    "name": ["t", "v", "team", "crew"],
    "principal": ["etl", "team", "corp~1"],
    "role": ["team", "crew"],
    "member": ["etl", "team"],
}
_QUERY = {
    **_AIMS,
    "namespace": ["ns"],
    "privilege": ["list", "select"],
    "type": ["table", "server"],
}


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    with asking(tmp_path_factory.mktemp("fuzz")) as asker:
        yield asker


def stage(asker: Asker) -> None:
    """Have a table and a view, a service, a user and a role."""
    asker.stage()
    for body in ({"name": "etl"}, {"type": "user", "issuer": "corp", "subject": "1"}):
        asker.ask("POST", "/management/v1/principals", body)
    asker.ask("POST", "/management/v1/roles", {"name": "team"})


def aim(values: Any, aims: dict[str, list[Any]]) -> Any:
    """Let most requests hit what exists; random names alone would only ever be missing."""
    if isinstance(values, list):
        return [aim(each, aims) for each in values]
    if not isinstance(values, dict):
        return values
    return {
        name: one_of(aims[name], value) if name in aims and often(value) else aim(value, aims)
        for name, value in values.items()
    }


def test_the_document_has_exactly_the_routes() -> None:
    told = {
        (method.upper(), path): operation["operationId"]
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    }
    there = {
        (method, path): name
        for path, (_, methods) in MANAGEMENT_ROUTES.items()
        for method, name in methods.items()
    }
    assert told == there


def test_every_parameter_of_a_path_is_described() -> None:
    for path, item in DOCUMENT["paths"].items():
        named = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        described = {each["name"] for each in item.get("parameters", []) if each["in"] == "path"}
        assert described == named, path


def test_it_is_served_as_it_is_in_the_package(asker: Asker) -> None:
    assert asker.ask("GET", "/management/v1/openapi.json") == (200, DOCUMENT)


def fuzz(asker: Asker, label: str, mode: GenerationMode, examples: int) -> None:
    @settings(
        max_examples=examples,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.reuse, Phase.generate, Phase.shrink],
    )
    @given(_OPERATIONS[label].as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case) -> None:
        case.path_parameters = aim(case.path_parameters, _AIMS | {"namespace": ["ns"]})
        case.query = aim(case.query, _QUERY)
        case.body = aim(case.body, _AIMS)
        answer = case.call(base_url=asker.url)
        asker.seen[answer.status_code] += 1
        if answer.status_code == 202:  # of a purge
            return
        judge(
            f"{case.as_curl_command()} → {answer.status_code} {answer.text:.2000}",
            verb=case.method.upper(),
            target=case.formatted_path,
            status=answer.status_code,
            kind=answer.headers.get("content-type", [None])[0],
            text=answer.content,
        )
        if answer.status_code == 200:
            case.validate_response(answer, checks=[_FOLLOWS_THE_DOCUMENT])

    run()


@pytest.mark.slow
@pytest.mark.parametrize(("label", "mode"), _CASES)
def test_no_request_breaks_the_server(asker: Asker, label: str, mode: GenerationMode) -> None:
    stage(asker)
    before = asker.seen.total()
    fuzz(asker, label, mode, round(40 * SCALE))
    assert asker.seen.total() > before
    # Whatever was made read-only is not any more.
    for entity in ({"type": "server"}, {"type": "warehouse", "warehouse": "default"}):
        asker.ask("POST", "/management/v1/entities", {"entity": entity, "read-only": False})


@pytest.mark.slow
def test_the_requests_did_go_through(asker: Asker) -> None:
    for status, least in ((200, 20), (204, 1), (400, 20), (404, 20), (409, 20)):
        assert asker.seen[status] >= least, asker.seen
