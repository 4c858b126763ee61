"""What the tests of web logins share with those of the pages."""

from tests.web.conftest import serve

__all__ = ["serve"]
