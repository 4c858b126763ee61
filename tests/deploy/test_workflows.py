"""The workflows of .github: valid, and calling what exists."""

import configparser
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.tools import BUILDING, built

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / ".github"
WORKFLOWS = sorted((FOLDER / "workflows").glob("*.yml"))
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
by_name = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = read(path)["jobs"]
    return found


@pytest.mark.timeout(BUILDING)
def test_actionlint_finds_nothing() -> None:
    done = subprocess.run(
        [built(ACTIONLINT), "-no-color", *map(str, WORKFLOWS)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@by_name
def test_a_workflow_may_read_only_and_each_job_has_an_end(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"] == {"persist-credentials": False}


@by_name
def test_a_job_runs_make_and_tox_only(path: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text("utf-8")))
    tox = configparser.ConfigParser()
    tox.read(REPOSITORY / "tox.ini")
    environments = {each.removeprefix("testenv:") for each in tox.sections()}
    environments |= {"py311", "py312", "py313"}
    for job in jobs(path).values():
        for command in [step["run"] for step in job["steps"] if "run" in step]:
            # The suite that needs root has it.
            words = re.sub(r"^\$\{\{ matrix\.sudo .*?\}\} ", "", command).split()
            if words[0] == "make":
                assert words[1] in targets
            elif words[:3] == ["tox", "run", "-e"]:
                for name in _names(words[3:], job):
                    assert name in environments
            else:
                assert command == "rm dist/*.cdx.json"


def test_git_trusts_the_repository_in_a_suite_that_runs_as_root() -> None:
    """Git reads from SUDO_UID whose repository root may read, and tox passes on what it names."""
    tox = configparser.ConfigParser()
    tox.read(REPOSITORY / "tox.ini")
    suites = jobs(FOLDER / "workflows/ci.yml")["suites"]["strategy"]["matrix"]["include"]
    as_root = [each["suite"] for each in suites if each.get("sudo")]
    assert as_root
    for suite in as_root:
        passed = tox[f"testenv:{suite}"].get("pass_env", "{[testenv]pass_env}")
        assert "{[testenv]pass_env}" in passed
    assert "SUDO_UID" in tox["testenv"]["pass_env"].split()


def _names(words: list[str], job: dict[str, Any]) -> list[str]:
    """Return the environments of a command, those of a matrix included."""
    if words[0] != "${{":
        return words[0].split(",")
    matrix = job["strategy"]["matrix"]
    key = words[1].removeprefix("matrix.")
    return [*matrix.get(key, []), *(each[key] for each in matrix["include"] if key in each)]


def test_every_suite_has_a_job() -> None:
    suites = jobs(FOLDER / "workflows/ci.yml")["suites"]
    named = set(_names(["${{", "matrix.suite"], suites))
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    line = re.search(r"(?m)^test-all:.*\n.* run -e (\S+)$", makefile)
    assert line is not None
    every = set(line[1].split(","))
    assert every - {"lint", "types", "floors", "docs", "py"} == named


def test_what_the_slow_tests_leave_out_has_a_suite() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(REPOSITORY / "tox.ini")
    ignored = re.findall(r"--ignore=(\S+)", tox["testenv:slow"]["commands"])
    run = re.findall(r"\btests/\w+", tox["testenv:scale"]["commands"])
    assert ignored
    assert sorted(run) == sorted(ignored)


def test_every_action_is_pinned_by_its_major_version() -> None:
    files = [*WORKFLOWS, *FOLDER.glob("actions/*/action.yml")]
    uses = [
        each
        for path in files
        for each in re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))
        if not each.startswith("./")
    ]
    assert len(uses) > 10
    for each in uses:
        name, _, version = each.partition("@")
        assert re.fullmatch(r"v\d+|release/v1", version), each
        assert name.split("/")[0] in {"actions", "docker", "pypa"}


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_an_issue_template_has_a_form(name: str) -> None:
    form = read(FOLDER / f"ISSUE_TEMPLATE/{name}.yml")
    assert form["name"]
    assert form["description"]
    ids = [each["id"] for each in form["body"]]
    assert len(ids) == len(set(ids)) > 0
    assert any(each.get("validations", {}).get("required") for each in form["body"])


def test_dependabot_watches_folders_that_exist() -> None:
    for update in read(FOLDER / "dependabot.yml")["updates"]:
        for folder in update.get("directories", [update.get("directory")]):
            assert (REPOSITORY / folder.lstrip("/")).is_dir()
