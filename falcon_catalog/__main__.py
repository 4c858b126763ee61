"""``python -m falcon_catalog`` is ``falcon-catalog``."""

from falcon_catalog.cli import main

main()
