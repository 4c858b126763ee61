"""What is understood of obstore's texts, which were recorded: only they tell failures apart."""

import pytest
from obstore.exceptions import (
    BaseError,
    GenericError,
    PermissionDeniedError,
    UnauthenticatedError,
)

from falcon_catalog.fileio.failures import Failure

pytestmark = pytest.mark.serverless

URL = "http://127.0.0.1:1/lake/a/b"
HEAD = f"Generic S3 error: Error performing PUT {URL} in 43ms"

DELETED = "Generic S3 error: DeleteObjects request failed for key secret/a/b: secret"


def answered(status: str, code: str = "", retries: str = "") -> str:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>secret</Message></Error>"
    return (
        f"{HEAD}{retries} - Server returned non-2xx status code: {status}: {body if code else ''}"
    )


def broken(kind: str, source: str = "") -> str:
    return f"{HEAD} - HTTP error: error sending request Debug: kind: {kind}, source: {source}"


RETRIED = ", after 2 retries, max_retries: 2, retry_timeout: 2s "


@pytest.mark.parametrize(
    ("error", "reason", "words", "may_be_done"),
    [
        (GenericError(answered("503 S", "SlowDown", RETRIED)), "throttled", "SlowDown", True),
        (GenericError(answered("429 T")), "throttled", "429", True),
        (GenericError(answered("500 I", "InternalError", RETRIED)), "error", "InternalError", True),
        (GenericError(answered("400 B", "ExpiredToken")), "denied", "ExpiredToken", False),
        (GenericError(answered("400 B", "InvalidRequest")), "error", "InvalidRequest", False),
        (PermissionDeniedError(answered("403 F", "AccessDenied")), "denied", "Denied", False),
        (PermissionDeniedError(answered("403 F", "X", RETRIED)), "denied", "X", True),
        (UnauthenticatedError(answered("401 U")), "denied", "401", False),
        (UnauthenticatedError("External AWS credential provider: x"), "credentials", "own", False),
        (FileNotFoundError(answered("404 N", "NoSuchKey")), "missing", "", False),
        (FileNotFoundError(answered("404 N", "NoSuchBucket")), "no-bucket", "no such", False),
        (FileNotFoundError(answered("404 N", "ContainerNotFound")), "no-bucket", "no such", False),
        (GenericError(broken("Timeout", "TimedOut")), "timeout", "in time", True),
        (TimeoutError(), "timeout", "in time", True),
        (GenericError(broken("Interrupted", "kind: ConnectionReset")), "closed", "closed", True),
        (GenericError(broken("Connect", "dns error")), "dns", "no address", True),
        (GenericError(broken("Connect", "ConnectionRefused")), "unreachable", "reached", True),
        (GenericError(broken("Connect", "InvalidCertificate(Expired)")), "tls", "TLS", True),
        (GenericError(f"{HEAD} BareRedirect"), "redirect", "another region", True),
        (GenericError("something new"), "error", "failed", True),
        (GenericError(f"{DELETED} (code: AccessDenied)\n\nDebug"), "denied", "AccessDenied", True),
        (GenericError(f"{DELETED} (code: SlowDown)\n\nDebug"), "error", "SlowDown", True),
    ],
)
def test_what_a_failure_means(
    *, error: BaseError, reason: str, words: str, may_be_done: bool
) -> None:
    failure = Failure.of(error)
    assert (failure.reason, failure.may_be_done) == (reason, may_be_done)
    assert words in str(failure)
    for secret in ("http", "secret", "<", "/a/b"):
        assert secret not in str(failure)


def test_a_code_that_is_no_word_is_not_shown() -> None:
    failure = Failure.of(GenericError(answered("500 I", "http://key:secret@host/")))
    assert str(failure) == "failed (500)"
