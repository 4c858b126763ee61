"""The history of runs that luigid keeps, and the removal of old ones.

Luigi itself only adds to it. It has to be pruned in luigid's own process and on its loop: there
nothing is written at the same time, and what luigid remembers of a record goes with the record.
Pruned from outside, a task that is named again would be lost to the history until a restart.
"""

import datetime as dt
import logging

from luigi.db_task_history import Base, DbTaskHistory
from sqlalchemy import delete, exists, select
from sqlalchemy.exc import SQLAlchemyError
from tornado.ioloop import IOLoop

AT_ONCE = 500
"""Runs removed in one transaction, so that requests to luigid do not wait for long."""
_HOUR = 3600.0

log = logging.getLogger("luigi.server")


def prune_hourly(history: DbTaskHistory, keep: dt.timedelta) -> None:
    """Remove runs without an event for ``keep``, at startup and every hour."""
    loop = IOLoop.current()

    def prune() -> None:
        wait = _HOUR
        try:
            removed = forget(history, older_than=keep)
        except SQLAlchemyError:
            log.exception("cannot prune the task history: tried again in an hour")
        else:
            if removed:
                log.info("task history: removed %d runs older than %s", removed, keep)
            if removed == AT_ONCE:
                wait = 0  # there are more: others may be served first
        loop.call_later(wait, prune)

    loop.add_callback(prune)


def forget(history: DbTaskHistory, *, older_than: dt.timedelta, at_most: int = AT_ONCE) -> int:
    """Remove runs whose last event is older, oldest first; return their number.

    Raises:
        SQLAlchemyError: the database failed; nothing was removed.
    """
    # Luigi writes down local time, without a zone.
    before = (dt.datetime.now(dt.UTC) - older_than).astimezone().replace(tzinfo=None)
    records, parameters, events = (
        Base.metadata.tables[name] for name in ("tasks", "task_parameters", "task_events")
    )
    later = events.alias()
    heard_since = exists().where(later.c.task_id == events.c.task_id, later.c.ts >= before)
    expired = (
        select(events.c.task_id)
        .where(events.c.ts < before, ~heard_since)
        .distinct()
        .order_by(events.c.task_id)
        .limit(at_most)
    )
    with history.engine.begin() as connection:
        gone = [record for (record,) in connection.execute(expired)]
        for column in (parameters.c.task_id, events.c.task_id, records.c.id):
            connection.execute(delete(column.table).where(column.in_(gone)))
    for task, stored in list(history.tasks.items()):
        if stored.record_id in gone:
            del history.tasks[task]
    return len(gone)
