"""Three commands to paste, to look at the demo's data."""

import os
import sys
from pathlib import Path

from jobs.stack.services import Service

SERVED = "http://127.0.0.1:8181"
DEFAULT = Path("var/demo")
IN_S3 = Path("var/demo-s3")

_TEXT = """\
Next, three commands to paste:

  {serve}
  {bin}/python -m jobs.demo.sql "FROM lake.marts.dim_stations"{extensions}
  {bin}/pyiceberg --uri {uri} list weather
"""


def next_steps(state: Path, *, s3: bool = False) -> str:
    """Return the commands for this state, to run in the current folder."""
    is_default = state == DEFAULT.resolve()
    serve = "serve --s3" if s3 else "serve"
    if state not in {DEFAULT.resolve(), IN_S3.resolve()}:
        serve += f" --state {shown(state)}"
    folder = shown(state / "weather" / "duckdb-extensions")
    return _TEXT.format(
        bin=_programs(),
        serve="make demo-serve" if is_default else f"{_programs()}/python -m jobs.demo {serve}",
        extensions="" if is_default else f" --extensions {folder}",
        uri=SERVED,
    )


def how_to_stop(state: Path, service: Service) -> str:
    """Return what a user needs of a catalog that was left running."""
    stop = "make demo-stop"
    if state not in {DEFAULT.resolve(), IN_S3.resolve()}:
        stop = f"{_programs()}/python -m jobs.demo stop --state {shown(state)}"
    return f"The catalog keeps running at {service.url}. To stop it: {stop}"


def shown(path: Path) -> str:
    """Return a path, relative to the working directory if it is below it."""
    here = Path.cwd()
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)


def _programs() -> str:
    return shown(Path(sys.executable).parent)
