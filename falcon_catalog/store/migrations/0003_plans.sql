-- Scans that were planned, or are being planned. request is what the client sent, kept while
-- another process may have to begin again; error is an error's JSON. A submitted plan is
-- worked on by worker until lease_until; then anybody may take over.
CREATE TABLE plans (
    id                 TEXT    PRIMARY KEY,
    table_id           INTEGER NOT NULL REFERENCES tabulars (id) ON DELETE CASCADE,
    status             TEXT    NOT NULL
                       CHECK (status IN ('submitted', 'completed', 'failed', 'cancelled')),
    metadata_location  TEXT    NOT NULL,
    request            BLOB    NOT NULL,
    error              TEXT,
    worker             TEXT,
    lease_until        INTEGER NOT NULL,
    created_at         INTEGER NOT NULL,
    expires_at         INTEGER NOT NULL
) STRICT;

CREATE INDEX plans_expiry ON plans (expires_at);
CREATE INDEX plans_table ON plans (table_id);

-- The pages of a plan's result, zipped JSON. Page 0 is part of the plan's own answer, each
-- other one is a plan task.
CREATE TABLE plan_pages (
    token    TEXT    PRIMARY KEY,
    plan_id  TEXT    NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    number   INTEGER NOT NULL,
    content  BLOB    NOT NULL,
    UNIQUE (plan_id, number)
) STRICT;
