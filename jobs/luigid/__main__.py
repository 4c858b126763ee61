"""The command: ``python -m jobs.luigid``."""

from jobs.luigid.server import main

main(prog_name="python -m jobs.luigid")
