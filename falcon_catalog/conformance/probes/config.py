"""The configuration, and tokens."""

import re

from falcon_catalog.conformance.answers import (
    AbsentError,
    Answer,
    expect,
    expect_equal,
    expect_field,
)
from falcon_catalog.conformance.catalog import token_form
from falcon_catalog.conformance.room import Room

_ENDPOINT = re.compile(r"(GET|HEAD|POST|PUT|DELETE|PATCH) /?\S+")
_OAUTH_ERRORS = {
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
}


def answers_properties(room: Room) -> None:
    """Answer defaults and overrides, both of strings."""
    for field in ("defaults", "overrides"):
        known = expect_field(room.catalog.config, field, dict, "the configuration")
        for key, value in known.items():
            expect(isinstance(value, str), f"{field}: {key} is {value!r}, a string is expected")


def names_endpoints(room: Room) -> None:
    """Name each endpoint as a verb, one space and a path."""
    endpoints = room.catalog.config.get("endpoints")
    if endpoints is None:
        raise AbsentError("the configuration names no endpoints; clients assume the usual ones")
    expect(isinstance(endpoints, list), f"endpoints is {endpoints!r}")
    for endpoint in endpoints:
        well = isinstance(endpoint, str) and _ENDPOINT.fullmatch(endpoint)
        expect(bool(well), f"the endpoint {endpoint!r} is not VERB PATH")


def refuses_unknown_warehouses(room: Room) -> None:
    """Answer 404 NoSuchWarehouseException for a warehouse that does not exist."""
    answer = room.catalog.call("getConfig", query={"warehouse": f"{room.name}-no-warehouse"})
    answer.error(404, "NoSuchWarehouseException")


def takes_its_warehouse(room: Room) -> None:
    """Answer the same configuration for the same warehouse."""
    warehouse = room.catalog.warehouse
    query = {} if warehouse is None else {"warehouse": warehouse}
    again = room.catalog.call("getConfig", query=query).object()
    expect_equal(again.get("overrides"), room.catalog.config.get("overrides"), "overrides")


def gives_tokens(room: Room) -> None:
    """Answer a token for an id and its secret."""
    if room.catalog.credential is None:
        raise AbsentError("no --credential was given to ask with")
    answer = room.catalog.call("getToken", form=token_form(room.catalog.credential)).object()
    expect_field(answer, "access_token", str, "the answer")
    kind = expect_field(answer, "token_type", str, "the answer")
    expect(kind.lower() in ("bearer", "mac", "n_a"), f"token_type is {kind!r}")


def exchanges_tokens(room: Room) -> None:
    """Answer a new token for one that has not expired."""
    if room.catalog.credential is None:
        raise AbsentError("no --credential was given to ask with")
    answer = room.catalog.call("getToken", form=token_form(room.catalog.credential)).object()
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": answer["access_token"],
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "scope": "catalog",
    }
    answer = room.catalog.call("getToken", form=form).object()
    expect_field(answer, "access_token", str, "the answer")
    expect_field(answer, "issued_token_type", str, "the answer")


def refuses_wrong_secrets(room: Room) -> None:
    """Answer invalid_client, in OAuth's own shape, for a secret that is wrong."""
    if room.catalog.credential is None:
        raise AbsentError("no --credential was given to ask with")
    identity, secret = room.catalog.credential
    answer = room.catalog.call("getToken", form=token_form((identity, f"not-{secret}")))
    _expect_oauth_error(answer, "invalid_client")


def refuses_unknown_grants(room: Room) -> None:
    """Answer unsupported_grant_type, in OAuth's own shape, for a grant that does not exist."""
    answer = room.catalog.call("getToken", form={"grant_type": "no_such_grant"})
    _expect_oauth_error(answer, "unsupported_grant_type")


def refuses_strangers(room: Room) -> None:
    """Answer 401, in the one shape, to requests without a token and with a wrong one."""
    if not room.catalog.has_token:
        raise AbsentError("the catalog is asked without a token")
    answer = room.catalog.call("listNamespaces", headers={"Authorization": ""})
    if answer.status == 200:  # noqa: PLR2004
        raise AbsentError("the catalog lets anybody in")
    answer.error(401)
    wrong = {"Authorization": "Bearer no-token-of-anybody"}
    room.catalog.call("listNamespaces", headers=wrong).error(401)
    body = {"namespace": list(room.new_name())}
    room.catalog.call("createNamespace", body, headers=wrong).error(401)


def _expect_oauth_error(answer: Answer, error: str) -> None:
    document = answer.object(400, 401)
    told = expect_field(document, "error", str, answer.request)
    expect(told in _OAUTH_ERRORS, f"{answer.request}: {told!r} is no error of OAuth")
    expect_equal(told, error, f"{answer.request}: error")


PROBES = {
    "getConfig": (
        answers_properties,
        names_endpoints,
        takes_its_warehouse,
        refuses_unknown_warehouses,
    ),
    "getToken": (gives_tokens, exchanges_tokens, refuses_wrong_secrets, refuses_unknown_grants),
}
RULES = {"authentication": (refuses_strangers,)}
