-- One row for each change, written in the transaction of the change. Ids follow the order of the
-- commits. The row with the highest one is never removed, so that no id is used again; with
-- AUTOINCREMENT each commit would write a page more. Rows refer to nothing: they outlive what they
-- are about.
CREATE TABLE events (
    id              INTEGER PRIMARY KEY,
    event_id        TEXT    NOT NULL,
    at_ms           INTEGER NOT NULL,
    topic           TEXT    NOT NULL CHECK (topic IN ('catalog', 'access', 'files')),
    operation       TEXT    NOT NULL,
    warehouse       TEXT,
    request_id      TEXT,
    request_index   INTEGER NOT NULL,
    request_count   INTEGER NOT NULL,
    actor_id        INTEGER,
    actor           TEXT    NOT NULL,
    via             TEXT    NOT NULL,
    address         TEXT,
    client          TEXT,
    kind            TEXT    NOT NULL,
    object_id       INTEGER,
    uuid            TEXT,
    namespace_path  TEXT,
    name            TEXT,
    former_path     TEXT,
    former_name     TEXT,
    state_before    TEXT,
    state_after     TEXT,
    detail          TEXT
) STRICT;

-- Rows about principals and grants are kept longer than the others.
CREATE INDEX events_access ON events (id) WHERE topic = 'access';

-- Requests that were refused: a bounded number of the newest ones. more counts those of the same
-- caller that were not written.
CREATE TABLE refusals (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms       INTEGER NOT NULL,
    outcome     TEXT    NOT NULL CHECK (outcome IN ('denied', 'hidden', 'unauthenticated')),
    operation   TEXT,
    warehouse   TEXT,
    request_id  TEXT,
    actor_id    INTEGER,
    actor       TEXT    NOT NULL,
    via         TEXT    NOT NULL,
    address     TEXT,
    client      TEXT,
    entity      TEXT,
    privilege   TEXT,
    more        INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Which log the events are, which a restored backup continues as another one, and up to which id
-- rows were removed because they were too old or too many.
CREATE TABLE event_log (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    log_id           TEXT    NOT NULL,
    removed_through  INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO event_log (id, log_id) VALUES (1, new_uuid());
