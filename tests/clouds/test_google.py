"""The emulator of Google refuses what Google would: else no test of tokens could fail."""

import datetime as dt
from collections.abc import Callable, Iterator

import obstore
import pytest
from google.auth import downscoped
from google.auth.transport.requests import Request
from google.oauth2 import service_account, sts
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import GCSStore

from tests.clouds import cel
from tests.clouds.google import Google, google

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TERMS = (
    "resource.name.startsWith('projects/_/buckets/lake/objects/a/') ||"
    " api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('a/')"
)


@pytest.fixture
def cloud() -> Iterator[Google]:
    with google("lake", "other", check_tokens=True) as cloud:
        for name in ("a/x", "ab/x", "b/x"):
            cloud.put("lake", name, b"x", "text/plain", None)
        yield cloud


def store(cloud: Google, token: str, bucket: str = "lake") -> GCSStore:
    return GCSStore(
        bucket,
        base_url=cloud.url,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
        credential_provider=lambda: {"token": token, "expires_at": None},
    )


def exchange(cloud: Google, role: str, expression: str = TERMS, scope: str = SCOPE) -> GCSStore:
    """Return a store with a token that Google's library has exchanged."""
    account = service_account.Credentials.from_service_account_info(
        cloud.service_account(), scopes=[scope]
    )
    account.refresh(Request())
    boundary = downscoped.CredentialAccessBoundary(
        [
            downscoped.AccessBoundaryRule(
                "//storage.googleapis.com/projects/_/buckets/lake",
                [f"inRole:roles/storage.{role}"],
                downscoped.AvailabilityCondition(expression),
            )
        ]
    )
    kind = "urn:ietf:params:oauth:token-type:access_token"
    answer = sts.Client(f"{cloud.url}/v1/token").exchange_token(
        Request(),
        grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token=account.token,
        subject_token_type=kind,
        requested_token_type=kind,
        additional_options=boundary.to_json(),
    )
    return store(cloud, answer["access_token"])


def test_a_reader_reads_and_lists_below_its_prefix(cloud: Google) -> None:
    reader = exchange(cloud, "objectViewer")
    assert obstore.get(reader, "a/x").bytes() == b"x"
    assert [e["path"] for e in obstore.list(reader, "a").collect()] == ["a/x"]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(lambda s: obstore.put(s, "a/y", b""), id="put"),
        pytest.param(lambda s: obstore.delete(s, "a/x"), id="delete"),
        pytest.param(lambda s: obstore.get(s, "ab/x"), id="get-sibling"),
        pytest.param(lambda s: obstore.get(s, "b/x"), id="get"),
        pytest.param(lambda s: obstore.list(s).collect(), id="list-bucket"),
        pytest.param(lambda s: obstore.list(s, "ab").collect(), id="list-sibling"),
    ],
)
def test_a_reader_may_do_nothing_else(cloud: Google, request_: Callable[..., object]) -> None:
    # obstore has no class of its own for a list that is refused.
    with pytest.raises(BaseError, match="<Code>AccessDenied</Code>"):
        request_(exchange(cloud, "objectViewer"))


def test_a_writer_writes_and_deletes_below_its_prefix(cloud: Google) -> None:
    writer = exchange(cloud, "objectUser")
    obstore.put(writer, "a/y", b"y" * 12_000_000, use_multipart=True)
    obstore.delete(writer, ["a/x", "a/y"])
    with pytest.raises(PermissionDeniedError):
        obstore.put(writer, "ab/y", b"")
    assert sorted(cloud.buckets["lake"]) == ["ab/x", "b/x"]


def test_another_bucket_and_other_tokens_are_refused(cloud: Google) -> None:
    token = cloud.issue("x", frozenset({SCOPE}), dt.datetime.now(dt.UTC))
    with pytest.raises(PermissionDeniedError):
        obstore.get(store(cloud, token), "a/x")  # it has expired
    with pytest.raises(UnauthenticatedError):
        obstore.get(store(cloud, "none"), "a/x")
    token = cloud.issue("x", frozenset({"email"}))
    with pytest.raises(PermissionDeniedError):
        obstore.get(store(cloud, token), "a/x")


def test_an_object_is_created_once(cloud: Google) -> None:
    own = store(cloud, cloud.issue("x", frozenset({SCOPE})))
    obstore.put(own, "c", b"1", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(own, "c", b"2", mode="create")
    assert obstore.get(own, "c").bytes() == b"1"


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "true",
        "resource.name.matches('.*')",
        "resource.name.endsWith('x')",
        "!resource.name.startsWith('a')",
        "resource.name.startsWith('a') || true || ('')",
        "resource.name.startsWith('a'",
        "resource.name.startsWith('a\nb')",
        "resource.name.startsWith('a\\qb')",
        "resource.name.startsWith('" + "a" * 2048 + "')",
    ],
)
def test_what_is_no_condition_is_refused(expression: str) -> None:
    with pytest.raises(cel.InvalidConditionError):
        cel.parse(expression)


def test_a_source_without_a_scope_is_refused(cloud: Google) -> None:
    with pytest.raises(Exception, match="invalid_scope"):
        exchange(cloud, "objectViewer", scope="email")
