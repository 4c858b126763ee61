"""Requests to the catalog of a machine, from inside."""

from tests.boot.machine import Machine

URL = "http://127.0.0.1:8181"
_CURL = ("curl", "--silent", "--show-error", "--fail")
_SCHEMA = '{"type":"struct","fields":[{"id":1,"name":"a","type":"long","required":false}]}'


def get(machine: Machine, path: str, *flags: str) -> str:
    """Return the body of a response; one that is an error fails the test."""
    return machine.run(*_CURL, *flags, f"{URL}{path}")


def post(machine: Machine, path: str, body: str) -> str:
    """Send JSON, and return the body of the response."""
    return get(machine, path, "--header", "Content-Type: application/json", "--data", body)


def make_table(machine: Machine, name: str, prefix: str = "/v1") -> None:
    """Make an empty table in the namespace ``notes``."""
    post(machine, f"{prefix}/namespaces/notes/tables", f'{{"name":"{name}","schema":{_SCHEMA}}}')


def answers_to_strangers(machine: Machine) -> bool:
    """Return whether the catalog serves clients without a token."""
    return machine.result(*_CURL, f"{URL}/v1/config").returncode == 0
