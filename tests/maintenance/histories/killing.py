"""Runs an operation in a process that ends itself, as kill -9 does, at one of its calls."""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import requests
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from jobs.maintenance import RefusedError
from tests.maintenance.histories.operations import run


def work(url: str, step: tuple[Any, ...], at: int) -> None:
    """Run an operation and die at a call; exit with 3 if it refuses.

    Requests, files that are begun and files that are deleted count, before and after.
    """
    count = itertools.count(1)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            _die(next(count) == at)
            answer = function(*args, **options)
            _die(next(count) == at)
            return answer

        return wrapped

    requests.Session.send = counted(requests.Session.send)  # type: ignore[method-assign]
    PyArrowFile.create = counted(PyArrowFile.create)  # type: ignore[method-assign]
    PyArrowFileIO.delete = counted(PyArrowFileIO.delete)  # type: ignore[method-assign]
    catalog = RestCatalog("lake", uri=url, warehouse="default")
    try:
        run(catalog, step)
    except RefusedError:
        sys.exit(3)


def _die(now: bool) -> None:
    if now:
        os.kill(os.getpid(), signal.SIGKILL)
