"""The command: ``python -m jobs.notify``."""

import os
import subprocess
import sys

import click

from jobs.notify.channels import channels, notify, send
from jobs.notify.message import Failure, quoted_correlation

LINES = 20


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--unit", help="Send that this unit of systemd failed, and how its log ends.")
@click.option("--test", is_flag=True, help="Send a test message.")
def main(unit: str | None, *, test: bool) -> None:
    """Notify the channels of [notify] in conf/luigi.cfg; exit with 1 if one cannot be reached."""
    if test == bool(unit):
        raise click.UsageError("give --test or --unit NAME")
    settings = notify()
    if not channels(settings):
        line = "nobody to notify: [notify] sets no slack_webhook, command or email_to"
        if test:
            raise click.ClickException(line)
        click.echo(line)
        return
    failure = (
        of_unit(unit)
        if unit
        else Failure("A test", "was sent", "", log="this is how a failure would reach you")
    )
    problems = send(failure, settings)
    for channel in channels(settings):
        click.echo(f"{channel}: {problems.get(channel, 'notified')}")
    sys.exit(bool(problems))


def of_unit(unit: str) -> Failure:
    """Return a unit's failure, with systemd's result and the last lines of the log."""
    invocation = os.environ.get("MONITOR_INVOCATION_ID", "")
    codes = [os.environ.get(f"MONITOR_{name}", "") for name in ("EXIT_CODE", "EXIT_STATUS")]
    result = os.environ.get("MONITOR_SERVICE_RESULT", "")
    match = f"_SYSTEMD_INVOCATION_ID={invocation}" if invocation else f"_SYSTEMD_UNIT={unit}"
    lines = _journal(match)
    error = " ".join(word for word in [result, *codes] if word)
    return Failure(
        task=unit,
        what="failed",
        error="\n".join(part for part in (error, lines) if part),
        log=f"journalctl {match}",
        correlation_id=quoted_correlation(lines),
    )


def _journal(match: str) -> str:
    command = ["journalctl", "--no-pager", "--output=cat", f"--lines={LINES}", match]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, timeout=30, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the journal cannot be read: {error}"
    return (done.stdout or done.stderr).strip()


if __name__ == "__main__":
    main()
