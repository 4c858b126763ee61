"""Everything shown in one go: ``python -m jobs.demo``."""
