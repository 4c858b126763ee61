"""Which catalog a command works on, and as whom."""

from pathlib import Path

import pytest

from falcon_catalog.console.connection import locate
from falcon_catalog.console.failures import ConsoleError
from falcon_catalog.logins import files
from falcon_catalog.logins.files import Login
from tests.catalog.serving import Server, serving
from tests.console.conftest import Console
from tests.processes import free_port

CONFIGURATION = """
catalog:
  default:
    uri: http://file.example
    token: of-the-file
  other:
    uri: http://other.example
    credential: id:secret
  local:
    type: sql
    uri: sqlite:///here.db
"""


FLAG = {"token": "of-the-flag"}


def token(**words: str) -> object:
    """Return the token that is sent to the catalog that flags name."""
    return locate(**words).properties.get("token")


@pytest.fixture
def configuration() -> Path:
    file = Path.home() / ".pyiceberg.yaml"
    file.write_text(CONFIGURATION, encoding="utf-8")
    return file


def test_without_anything_it_is_the_catalog_of_serve() -> None:
    assert locate().properties == {"type": "rest", "uri": "http://127.0.0.1:8181"}


@pytest.mark.usefixtures("configuration")
def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert token() == "of-the-file"
    monkeypatch.setenv("PYICEBERG_CATALOG__DEFAULT__URI", "http://environment.example")
    monkeypatch.setenv("PYICEBERG_CATALOG__DEFAULT__TOKEN", "of-the-environment")
    found = locate()
    assert (found.uri, found.properties.get("token")) == (
        "http://environment.example",
        "of-the-environment",
    )
    found = locate(catalog_name="other", warehouse="w")
    assert found.properties == {
        "type": "rest",
        "uri": "http://other.example",
        "credential": "id:secret",
        "warehouse": "w",
    }
    given = locate(catalog_name="other", **FLAG).properties
    assert "credential" not in given
    assert given.get("token") == "of-the-flag"
    assert locate(catalog_name="other", uri="http://x.example").properties["credential"]


@pytest.mark.usefixtures("configuration")
def test_a_configured_token_does_not_reach_another_catalog() -> None:
    assert "token" not in locate(uri="http://x.example").properties
    assert token(uri="http://file.example/") == "of-the-file"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"catalog_name": "none"}, "has no catalog none: it has default, other, local"),
        ({"catalog_name": "local"}, "local is at sqlite:///here.db, with type sql: only REST"),
        ({"uri": "localhost:8181"}, "'localhost:8181' is not the address of a catalog"),
    ],
)
@pytest.mark.usefixtures("configuration")
def test_what_is_no_rest_catalog(words: dict[str, str], message: str) -> None:
    with pytest.raises(ConsoleError, match=message):
        locate(**words)


def test_a_configuration_that_cannot_be_read(configuration: Path) -> None:
    configuration.write_text("catalog: [", encoding="utf-8")
    with pytest.raises(ConsoleError, match="PyIceberg's configuration cannot be read"):
        locate()


def test_a_login_is_used() -> None:
    files.save("http://lake.example", Login("of-the-login", expires_at=2e10))
    assert token(uri="http://lake.example/") == "of-the-login"
    assert token(uri="http://lake.example", **FLAG) == "of-the-flag"
    assert "token" not in locate(uri="http://else.example").properties


def test_no_catalog_answers(console: Console) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    done = console.run("ls", "--uri", uri)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: No catalog answers at {uri}: Connection refused. Start one with falcon-catalog"
        " serve, or name another address with --uri\n"
    )


def test_the_address_is_too_long(console: Console, server: Server) -> None:
    uri = f"{server.url}/v1"
    done = console.run("ls", "--uri", uri)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {uri}")
    assert len(done.stderr.splitlines()) == 1


def test_a_warehouse_that_does_not_exist(console: Console) -> None:
    status, line = console.fails("ls", "--warehouse", "none")
    assert status == 1
    assert "none" in line


def test_a_client_without_token_learns_how_to_log_in(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    with serving(folder, auth__required=True) as server:
        status, line = Console(server.url).fails("ls")
        assert status == 1
        assert line.startswith(
            f"Error: {server.url}: Not authorized: this catalog needs a token, as Authorization:"
            f" Bearer TOKEN. Log in with falcon-catalog login --uri {server.url}, or"
        )
        status, line = Console(server.url).fails("ls", "--credential", "nobody:secret")
        assert status == 1
        assert "invalid_client" in line
