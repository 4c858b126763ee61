"""Commands to paste, to look at the demo's data."""

import os
import sys
from pathlib import Path

from jobs.stack.services import Service

SERVED = "127.0.0.1:8181"
DEFAULT = Path("var/demo")
IN_S3 = Path("var/demo-s3")

_TEXT = """\
Next, three commands to paste:

  {serve}
  {bin}/falcon-catalog ls -r -l --uri {uri}
  {bin}/falcon-catalog sql --uri {uri} "FROM lake.marts.dim_stations"

The first one leaves the catalog running. Its pages are then at {uri}/
"""


def next_steps(state: Path, service: Service, *, s3: bool = False) -> str:
    """Return the commands for this state, to run in the current folder.

    ``service`` is the catalog that the first command starts.
    """
    is_usual = service.listen == SERVED
    if state == DEFAULT.resolve():
        serve = "make demo-serve" + ("" if is_usual else f" LISTEN={service.listen}")
    else:
        serve = f"{_programs()}/python -m jobs.demo serve"
        serve += " --s3" if s3 else ""
        serve += "" if state == IN_S3.resolve() else f" --state {shown(state)}"
        serve += "" if is_usual else f" --listen {service.listen}"
    return _TEXT.format(bin=_programs(), serve=serve, uri=service.url)


def how_to_stop(state: Path, service: Service) -> str:
    """Return what a user needs of a catalog that was left running."""
    stop = "make demo-stop"
    if state not in {DEFAULT.resolve(), IN_S3.resolve()}:
        stop = f"{_programs()}/python -m jobs.demo stop --state {shown(state)}"
    return (
        f"The catalog keeps running at {service.url}; open its pages there in a browser."
        f" To stop it: {stop}"
    )


def shown(path: Path) -> str:
    """Return a path, relative to the working directory if it is below it."""
    here = Path.cwd()
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)


def _programs() -> str:
    return shown(Path(sys.executable).parent)
