-- What clients reported of a scan or commit, under the names that the table had then. Ids only
-- grow and only the lowest are deleted, so the newest n are those above the highest minus n.
CREATE TABLE metrics_reports (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    warehouse_id    INTEGER NOT NULL REFERENCES warehouses (id),
    namespace_path  TEXT    NOT NULL,
    table_name      TEXT    NOT NULL,
    table_uuid      TEXT    NOT NULL,
    report          TEXT    NOT NULL,
    received_at     INTEGER NOT NULL
) STRICT;

CREATE INDEX metrics_reports_table
    ON metrics_reports (warehouse_id, namespace_path, table_name, id);

-- Functions have names of their own: one may be called like a table. metadata is JSON text.
CREATE TABLE functions (
    id            INTEGER PRIMARY KEY,
    namespace_id  INTEGER NOT NULL REFERENCES namespaces (id),
    name          TEXT    NOT NULL,
    uuid          TEXT    NOT NULL,
    metadata      TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (namespace_id, name)
) STRICT;
