"""Names are completed in the shell."""

import socket

import pytest
from click.shell_completion import ShellComplete

from falcon_catalog.cli import main
from falcon_catalog.console import entities
from tests.console.conftest import Console
from tests.processes import free_port


def completed(uri: str, incomplete: str) -> list[str]:
    """Return what the shell completes after ``show --uri URI``."""
    shell = ShellComplete(main, {}, "falcon-catalog", "_FALCON_CATALOG_COMPLETE")
    return [item.value for item in shell.get_completions(["show", "--uri", uri], incomplete)]


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
    monkeypatch.setattr(entities, "COMPLETION_SECONDS", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert completed(f"http://127.0.0.1:{silent.getsockname()[1]}", "we") == []
