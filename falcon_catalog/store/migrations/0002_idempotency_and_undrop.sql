-- What was answered to a request with an Idempotency-Key, written with the request's effect.
CREATE TABLE idempotency_keys (
    warehouse_id  INTEGER NOT NULL REFERENCES warehouses (id),
    key           TEXT    NOT NULL,
    request       TEXT    NOT NULL,
    answer        TEXT    NOT NULL,
    expires_at    INTEGER NOT NULL,
    PRIMARY KEY (warehouse_id, key)
) STRICT;

CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

-- Tables and views that were dropped and may come back until expires_at. After it, those with
-- purge lose their files: started_at is set for good then, and leased_until while a process
-- works on it.
CREATE TABLE dropped_tabulars (
    id                 INTEGER PRIMARY KEY,
    warehouse_id       INTEGER NOT NULL REFERENCES warehouses (id),
    namespace_path     TEXT    NOT NULL,
    name               TEXT    NOT NULL,
    kind               TEXT    NOT NULL CHECK (kind IN ('table', 'view')),
    uuid               TEXT    NOT NULL,
    metadata_location  TEXT    NOT NULL,
    location_key       TEXT    NOT NULL,
    purge              INTEGER NOT NULL CHECK (purge IN (0, 1)),
    dropped_at         INTEGER NOT NULL,
    expires_at         INTEGER NOT NULL,
    started_at         INTEGER,
    leased_until       INTEGER,
    trouble            TEXT
) STRICT;

CREATE INDEX dropped_tabulars_expiry ON dropped_tabulars (expires_at);
CREATE INDEX dropped_tabulars_location ON dropped_tabulars (location_key);
