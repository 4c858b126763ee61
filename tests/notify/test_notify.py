"""Failures reach those who want to know, once, and harm nothing else."""

import email
import email.policy
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jobs.notify.channels import notify, send
from jobs.notify.ledger import Ledger
from jobs.notify.message import Failure
from tests.notify.receiving import mailbox, silence, webhook

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
FAILURE = Failure("Load", "failed", "it <broke> & fell", {"date": "2013-07-02"}, host="lake")


@dataclass
class Runs:
    """Runs of troubled tasks, with settings in a file and in the environment."""

    folder: Path
    settings: str = (REPOSITORY / "conf" / "luigi.cfg").read_text(encoding="utf-8")
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *command: str) -> "subprocess.Popen[str]":
        file = self.folder / "luigi.cfg"
        file.write_text(self.settings, encoding="utf-8")
        ours = ("NOTIFY_", "MONITOR_", "INVOCATION_ID", "LUIGI", "WEATHER_", "CATALOG_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        python_path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env={
                **inherited,
                "PYTHONPATH": python_path,
                "LUIGI_CONFIG_PATH": str(file),
                **self.environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def do(self, *command: str) -> tuple[int, str]:
        with self.start(*command) as process:
            output = process.communicate(timeout=120)[0]
        return process.returncode, output

    def task(self, name: str, *arguments: str, date: str = "2013-07-02") -> list[str]:
        command = ["luigi", "--module", "tests.notify.troubled", name, "--local-scheduler"]
        command += ["--folder", str(self.folder), "--date", date, "--scheduler-retry-delay", "0"]
        return [*command, *arguments]

    def run(self, name: str, *arguments: str, **more: str) -> tuple[int, str]:
        return self.do(*self.task(name, *arguments, **more))

    def set(self, section: str, **values: object) -> None:
        for name, value in values.items():
            kept = re.sub(rf"(?m)^{name} = .*\n", "", self.settings)
            self.settings = kept.replace(f"[{section}]\n", f"[{section}]\n{name} = {value}\n")


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def told(runs: Runs, name: str, *arguments: str) -> tuple[int, list[str]]:
    """Run a task; give its status and what the webhook was told."""
    bodies: list[Any] = []
    with webhook(bodies) as url:
        runs.environment["NOTIFY_SLACK_WEBHOOK"] = url
        status, output = runs.run(name, *arguments)
    assert "the message could not be made" not in output
    return status, [body["text"] for body in bodies]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_task_that_is_given_up_is_told_once_to_everybody(runs: Runs, workers: str) -> None:
    bodies: list[Any] = []
    mails: list[str] = []
    took = runs.folder / "command.json"
    code = (
        "import pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write(sys.stdin.read() + '\\n')"
    )
    with webhook(bodies) as url, mailbox(mails) as port:
        runs.set("smtp", host="127.0.0.1", port=port)
        runs.environment["NOTIFY_SLACK_WEBHOOK"] = url
        runs.environment["NOTIFY_EMAIL_TO"] = "one@example.org, two@example.org"
        runs.environment["NOTIFY_COMMAND"] = shlex.join([sys.executable, "-c", code, str(took)])
        status, output = runs.run("Fails", "--workers", workers)
    assert status == 30
    attempts = [line for line in output.splitlines() if "ERROR" in line and "number 0" in line]
    assert (len(attempts), output.count("Traceback")) == (3, 0)
    ((body,), (mail,), (line,)) = bodies, mails, took.read_text().splitlines()
    message = email.message_from_string(mail, policy=email.policy.default)
    failure = json.loads(line)
    assert message["To"] == "one@example.org, two@example.org"
    assert message["Subject"].startswith("Fails 2013-07-02 failed on ")
    assert message.get_content().strip() == failure["text"]
    assert body["text"] == failure["text"].replace("&", "&amp;").replace("<", "&lt;").replace(
        ">", "&gt;"
    )
    assert failure["attempts"] == 3
    for words in ("tried 3 times", "date: 2013-07-02", "number 0 <broke> & fell"):
        assert words in failure["text"]
    assert failure["correlation_id"] == "abc-123"
    assert "s3cret" not in body["text"] + mail + line


def test_what_succeeds_when_tried_again_is_not_told(runs: Runs) -> None:
    assert told(runs, "FailsOnce") == (0, [])
    assert (runs.folder / "tried").exists()


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("Dies", 30, "exit code -9"),
        ("Hangs", 30, "timed out after 1 seconds"),
        ("Needs", 20, "IsMissing 2013-07-02 is missing"),
        ("IsBroken", 35, "ValueError: nobody knows what it needs"),
    ],
)
def test_each_way_to_fail_is_told(runs: Runs, name: str, status: int, words: str) -> None:
    runs.set("scheduler", retry_count=1)
    # What is missing is waited for, like what failed; not here.
    runs.set("worker", keep_alive="false")
    ended, (text,) = told(runs, name, "--workers", "2")
    assert ended == status
    assert words in text


def test_many_failures_share_a_message_at_the_end(runs: Runs) -> None:
    runs.set("scheduler", retry_count=1)
    status, texts = told(runs, "ManyFail", "--workers", "2")
    assert status == 30
    assert len(texts) == 6
    assert texts[-1].startswith("3 more steps failed on ")
    assert {number for text in texts for number in re.findall(r"number (\d)", text)} == {
        *"12345678"
    }


def test_what_is_not_tried_again_is_told_as_the_run_ends(runs: Runs) -> None:
    runs.set("worker", max_keep_alive_idle_duration=1)
    status, (text,) = told(runs, "Fails", "--scheduler-retry-delay", "600")
    assert status == 30
    assert "number 0" in text
    assert "tried" not in text.splitlines()[0]


def test_the_log_is_named(runs: Runs) -> None:
    runs.set("scheduler", retry_count=1)
    runs.environment["INVOCATION_ID"] = "0123abcd"
    _, (text,) = told(runs, "Fails")
    assert "log: journalctl _SYSTEMD_INVOCATION_ID=0123abcd" in text


def test_receivers_that_are_down_slow_or_cross_harm_nobody(runs: Runs, port: int) -> None:
    runs.set("scheduler", retry_count=1)
    runs.set("notify", timeout=1)
    runs.environment["NOTIFY_EMAIL_TO"] = "one@example.org"
    runs.environment["NOTIFY_SLACK_WEBHOOK"] = f"http://127.0.0.1:{port}/s3cret-hook"
    runs.environment["NOTIFY_COMMAND"] = "there-is-no-such-program"
    with silence() as quiet:
        runs.set("smtp", host="127.0.0.1", port=quiet)
        status, output = runs.run("Fails")
    assert status == 30
    lines = [line for line in output.splitlines() if "did not take the message" in line]
    assert len(lines) == 3
    assert any("slack_webhook" in line and "ConnectionError" in line for line in lines)
    assert any("command" in line and "FileNotFoundError" in line for line in lines)
    assert any("email_to" in line and "time" in line for line in lines)
    assert "s3cret-hook" not in output


def test_a_webhook_that_refuses_is_told() -> None:
    with webhook([], status=500) as url:
        problems = send(FAILURE, notify(slack_webhook=url))
    assert "500" in problems["slack_webhook"]


def test_a_command_that_fails_is_told_and_one_that_hangs_is_killed(tmp_path: Path) -> None:
    problems = send(FAILURE, notify(command="sh -c 'exit 3'"))
    assert "exit status 3" in problems["command"]
    file = tmp_path / "pid"
    code = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    command = shlex.join([sys.executable, "-c", code])
    problems = send(FAILURE, notify(command=command, timeout=3))
    assert "TimeoutExpired" in problems["command"]
    assert not Path(f"/proc/{file.read_text()}").exists()


def test_a_command_need_not_read(tmp_path: Path) -> None:
    long = Failure("Load", "failed", "x" * 3000, {str(n): "y" * 1000 for n in range(500)})
    assert send(long, notify(command=f"touch {tmp_path}/ran")) == {}
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(("password", "status"), [("right", 0), ("wrong", 1)])
def test_a_mail_server_may_ask_who_we_are(runs: Runs, password: str, status: int) -> None:
    mails: list[str] = []
    runs.environment["NOTIFY_EMAIL_TO"] = "one@example.org"
    runs.environment["NOTIFY_SMTP_PASSWORD"] = password
    with mailbox(mails, password="right") as port:  # noqa: S106
        runs.set("smtp", host="127.0.0.1", port=port, username="me")
        ended, output = runs.do("jobs.notify", "--test")
    assert ended == status, output
    assert len(mails) == (status == 0)
    assert ("535" in output) == (status == 1)


def test_a_test_message_needs_somebody_to_be_told(runs: Runs) -> None:
    status, output = runs.do("jobs.notify", "--test")
    assert status == 1
    assert "nobody to notify: [notify] sets no slack_webhook, command or email_to" in output
    assert runs.do("jobs.notify", "--unit", "weather-dbt.service")[0] == 0
    assert runs.do("jobs.notify")[0] == 2


def test_a_unit_that_failed_is_told_with_the_word_of_systemd(runs: Runs) -> None:
    bodies: list[Any] = []
    runs.environment["MONITOR_SERVICE_RESULT"] = "exit-code"
    runs.environment["MONITOR_EXIT_STATUS"] = "30"
    runs.environment["MONITOR_INVOCATION_ID"] = "0123abcd"
    with webhook(bodies) as url:
        runs.environment["NOTIFY_SLACK_WEBHOOK"] = url
        status, output = runs.do("jobs.notify", "--unit", "weather-dbt.service")
    assert (status, output) == (0, "slack_webhook: notified\n")
    (text,) = [body["text"] for body in bodies]
    assert text.startswith("weather-dbt.service failed on ")
    assert "error: exit-code 30" in text
    assert "log: journalctl _SYSTEMD_INVOCATION_ID=0123abcd" in text


def test_a_ledger_is_shared_by_processes_that_write_at_once() -> None:
    ledger = Ledger()
    children = []
    for child in range(4):
        pid = os.fork()
        if pid == 0:
            for _ in range(50):
                ledger.failed(f"task {child}", FAILURE)
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    assert ledger.pending().keys() == {f"task {child}" for child in range(4)}
    assert [ledger.failed(f"task {child}", FAILURE) for child in range(4)] == [51] * 4
    ledger.notified("task 0")
    ledger.done("task 1")
    assert ledger.pending().keys() == {"task 2", "task 3"}
    assert ledger.failed("task 1", FAILURE) == 1
    assert ledger.failed("task 0", FAILURE) == 52


def test_exit_statuses(runs: Runs, wait: Callable[..., Any]) -> None:
    sleeps = [*runs.task("Sleeps"), "--lock-pid-dir", str(runs.folder / "locks")]
    with runs.start(*sleeps) as first:
        wait((runs.folder / "asleep").exists, "start of the task")
        assert runs.do(*sleeps)[0] == 10
        (runs.folder / "wake").touch()
        first.communicate(timeout=60)
    assert first.returncode == 0
    assert runs.do(*sleeps)[0] == 0
    runs.set("worker", keep_alive="false")
    assert runs.run("AsksTooMuch")[0] == 25
    assert runs.run("Sleeps", date="tomorrow")[0] == 40
    assert runs.run("Sleeps", "--no-such-flag")[0] == 2
    assert runs.do("luigi", "--module", "jobs", "NoSuchTask", "--local-scheduler")[0] == 1
