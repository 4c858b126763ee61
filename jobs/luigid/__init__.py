"""Luigi's central scheduler, with its history and counters: ``python -m jobs.luigid``."""
