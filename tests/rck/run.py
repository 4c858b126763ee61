"""Run Apache Iceberg's REST Compatibility Kit against ``falcon-catalog serve`` over HTTP."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import kit

ROOT = Path(__file__).resolve().parent.parent.parent
# The kit places tables here, whatever the machine's temporary folder is.
KIT_FOLDERS = (Path("/tmp/ns"), Path("/tmp/newdb"))
SERVER_SECONDS = 60  # to start, and to stop


@dataclass(frozen=True, slots=True)
class Round:
    """Tests that are run against one fresh catalog."""

    name: str
    options: tuple[str, ...]
    properties: dict[str, str] = field(default_factory=dict)
    """Settings of the kit's client beside the usual ones."""


# A fresh catalog each: the kit refuses to begin where its own namespaces are left over.
ROUNDS = (
    Round("suite", kit.SUITE),
    # The same tests through other requests: short pages, and snapshots loaded when needed.
    Round("suite-lazy", kit.SUITE, {"rest-page-size": "1", "snapshot-loading-mode": "refs"}),
    # Once more with scans planned by the server, which spares the client its own report of them:
    # the one test that waits for that report ran above.
    Round(
        "suite-planned",
        (*kit.SUITE, "--exclude-methodname=.*#testCatalogWithCustomMetricsReporter"),
        {"scan-planning-mode": "server"},
    ),
    Round("unskipped", kit.UNSKIPPED),
)


@click.command()
@click.argument("tests", nargs=-1)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=ROOT / "var" / "rck",
    help="Where jars, and the last run's reports and server logs, stay. [default: var/rck]",
)
def main(tests: tuple[str, ...], cache: Path) -> None:
    """Run the REST Compatibility Kit, or only its TESTS.

    The kit is Apache Iceberg's: JUnit tests of tables and views that drive a catalog through
    Iceberg's own Java client. Maven fetches it once, as pom.xml lists it. Each round gets a
    fresh catalog from "falcon-catalog serve" on a free port.

    Needs a JDK 17 and Maven. Without them it says so and ends with status 0, having tested
    nothing. Ends with status 1 when a test failed, 2 when the kit could not be run.

    \b
    Examples:
        python tests/rck/run.py
        python tests/rck/run.py testLoadTable renameView
    """
    if lacking := kit.missing_tools():
        click.echo(f"rck: skipped, nothing was tested: {lacking}")
        return
    logs = cache.resolve() / "last"
    shutil.rmtree(logs, ignore_errors=True)
    named = [rf"--include-methodname=.*#{re.escape(test)}" for test in tests]
    try:
        classpath = kit.build(cache.resolve())
        results = {each.name: _run(each, classpath, named, logs / each.name) for each in ROUNDS}
    except (kit.KitError, OSError, subprocess.SubprocessError) as error:
        click.echo(f"rck: {error}", err=True)
        sys.exit(2)
    sys.exit(kit.report(results))


def _run(
    each: Round, classpath: Sequence[Path], named: Sequence[str], logs: Path
) -> list[kit.Result]:
    logs.mkdir(parents=True)
    with (
        tempfile.TemporaryDirectory(prefix="rck-") as temporary,
        _leave_as_found(KIT_FOLDERS),
        serve(Path(temporary), logs / "server.log") as uri,
    ):
        click.echo(f"rck: {each.name} against {uri}, logs in {logs}")
        scratch = Path(temporary, "kit")
        scratch.mkdir()
        properties = {
            "java.io.tmpdir": scratch,
            "org.slf4j.simpleLogger.defaultLogLevel": "warn",
            # Conflicts are what some tests are about: each would print a stack trace.
            "org.slf4j.simpleLogger.log.org.apache.iceberg.util.Tasks": "error",
            "rck.local": "false",
            "rck.requires-namespace-create": "true",
            "rck.supports-serverside-retry": "true",
            "rck.supports-names-with-dot": "true",
            "rck.overrides-requested-location": "false",
            "uri": uri,
            "warehouse": "rck",
            **each.properties,
        }
        return kit.run(classpath, [*each.options, *named], properties, _environ(), logs)


@contextmanager
def serve(folder: Path, log: Path) -> Iterator[str]:
    """Serve a fresh catalog in ``folder`` on a free port until the block ends; yield its URI.

    Raises:
        KitError: it did not start, or did not end well.
    """
    # The places that the kit asks for by name: an administrator would allow them like this.
    allowed = ",".join(f"file://{place}" for place in (folder / "kit", *KIT_FOLDERS))
    environ = {**_environ(), "CATALOG_WAREHOUSE_ALLOWED_LOCATIONS": allowed}
    command = [sys.executable, "-c", "from falcon_catalog.cli import main; main()", "serve"]
    command += ["--listen", "127.0.0.1:0", "--warehouse-name", "rck"]
    command += ["--store", f"sqlite:///{folder}/catalog.db", "--warehouse", f"file://{folder}/lake"]
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environ, cwd=ROOT
        )
    try:
        yield _uri_of(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(SERVER_SECONDS)
        finally:
            process.kill()
    if status != 0:
        raise kit.KitError(f"the server ended with status {status}, see {log}")


def _uri_of(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    with process.stdout as stdout:
        ready, _, _ = select.select([stdout], [], [], SERVER_SECONDS)
        line = stdout.readline() if ready else ""
    if not line.startswith("Listening on "):
        raise kit.KitError(f"the server did not start, see {log}: {log.read_text()[-500:]}")
    return line.removeprefix("Listening on ").strip()


def _environ() -> dict[str, str]:
    # The kit takes CATALOG_* for settings of its client, the server for settings of its own.
    tuning = ("CATALOG_", "STATE_", "LISTEN_", "NOTIFY_", "WATCHDOG_")
    return {name: value for name, value in os.environ.items() if not name.startswith(tuning)}


@contextmanager
def _leave_as_found(folders: Sequence[Path]) -> Iterator[None]:
    """Remove the folders at the end of the block, but for those that were there before."""
    fresh = [folder for folder in folders if not folder.exists()]
    try:
        yield
    finally:
        for folder in fresh:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
