"""Sessions of browsers: who has one, what ends it, and what it is good for."""

import contextlib
import os
import re
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from falcon_catalog.catalog import sessions
from falcon_catalog.cli import main
from falcon_catalog.settings import StoreSettings, WebSettings
from falcon_catalog.store import open_database
from tests.catalog import serving
from tests.processes import DEADLINE
from tests.several import PROCESSES
from tests.web.browser import Browser
from tests.web.conftest import Served

CODE = re.compile(r"/ui/login\?code=([A-Za-z0-9_-]{43})$")


@pytest.fixture(scope="module")
def guarded(serve: Callable[..., Served]) -> Served:
    """A catalog that requires a login."""
    return serve(CATALOG_AUTH_REQUIRED="true")


def run(served: Served, *words: str) -> str:
    """Run a command on the store; return the first line of what it prints."""
    done = CliRunner().invoke(main, [*words, f"--store={served.store}"])
    assert done.exit_code == 0, done.output
    return done.stdout.partition("\n")[0]


def sql(served: Served, statement: str, *values: Any) -> list[Any]:
    return serving.sql(served.folder, statement, *values)


def added(served: Served, name: str, *flags: str) -> str:
    """Add a principal; return its credential."""
    return run(served, "principals", "add", name, *flags)


def logged_in(served: Served, credential: str) -> Browser:
    browser = Browser(served.url)
    browser.open("/ui/login")
    browser.submit("/ui/login", credential=credential)
    assert browser.visitor == credential.partition(":")[0]
    return browser


def test_a_login_opens_the_page_that_was_wanted(guarded: Served) -> None:
    browser = Browser(guarded.url)
    browser.open("/ui/warehouses/default?page=2")
    assert browser.page.url.endswith("?next=%2Fui%2Fwarehouses%2Fdefault%3Fpage%3D2")
    assert browser.visitor == ""
    browser.submit("/ui/login", credential=added(guarded, "ann", "--owner"))
    assert browser.page.url == f"{guarded.url}/ui/warehouses/default?page=2"
    assert (browser.page.status_code, browser.visitor) == (200, "ann")


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(guarded: Served) -> None:
    form = {"credential": added(guarded, "bob")}
    answers = {}
    for scheme in ("http", "https"):
        origin = guarded.url.replace("http", scheme)
        answers[scheme] = requests.post(
            f"{guarded.url}/ui/login",
            form,
            headers={"Origin": origin},
            timeout=DEADLINE,
            allow_redirects=False,
        ).headers["Set-Cookie"]
    port = guarded.url.rpartition(":")[2]
    assert answers["http"].startswith(f"falcon-{port}=")
    assert answers["https"].startswith("__Host-falcon=")
    for each in answers.values():
        parts = {part.strip() for part in each.split(";")[1:]}
        assert {"HttpOnly", "Path=/", "SameSite=Strict", "Max-Age=86400"} <= parts
        assert not any(part.startswith("Domain") for part in parts)
    assert "Secure" in answers["https"]
    assert "Secure" not in answers["http"]


def test_behind_a_proxy_with_tls_only_its_cookie_counts(guarded: Served) -> None:
    browser = logged_in(guarded, added(guarded, "cyd"))
    ((_, session),) = browser.cookies.items()
    statuses = {}
    for secure, name in ((False, next(iter(browser.cookies))), (True, "__Host-falcon")):
        for proto in ("http", "https"):
            headers = {"Cookie": f"{name}={session}", "X-Forwarded-Proto": proto}
            page = requests.get(
                f"{guarded.url}/", headers=headers, timeout=DEADLINE, allow_redirects=False
            )
            statuses[secure, proto] = page.status_code
    assert statuses == {
        (False, "http"): 200,
        (False, "https"): 303,
        (True, "http"): 200,
        (True, "https"): 200,
    }


@pytest.mark.parametrize(
    "path", ["/v1/config", "/v1/namespaces", "/management/v1/whoami", "/metrics"]
)
def test_the_api_ignores_cookies(guarded: Served, path: str) -> None:
    names = {"/v1/config": "d1", "/v1/namespaces": "d2", "/metrics": "d3"}
    browser = logged_in(guarded, added(guarded, names.get(path, "d4"), "--owner"))
    assert browser.open(path).status_code == 401


def test_the_store_has_only_a_hash_of_the_cookie(guarded: Served) -> None:
    browser = logged_in(guarded, added(guarded, "eve"))
    ((_, session),) = browser.cookies.items()
    rows = sql(guarded, "SELECT * FROM web_sessions")
    assert rows
    assert session not in repr(rows)
    assert session not in repr(sql(guarded, "SELECT * FROM events"))


def test_a_login_gives_another_id_and_ends_the_former_session(guarded: Served) -> None:
    first = logged_in(guarded, added(guarded, "fay"))
    ((name, session),) = first.cookies.items()
    fixed = Browser(guarded.url)
    fixed.set_cookie(name, "chosen-by-someone-else")
    fixed.open("/ui/login")
    fixed.submit("/ui/login", credential=added(guarded, "gus"))
    assert "chosen-by-someone-else" not in fixed.cookies.values()
    second = Browser(guarded.url)
    second.set_cookie(name, session)
    second.open("/ui/login")
    second.submit("/ui/login", credential=added(guarded, "hal"))
    assert second.visitor == "hal"
    first.open("/")
    assert first.visitor == ""


def test_logging_out_ends_the_session_and_takes_the_cookie(guarded: Served) -> None:
    browser = logged_in(guarded, added(guarded, "ida"))
    ((name, session),) = browser.cookies.items()
    browser.submit("/ui/logout")
    assert browser.page.url == f"{guarded.url}/ui/login"
    assert not browser.cookies
    browser.set_cookie(name, session)
    browser.open("/")
    assert browser.visitor == ""


END = [
    ("principals", "remove"),
    ("principals", "disable"),
    ("principals", "revoke"),
]


@pytest.mark.parametrize("command", END, ids=[words[1] for words in END])
def test_what_ends_the_tokens_of_a_principal_ends_its_sessions(
    guarded: Served, command: tuple[str, ...]
) -> None:
    name = f"jan-{command[1]}"
    credential = added(guarded, name)
    browser = logged_in(guarded, credential)
    run(guarded, *command, name)
    browser.open("/")
    assert browser.visitor == ""
    if command[1] == "revoke":  # those that begin afterwards are valid, even in this second
        assert logged_in(guarded, credential).open("/").status_code == 200


def test_a_session_counts_in_every_process_on_the_store(guarded: Served, second: str) -> None:
    browser = logged_in(guarded, added(guarded, "kim"))
    ((_, session),) = browser.cookies.items()
    other = Browser(second)
    other.set_cookie(f"falcon-{second.rpartition(':')[2]}", session)
    other.open("/")
    assert other.visitor == "kim"
    browser.submit("/ui/logout")
    other.open("/")
    assert other.visitor == ""


def test_a_session_ends_when_its_proof_is_no_longer_accepted(
    guarded: Served, beside: Callable[..., str]
) -> None:
    browser = logged_in(guarded, added(guarded, "kai"))
    ((_, session),) = browser.cookies.items()
    for setting, visitor in (("true", "kai"), ("false", "")):
        other = Browser(beside(guarded, CATALOG_AUTH_SECRETS=setting))
        other.set_cookie(f"falcon-{other.url.rpartition(':')[2]}", session)
        other.open("/")
        assert other.visitor == visitor


@pytest.mark.sqlite
def test_a_restored_backup_has_no_sessions(serve: Callable[..., Served]) -> None:
    served = serve(CATALOG_AUTH_REQUIRED="true")
    logged_in(served, added(served, "kay"))
    backup, warehouse = f"{served.folder}/backup", f"--warehouse={served.folder}/tables"
    run(served, "backup", backup, warehouse)
    target = served.folder / "restored"
    words = ["restore", backup, warehouse, f"--store={target}.db"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    with contextlib.closing(sqlite3.connect(f"{target}.db")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM web_sessions").fetchone()
    assert count == 0
    assert sql(served, "SELECT count(*) FROM web_sessions") == [(1,)]


@pytest.fixture
def second(guarded: Served, beside: Callable[..., str]) -> str:
    """The address of another process on the same store."""
    return beside(guarded)


def test_a_session_ends_when_it_was_idle_or_is_over(guarded: Served) -> None:
    credential = added(guarded, "lea")
    for column, milliseconds in (("seen_at", 8 * 3_600_000), ("expires_at", 86_400_000)):
        browser = logged_in(guarded, credential)
        (before,) = sql(guarded, "SELECT count(*) FROM web_sessions")
        sql(guarded, f"UPDATE web_sessions SET {column} = {column} - ?", milliseconds + 1000)
        browser.open("/")
        assert browser.visitor == "", column
        assert sql(guarded, "SELECT count(*) FROM web_sessions") == [before]


def test_a_session_in_use_does_not_get_idle(guarded: Served) -> None:
    browser = logged_in(guarded, added(guarded, "max"))
    sql(guarded, "UPDATE web_sessions SET seen_at = seen_at - 3600000")
    browser.open("/")
    assert browser.visitor == "max"
    sql(guarded, "UPDATE web_sessions SET seen_at = seen_at - 27000000")
    browser.open("/")
    assert browser.visitor == "max"


def test_a_session_with_a_token_ends_with_the_token(guarded: Served) -> None:
    name, _, secret = added(guarded, "ned").partition(":")
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
    found = requests.post(f"{guarded.url}/v1/oauth/tokens", form, timeout=DEADLINE).json()
    token = found["access_token"]
    browser = Browser(guarded.url)
    browser.open("/ui/login")
    browser.submit("/ui/login", credential=token)
    assert browser.visitor == "ned"
    ((seconds,),) = sql(
        guarded,
        "SELECT (s.expires_at - s.created_at) / 1000 FROM web_sessions s"
        " JOIN principals p ON p.id = s.principal_id WHERE p.name = 'ned'",
    )
    assert 3500 < seconds <= 3600
    done = CliRunner().invoke(
        main,
        ["principals", "revoke-token", f"--store={guarded.store}"],
        input=token,
    )
    assert done.exit_code == 0, done.output
    browser.open("/")
    assert browser.visitor == ""


def test_logins_and_logouts_are_in_the_audit_log(guarded: Served) -> None:
    browser = logged_in(guarded, added(guarded, "ola"))
    browser.submit("/ui/logout")
    rows = sql(
        guarded,
        "SELECT operation, actor, via, kind, topic, address FROM events WHERE name = 'ola'"
        " ORDER BY id",
    )
    assert rows[1:] == [
        ("openSession", "ola", "token", "principal", "access", "127.0.0.1"),
        ("closeSession", "ola", "token", "principal", "access", "127.0.0.1"),
    ]


def test_a_login_link_is_valid_once(guarded: Served) -> None:
    link = run(guarded, "login", "--link", f"--uri={guarded.url}")
    found = CODE.search(link)
    assert found is not None, link
    assert found[1] not in repr(sql(guarded, "SELECT * FROM login_codes"))
    first, later = Browser(guarded.url), Browser(guarded.url)
    for browser in (first, later):  # opening it changes nothing: previews do
        browser.open(link)
        assert browser.visitor == ""
    first.submit("/ui/login")
    assert (first.page.status_code, first.visitor) == (200, f"local~{os.getuid()}")
    later.post("/ui/login", {"code": found[1]})
    assert later.page.status_code == 401
    assert "used once" in later.page.text
    assert not later.cookies
    assert ("createLoginLink",) in sql(guarded, "SELECT operation FROM events")


def test_the_address_of_a_login_link_is_that_of_the_settings(
    guarded: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for listen, url in (
        ("0.0.0.0:8282", "http://127.0.0.1:8282"),
        ("[::1]:8282", "http://[::1]:8282"),
    ):
        monkeypatch.setenv("CATALOG_SERVER_LISTEN", listen)
        assert run(guarded, "login", "--link").startswith(f"{url}/ui/login?code=")
        assert run(guarded, "login", "--link", "--uri=https://x.example").startswith("https://x.ex")
    monkeypatch.setenv("CATALOG_SERVER_LISTEN", "unix:/run/catalog")
    refused = CliRunner().invoke(main, ["login", "--link", f"--store={guarded.store}"])
    assert refused.exit_code == 1
    assert "server.listen = 'unix:/run/catalog'" in refused.output
    assert "with --uri" in refused.output


def test_a_login_link_expires(guarded: Served) -> None:
    link = run(guarded, "login", "--link", f"--uri={guarded.url}")
    sql(guarded, "UPDATE login_codes SET expires_at = expires_at - 600000")
    browser = Browser(guarded.url)
    browser.open(link)
    browser.submit("/ui/login")
    assert browser.page.status_code == 401


def test_wrong_credentials_say_nothing_and_are_counted(serve: Callable[..., Served]) -> None:
    served = serve(CATALOG_AUTH_REQUIRED="true")
    added(served, "pia")
    browser = Browser(served.url)
    texts = set()
    for credential in ("pia:wrong", "nobody:wrong"):
        browser.open("/ui/login")
        browser.submit("/ui/login", credential=credential)
        assert browser.page.status_code == 401
        assert credential not in browser.page.text
        texts.add(browser.page.text)
    assert len(texts) == 1
    statuses = [  # each server counts those that it gets
        browser.post("/ui/login", {"credential": "not-a-token"}).status_code
        for _ in range(25 * PROCESSES)
    ]
    assert statuses[0] == 401
    assert statuses[-1] == 429


def test_the_rows_of_ended_sessions_are_removed(guarded: Served) -> None:
    ended, living = (logged_in(guarded, added(guarded, name)) for name in ("ros", "sue"))
    sql(
        guarded,
        "UPDATE web_sessions SET expires_at = 1 WHERE principal_id ="
        " (SELECT id FROM principals WHERE name = 'ros')",
    )
    with contextlib.closing(open_database(StoreSettings(url=guarded.store))) as database:
        sessions.remove_ended(database, WebSettings())
    names = sql(
        guarded,
        "SELECT p.name FROM web_sessions s JOIN principals p ON p.id = s.principal_id"
        " WHERE p.name IN ('ros', 'sue')",
    )
    assert names == [("sue",)]
    assert ended.open("/").url.endswith("/ui/login?next=%2F")
    assert living.open("/").status_code == 200


def test_sessions_of_a_principal_are_bounded(guarded: Served) -> None:
    added(guarded, "tim")
    sql(
        guarded,
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 200)"
        " INSERT INTO web_sessions SELECT 'x' || n, p.id, 'token', '[]', '', 1, 1, 9000000000000"
        " FROM principals p, numbers WHERE p.name = 'tim'",
    )
    browser = logged_in(guarded, run(guarded, "principals", "rotate", "tim"))
    assert browser.visitor == "tim"
    ((count,),) = sql(
        guarded,
        "SELECT count(*) FROM web_sessions s JOIN principals p ON p.id = s.principal_id"
        " WHERE p.name = 'tim'",
    )
    assert count == 100
