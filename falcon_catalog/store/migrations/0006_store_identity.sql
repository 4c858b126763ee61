-- The store's own id, drawn once. The marker file in the root of each warehouse carries it, so
-- that an empty mount point, or another catalog's warehouse, is never taken for this one.
CREATE TABLE store_identity (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    store_id    TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

INSERT INTO store_identity (id, store_id, created_at) VALUES (1, new_uuid(), now_ms());

-- The root, in its comparable form, that the marker of a warehouse was written to.
ALTER TABLE warehouses ADD COLUMN marked_location TEXT;

-- When a purge had deleted everything but the metadata file: only from then on may that be missing.
ALTER TABLE dropped_tabulars ADD COLUMN emptied_at INTEGER;
