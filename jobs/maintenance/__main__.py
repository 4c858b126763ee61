"""``python -m jobs.maintenance``."""

from jobs.maintenance.command import main

main(prog_name="python -m jobs.maintenance")
