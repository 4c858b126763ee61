"""The simulator over real records, as the client's tests have them."""

from tests.nws.conftest import asked, connect, recorded, recorded_folder, states, waits, year  # noqa: F401  # fixtures
