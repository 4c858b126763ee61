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
from falcon_catalog.conformance.sandbox import Sandbox

_ENDPOINT = re.compile(r"(GET|HEAD|POST|PUT|DELETE|PATCH) /?\S+")


def returns_properties(sandbox: Sandbox) -> None:
    """Return defaults and overrides, both of strings."""
    for field in ("defaults", "overrides"):
        properties = expect_field(sandbox.catalog.config, field, dict, "the configuration")
        for key, value in properties.items():
            expect(isinstance(value, str), f"{field}: {key} is {value!r}, expected a string")


def lists_endpoints(sandbox: Sandbox) -> None:
    """List each endpoint as a method, one space and a path."""
    endpoints = sandbox.catalog.config.get("endpoints")
    if endpoints is None:
        raise AbsentError("the configuration lists no endpoints; clients assume the usual ones")
    expect(isinstance(endpoints, list), f"endpoints is {endpoints!r}")
    for endpoint in endpoints:
        valid = isinstance(endpoint, str) and _ENDPOINT.fullmatch(endpoint)
        expect(bool(valid), f"the endpoint {endpoint!r} is not METHOD PATH")


def refuses_unknown_warehouses(sandbox: Sandbox) -> None:
    """Return 404 NoSuchWarehouseException for a warehouse that does not exist."""
    answer = sandbox.catalog.call("getConfig", query={"warehouse": f"{sandbox.name}-no-warehouse"})
    answer.error(404, "NoSuchWarehouseException")


def accepts_its_warehouse(sandbox: Sandbox) -> None:
    """Return the same configuration for the same warehouse."""
    warehouse = sandbox.catalog.warehouse
    query = {} if warehouse is None else {"warehouse": warehouse}
    again = sandbox.catalog.call("getConfig", query=query).object()
    expect_equal(again.get("overrides"), sandbox.catalog.config.get("overrides"), "overrides")


def _request_token(sandbox: Sandbox, before_secret: str = "") -> Answer:
    if sandbox.catalog.credential is None:
        raise AbsentError("no --credential was given")
    identity, secret = sandbox.catalog.credential
    form = token_form((identity, f"{before_secret}{secret}"))
    return sandbox.catalog.call("getToken", form=form)


def issues_tokens(sandbox: Sandbox) -> None:
    """Return a token for an id and its secret."""
    answer = _request_token(sandbox).object()
    expect_field(answer, "access_token", str, "the answer")
    kind = expect_field(answer, "token_type", str, "the answer")
    expect(kind.lower() in ("bearer", "mac", "n_a"), f"token_type is {kind!r}")


def exchanges_tokens(sandbox: Sandbox) -> None:
    """Return a new token for one that has not expired."""
    answer = _request_token(sandbox).object()
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": answer["access_token"],
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "scope": "catalog",
    }
    answer = sandbox.catalog.call("getToken", form=form).object()
    expect_field(answer, "access_token", str, "the answer")
    expect_field(answer, "issued_token_type", str, "the answer")


def refuses_wrong_secrets(sandbox: Sandbox) -> None:
    """Return invalid_client, in OAuth's own shape, for a wrong secret."""
    _expect_oauth_error(_request_token(sandbox, "wrong-"), "invalid_client")


def refuses_unknown_grants(sandbox: Sandbox) -> None:
    """Return unsupported_grant_type, in OAuth's own shape, for an unknown grant."""
    answer = sandbox.catalog.call("getToken", form={"grant_type": "no_such_grant"})
    _expect_oauth_error(answer, "unsupported_grant_type")


def requires_a_token(sandbox: Sandbox) -> None:
    """Return 401, in the standard shape, without a token and with an invalid one."""
    if not sandbox.catalog.has_token:
        raise AbsentError("the check runs without a token")
    answer = sandbox.catalog.call("listNamespaces", headers={"Authorization": ""})
    if answer.status == 200:  # noqa: PLR2004
        raise AbsentError("the catalog accepts requests without a token")
    answer.error(401)
    wrong = {"Authorization": "Bearer not-a-token"}
    sandbox.catalog.call("listNamespaces", headers=wrong).error(401)
    body = {"namespace": list(sandbox.new_name())}
    sandbox.catalog.call("createNamespace", body, headers=wrong).error(401)


def _expect_oauth_error(answer: Answer, error: str) -> None:
    document = answer.object(400, 401)
    found = expect_field(document, "error", str, answer.request)
    expect_equal(found, error, f"{answer.request}: error")


PROBES = {
    "getConfig": (
        returns_properties,
        lists_endpoints,
        accepts_its_warehouse,
        refuses_unknown_warehouses,
    ),
    "getToken": (issues_tokens, exchanges_tokens, refuses_wrong_secrets, refuses_unknown_grants),
}
RULES = {"authentication": (requires_a_token,)}
