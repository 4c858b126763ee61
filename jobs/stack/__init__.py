"""The catalog and luigid as background processes: ``python -m jobs.stack``."""
