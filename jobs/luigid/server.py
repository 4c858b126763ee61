"""Luigi's central scheduler, with its history and counters: ``python -m jobs.luigid``.

Luigi's own ``luigid`` fails at startup if it keeps a history with SQLAlchemy 2
(spotify/luigi#3227). This one starts the same server with that step fixed.
"""

import datetime as dt
import ipaddress
import logging
import os
import socket
from pathlib import Path

import click
import luigi.configuration
import luigi.db_task_history
import luigi.scheduler
import luigi.server
from sqlalchemy import Engine, inspect, text
from tornado.ioloop import IOLoop

from jobs.addresses import split_address
from jobs.config import luigid_address, task_history
from jobs.luigid.browsers import protected
from jobs.luigid.task_history import prune_hourly

ADDRESS = "127.0.0.1:8082"
MAX_DAYS = 36525

log = logging.getLogger("luigi.server")


def upgrade_history(engine: Engine) -> None:
    """Add the column that the history of an older Luigi lacks.

    It replaces ``luigi.db_task_history._upgrade_schema``, which passes strings to ``execute`` and
    so fails with SQLAlchemy 2: spotify/luigi#3227.
    """
    columns = {column["name"] for column in inspect(engine).get_columns("tasks")}
    if "task_id" not in columns:
        log.warning("the task history is of an older Luigi: adding tasks.task_id")
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE tasks ADD COLUMN task_id VARCHAR(200)"))
            connection.execute(text("CREATE INDEX ix_tasks_task_id ON tasks (task_id)"))


def configure(state: Path) -> None:
    """Set state, history and counters, unless the settings file does."""
    settings = luigi.configuration.get_config()
    for section, name, value in (
        ("scheduler", "state_path", str(state / "state.pickle")),
        ("scheduler", "record_task_history", "true"),
        ("scheduler", "metrics_collector", "prometheus"),
        ("task_history", "db_connection", f"sqlite:///{state / 'history.db'}"),
    ):
        if not settings.has_option(section, name):
            settings.set(section, name, value)


def history_kept() -> dt.timedelta | None:
    """Return how long runs are kept; None means for ever.

    Raises:
        ValueError: the setting is out of range.
    """
    days = task_history().keep_days
    if days and not 1 <= days <= MAX_DAYS:
        raise ValueError(
            f"[task_history] keep_days = {days:g}: it must be 1 to {MAX_DAYS} days, or 0 for ever"
        )
    return dt.timedelta(days=days) if days else None


def require_local(host: str) -> None:
    """Raise ValueError if other machines can reach what listens on a host."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    if not all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found):
        raise ValueError(
            "other machines would reach it, and it asks for no password: listen on 127.0.0.1, or"
            " accept that with --insecure"
        )


def serve(host: str, port: int, keep: dt.timedelta | None, names: tuple[str, ...] = ()) -> None:
    """Serve until SIGTERM or Ctrl-C, then save the state.

    Runs without an event for ``keep`` are removed from the history. Requests must name one of
    ``names``, the host, localhost or an IP address.

    Raises:
        OSError: the address cannot be listened on.
    """
    luigi.db_task_history._upgrade_schema = upgrade_history  # noqa: SLF001 - see there
    luigi.server.app = protected(luigi.server.app, (host, *names))
    # Run once the loop turns, which is after the address was bound.
    shown = f"[{host}]" if ":" in host else host
    IOLoop.current().add_callback(click.echo, f"Listening on http://{shown}:{port}")
    scheduler = luigi.scheduler.Scheduler()
    if keep and isinstance(scheduler.task_history, luigi.db_task_history.DbTaskHistory):
        prune_hourly(scheduler.task_history, keep)
    luigi.server.run(api_port=port, address=host, scheduler=scheduler)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--listen",
    help="HOST:PORT. Whoever reaches it can steer the tasks: it asks for no password."
    " [default: $LUIGID_LISTEN, or scheduler_host and _port in [core]]",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="A name, without a port, under which it is called besides localhost, its IP addresses and"
    " the host of --listen. May be repeated.",
)
@click.option(
    "--insecure",
    is_flag=True,
    help="Listen on an address that other machines reach.",
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the scheduler's state and history. [default: $STATE_DIRECTORY or var/luigi]",
)
def main(listen: str | None, state: Path | None, names: tuple[str, ...], *, insecure: bool) -> None:
    """Serve Luigi's scheduler: tasks at /, their history at /history, counters at /metrics.

    Settings are read from conf/luigi.cfg, or the file that LUIGI_CONFIG_PATH names.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    # A line for every request of every worker, each second, is no log.
    logging.getLogger("tornado.access").setLevel(logging.WARNING)
    listen = listen or luigid_address()
    try:
        host, port = split_address(listen)
        if not insecure:
            require_local(host)
        folder = (state or Path(os.environ.get("STATE_DIRECTORY") or "var/luigi")).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        configure(folder)
        serve(host, port, history_kept(), names)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise click.ClickException(f"luigid cannot serve {listen}: {reason}") from None
