"""Fixtures of the doctor's tests, which need the same catalog."""

from tests.doctor.conftest import cli, operator, serve, server, start, stopped_at

__all__ = ["cli", "operator", "serve", "server", "start", "stopped_at"]
