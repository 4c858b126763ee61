"""Fixtures of the doctor's tests, which need the same catalog."""

from tests.doctor.conftest import cli, operator, serve, server, start, waiting_cli

__all__ = ["cli", "operator", "serve", "server", "start", "waiting_cli"]
