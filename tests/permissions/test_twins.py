"""What is hidden is answered as what does not exist: byte for byte, headers included."""

import re
import statistics
import time
import uuid
from typing import Any

import pytest

from tests.permissions.cases import CASES, FORBIDDEN, TAKEN, Case, W, evaluator
from tests.permissions.evaluator import Grants
from tests.permissions.test_matrix import body_of, outcome
from tests.permissions.world import Answer, World

PERSONS: dict[str, Grants] = {
    "a stranger": [],
    "somebody in the other warehouse": [("other", "own")],
    "somebody in another namespace": [(f"{W}/z", "own")],
    "somebody beside the namespace": [(f"{W}/a.s", "own")],
    "somebody beside the table": [(f"{W}/a.b/u", "own")],
}
_NOT_COMPARED = {"date", "x-request-id"}


def seen(answer: Answer) -> tuple[Any, ...]:
    """Return all that a client sees of an answer."""
    headers = {
        name: value for name, value in answer.headers.items() if name.lower() not in _NOT_COMPARED
    }
    return answer.status_code, headers, answer.content


def hidden_name(case: Case, held: Grants) -> tuple[str, str] | None:
    """Return the name in the request of the outermost thing that a person cannot see."""
    rules = evaluator()
    if not rules.sees(held, W):
        return W, "quarter"
    for _, entity, mode in case.needs:
        if not rules.sees(held, entity):
            if mode:
                return None  # the name is taken, which is no secret
            for outer in reversed(rules.chain(entity)):
                if not rules.sees(held, outer):
                    last = re.split(r"[/.]", outer)[-1]
                    return last, "Q"
    return None


def _replace(case: Case, world: World, old: str, new: str) -> tuple[str, Any]:
    """Return target and body of a request with a name replaced wherever it is a name."""

    def value(each: Any) -> Any:
        if isinstance(each, dict):
            return {key: value(inner) for key, inner in each.items()}
        if isinstance(each, list):
            return [value(inner) for inner in each]
        return new if each == old else each

    target = case.path(world)
    parts = re.split(r"(/|%1F|\?|=|&)", target)
    fixed = "".join(new if part == old else part for part in parts)
    body = body_of(case, world)
    return fixed, value(body)


COMPARED = [case for case in CASES if "DROP" not in case.target]


@pytest.mark.parametrize("person", PERSONS)
def test_hidden_equals_absent(shared: World, person: str) -> None:
    held = PERSONS[person]
    shared.grant_only(held)
    compared = 0
    for case in COMPARED:
        if (names := hidden_name(case, held)) is None:
            continue
        old, new = names
        target, body = _replace(case, shared, old, new)
        if (target, body) == (case.path(shared), body_of(case, shared)):
            continue  # the hidden thing is not named
        real = shared.ask("ann", case.method, case.path(shared), body_of(case, shared))
        absent = shared.ask("ann", case.method, target, body)
        assert outcome(real)[0] == 404, f"{case.id}: {real.text}"
        assert seen(real) == seen_as(absent, new, old), f"{case.id}: {real.text} {absent.text}"
        compared += 1
    assert compared >= 20, compared


def seen_as(answer: Answer, new: str, old: str) -> tuple[Any, ...]:
    """Return what a client sees of an answer, in which one name stands for another."""
    status, headers, content = seen(answer)
    if content:
        content = content.replace(new.encode(), old.encode())
    return status, headers, content


def test_drops_that_are_hidden_equal_those_that_are_absent(shared: World) -> None:
    shared.grant_only([(f"{W}/a.b/u", "own")])
    number = shared.drop_id()
    for method, below in (("DELETE", ""), ("POST", "/undrop")):
        base = f"/management/v1/warehouses/{W}/dropped"
        real = shared.ask("ann", method, f"{base}/{number}{below}", {})
        absent = shared.ask("ann", method, f"{base}/{number + 1000}{below}", {})
        assert real.status_code == 404
        assert real.text == absent.text.replace(str(number + 1000), str(number))


@pytest.mark.fault(number=30)
def test_a_malformed_request_tells_nothing_of_a_hidden_warehouse(shared: World) -> None:
    shared.grant_only([("other", "own")])
    for target, body, headers in (
        ("namespaces", {"namespace": []}, {}),
        ("namespaces/a/tables", {"name": ""}, {"Idempotency_Key": "none"}),
        ("transactions/commit", {"table-changes": 1}, {}),
        ("tables/rename", {}, {}),
    ):
        answers = [
            shared.ask("ann", "POST", f"/v1/{name}/{target}", body, **headers)
            for name in (W, "quarter")
        ]
        assert [each.status_code for each in answers] == [404, 404]
        assert answers[0].text == answers[1].text.replace("quarter", W)


def test_a_page_token_and_a_tag_change_nothing(shared: World) -> None:
    shared.grant_only([])
    tag = shared.ask("root", "GET", f"/v1/{W}/namespaces/z/tables/t").headers["etag"]
    shared.grant_only([(f"{W}/z/u", "own")])
    known = {"If_None_Match": tag}
    hidden = shared.ask("ann", "GET", f"/v1/{W}/namespaces/z/tables/t", **known)
    absent = shared.ask("ann", "GET", f"/v1/{W}/namespaces/z/tables/q", **known)
    assert hidden.status_code == 404
    assert hidden.text == absent.text.replace("z.q", "z.t")
    assert "etag" not in hidden.headers
    # The token of a page is the last name that its reader saw.
    first = shared.ask("ann", "GET", f"/v1/{W}/namespaces/z/tables?pageSize=1&pageToken=")
    assert [each["name"] for each in first.json["identifiers"]] == ["u"]
    assert first.json["next-page-token"] is None


def test_times_of_hidden_and_absent_do_not_differ(shared: World) -> None:
    shared.grant_only([(f"{W}/z/u", "own")])
    times: dict[str, list[float]] = {"t": [], "q": []}
    for _ in range(1000):
        for name, found in times.items():
            begun = time.perf_counter()
            answer = shared.ask("ann", "GET", f"/v1/{W}/namespaces/z/tables/{name}")
            found.append(time.perf_counter() - begun)
            assert answer.status_code == 404
    hidden, absent = (statistics.median(found) for found in times.values())
    assert hidden == pytest.approx(absent, rel=0.25)


def test_creation_may_find_a_hidden_name_taken_and_shows_nothing_of_it(shared: World) -> None:
    shared.grant_only([(f"{W}/z", "create")])
    base = f"/v1/{W}/namespaces/z"
    body = {"name": "t", "schema": {"type": "struct", "fields": []}}
    taken = shared.ask("ann", "POST", f"{base}/tables", body)
    assert outcome(taken) == TAKEN
    assert taken.json["error"]["message"] == "Table already exists: z.t"
    function = f"/management/v1/warehouses/{W}/namespaces/z/functions/f"
    shared.grant_only([(f"{W}/z/u", "own")])
    assert outcome(shared.ask("ann", "PUT", function, {})) == FORBIDDEN
    key = {"Idempotency_Key": str(uuid.uuid4())}
    assert outcome(shared.ask("ann", "POST", f"{base}/tables", body, **key)) == FORBIDDEN
