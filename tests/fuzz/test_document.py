"""Requests made from the specification's OpenAPI document, right ones and wrong ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from tests.fuzz.asking import SCALE, Asker, asking, judge, often, one_of
from tests.reference import SPECIFICATION

_DOCUMENT = schemathesis.openapi.from_path(SPECIFICATION)
_OPERATIONS = {each.ok().label: each.ok() for each in _DOCUMENT.get_all_operations()}
_EXAMPLES = {
    GenerationMode.POSITIVE: round(60 * SCALE),
    GenerationMode.NEGATIVE: round(40 * SCALE),
}
_NAMES = {"namespace": "ns", "table": "t", "view": "v"}
_EXAMPLE_NAMES = ("accounting", "accounting%1Ftax", "sales")  # of the document
_AIMS = {
    "name": [f"n{number}" for number in range(50)] + ["t", "u", "v"],
    "namespace": [["ns"]],
}
_TYPES = ["long", "string", "decimal(9,2)", "timestamptz", "fixed[4]", "uuid", "double"]
_FOLLOWS_THE_DOCUMENT = schemathesis.checks.CHECKS.get_one("response_schema_conformance")


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    with asking(tmp_path_factory.mktemp("fuzz")) as asker:
        yield asker


def aim(names: dict[str, Any]) -> dict[str, Any]:
    """Let most requests hit what exists; random names alone would only ever be missing."""
    aimed = {
        name: _NAMES[name]
        if name in _NAMES and (often(value) or value in _EXAMPLE_NAMES)
        else value
        for name, value in names.items()
    }
    return {**aimed, "prefix": "default"} if "prefix" in names else aimed


def aim_body(body: Any) -> Any:
    """Do the same for bodies: names that can be, types that exist, places in the warehouse."""
    if isinstance(body, list):
        return [aim_body(each) for each in body]
    if not isinstance(body, dict):
        return body
    aimed = {name: aim_body(value) for name, value in body.items()}
    for name, value in aimed.items():
        if name in _AIMS and often(value):
            aimed[name] = one_of(_AIMS[name], value)
    if isinstance(aimed.get("type"), str) and {"id", "name"} <= aimed.keys():
        aimed["type"] = one_of(_TYPES, aimed["type"])
    if "schema" in aimed and "location" in aimed and often(aimed["location"]):
        del aimed["location"]
    return aimed


def fuzz(asker: Asker, label: str, mode: GenerationMode, examples: int) -> None:
    """Send requests of one operation; judge the answers by their shape and by the document."""
    cases = _OPERATIONS[label].as_strategy(generation_mode=mode)

    @settings(
        max_examples=examples,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.reuse, Phase.generate, Phase.shrink],
    )
    @given(cases)
    def run(case: schemathesis.Case) -> None:
        if isinstance(case.path_parameters, dict):
            case.path_parameters = aim(case.path_parameters)
        case.body = aim_body(case.body)
        answer = case.call(base_url=asker.url)
        told = f"{case.as_curl_command()} → {answer.status_code} {answer.text:.2000}"
        asker.seen[answer.status_code] += 1
        kind = answer.headers.get("content-type", [None])[0]
        judge(
            told,
            verb=case.method.upper(),
            target=case.formatted_path,
            status=answer.status_code,
            kind=kind,
            text=answer.content,
        )
        if answer.status_code == 200:
            case.validate_response(answer, checks=[_FOLLOWS_THE_DOCUMENT])

    run()


@pytest.mark.slow
@pytest.mark.parametrize("mode", _EXAMPLES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", _OPERATIONS)
def test_no_request_breaks_the_server(asker: Asker, label: str, mode: GenerationMode) -> None:
    asker.stage()
    before = asker.seen.total()
    fuzz(asker, label, mode, _EXAMPLES[mode])
    assert asker.seen.total() > before


@pytest.mark.slow
def test_the_requests_did_go_through(asker: Asker, record_property: Any) -> None:
    record_property("requests", asker.seen.total())
    for status in (200, 204, 400, 404, 409):
        assert asker.seen[status] > 20, asker.seen


def test_an_answer_that_the_document_does_not_know_is_found(tmp_path: Path) -> None:
    def around(app: Any) -> Any:
        def spoil(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            answer = b"".join(app(environ, start_response))
            return [answer.replace(b'"defaults":{}', b'"defaults":77')]

        return spoil

    with asking(tmp_path, around) as asker, pytest.raises(schemathesis.errors.FailureGroup):
        fuzz(asker, "GET /v1/config", GenerationMode.POSITIVE, 10)


def test_a_server_that_breaks_is_found(tmp_path: Path) -> None:
    def around(app: Any) -> Any:
        def fail(environ: dict[str, Any], start_response: Any) -> Any:
            if environ["PATH_INFO"] == "/v1/config":
                raise RuntimeError("broken")
            return app(environ, start_response)

        return fail

    with asking(tmp_path, around) as asker, pytest.raises(AssertionError, match="→ 500"):
        fuzz(asker, "GET /v1/config", GenerationMode.POSITIVE, 10)
