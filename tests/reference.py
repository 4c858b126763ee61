"""Reference material that is not part of the project, where it lies beside the checkout.

Without it the tests that read it are not collected: nobody else can have the files.
"""

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "shared"
SPECIFICATION = FOLDER / "spec" / "rest-catalog-open-api.yaml"
"""Apache's OpenAPI document of the REST catalog."""
RECORDED = FOLDER / "nws"
"""Recorded responses of the weather service."""
