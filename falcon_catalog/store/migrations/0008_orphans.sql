-- Metadata files that a commit may have left behind: whether they were written is unknown, or they
-- could not be deleted again. From due_at on they are deleted, if nothing refers to them. While a
-- file is being deleted, nothing may begin to refer to it.
CREATE TABLE orphans (
    id            INTEGER PRIMARY KEY,
    warehouse_id  INTEGER NOT NULL REFERENCES warehouses (id),
    location      TEXT    NOT NULL UNIQUE,
    due_at        INTEGER NOT NULL,
    deleting      INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX orphans_due ON orphans (warehouse_id, due_at);
