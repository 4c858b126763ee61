"""Apache's REST Compatibility Kit as jars, a JVM that runs it, and its results.

Source: the module ``open-api`` of Apache Iceberg, whose two JUnit classes inherit the tests of
``iceberg-core``. Maven fetches what ``pom.xml`` lists.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

HERE = Path(__file__).resolve().parent
JAVA_VERSION = 17
TEST_TIMEOUT = "60 s"  # for one test
ROUND_SECONDS = 110  # for one JVM; all rounds together stay below six minutes

SUITE = ("--select-class=org.apache.iceberg.rest.RESTCompatibilityKitSuite",)
OUTCOMES = ("passed", "failed", "skipped")

# What the suite skips because it cannot know that a catalog has the powers for it.
UNSKIPPED = tuple(
    f"--select-method=rck.UnskippedTests#{test}"
    for test in (
        "createTableInUniqueLocation",
        "testDropNamespaceWithNestedNamespace",
        "testListNestedNamespaces",
        "testNamespaceWithSlash",
        "testTableNameWithSlash",
    )
)


class KitError(Exception):
    """The kit could not be run; the message is one line."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one test."""

    name: str
    outcome: str
    """One of OUTCOMES."""
    reason: str = ""


def missing_tools() -> str:
    """Return what this machine lacks to run the kit, or ""."""
    absent = [tool for tool in ("java", "javac", "mvn") if shutil.which(tool) is None]
    if absent:
        return f"no {', no '.join(absent)} on the PATH (a JDK {JAVA_VERSION} and Maven are needed)"
    asked = subprocess.run(["javac", "-version"], capture_output=True, text=True, check=False)
    told = (asked.stdout + asked.stderr).strip()
    version = re.search(r"\d+", told)
    if version is None or int(version[0]) < JAVA_VERSION:
        return f"a JDK of version {JAVA_VERSION} or later, this is {told or 'none'}"
    return ""


def build(cache: Path) -> list[Path]:
    """Return the classpath of the kit with our additions.

    Args:
        cache: a folder in which the jars stay; Maven is asked only once for each ``pom.xml``.

    Raises:
        KitError: Maven or javac failed.
    """
    jars = _resolve(cache)
    classes = cache / "classes"
    shutil.rmtree(classes, ignore_errors=True)
    command = ["javac", "-Xlint:none", "-proc:none", "-cp", _joined(jars), "-d", str(classes)]
    sources = map(str, HERE.glob("*.java"))
    if subprocess.run([*command, *sources], check=False).returncode != 0:
        raise KitError("javac failed, see above")
    return [*jars, classes]


def run(
    classpath: Sequence[Path],
    options: Sequence[str],
    properties: Mapping[str, object],
    environ: Mapping[str, str],
    reports: Path,
) -> list[Result]:
    """Run tests in a JVM of their own.

    Args:
        classpath: what ``build`` returned.
        options: JUnit's options that select tests.
        properties: Java's system properties, which the kit takes for its client's settings.
        environ: the environment of the JVM.
        reports: a folder for JUnit's XML reports.

    Raises:
        KitError: something other than a test failed.
    """
    command = ["java", *(f"-D{name}={value}" for name, value in properties.items())]
    command += ["-cp", _joined(classpath), "org.junit.platform.console.ConsoleLauncher", "execute"]
    command += ["--disable-banner", "--disable-ansi-colors", "--details=tree"]
    command += [f"--config=junit.jupiter.execution.timeout.default={TEST_TIMEOUT}"]
    command += [f"--reports-dir={reports}", *options]
    try:
        status = subprocess.run(command, env=environ, timeout=ROUND_SECONDS, check=False).returncode
    except subprocess.TimeoutExpired:
        raise KitError(f"the kit did not end within {ROUND_SECONDS} s") from None
    results = read_reports(reports)
    failed = any(result.outcome == "failed" for result in results)
    if status != (1 if failed else 0):
        raise KitError(f"JUnit ended with status {status}, which its reports do not explain")
    return results


def read_reports(folder: Path) -> list[Result]:
    """Return the results in JUnit's XML reports, ordered by name."""
    return sorted(_cases(folder), key=lambda result: result.name)


def report(rounds: dict[str, list[Result]]) -> int:
    """Print what did not pass, each round's totals and all totals; return the exit status."""
    for name, results in rounds.items():
        for result in results:
            if result.outcome != "passed":
                click.echo(f"{name}: {result.outcome}: {result.name}: {result.reason}")
    for name, results in rounds.items():
        click.echo(f"{name}: {_totals(results)}")
    everything = [result for results in rounds.values() for result in results]
    click.echo(_totals(everything))
    outcomes = {result.outcome for result in everything}
    return 0 if "passed" in outcomes and "failed" not in outcomes else 1


def _cases(folder: Path) -> Iterator[Result]:
    for report in folder.glob("TEST-*.xml"):
        yield from map(_result, ET.parse(report).getroot().iter("testcase"))  # noqa: S314 - our own


def _result(case: ET.Element) -> Result:
    name = f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name', '')}"
    for tag, outcome in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        if (found := case.find(tag)) is not None:
            return Result(name, outcome, _reason(found.get("message") or found.text or ""))
    return Result(name, "passed")


def _reason(text: str) -> str:
    """Return the telling part of a JUnit message: what was assumed, or all but the trace."""
    if assumed := re.search(r"assumption was not met due to: (?:\[(.*?)\])?", text):
        return assumed[1] or "the kit assumes a power, without saying which"
    return " ".join(text.partition("\tat ")[0].split())[:500] or "no reason given"


def _totals(results: Sequence[Result]) -> str:
    count = Counter(result.outcome for result in results)
    return ", ".join(f"{count[outcome]} {outcome}" for outcome in OUTCOMES)


def _resolve(cache: Path) -> list[Path]:
    pom = HERE / "pom.xml"
    folder = cache / f"jars-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        click.echo("rck: fetching the kit with Maven")
        with tempfile.TemporaryDirectory(dir=cache) as fresh:
            command = ["mvn", "--batch-mode", "--quiet", f"--file={pom}"]
            goal = ["dependency:copy-dependencies", f"-DoutputDirectory={fresh}/jars"]
            if subprocess.run([*command, *goal], check=False).returncode != 0:
                raise KitError("Maven could not fetch the kit, see above")
            (Path(fresh) / "jars").rename(folder)
    return sorted(folder.glob("*.jar"))


def _joined(paths: Sequence[Path]) -> str:
    return os.pathsep.join(map(str, paths))
