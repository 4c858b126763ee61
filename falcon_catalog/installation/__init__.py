"""Installation of the catalog, and of the weather pipeline beside it, as services of systemd."""
