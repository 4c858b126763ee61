"""Sessions that commit to one table at once."""

import threading
from collections.abc import Callable
from typing import Any

from tests.spark.running import rows_of

ROUNDS = 40


def at_once(*deeds: Callable[[], None]) -> None:
    """Do all deeds at the same time; raise what any of them raised."""
    start, errors = threading.Barrier(len(deeds)), []

    def do(deed: Callable[[], None]) -> None:
        try:
            start.wait(60)
            deed()
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's thread
            errors.append(error)

    threads = [threading.Thread(target=do, args=(deed,)) for deed in deeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_both_appends_of_two_sessions_are_there(ns: str, spark: Any, sql: Any, lake: Any) -> None:
    sql(f"CREATE TABLE {ns}.t (id INT, session INT)")
    sessions = [spark.newSession(), spark.newSession()]
    refused, number = lake.conflicts(), 0
    # Until the catalog has refused one for coming second: Iceberg then tries again by itself.
    for number in range(1, ROUNDS + 1):
        inserts = [f"INSERT INTO {ns}.t VALUES ({number}, {session})" for session in (0, 1)]
        at_once(
            lambda: rows_of(sessions[0], inserts[0]),  # noqa: B023 - done before the next round
            lambda: rows_of(sessions[1], inserts[1]),  # noqa: B023
        )
        if number > 2 and lake.conflicts() > refused:
            break
    assert lake.conflicts() > refused, f"{ROUNDS} rounds without a conflict"
    rows = rows_of(spark.newSession(), f"SELECT id, session FROM {ns}.t ORDER BY id, session")
    assert rows == [(i, session) for i in range(1, number + 1) for session in (0, 1)]
    metadata = lake.metadata(f"{ns}.t")
    parents = [snapshot.get("parent-snapshot-id") for snapshot in metadata["snapshots"]]
    assert len(set(parents)) == len(parents) == 2 * number  # one line, without a fork


def test_no_update_of_two_sessions_is_lost(ns: str, spark: Any, sql: Any) -> None:
    sql(f"CREATE TABLE {ns}.t AS SELECT 0 AS counted")
    done = [0, 0]

    def count(session: Any, place: int) -> Callable[[], None]:
        def add() -> None:
            for _ in range(4):
                try:
                    rows_of(session, f"UPDATE {ns}.t SET counted = counted + 1")
                except Exception as error:
                    # Iceberg refuses to change rows that another commit replaced meanwhile.
                    if "ValidationException" not in str(error):
                        raise
                else:
                    done[place] += 1

        return add

    at_once(count(spark.newSession(), 0), count(spark.newSession(), 1))
    assert rows_of(spark.newSession(), f"TABLE {ns}.t") == [(sum(done),)]
    assert sum(done) >= 4


def test_one_session_sees_what_another_changed(t: str, spark: Any, lake: Any) -> None:
    one, other = spark.newSession(), spark.newSession()
    for session in (one, other):
        assert rows_of(session, f"SELECT count(*) FROM {t}") == [(2,)]
    rows_of(one, f"ALTER TABLE {t} ADD COLUMN more INT")
    rows_of(one, f"INSERT INTO {t} VALUES (3, 'c', 4)")
    rows_of(other, f"INSERT INTO {t} (id, data) VALUES (4, 'd')")
    rows_of(other, f"REFRESH TABLE {t}")
    last = [(3, "c", 4), (4, "d", None)]
    assert rows_of(other, f"SELECT * FROM {t} WHERE id > 2 ORDER BY id") == last
    assert len(lake.metadata(t)["snapshots"]) == 3
