"""A catalog whose audit log is looked at."""

from tests.catalog.conftest import ns, server, start

__all__ = ["ns", "server", "start"]
