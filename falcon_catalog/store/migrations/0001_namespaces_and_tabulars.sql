-- Times are milliseconds since 1970-01-01 UTC. Names compare byte by byte.

CREATE TABLE warehouses (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL
) STRICT;

-- path is every level, joined by U+001F; name is the last one.
CREATE TABLE namespaces (
    id            INTEGER PRIMARY KEY,
    warehouse_id  INTEGER NOT NULL REFERENCES warehouses (id),
    parent_id     INTEGER          REFERENCES namespaces (id),
    path          TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    properties    TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (warehouse_id, path)
) STRICT;

CREATE INDEX namespaces_children ON namespaces (warehouse_id, parent_id, name);

-- Tables and views share the names of their namespace. location_key is the location in its
-- comparable form, so that no two tables are put over one another's files.
CREATE TABLE tabulars (
    id                 INTEGER PRIMARY KEY,
    namespace_id       INTEGER NOT NULL REFERENCES namespaces (id),
    name               TEXT    NOT NULL,
    kind               TEXT    NOT NULL CHECK (kind IN ('table', 'view')),
    uuid               TEXT    NOT NULL,
    metadata_location  TEXT    NOT NULL,
    location_key       TEXT    NOT NULL,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    UNIQUE (namespace_id, name)
) STRICT;

CREATE INDEX tabulars_kind ON tabulars (namespace_id, kind, name);
CREATE INDEX tabulars_location ON tabulars (location_key);
