"""Stores of both kinds."""

from tests.postgres.stores import database

__all__ = ["database"]
