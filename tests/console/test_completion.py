"""Names are completed in the shell."""

import socket

import pytest
from click.shell_completion import ShellComplete

from falcon_catalog.cli import main
from falcon_catalog.console import completion
from tests.catalog.serving import Server, store_url
from tests.console.conftest import Console
from tests.processes import free_port


def typed(*words: str) -> list[str]:
    """Return what the shell completes for words, of which the last one is incomplete."""
    shell = ShellComplete(main, {}, "falcon-catalog", "_FALCON_CATALOG_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


def completed(uri: str, incomplete: str) -> list[str]:
    """Return what the shell completes after ``show --uri URI``."""
    return typed("show", "--uri", uri, incomplete)


@pytest.mark.usefixtures("observations")
def test_names_branches_and_tags_are_completed(console: Console) -> None:
    assert completed(console.url, "we") == ["weather"]
    assert completed(console.url, "weather.") == ["weather.observations"]
    assert completed(console.url, "weather.observations@") == [
        "weather.observations@audit",
        "weather.observations@main",
        "weather.observations@v1",
    ]
    assert completed(console.url, "weather.x") == []
    assert completed(console.url, "none.x") == []


def test_a_catalog_that_does_not_answer_completes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert completed(f"http://127.0.0.1:{free_port()}", "we") == []
    monkeypatch.setattr(completion, "COMPLETION_SECONDS", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert completed(f"http://127.0.0.1:{silent.getsockname()[1]}", "we") == []


@pytest.mark.usefixtures("observations")
def test_columns_are_completed(console: Console) -> None:
    def columns(incomplete: str) -> list[str]:
        sample = ("sample", "--uri", console.url, "weather.observations", "--columns")
        return typed(*sample, incomplete)

    assert columns("t") == ["temperature", "time"]
    assert columns("station,wind") == ["station,wind", "station,wind.speed"]


@pytest.mark.usefixtures("observations")
@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["tag", "weather.observations", ""], ["v1"]),
        (["branch", "weather.observations", ""], ["audit", "main"]),
        (["rollback", "weather.observations@v1", "--branch", "a"], ["audit"]),
        (["compact", "weather.observations", "--branch", "m"], ["main"]),
        (["expire", "weather.o"], ["weather.observations"]),
        (["tag", "weather.none", ""], []),
    ],
    ids=str,
)
def test_branches_and_tags_of_a_table_are_completed(
    console: Console, words: list[str], names: list[str]
) -> None:
    assert typed(words[0], "--uri", console.url, *words[1:]) == names


@pytest.mark.usefixtures("observations")
def test_dropped_names_are_completed(console: Console) -> None:
    assert typed("undrop", "--uri", console.url, "") == []
    console.ok("drop", "weather.observations", "--yes")
    assert typed("undrop", "--uri", console.url, "wea") == ["weather.observations"]


@pytest.mark.usefixtures("observations")
def test_entities_are_completed_from_the_store(server: Server) -> None:
    store = f"--store={store_url(server.folder)}"
    assert typed("why", store, "ann", "se", "")[:2] == ["server", "warehouse"]
    assert typed("why", store, "ann", "se") == ["select"]
    assert typed("why", store, "ann", "select", "ta") == ["table"]
    assert typed("why", store, "ann", "select", "table", "w") == ["weather.observations"]
    assert typed("access", "protect", store, "namespace", "") == ["weather"]
    assert typed("why", store, "ann", "select", "warehouse", "d") == ["default"]
    assert typed("why", store, "ann", "select", "server", "") == []
    assert typed("why", "--store=none.db", "ann", "select", "table", "w") == []
