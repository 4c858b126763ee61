"""Runs histories outside of pytest.

``python -m tests.maintenance.histories.running 137`` leaves out of history 137, which fails, what
it fails without; with two numbers, it runs the histories from one up to the other, and counts what
happened in them.
"""

import contextlib
import dataclasses
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
from duckdb_extensions import import_extension
from pyiceberg.catalog.rest import RestCatalog

from tests.catalog.serving import serving
from tests.maintenance.histories.checks import live
from tests.maintenance.histories.story import Story, tell
from tests.maintenance.histories.world import World
from tests.maintenance.lake import Lake, Wire


@contextlib.contextmanager
def crowded(folder: Path, config: dict[str, str]) -> Iterator[Lake]:
    """Serve a catalog that lets tables lie in one another's folders."""
    with serving(folder, warehouse__allow_overlap=True) as server:
        catalog = RestCatalog("lake", uri=server.url, warehouse="default")
        catalog.create_namespace("ns")
        with duckdb.connect(config=config) as duck:
            duck.execute("LOAD iceberg; SET TimeZone = 'UTC'")
            duck.execute(
                f"ATTACH 'default' AS lake (TYPE iceberg, ENDPOINT '{server.url}',"
                " AUTHORIZATION_TYPE 'none', SUPPORT_NESTED_NAMESPACES true)"
            )
            yield Lake(server, catalog, Wire(), duck)
        catalog.close()


def outcome(story: Story, config: dict[str, str]) -> World | BaseException:
    """Let a history happen in a catalog of its own; return what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with crowded(Path(folder), config) as lake:
                return live(lake, story)
        except Exception as error:  # noqa: BLE001 - to be told
            return error


def shrink(story: Story, config: dict[str, str]) -> tuple[Story, BaseException]:
    """Leave out steps and rows as long as the history fails in the same way."""
    error = outcome(story, config)
    if isinstance(error, World):
        raise SystemExit(f"history {story.seed} passes")
    size = len(story.steps)
    while size:
        for start in range(len(story.steps) - size, -1, -1):
            steps = story.steps[:start] + story.steps[start + size :]
            story, error = _better(story, steps, error, config)
        size //= 2
    for number, step in enumerate(story.steps):
        for place, part in enumerate(step):
            if not isinstance(part, list):
                continue
            left = part
            for row in part:
                fewer = [one for one in left if one is not row]
                changed = (*step[:place], fewer, *step[place + 1 :])
                steps = [*story.steps[:number], changed, *story.steps[number + 1 :]]
                before = story
                story, error = _better(story, steps, error, config) if fewer else (story, error)
                if story is not before:
                    left, step = fewer, changed  # noqa: PLW2901
    return story, error


def _better(
    story: Story, steps: list[Any], error: BaseException, config: dict[str, str]
) -> tuple[Story, BaseException]:
    smaller = dataclasses.replace(story, steps=steps)
    found = outcome(smaller, config)
    if isinstance(found, World) or _kind(found) != _kind(error):
        return story, error
    return smaller, found


def _kind(error: BaseException) -> tuple[type[BaseException], int | None]:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return type(error), trace and trace.tb_lineno


def main() -> None:
    """Shrink the history whose number is given, or run those between two numbers."""
    seeds = [int(word) for word in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        config = {"extension_directory": folder, "autoinstall_known_extensions": "false"}
        with duckdb.connect(config=config) as database:
            for name in ("avro", "httpfs", "iceberg"):
                import_extension(name, con=database)
        if len(seeds) == 1:
            story, error = shrink(tell(seeds[0]), config)
            sys.stdout.write(f"{story.told()}\n{type(error).__name__}: {error}\n")
            return
        failed, done, left_out = 0, Counter[str](), Counter[str]()
        for seed in range(*seeds):
            found = outcome(tell(seed), config)
            if isinstance(found, World):
                done += found.done
                left_out += found.left_out
            else:
                failed += 1
                sys.stdout.write(f"{seed} {type(found).__name__}: {found}"[:1000] + "\n")
                sys.stdout.flush()
        sys.stdout.write(f"{failed} of {len(range(*seeds))} failed\n{done}\n{left_out}\n")


if __name__ == "__main__":
    main()
