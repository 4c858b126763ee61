"""Free ports and patience, as the pipeline's tests have them."""

from tests.tasks.conftest import port, wait  # noqa: F401  # fixtures
