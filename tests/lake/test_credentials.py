"""Vended credentials are renewed before they expire, once for all threads."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyiceberg.typedef import Properties

from jobs.lake.credentials import RenewingFileIO, expiry, refused


def vended(key: str, seconds: float) -> dict[str, str]:
    """What a catalog vends for S3, with an end so many seconds from now."""
    return {
        "s3.access-key-id": key,
        "s3.secret-access-key": "secret",
        "s3.session-token": "token",
        "s3.session-token-expires-at-ms": str(int((time.time() + seconds) * 1000)),
        "s3.endpoint": "http://127.0.0.1:1",
        "s3.region": "us-east-1",
    }


class Asked:
    """A catalog that counts how often it is asked, and answers after a while."""

    def __init__(self, answer: Callable[[], Properties]) -> None:
        self.times = 0
        self._answer = answer

    def __call__(self) -> Properties:
        self.times += 1
        time.sleep(0.01)
        return self._answer()


def key_of(io: RenewingFileIO) -> str:
    file = io.new_input("s3://lake/t/data/a.parquet")
    return str(file._filesystem.__reduce__()[1][0]["access_key"])


def test_credentials_with_time_left_are_kept() -> None:
    asked = Asked(lambda: vended("second", 3600))
    io = RenewingFileIO(vended("first", 3600), asked)
    assert key_of(io) == key_of(io) == "first"
    assert asked.times == 0


def test_the_margin_of_short_ones_is_half_of_their_life() -> None:
    asked = Asked(lambda: vended("second", 3600))
    io = RenewingFileIO(vended("first", 60), asked)
    assert key_of(io) == "first"
    assert asked.times == 0


@pytest.mark.parametrize("left", [0.0, -3600.0])
def test_those_that_end_are_replaced_once_for_all_threads(left: float) -> None:
    asked = Asked(lambda: vended("second", 3600))
    io = RenewingFileIO(vended("first", left), asked)
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: key_of(io), range(32)))
    assert set(keys) == {"second"}
    assert asked.times == 1
    assert expiry(io.properties) == pytest.approx(time.time() + 3600, abs=60)


def test_while_the_catalog_is_away_valid_ones_are_used_and_it_is_not_asked_at_once() -> None:
    def away() -> Properties:
        raise ConnectionError("the catalog is away")

    asked = Asked(away)
    io = RenewingFileIO(vended("first", 60), asked)
    io._due = 0
    assert key_of(io) == key_of(io) == "first"
    assert asked.times == 1


def test_without_a_catalog_expired_ones_are_its_error() -> None:
    def away() -> Properties:
        raise ConnectionError("the catalog is away")

    io = RenewingFileIO(vended("first", -1), Asked(away))
    with pytest.raises(ConnectionError, match="the catalog is away"):
        key_of(io)


def test_an_answer_without_credentials_changes_nothing() -> None:
    asked = Asked(dict)
    io = RenewingFileIO(vended("first", -1), asked)
    assert key_of(io) == key_of(io) == "first"
    assert asked.times == 1


@pytest.mark.parametrize(
    ("properties", "end"),
    [
        ({}, None),
        ({"s3.session-token-expires-at-ms": "1500"}, 1.5),
        ({"gcs.oauth2.token-expires-at": "2000"}, 2.0),
        ({"adls.sas-token-expires-at-ms.a.dfs.core.windows.net": "3000"}, 3.0),
        ({"s3.session-token-expires-at-ms": "soon"}, None),
    ],
)
def test_each_cloud_has_its_own_property(properties: Properties, end: float | None) -> None:
    assert expiry(properties) == end


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        # As Arrow says it of an expired token, and of a key that opens something else.
        (
            OSError(
                "When getting information for key 'a' in bucket 'b': AWS Error UNKNOWN (HTTP status"
                " 400) during HeadObject operation: No response body."
            ),
            True,
        ),
        (OSError("AWS Error ACCESS_DENIED during HeadObject operation: No response body."), True),
        (OSError("Unable to parse ExceptionName: ExpiredToken Message: ExpiredToken"), True),
        (OSError("AWS Error UNKNOWN (HTTP status 503) during PutObject operation"), False),
        (FileNotFoundError(2, "No such file or directory"), False),
        (ValueError("expired"), False),
    ],
)
def test_what_a_store_refuses_credentials_for(error: Exception, *, verdict: bool) -> None:
    assert refused(error) is verdict
