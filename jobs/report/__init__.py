"""A day's weather as one HTML file that needs no network: ``python -m jobs.report --help``."""
